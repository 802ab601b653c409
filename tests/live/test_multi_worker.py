"""The multi-worker rung: tiers on hosts of their own, workers that come and go under load, and what Prometheus sees of it."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from celerylab.bench.rung import module_on_the_rung
from celerylab.dashboard.panels import draw, read_panels
from celerylab.prometheus import ask_prometheus
from celerylab.providers.engine import engine, left_behind
from celerylab.providers.gateway import free_ports
from celerylab.pulumi_stack import PulumiStack
from celerylab.topology.lab import overlay
from celerylab.verify.credentials import try_urls
from celerylab.verify.expect import BrokerUnreachableError, wait_for
from celerylab.verify.host_faults import host_killed, host_paused
from celerylab.verify.hosts import ObservedHost
from celerylab.verify.ledger import LedgerReader
from celerylab.verify.link_faults import hosts_cut
from celerylab.verify.stack import Stack
from celerylab.verify.worker import WorkerClient
from tests.live.conftest import LiveStack, copy_checkout, run
from tests.live.rung import TASK_SECONDS, all_ended_once, load, renewed

UNITS = ("redis-server", "postgresql@15-main", "celery-beat", "celery@default")
HOSTS = {"broker-1", "data-1", "beat-1", "beat-2", "monitor-1"}


@pytest.fixture(scope="module")
def rung(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveStack]:
    """Module 02's solution on this rung, as a module of a checkout of its own."""
    checkout = copy_checkout(root, tmp_path_factory.mktemp("rung") / "checkout")
    folder = module_on_the_rung(checkout, checkout)
    source = folder.with_name("02-first-application")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CELERYLAB_PROJECT", str(checkout))
        live = LiveStack(folder)
        former = PulumiStack(source, live.name)
        former.ensure()
        former.configure({"hours": "24", "owner": "ada", "broker": "redis", "ports": f"broker={next(free_ports(live.instance))}"})
        try:
            shutil.copy(source / f"Pulumi.{live.name}.yaml", folder)  # a stack of module 02 goes on here with its settings
            live.up(workers="2")
            yield live
        finally:
            live.remove()
            former.run("stack", "rm", "--yes", quiet=True)
    assert left_behind(live.instance) == []


@pytest.fixture
def stack(rung: LiveStack) -> Stack:
    return Stack(rung.name, rung.outputs())


@pytest.fixture
def worker(stack: Stack) -> Iterator[WorkerClient]:
    client = WorkerClient(stack)
    yield client
    client.close()


def started(rung: LiveStack) -> dict[str, str]:
    """When the container of each host began to run, and what its services' main processes are."""
    found = {}
    for name, host in rung.outputs()["hosts"].items():
        container = engine().containers.get(host["container"])
        units = container.exec_run(
            ["systemctl", "show", "--property=Id,MainPID", "redis-server", "celery@default", "celery-beat", "postgresql@15-main"]
        )
        found[name] = container.attrs["State"]["StartedAt"] + units.output.decode()
    return found


def prometheus(stack: Stack, question: str) -> Any:
    return ask_prometheus(f"http://{stack.endpoint('prometheus')}", question, {})


def test_the_settings_of_a_module_02_stack_are_this_ones(rung: LiveStack, stack: Stack) -> None:
    configured = PulumiStack(rung.folder, rung.name).configuration()
    assert f"broker={stack.endpoint('broker').removeprefix('127.0.0.1:')}" == configured["ports"]
    assert (stack.outputs["owner"], stack.settings["broker"], stack.settings["workers"]) == ("ada", "redis", 2)
    assert datetime.fromisoformat(stack.outputs["expires"]) - datetime.now(UTC) > timedelta(hours=23)


def test_each_tier_is_a_host_of_its_own_and_results_are_not_where_the_broker_is(
    rung: LiveStack, stack: Stack, worker: WorkerClient
) -> None:
    assert set(stack.hosts) == HOSTS | {"worker-1", "worker-2"}
    assert worker.names() == ["default@worker-1", "default@worker-2"]
    result = worker.send("celerylab_probe.echo", "there and back")
    assert worker.outcome(result, 20).result == "there and back"
    ask = "redis-cli --no-auth-warning --user celery --pass $PASSWORD -n 1 --scan --pattern 'celery-task-meta-*'"
    secret = {"PASSWORD": stack.secrets["broker_password"]}
    kept = {
        host: run(["docker", "exec", "-e", "PASSWORD", stack.hosts[host]["container"], "sh", "-c", ask], rung.folder, env=secret).stdout
        for host in ("broker-1", "data-1")
    }
    assert result.id in kept["data-1"]
    assert kept["broker-1"].strip() == ""


