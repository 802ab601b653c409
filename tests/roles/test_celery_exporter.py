"""celery_exporter on an unbaked host, beside a Redis and a worker."""

import re
import shlex
import shutil
import time
from pathlib import Path

import pytest
import yaml
from asking import ADDRESS, answers, command

from celerylab.converge.wheelhouse import Interpreter, wheelhouse

ROLE = "celery_exporter"
PASSWORD = "a $ecret"
URL = "http://127.0.0.1:9808/metrics"
DEFAULTS = Path(__file__).resolve().parents[2] / "roles" / ROLE / "defaults" / "main.yml"
APP = """
from celery import Celery

app = Celery("shop")
app.conf.update(worker_send_task_events=True, task_send_sent_event=True, task_ignore_result=True)

@app.task
def echo(value):
    return value

@app.task
def fail():
    raise ValueError("on purpose")
"""
CELERY = "/opt/celery-exporter/venv/bin/celery --app shop --workdir /opt/shop"
ENVIRONMENT = "--property EnvironmentFile=/etc/celery-exporter/celery-exporter.env --uid celery-exporter"


def prepare_files(files: Path) -> None:
    packages = yaml.safe_load(DEFAULTS.read_text(encoding="utf-8"))["celery_exporter_packages"]
    shutil.copytree(wheelhouse("\n".join(packages) + "\n", Interpreter("3.11.2", "x86_64")), files / "wheels")


@pytest.fixture(scope="module")
def worker(scenario):
    """A worker of an application, with the exporter's Celery."""
    scenario.host.check_output(f"mkdir -p /opt/shop && printf %s {shlex.quote(APP)} > /opt/shop/shop.py")
    scenario.host.check_output(
        f"systemd-run --quiet --unit worker {ENVIRONMENT} {CELERY} worker --pool solo --without-mingle --loglevel INFO"
    )
    scenario.poll("journalctl --unit worker --output cat", "ready.", seconds=30)


def send(scenario, task, *arguments):
    # A second late, so that the exporter hears of the sending, which names the queue, before it hears of the start.
    arguments = (*arguments, "--countdown", "1")
    scenario.host.check_output(f"systemd-run --quiet --pipe --wait {ENVIRONMENT} {CELERY} call {task} {' '.join(arguments)}")


def succeeded(scenario):
    """How many tasks have succeeded, as the exporter says it."""
    return re.search(r'celery_tasks_total{queue="celery",state="succeeded"} (\S+)', scenario.poll(command(URL), "succeeded"))[1]


def test_it_runs_and_starts_at_boot_without_privileges(scenario):
    service = scenario.host.service("celery-exporter")
    assert service.is_running
    assert service.is_enabled
    pid = scenario.host.check_output("systemctl show --value --property MainPID celery-exporter")
    assert scenario.host.check_output(f"stat --format %U /proc/{pid}") == "celery-exporter"
    assert scenario.host.check_output(f"grep CapBnd /proc/{pid}/status").split()[1] == "0" * 16


def test_tasks_are_counted(scenario, worker):
    scenario.poll(command(URL), 'celery_queue_length{queue="celery"} 0.0', seconds=30)
    send(scenario, "shop.echo", "--args", "[1]")
    send(scenario, "shop.fail")
    metrics = scenario.poll(command(URL), 'celery_tasks_total{queue="celery",state="failed"} 1.0')
    assert 'celery_tasks_total{queue="celery",state="started"} 2.0' in metrics
    assert 'celery_tasks_total{queue="celery",state="succeeded"} 1.0' in metrics
    assert 'celery_task_queuetime_seconds_count{queue="celery"} 2.0' in metrics


def test_what_waits_is_seen(scenario, worker):
    send(scenario, "shop.echo", "--args", "[1]", "--queue", "waiting")
    scenario.poll(command(URL), 'celery_queue_length{queue="waiting"} 1.0')


def test_it_counts_again_after_the_broker_was_away(scenario, worker):
    scenario.host.check_output("systemctl stop redis-server")
    assert "celery_queue_length{" not in scenario.poll(command(URL))
    scenario.host.check_output("systemctl start redis-server")
    scenario.poll(command(URL), 'celery_queue_length{queue="waiting"} 1.0')
    before, deadline = succeeded(scenario), time.monotonic() + 60
    while succeeded(scenario) == before:  # an event that is sent before worker and exporter have come back is heard by nobody
        assert time.monotonic() < deadline, "no task is counted after the broker came back"
        send(scenario, "shop.echo", "--args", "[2]")


def test_the_password_is_in_no_process_list_unit_or_journal(scenario):
    text = scenario.host.check_output(
        "ps -eo args ww; systemctl cat celery-exporter; systemctl show celery-exporter; journalctl -u celery-exporter --output cat"
    )
    assert "celery prometheus" in text
    assert PASSWORD not in text
    assert "a%20" not in text
    for name in ("celery-exporter.env", "celeryconfig.py"):
        file = scenario.host.file(f"/etc/celery-exporter/{name}")
        assert (file.user, file.group, file.mode) == ("root", "celery-exporter", 0o640)


def test_by_default_it_answers_this_host_alone(scenario):
    assert not answers(scenario, f"http://{ADDRESS}:9808/metrics")


def test_it_comes_back_when_it_is_killed(scenario):
    scenario.host.check_output("kill -9 $(systemctl show --value --property MainPID celery-exporter)")
    scenario.poll(command(URL), "celery_tasks_total", seconds=30)


def test_your_own_file_wins(scenario):
    (scenario.files / "celeryconfig.py").write_text("task_queues = [Queue('of-my-own')]\n")
    run = scenario.converge()
    assert run.changed == ["celery_exporter : Write the configuration", "celery_exporter : Restart the exporter"]
    scenario.poll(command(URL), 'celery_queue_length{queue="of-my-own"} 0.0', seconds=30)
    (scenario.files / "celeryconfig.py").unlink()


def test_what_cannot_work_is_refused_all_at_once(scenario):
    run = scenario.converge(
        "--check",
        fails=True,
        celery_exporter_broker_url="",
        celery_exporter_address="localhost:9808/metrics",
        celery_exporter_port=80,
        celery_exporter_config_file="celeryconfig.py",
    )
    for said in (
        "celery_exporter_broker_url: write the URL of the broker",
        "celery_exporter_queues: only of a Redis broker the exporter can read lengths",
        "celery_exporter_address: write one address without a port",
        "celery_exporter_port: write a port from 1024 to 65535, not 80",
        "celery_exporter_config_file, celery_exporter_wheelhouse: write absolute paths",
    ):
        assert said in run.output
