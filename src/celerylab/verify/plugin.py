"""The pytest plugin under a module's suite: checks in, one line of JSON per verdict out.

It decides nothing about the run as a whole. The parent process (verify/run.py) does, so that a killed runner is an unfinished run and
never a grade.
"""

import json
import signal
import time
from collections.abc import Callable, Generator, Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from celerylab.clusters.forwards import Forwards
from celerylab.verify.clock import clock_now
from celerylab.verify.control import control_problem
from celerylab.verify.evidence import collect_evidence
from celerylab.verify.expect import BrokerUnreachableError, NotAsExpectedError, NotObservedError
from celerylab.verify.ledger import LedgerReader
from celerylab.verify.objectives import applies, with_needs, worst
from celerylab.verify.results import Verdict
from celerylab.verify.stack import Stack

if TYPE_CHECKING:  # testinfra and Celery: see SLOW_IMPORTS
    from celerylab.verify.cluster import ClusterView
    from celerylab.verify.hosts import ObservedHost
    from celerylab.verify.worker import WorkerClient

HEAL_SECONDS = 30
CLUSTER_HEAL_SECONDS = 90  # pods are started, and their probes want answers
SLOW_IMPORTS = ("celerylab.verify.hosts", "celerylab.verify.worker")  # a second, which passes while the stack is still being deployed


def objective(objective_id: str) -> pytest.MarkDecorator:
    """Marks a pytest function as a check that decides the objective `objective_id`."""
    return pytest.mark.objective(objective_id)


def pytest_addoption(parser: pytest.Parser) -> None:
    """What is under test, and where the verdicts go."""
    group = parser.getgroup("celerylab")
    group.addoption("--celerylab-stack", type=Path, help="pipe from which the stack's name and outputs will come")
    group.addoption("--celerylab-report", type=Path, help="file that receives one JSON line per event")
    group.addoption("--celerylab-only", default="", help="objectives to decide, separated by commas; their needs are decided as well")


def pytest_configure(config: pytest.Config) -> None:
    """Registers the marker, and the judge where a stack is given: it may not be deployed yet, and is waited for."""
    config.addinivalue_line("markers", "objective(id): the check decides this objective of the module")
    if config.getoption("--celerylab-stack"):
        # Asked to end, by whom and how ever, the suite unwinds: a fault undoes itself on the way. A process that a shell put into the
        # background ignores SIGINT until somebody says otherwise.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        for name in SLOW_IMPORTS:
            import_module(name)
        stack = Stack.read(config.getoption("--celerylab-stack"))
        only = [name for name in config.getoption("--celerylab-only").split(",") if name]
        config.pluginmanager.register(Judge(stack, config.getoption("--celerylab-report"), only), "celerylab-judge")


