"""Module 23 as it is written: the starter has its faults, what is right has none, and each number follows from the longest task."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from celerylab.course.walkthrough import Write, read_walkthrough
from celerylab.topology.kubernetes import make_kubernetes_plan
from celerylab.topology.lab import check_syntax, layers, overlay
from celerylab.topology.module import load_module
from celerylab.topology.variants import alternatives, load_mutants

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "modules" / "23-scaling-strategies"
COURSE_MODULE = load_module(MODULE)
LONGEST = COURSE_MODULE.longest_task_seconds
MUTANTS = load_mutants(MODULE, COURSE_MODULE)
CONTROLS = [mutant.lab for mutant in MUTANTS if mutant.is_control]
OWN_MANIFESTS = ["solution", *CONTROLS]  # right, and with a Deployment of their own
GOOD = [*OWN_MANIFESTS, *alternatives(MODULE)]
LABS = ["starter", "solution", *alternatives(MODULE), *(mutant.lab for mutant in MUTANTS)]
IMAGES = {"application": "example/application:1", "redis": "example/redis:1", "support": "example/support:1"}
SETTINGS = """
import json
from shop import app
app.loader.import_default_modules()
names = "task_acks_late worker_prefetch_multiplier broker_transport_options broker_url result_backend"
print(json.dumps({**{name: app.conf[name] for name in names.split()}, "tasks": sorted(app.tasks)}))
"""


@pytest.fixture(scope="session")
def labs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every variant of the module, laid out as it is deployed."""
    folder = tmp_path_factory.mktemp("labs")
    found = {}
    for name in LABS:
        found[name] = folder / name.replace("/", "-")
        found[name].mkdir()
        for layer in layers(MODULE, name)[1]:
            overlay(layer, found[name])
    return found


def settings(lab: Path) -> dict[str, Any]:
    """What a worker with the lab's application has in force."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("CELERY", "LAB_"))}
    pod = {"CELERY_BROKER_URL": "redis://lab-redis/0", "CELERY_RESULT_BACKEND": "redis://lab-redis/1", "PYTHONPATH": "."}
    result = subprocess.run(
        [sys.executable, "-c", SETTINGS], cwd=lab / "app", env={**clean, **pod}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def manifest(lab: Path, name: str) -> dict[str, Any]:
    path = lab / "manifests" / f"{name}.yaml"
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def pod(lab: Path) -> dict[str, Any]:
    found: dict[str, Any] = manifest(lab, "worker")["spec"]["template"]["spec"]
    return found


# The faults: each is in the starter, and in nothing that is right.


def number_is_fixed(lab: Path) -> bool:
    return "replicas" in manifest(lab, "worker")["spec"] or not manifest(lab, "scaling")


def a_shell_is_told_to_stop(lab: Path) -> bool:
    return bool(pod(lab)["containers"][0]["command"][0] != "celery")


def tasks_are_cut_off(lab: Path) -> bool:
    return bool(pod(lab)["terminationGracePeriodSeconds"] <= LONGEST)


def resources_are_open(lab: Path) -> bool:
    resources = pod(lab)["containers"][0]["resources"]
    return any(set(resources.get(kind, {})) != {"cpu", "memory"} for kind in ("requests", "limits"))


def liveness_asks_the_broker(lab: Path) -> bool:
    return "inspect" in str(pod(lab)["containers"][0]["livenessProbe"]["exec"])


def workers_hoard(lab: Path) -> bool:
    found = settings(lab)
    return found["worker_prefetch_multiplier"] != 1 or not found["task_acks_late"]


def nobody_has_measured(lab: Path) -> bool:
    return "null" in (lab / "answers" / "sizing.json").read_text(encoding="utf-8")


FAULTS = [
    number_is_fixed,
    a_shell_is_told_to_stop,
    tasks_are_cut_off,
    resources_are_open,
    liveness_asks_the_broker,
    workers_hoard,
    nobody_has_measured,
]


@pytest.mark.parametrize("fault", FAULTS)
def test_the_starter_has_the_fault_and_what_is_right_has_not(labs: dict[str, Path], fault: Callable[[Path], bool]) -> None:
    assert fault(labs["starter"])
    for name in OWN_MANIFESTS:
        assert not fault(labs[name]), name


@pytest.mark.parametrize("wanted", LABS)
def test_every_variant_parses_plans_and_has_the_tasks(labs: dict[str, Path], wanted: str) -> None:
    check_syntax(labs[wanted])
    plan = make_kubernetes_plan(ROOT, "23", {"lab": wanted})
    objects = plan.manifests("celerylab-me", IMAGES)
    assert [made["metadata"]["name"] for made in objects if made["kind"] == "Deployment"] == (
        [] if wanted in alternatives(MODULE) else ["worker"]
    )
    assert "${NAMESPACE}" not in json.dumps(objects)
    assert plan.values(IMAGES)["exporter"]["pools"] == {"worker": {"nodes": "worker@", "queues": ["celery"]}}
    assert {"orders.resize", "orders.price", "celerylab_probe.sleep"} <= set(settings(labs[wanted])["tasks"])


@pytest.mark.parametrize("wanted", GOOD)
def test_what_is_right_waits_for_its_longest_task(labs: dict[str, Path], wanted: str) -> None:
    options = settings(labs[wanted])["broker_transport_options"]
    assert options["visibility_timeout"] > LONGEST
    assert options["unacked_restore_interval"] * options["unacked_restore_throttle"] <= 5


@pytest.mark.parametrize("wanted", OWN_MANIFESTS)
def test_what_is_right_finds_a_hung_worker_in_time(labs: dict[str, Path], wanted: str) -> None:
    """30 s until the file is old, the probes that fail, and the probe's own grace period: well within 90 s."""
    probe = pod(labs[wanted])["containers"][0]["livenessProbe"]
    assert 30 + probe["periodSeconds"] * probe["failureThreshold"] + probe["terminationGracePeriodSeconds"] <= 70
    assert (
        LONGEST
        < pod(labs[wanted])["terminationGracePeriodSeconds"]
        < settings(labs[wanted])["broker_transport_options"]["visibility_timeout"]
    )