@pytest.mark.parametrize(("host", "said"), [("worker-1", "celery@default.service"), ("beat-1", "celery-beat.service")])
def test_logs_shows_what_of_celery_a_host_runs(rung: LiveStack, host: str, said: str) -> None:
    assert said in rung.celerylab("logs", host).stdout


def test_one_worker_more_touches_no_other_host_but_prometheus_list(rung: LiveStack, stack: Stack, worker: WorkerClient) -> None:
    before = started(rung)
    rung.up(workers="3")
    after = started(rung)
    assert {name: after[name] for name in before} == before
    deadline = time.monotonic() + 30
    while "default@worker-3" not in worker.names():
        assert time.monotonic() < deadline, worker.names()
    up = {target["labels"]["instance"] for target in prometheus(stack, "targets")["activeTargets"] if target["labels"]["job"] == "hosts"}
    assert len(up) == len(HOSTS) + 3


def test_a_worker_that_is_scaled_away_under_load_ends_what_it_has(rung: LiveStack, stack: Stack, worker: WorkerClient) -> None:
    assert len(worker.names()) == 3
    with load(worker) as sent:
        rung.up(workers="2")
    assert len(sent) > 4 * TASK_SECONDS, "no load while the worker went"
    assert worker.names() == ["default@worker-1", "default@worker-2"]
    all_ended_once(stack, worker, sent)
    starts = [len(LedgerReader(stack).entries(key, "start")) for key, _ in sent]
    assert set(starts) == {1}, "begun twice: the worker that went did not finish it"


@pytest.fixture
def lab(rung: LiveStack, tmp_path: Path) -> Path:
    """The solution as a folder that a test may edit."""
    (tmp_path / "lab").mkdir()
    for layer in ("starter", "solution"):
        overlay(rung.folder / layer, tmp_path / "lab")
    return tmp_path / "lab"


def test_a_new_version_of_the_application_under_load_loses_no_task(rung: LiveStack, stack: Stack, worker: WorkerClient, lab: Path) -> None:
    before = worker.registered()
    tasks = lab / "app" / "shop" / "tasks.py"
    code = "\n\n@app.task(name='receipts.print')\ndef print_receipt(number):\n    return number\n"
    tasks.write_text(tasks.read_text(encoding="utf-8") + code, encoding="utf-8")
    with load(worker) as sent:
        rung.up(lab)
    all_ended_once(stack, worker, sent)
    after = wait_for(lambda: both(worker) and worker.registered(), 30, expected="both workers")
    assert "receipts.print" not in before["default@worker-1"]
    assert all("receipts.print" in names for names in after.values())