class Judge:
    """Turns what pytest reports of each check into a verdict of its objective."""

    def __init__(self, stack: Stack, report: Path, only: list[str]) -> None:
        self.stack, self._report = stack, report
        self._wanted = with_needs(only, stack) if only else [objective.id for objective in stack.module.objectives]
        self._verdicts: dict[str, Verdict] = {}
        self._checks: dict[str, dict[str, Any]] = {}

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Orders checks as the module lists their objectives; takes those out that do not apply; refuses one without an objective."""
        order = [objective.id for objective in self.stack.module.run_order]
        for item in items:
            if self._objective_id(item) not in order:
                raise pytest.UsageError(f"{item.nodeid} is marked with no objective of module {self.stack.module.id}")
        applicable = [
            item
            for item in items
            if self._objective_id(item) in self._wanted and applies(self.stack.module.objective(self._objective_id(item)), self.stack)
        ]
        config.hook.pytest_deselected(items=[item for item in items if item not in applicable])
        items[:] = sorted(applicable, key=lambda item: order.index(self._objective_id(item)))
        self._write(event="collected", clock=clock_now(), checks=[[self._objective_id(item), item.name] for item in items])

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """An objective that needs another one is not observable while that does not hold."""
        module = self.stack.module
        for needed in module.objective(self._objective_id(item)).needs:
            if applies(module.objective(needed), self.stack) and self._verdicts.get(needed) is not Verdict.PASS:
                raise NotObservedError(f"needs {needed}")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Judges one phase of a check; the worst phase counts."""
        report = yield
        new = {"objective": self._objective_id(item), "name": item.name, "verdict": Verdict.PASS, "started": time.monotonic()}
        check = self._checks.setdefault(item.nodeid, new)
        if call.excinfo is not None and check["verdict"] is not Verdict.NOT_OBSERVED:
            check.update(self._judge(call.when, call.excinfo.value))
        return report

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Notes the verdict that dependants ask for, keeps evidence of what did not pass, and writes it down before the next check begins."""
        check = self._checks[nodeid]
        objective_id, verdict = check["objective"], check["verdict"]
        before = self._verdicts.get(objective_id, Verdict.PASS)
        self._verdicts[objective_id] = worst(before, verdict)
        seconds = round(time.monotonic() - check.pop("started"), 2)
        if verdict is not Verdict.PASS and before is Verdict.PASS and not check.get("cause", "").startswith("needs "):
            collect_evidence(self.stack, self._report.parent / "evidence" / objective_id)
        self._write(event="check", seconds=seconds, **check)

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """The line without which the run was cut short."""
        self._write(event="finished", clock=clock_now(), exitstatus=int(exitstatus))

    def _judge(self, phase: str, error: BaseException) -> dict[str, Any]:
        failure: dict[str, Any] | None = None
        if isinstance(error, NotAsExpectedError):
            failure = {"observed": error.observed, "expected": error.expected, "look": error.look, "evidence": error.evidence}
        elif isinstance(error, AssertionError):
            failure = {"observed": str(error), "expected": "see the check"}
        elif isinstance(error, BrokerUnreachableError):
            failure = {"observed": str(error), "expected": "a broker that answers its worker's credentials"}
        if failure is None or phase != "call":
            cause = str(error) if isinstance(error, NotObservedError | pytest.skip.Exception) else f"{type(error).__name__}: {error}"
            return {"verdict": Verdict.NOT_OBSERVED, "cause": cause}
        problem = control_problem(self.stack)
        if problem:
            return {"verdict": Verdict.NOT_OBSERVED, "cause": f"{problem} (before that: {failure['observed']})"}
        return {"verdict": Verdict.FAIL, **failure}

    @staticmethod
    def _objective_id(item: pytest.Item) -> str:
        marker = item.get_closest_marker("objective")
        return str(marker.args[0]) if marker else ""

    def _write(self, **event: Any) -> None:
        with self._report.open("a", encoding="utf-8") as file:
            file.write(json.dumps(event, default=str) + "\n")


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """The stack under test; while the suite runs, the services of one on a cluster are its endpoints."""
    judge: Judge = request.config.pluginmanager.getplugin("celerylab-judge")
    under_test = judge.stack
    if not under_test.namespace:
        yield under_test
        return
    with Forwards(under_test.secrets["kubeconfig"], under_test.namespace, under_test.outputs["services"]) as forwards:
        under_test.outputs["endpoints"] = forwards.endpoints
        yield under_test


@pytest.fixture(scope="session")
def hosts(stack: Stack) -> "dict[str, ObservedHost]":
    """Every host by its name, seen as an unprivileged observer."""
    from celerylab.verify.hosts import ObservedHost

    return {name: ObservedHost(name, host["container"]) for name, host in stack.hosts.items()}


@pytest.fixture(scope="session")
def cluster(stack: Stack) -> "ClusterView":
    """The stack's namespace on its cluster."""
    from celerylab.verify.cluster import ClusterView

    return ClusterView.of(stack)


@pytest.fixture(scope="session")
def worker(stack: Stack) -> "Iterator[WorkerClient]":
    """A Celery client outside the hosts."""
    from celerylab.verify.worker import WorkerClient

    client = WorkerClient(stack)
    yield client
    client.close()


@pytest.fixture(scope="session")
def ledger(stack: Stack) -> LedgerReader:
    """What tasks really did."""
    return LedgerReader(stack)


@pytest.fixture(scope="session", autouse=True)
def _health(stack: Stack, request: pytest.FixtureRequest) -> Iterator[None]:
    """Services that ran before the suite must run after it: a fault that did not heal is trouble of the harness."""
    problem = control_problem(stack)
    if problem:
        raise NotObservedError(problem)  # at once, instead of one deadline after the other
    look = _look_at_cluster(request) if stack.namespace else _look_at_hosts(request)
    before = look()
    yield
    deadline = time.monotonic() + (CLUSTER_HEAL_SECONDS if stack.namespace else HEAL_SECONDS)
    while missing := before - look():
        if time.monotonic() > deadline:
            raise NotObservedError(f"the suite left services stopped: {', '.join(sorted(missing))}")
        time.sleep(0.5)


def _look_at_hosts(request: pytest.FixtureRequest) -> Callable[[], set[str]]:
    hosts: dict[str, ObservedHost] = request.getfixturevalue("hosts")
    show = "systemctl list-units --type=service --state=running --plain --no-legend"
    return lambda: {f"{line.split()[0]} on {name}" for name, host in hosts.items() for line in host.check_output(show).splitlines()}


def _look_at_cluster(request: pytest.FixtureRequest) -> Callable[[], set[str]]:
    cluster: ClusterView = request.getfixturevalue("cluster")
    return lambda: cluster.settled() | {f"node {node.name}" for node in cluster.nodes().values() if node.ready and node.schedulable}
