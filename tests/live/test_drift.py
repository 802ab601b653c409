"""What the world does to a stack, and how refresh and up answer."""

import json
from pathlib import Path
from typing import Any

import pytest

from celerylab.errors import EngineError
from celerylab.providers.converge import ConvergeProvider
from celerylab.providers.engine import engine
from tests.live.conftest import LiveStack


def resource(stack: LiveStack, kind: str) -> dict[str, Any]:
    """The first resource of a kind in the stack's state."""
    state = json.loads(stack.pulumi("stack", "export", "--show-secrets").stdout)
    return next(found for found in state["deployment"]["resources"] if found["type"].endswith(f":{kind}"))


def test_a_host_removed_by_hand_is_made_and_converged_again(stack: LiveStack) -> None:
    stack.up()
    before = stack.outputs()["hosts"]["node-1"]
    stack.container().remove(force=True, v=True)
    stack.pulumi("refresh", "--yes", "--skip-preview")
    result = stack.pulumi("up", "--yes", "--skip-preview")
    assert "lab-02-node-1-host created" in result.stdout
    assert "node-1: base, redis, celery_app, celery_worker" in result.stdout  # converged as a whole
    after = stack.outputs()["hosts"]["node-1"]
    assert after["address"] == before["address"]
    assert stack.verdicts("02.2")["02.2"]["verdict"] == "PASS"


def test_a_host_that_does_not_boot_says_why_and_makes_room_for_another(stack: LiveStack) -> None:
    stack.up()
    props = {**resource(stack, "Converge")["outputs"], "secrets": {}}
    container = stack.container()
    name, image = container.name, container.image.id
    container.remove(force=True, v=True)
    dead = engine().containers.run(
        image, ["sh", "-c", "echo no systemd here"], name=name, labels=container.labels, entrypoint="", detach=True
    )
    dead.wait(timeout=10)
    with pytest.raises(EngineError, match="stopped while booting: no systemd here; it is removed, and `pulumi refresh`, then `pulumi up`"):
        ConvergeProvider().create(props)
    stack.pulumi("refresh", "--yes", "--skip-preview")
    assert "lab-02-node-1-host created" in stack.pulumi("up", "--yes", "--skip-preview").stdout


def test_a_host_that_was_stopped_is_started_and_keeps_its_data(stack: LiveStack) -> None:
    stack.up()
    stack.on_host("touch", "/var/lib/mine")
    stack.container().stop(timeout=10)
    stack.container("gateway").stop(timeout=10)
    stack.pulumi("refresh", "--yes", "--skip-preview")
    stack.pulumi("up", "--yes", "--skip-preview")
    assert stack.on_host("ls", "/var/lib/mine").strip() == "/var/lib/mine"
    assert stack.verdicts("02.2")["02.2"]["verdict"] == "PASS"


def test_a_marker_that_says_something_else_is_drift(shared: LiveStack) -> None:
    shared.on_host("sh", "-c", "echo '{}' > /var/lib/celerylab.json")
    shared.pulumi("refresh", "--yes", "--skip-preview")
    assert "node-1: base, redis, celery_app, celery_worker" in shared.pulumi("up", "--yes", "--skip-preview").stdout


def test_an_interrupted_run_restarts_the_host_before_it_goes_on(shared: LiveStack) -> None:
    boot = shared.on_host("cat", "/proc/1/stat").split()[21]
    shared.on_host("sh", "-c", """printf '{"state": "unfinished"}' > /var/lib/celerylab.json""")
    shared.pulumi("refresh", "--yes", "--skip-preview")
    assert "the last run did not end; restarting the host first" in shared.pulumi("up", "--yes", "--skip-preview").stdout
    assert shared.on_host("cat", "/proc/1/stat").split()[21] != boot


@pytest.fixture
def lab(tmp_path: Path, module_02: Path) -> Path:
    """A learner's lab with the solution in it, outside the module's folder."""
    from celerylab.topology.lab import overlay

    folder = tmp_path / "lab"
    folder.mkdir()
    for layer in ("starter", "solution"):
        overlay(module_02 / layer, folder)
    return folder


