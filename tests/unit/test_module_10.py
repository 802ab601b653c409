"""Module 10 as it is written: starter and solution differ where the lesson says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from celerylab.topology.lab import check_syntax, layers, overlay
from celerylab.topology.module import load_module
from celerylab.topology.plan import make_plan
from celerylab.topology.variants import alternatives, load_mutants

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "modules" / "10-security-basics"
OBJECTIVES = [f"10.{number}" for number in range(1, 6)]
HOST = {"LAB_BROKER_PASSWORD": "pw", "LAB_PAYMENT_TOKEN": "token"}
CARD = "4929123456781234"
RUN_TASK = """
import json, logging, os, sys
logging.basicConfig(stream=sys.stdout, level=logging.INFO)
sys.path.insert(0, os.getcwd())
import celery
celery.Celery.setup_security = lambda self: print("setup_security")
from shop import app
import shop.tasks
print(json.dumps([app.conf.broker_url, app.conf.result_backend, app.conf.accept_content, bool(app.conf.broker_use_ssl)]))
for card in json.loads(sys.argv[1]):
    result = app.tasks["payments.charge"].apply(["7", 1250, card])
    print(result.state, result.result, result.traceback)
"""


def lab(wanted: str, folder: Path) -> Path:
    """The lab `wanted`, laid over what it stands on."""
    for layer in layers(MODULE, wanted)[1]:
        overlay(layer, folder)
    return folder


def said(folder: Path, broker: str = "redis", cards: tuple[str, ...] = ()) -> str:
    """What a process with the host's environment prints when it imports the application and charges `cards`."""
    command = [sys.executable, "-c", RUN_TASK, json.dumps(cards)]
    environment = {**os.environ, **HOST, "LAB_BROKER": broker}
    result = subprocess.run(command, cwd=folder / "app", env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout + result.stderr


@pytest.mark.parametrize(
    ("broker", "scheme", "plain"), [("redis", "rediss://celery:pw@", "redis://node"), ("rabbitmq", "amqps://celery:pw@", "amqp://")]
)
def test_the_starter_trusts_everybody_and_the_solution_does_not(tmp_path: Path, broker: str, scheme: str, plain: str) -> None:
    (tmp_path / "starter").mkdir()
    (tmp_path / "solution").mkdir()
    starter, solution = said(lab("starter", tmp_path / "starter"), broker), said(lab("solution", tmp_path / "solution"), broker)
    assert plain in starter
    assert '["json"], false' in starter
    assert scheme in solution
    assert '["auth"], true' in solution
    assert "setup_security" in solution
    assert "setup_security" not in starter


def test_a_payment_of_the_starter_leaks_and_one_of_the_solution_does_not(tmp_path: Path) -> None:
    (tmp_path / "starter").mkdir()
    (tmp_path / "solution").mkdir()
    cards = (CARD, f"{CARD}x")
    leaking = said(lab("starter", tmp_path / "starter"), cards=cards)
    assert CARD in leaking
    assert "token" in leaking
    clean = said(lab("solution", tmp_path / "solution"), cards=cards)
    assert "SUCCESS {'order_id': '7', 'cents': 1250, 'card': '**** 1234', 'status': 'charged'}" in clean
    assert "FAILURE" in clean
    assert CARD not in clean
    assert "token " not in clean


@pytest.mark.parametrize(
    "wanted", ["starter", "solution", *alternatives(MODULE), *(mutant.lab for mutant in load_mutants(MODULE, load_module(MODULE)))]
)
@pytest.mark.parametrize("broker", ["redis", "rabbitmq"])
def test_every_variant_parses_and_plans(tmp_path: Path, wanted: str, broker: str) -> None:
    check_syntax(lab(wanted, tmp_path))
    plan = make_plan(ROOT, "10", {"lab": wanted, "broker": broker})
    assert [host.name for host in plan.hosts] == ["node-1", "stranger-1", "ally-1"]
    assert "NET_ADMIN" in plan.hosts[0].capabilities
    assert "NET_ADMIN" not in plan.hosts[1].capabilities
    assert plan.endpoint_port("broker-tls") == {"redis": 6380, "rabbitmq": 5671}[broker]


def test_objectives_are_the_five_of_the_curriculum() -> None:
    module = load_module(MODULE)
    assert module.minutes == 90
    assert [objective.id for objective in module.objectives] == OBJECTIVES
    assert sum(objective.weight for objective in module.objectives) == 100
    assert all(objective.level == "core" for objective in module.objectives)