@pytest.mark.parametrize("wanted", LABS)
def test_workers_are_who_the_exporter_and_the_checks_think(labs: dict[str, Path], wanted: str) -> None:
    if not manifest(labs[wanted], "worker"):
        return
    labels = manifest(labs[wanted], "worker")["spec"]["template"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/component"] == "worker"
    [container] = pod(labs[wanted])["containers"]
    assert "--hostname worker@%h" in " ".join(container["command"])
    assert container["image"] == "lab/application"


def test_the_readme_writes_files_of_the_solution() -> None:
    written = {step.path: step.text for step in read_walkthrough(MODULE / "README.md") if isinstance(step, Write)}
    assert [str(path) for path in written] == ["app/shop/heart.py", "app/shop/celery.py", "manifests/scaling.yaml"]
    for path, text in written.items():
        assert text == (MODULE / "solution" / path).read_text(encoding="utf-8"), path


def test_the_readme_shows_the_probe_of_the_solution() -> None:
    readme = (MODULE / "README.md").read_text(encoding="utf-8")
    shown = readme[readme.index("          livenessProbe:") :].split("```")[0]
    solution = yaml.safe_load((MODULE / "solution/manifests/worker.yaml").read_text(encoding="utf-8"))
    assert yaml.safe_load(shown) == {"livenessProbe": solution["spec"]["template"]["spec"]["containers"][0]["livenessProbe"]}


def test_the_suite_s_longest_task_is_the_module_s() -> None:
    assert f"0.5, {LONGEST}\n" in (MODULE / "verify/burst.py").read_text(encoding="utf-8")
    assert f"takes {LONGEST} s" in (MODULE / "starter/app/shop/tasks.py").read_text(encoding="utf-8")


def test_there_are_six_objectives() -> None:
    assert len(COURSE_MODULE.objectives) == 6