def test_credentials_change_under_load_with_two_users_for_a_while(rung: LiveStack, stack: Stack, worker: WorkerClient, lab: Path) -> None:
    rules = "~* &* +@all -@admin -@dangerous +info +keys"
    old = {"name": "celery", "password": "{{ celerylab_secrets.broker_password }}", "rules": rules}
    new = {"name": "next", "password": "{{ celerylab_secrets.next_password }}", "rules": rules}
    login = "redis://next:{{ celerylab_secrets.next_password }}@"
    dialled = {
        "celery_app_environment": {
            "LAB_BROKER_URL": f"{login}broker-1:6379/0",
            "LAB_RESULT_URL": f"{login}data-1:6379/1",
            "LAB_SCHEDULE_URL": f"{login}data-1:6379/2",
        },
        "celery_exporter_broker_url": f"{login}broker-1:6379/0",
    }

    def step(**values: Any) -> None:
        (lab / "vars.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
        rung.up(lab)

    with load(worker) as sent:
        step(redis_users=[old, new])
        step(redis_users=[old, new], **dialled)
    following = renewed(stack)
    with load(following) as sent_later:
        step(redis_users=[new], **dialled)
    assert len(sent_later) > 4 * TASK_SECONDS, "no load while the former user went"
    all_ended_once(stack, following, sent + sent_later)
    ledger = LedgerReader(stack)
    assert {len(ledger.entries(key, "start")) for key, _ in sent + sent_later} == {1}
    for url in (stack.broker_url(), stack.broker_url(kind="result_url")):
        assert "AuthenticationError" in try_urls([url])[url]
    with pytest.raises(BrokerUnreachableError):
        worker.send("celerylab_probe.echo", "with the former password")
    following.close()
    rung.up()  # as it was
    wait_for(lambda: both(worker), 60, expected="both workers")


def test_prometheus_sees_every_host_and_every_panel_has_data(root: Path, stack: Stack, worker: WorkerClient) -> None:
    worker.app.conf.task_send_sent_event = True
    with load(worker):
        time.sleep(10)  # two scrapes at least, with something to count
    targets = prometheus(stack, "targets")["activeTargets"]
    assert {target["health"] for target in targets} == {"up"}, targets
    for panel in read_panels(root / "manifests" / "dashboards" / "celery.json"):
        lines = draw(panel, f"http://{stack.endpoint('prometheus')}", minutes=15)["lines"]
        if "ALERTS" not in panel.targets[0].expr:  # nothing is wrong, so none fires
            assert any(line["points"] for line in lines), f"{panel.title}: no data"


def test_the_alert_rules_pass_their_own_tests(root: Path, rung: LiveStack, stack: Stack) -> None:
    container = stack.hosts["monitor-1"]["container"]
    run(["docker", "exec", container, "mkdir", "-p", "/var/tmp/alerts"], rung.folder)
    archive = subprocess.run(["tar", "-C", str(root / "manifests" / "alerts"), "-c", "."], capture_output=True, check=True).stdout
    subprocess.run(["docker", "exec", "-i", container, "tar", "-C", "/var/tmp/alerts", "-x"], input=archive, check=True)
    result = run(["docker", "exec", container, "promtool", "test", "rules", "/var/tmp/alerts/tests/celery.yml"], rung.folder)
    assert "SUCCESS" in result.stdout
    rules = {rule["name"] for group in prometheus(stack, "rules")["groups"] for rule in group["rules"]}
    tested = yaml.safe_load((root / "manifests" / "alerts" / "tests" / "celery.yml").read_text(encoding="utf-8"))["tests"]
    firing = {case["alertname"] for test in tested for case in test["alert_rule_test"] if case["exp_alerts"]}
    assert rules == firing, "each rule has a test in which it fires"


@pytest.fixture
def hosts(stack: Stack) -> dict[str, ObservedHost]:
    return {name: ObservedHost(name, host["container"]) for name, host in stack.hosts.items()}


def others_alone(worker: WorkerClient) -> bool:
    return worker.names() == ["default@worker-2"]


def both(worker: WorkerClient) -> bool:
    return worker.names() == ["default@worker-1", "default@worker-2"]


def test_a_cut_between_two_hosts_leaves_every_other_link(hosts: dict[str, ObservedHost], worker: WorkerClient) -> None:
    connect = "timeout 10 python3 -c \"import socket; socket.create_connection(('{}', 6379))\""
    with hosts_cut(hosts["worker-1"], hosts["broker-1"]):
        assert hosts["worker-1"].run(connect.format("broker-1")).rc == 124, "it is silence, and no refusal"
        assert hosts["worker-1"].run(connect.format("data-1")).rc == 0
        wait_for(lambda: others_alone(worker), 20, expected="the other worker alone")
    assert hosts["worker-1"].run(connect.format("broker-1")).rc == 0
    wait_for(lambda: both(worker), 60, expected="both workers")


def test_a_paused_host_is_silent_and_goes_on(hosts: dict[str, ObservedHost], worker: WorkerClient) -> None:
    before = hosts["worker-1"].main_pid("celery@default.service")
    with host_paused(hosts["worker-1"]):
        wait_for(lambda: others_alone(worker), 20, expected="the other worker alone")
    wait_for(lambda: both(worker), 60, expected="both workers")
    assert hosts["worker-1"].main_pid("celery@default.service") == before


def test_a_killed_host_boots_again_with_what_it_had(hosts: dict[str, ObservedHost], worker: WorkerClient) -> None:
    booted = hosts["worker-1"].check_output("stat --format %Y /proc/1")
    with host_killed(hosts["worker-1"]):
        wait_for(lambda: others_alone(worker), 20, expected="the other worker alone")
    assert hosts["worker-1"].check_output("stat --format %Y /proc/1") != booted
    wait_for(lambda: both(worker), 60, expected="both workers")
