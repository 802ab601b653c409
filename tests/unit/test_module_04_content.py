"""Module 04's labs as they are written: the starter has its six faults, the solution and its alternatives none, each mutant one."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from celerylab.topology.lab import check_syntax, layers, overlay
from celerylab.topology.module import load_module
from celerylab.topology.source import read_yaml
from celerylab.topology.variants import alternatives, load_mutants

pytestmark = pytest.mark.unit

MODULE = Path(__file__).resolve().parents[2] / "modules" / "04-brokers-and-backends"
PAIRS = ["redis_redis", "rabbitmq_redis", "rabbitmq_postgresql", "rabbitmq_rpc"]
HOST = {
    "LAB_BROKER_URL": "redis://node/0",
    "LAB_RESULT_URL": "redis://node/1",
    "LAB_STORE_URL": "redis://store/0",
    "LAB_RABBITMQ_URL": "amqp://queue//",
    "LAB_POSTGRESQL_URL": "db+postgresql+psycopg://store/results",
}
MUTANTS = load_mutants(MODULE, load_module(MODULE))
GOOD = ["solution", *alternatives(MODULE), *(mutant.lab for mutant in MUTANTS if mutant.is_control)]

# Runs in the lab's app/: what a caller or a worker with each module of settings has in force.
LOOK = """
import json, sys
from celery import Celery
found = {}
for pair in sys.argv[1:]:
    app = Celery(pair, set_as_current=False)
    app.config_from_object(f"settings.{pair}")
    names = "broker_url result_backend task_default_queue task_default_delivery_mode broker_connection_retry broker_transport_options task_acks_late"
    found[pair] = {name: app.conf[name] for name in names.split()}
print(json.dumps(found))
"""


@pytest.fixture(scope="session")
def labs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every variant of the module, laid out as it is deployed."""
    folder = tmp_path_factory.mktemp("labs")
    found = {}
    for name in ["starter", *GOOD, *(mutant.lab for mutant in MUTANTS)]:
        found[name] = folder / name.replace("/", "-")
        found[name].mkdir(exist_ok=True)
        for layer in layers(MODULE, name)[1]:
            overlay(layer, found[name])
    return found


def settings(lab: Path) -> dict[str, dict[str, Any]]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("CELERY", "LAB_"))}
    command = [sys.executable, "-c", LOOK, *PAIRS]
    result = subprocess.run(command, cwd=lab / "app", env={**clean, **HOST, "PYTHONPATH": "."}, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    found: dict[str, dict[str, Any]] = json.loads(result.stdout)
    return found


def directives(path: Path) -> dict[str, str]:
    """Settings of a Redis or RabbitMQ file, the last one of each name."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    pairs = (re.split(r"\s*=\s*|\s+", line, maxsplit=1) for line in lines if line and not line.startswith("#"))
    return dict(pairs)


def longest() -> int:
    return load_module(MODULE).longest_task_seconds


# The six faults: each is in the starter and in nothing that is right.


def pairs_are_not_what_they_say(lab: Path) -> bool:
    found = settings(lab)
    queues = {found[pair]["task_default_queue"] for pair in PAIRS if pair.startswith("rabbitmq")}
    backends = [found[pair]["result_backend"] for pair in PAIRS[1:]]
    recorded = json.loads((lab / "answers/measurements.json").read_text(encoding="utf-8"))
    assert sorted(recorded) == sorted(PAIRS)
    right = len(queues) == 3 and backends == [HOST["LAB_STORE_URL"], HOST["LAB_POSTGRESQL_URL"], "rpc://"]
    return not right or None in recorded.values()


def messages_are_transient(lab: Path) -> bool:
    return any(found["task_default_delivery_mode"] in {1, "transient"} for found in settings(lab).values())


def redis_forgets(lab: Path) -> bool:
    found = directives(lab / "redis/broker.conf")
    return found["appendonly"] == "no" or found["maxmemory-policy"] != "noeviction"


def workers_give_up(lab: Path) -> bool:
    return not all(found["broker_connection_retry"] for found in settings(lab).values())


def long_tasks_are_given_away(lab: Path) -> bool:
    found = settings(lab)["redis_redis"]
    options = found["broker_transport_options"]
    return bool(
        options["visibility_timeout"] <= longest() or "socket_timeout" not in options or found["result_backend"] != HOST["LAB_STORE_URL"]
    )


def rabbitmq_is_impatient(lab: Path) -> bool:
    return int(directives(lab / "rabbitmq/rabbitmq.conf").get("consumer_timeout", 1800000)) <= longest() * 1000


FAULTS = [
    pairs_are_not_what_they_say,
    messages_are_transient,
    redis_forgets,
    workers_give_up,
    long_tasks_are_given_away,
    rabbitmq_is_impatient,
]


@pytest.mark.parametrize("fault", FAULTS)
def test_the_starter_has_the_fault_and_what_is_right_has_not(labs: dict[str, Path], fault: Callable[[Path], bool]) -> None:
    assert fault(labs["starter"])
    for name in GOOD:
        assert not fault(labs[name]), name


def test_every_variant_parses(labs: dict[str, Path]) -> None:
    for lab in labs.values():
        check_syntax(lab)


def test_every_variant_acknowledges_late_and_looks_for_abandoned_messages(labs: dict[str, Path]) -> None:
    """The checks of 04.5 and 04.6 rest on both; a variant that lost one by accident would prove nothing."""
    for name, lab in labs.items():
        found = settings(lab)
        assert all(pair["task_acks_late"] for pair in found.values()), name
        options = found["redis_redis"]["broker_transport_options"]
        assert (options["unacked_restore_interval"], options["unacked_restore_throttle"]) == (1, 1), name


def test_the_host_s_packages_are_those_that_are_baked(labs: dict[str, Path]) -> None:
    baked = set(read_yaml(MODULE / "module.yaml").data["vars"]["celery_app_packages"])
    for name, lab in labs.items():
        lines = (lab / "requirements.txt").read_text(encoding="utf-8").splitlines()
        assert {line for line in lines if line and not line.startswith("#")} == baked, name


def test_every_objective_has_two_mutants_and_there_is_a_control() -> None:
    failing = [objective for mutant in MUTANTS for objective in mutant.mutant.fails]
    for objective in load_module(MODULE).objectives:
        assert failing.count(objective.id) >= 2, objective.id
    assert any(mutant.is_control for mutant in MUTANTS)


def test_the_suite_s_longest_task_is_the_module_s() -> None:
    text = (MODULE / "verify/workers.py").read_text(encoding="utf-8")
    assert f"LONGEST_SECONDS = {longest()} " in text
    assert f"time.sleep({longest()})" in (MODULE / "starter/app/shop/tasks.py").read_text(encoding="utf-8")