def test_one_edited_line_reaches_the_worker_and_nothing_else_is_touched(stack: LiveStack, lab: Path) -> None:
    stack.up(lab)
    redis_before = stack.on_host("systemctl", "show", "-p", "MainPID", "redis-server")
    worker_before = stack.on_host("systemctl", "show", "-p", "MainPID", "celery@default")
    tasks = lab / "app" / "shop" / "tasks.py"
    tasks.write_text(
        tasks.read_text(encoding="utf-8") + "\n\n@app.task(name='bills.round')\ndef round_bill(cents):\n    return round(cents, -2)\n",
        encoding="utf-8",
    )
    result = stack.pulumi("up", "--yes", "--skip-preview")
    assert "node-1: celery_app: " in result.stdout  # that role alone
    assert stack.on_host("systemctl", "show", "-p", "MainPID", "redis-server") == redis_before
    assert stack.on_host("systemctl", "show", "-p", "MainPID", "celery@default") != worker_before
    assert "bills.round" in stack.on_host(
        "sh", "-c", "journalctl -u celery@default --no-pager | tail -30; cat /opt/celery/current/shop/tasks.py"
    )


def test_an_apply_that_fails_leaves_the_worker_running_as_it_was(stack: LiveStack, lab: Path) -> None:
    """The worker was told to stop when the apply began: see restarted_around."""
    stack.up(lab)
    before = stack.on_host("systemctl", "show", "-p", "MainPID", "celery@default")
    (lab / "vars.yaml").write_text("celery_worker_instances: {default: {extra_args: [two words]}}\n", encoding="utf-8")
    result = stack.pulumi("up", "--yes", "--skip-preview", check=False)
    assert "write every argument as one item without spaces" in result.stdout + result.stderr
    assert stack.on_host("systemctl", "show", "-p", "MainPID", "celery@default") != before
    assert stack.verdicts("02.2")["02.2"]["verdict"] == "PASS"


def test_a_lab_that_parses_and_is_merely_wrong_deploys_and_shows_its_traceback(stack: LiveStack, lab: Path) -> None:
    (lab / "app" / "shop" / "tasks.py").write_text("import nowhere_to_be_found\n", encoding="utf-8")
    stack.up(lab)
    verdict = stack.verdicts("02.2")["02.2"]
    assert verdict["verdict"] == "FAIL"
    shown = stack.celerylab("logs", "-n", "60").stdout
    assert "ModuleNotFoundError: No module named 'nowhere_to_be_found'" in shown


def test_a_drop_in_that_vanishes_from_the_lab_vanishes_from_the_host(stack: LiveStack, lab: Path) -> None:
    extra = lab / "systemd" / "celery@.service.d" / "extra.conf"
    extra.write_text("[Service]\nEnvironment=EXTRA=yes\n", encoding="utf-8")
    stack.up(lab)
    assert "EXTRA=yes" in stack.on_host("systemctl", "show", "-p", "Environment", "celery@default")
    extra.unlink()
    stack.pulumi("up", "--yes", "--skip-preview")
    assert "EXTRA=yes" not in stack.on_host("systemctl", "show", "-p", "Environment", "celery@default")


def test_limits_change_in_place(stack: LiveStack, root: Path, tmp_path: Path) -> None:
    """A new size is an update of the host, not a new host."""
    from celerylab.providers.host import HostProvider

    stack.up()
    host = resource(stack, "Host")
    old = host["outputs"]
    new = {**old, "memory": 384 * 2**20, "cpus": 0.5}
    provider = HostProvider()
    difference = provider.diff(host["id"], old, new)
    assert difference.changes
    assert not difference.replaces
    assert provider.update(host["id"], old, new).outs["generation"] == old["generation"]
    seen = provider.read(host["id"], old).outs
    assert (seen["memory"], seen["cpus"]) == (384 * 2**20, 0.5)
