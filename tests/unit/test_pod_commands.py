"""What `logs`, `shell` and `status` do for a stack on a cluster. The Kubernetes API and kubectl, our edges, are stand-ins."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from celerylab.cli.pods import described, open_shell, show_logs
from celerylab.errors import EngineError, InputError
from celerylab.verify.stack import Stack
from tests.unit.kubernetes_api import APPS, CORE, FakeApi, kubeconfig_of, pod, served, workload

KUBECTL = """#!{python}
import pathlib, sys
pathlib.Path({log!r}).write_text(" ".join(sys.argv[sys.argv.index("--namespace"):]))
sys.exit(4)
"""


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with served(FakeApi()) as fake:
        fake.objects |= {
            f"{CORE}/pods": [pod("worker-a", ready="False"), pod("worker-b")],
            f"{APPS}/deployments": [workload("worker", 2, 1)],
            f"{APPS}/statefulsets": [],
        }
        yield fake


@pytest.fixture
def stack(api: FakeApi) -> Stack:
    outputs = {
        "namespace": "space",
        "cluster": {"name": "dev", "nodes": {}},
        "services": {},
        "secrets": {"kubeconfig": kubeconfig_of(api.url)},
    }
    return Stack("s", outputs)


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """Puts the stand-in on PATH, which ends with 4; what it was asked."""
    log = tmp_path / "asked"
    program = tmp_path / "bin" / "kubectl"
    program.parent.mkdir()
    program.write_text(KUBECTL.format(python=sys.executable, log=str(log)))
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    return log.read_text


def test_the_log_of_a_workload_is_that_of_all_its_pods(stack: Stack, asked: Callable[[], str]) -> None:
    assert show_logs(stack, "worker", lines=7, follow=True) == 4
    assert asked() == "--namespace space logs --selector=app=worker --prefix --max-log-requests=50 --all-containers --tail=7 --follow"


def test_the_log_of_a_pod_is_its_own(stack: Stack, asked: Callable[[], str]) -> None:
    show_logs(stack, "worker-b", lines=7, follow=False)
    assert asked() == "--namespace space logs pod/worker-b --all-containers --tail=7"


def test_a_command_of_a_workload_runs_in_a_pod_that_is_ready_and_its_exit_code_is_ours(stack: Stack, asked: Callable[[], str]) -> None:
    assert open_shell(stack, "worker", ["id", "-u"]) == 4
    assert asked() == "--namespace space exec --stdin worker-b -- id -u"


@pytest.mark.parametrize(("name", "words"), [("nobody", "there is no workload or pod nobody"), (None, "name a workload or a pod")])
def test_who_is_not_there_is_refused_with_who_is(stack: Stack, name: str | None, words: str) -> None:
    with pytest.raises(InputError, match=f"{words}; this stack has the workloads worker and the pods worker-a, worker-b"):
        open_shell(stack, name, [])


def test_without_kubectl_a_log_says_how_to_get_it(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match="kubectl is not on PATH"):
        show_logs(stack, "worker", lines=1, follow=False)


def test_status_shows_workloads_or_why_they_cannot_be_seen(api: FakeApi, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("celerylab.cli.pods.reaching_cluster", lambda outputs: outputs)
    where = {"namespace": "space", "cluster": "dev"}
    assert described("s", stack.outputs) == {**where, "workloads": {"worker": {"wanted": 2, "ready": 1}}}
    del api.objects[f"{APPS}/deployments"]
    problem = {"workloads": {}, "problem": "the cluster does not show workloads: Not Found"}
    assert described("s", stack.outputs) == {**where, **problem}
