"""logrotate on an unbaked host, with workers that log JSON to files: each line parses, and a rotation loses none."""

import json
import re
import shutil
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from celerylab.converge.wheelhouse import Interpreter, wheelhouse

ROLE = "logrotate"
CALL = (
    "systemd-run --quiet --pipe --wait --uid celery --working-directory /opt/celery/current "
    "--property EnvironmentFile=/etc/celery/celery.env /opt/celery/venv/bin/python -c "
)
LOG = "/var/log/celery/default/worker.log"
ROTATE = "logrotate --force /etc/logrotate.d/celery_worker"
LINES = 3000


def prepare_files(files: Path) -> None:
    shutil.copytree(wheelhouse("celery[redis]==5.7.0\n", Interpreter("3.11.2", "x86_64")), files / "wheels")


def send(scenario, task, *arguments, queue="celery"):
    """Sends a task; its id."""
    return scenario.host.check_output(
        f"{CALL}\"from shop import app; print(app.send_task('{task}', {list(arguments)!r}, queue='{queue}').id)\""
    )


def wait(scenario, task):
    """Waits until a task has ended; its state."""
    code = f"from shop import app; r = app.AsyncResult('{task}'); r.get(timeout=60, propagate=False); print(r.state)"
    return scenario.host.check_output(f'{CALL}"{code}"')


def lines(scenario, command=f"cat {LOG}"):
    """The lines that a command prints, each of which must be JSON."""
    return [json.loads(line) for line in scenario.host.check_output(command).splitlines()]


def all_files(scenario):
    """All lines of the worker's file and of those that were rotated."""
    return lines(scenario, f"zcat {LOG}.*.gz; cat {LOG}.[0-9] {LOG}.[0-9][0-9] 2>/dev/null; cat {LOG}")


def pid(scenario, instance="default"):
    return scenario.host.check_output(f"systemctl show --value --property MainPID celery@{instance}")


def worker_again(scenario, **variables):
    """Runs the role of the workers alone again."""
    tags = ",".join(f"celery_worker_{part}" for part in ("preflight", "configure", "run"))
    return scenario.converge("--tags", tags, **variables)


def converge(scenario, *options, **variables):
    """Runs this role alone again."""
    return scenario.converge("--tags", f"{ROLE}_preflight,{ROLE}_configure,{ROLE}_run", *options, **variables)


def test_the_timer_looks_each_hour_from_boot_on(scenario):
    assert scenario.host.service("logrotate.timer").is_running
    assert scenario.host.service("logrotate.timer").is_enabled
    shown = scenario.host.check_output("systemctl show --property TimersCalendar logrotate.timer")
    assert re.findall(r"OnCalendar=(\S+ \S+)", shown) == ["*-*-* *:00:00"]
    scenario.host.check_output("systemctl start logrotate.service")


def test_each_line_says_when_who_and_of_which_task(scenario):
    task = send(scenario, "shop.count", 7, 8, 0)
    assert wait(scenario, task) == "SUCCESS"
    scenario.poll(f"grep {task} {LOG}", "succeeded")
    found = [line for line in lines(scenario) if line.get("task_id") == task]
    assert [line["message"].split(" in ")[0] for line in found] == [
        f"Task shop.count[{task}] received",
        "counted 7",
        f"Task shop.count[{task}] succeeded",
    ]
    assert {line["task_name"] for line in found} == {"shop.count"}
    assert {line["worker"] for line in found} == {"default@node-1"}
    assert {line["level"] for line in found} == {"INFO"}
    assert found[0]["process"] == int(pid(scenario)) != found[1]["process"]
    assert found[2]["runtime"] < 10
    for line in found:
        assert datetime.fromisoformat(line["time"]).utcoffset() == timedelta(0)


def test_a_traceback_is_in_its_line_and_so_is_what_a_task_prints(scenario):
    task = send(scenario, "shop.fail")
    assert wait(scenario, task) == "FAILURE"
    scenario.poll(f"grep {task} {LOG}", "raised unexpected")
    found = [line for line in lines(scenario) if line.get("task_id") == task]
    error = next(line for line in found if line["level"] == "ERROR")
    assert error["exception"].startswith("Traceback (most recent call last):\n")
    assert error["exception"].endswith("ValueError: of two\nlines")
    assert "it will fail,\nas it should" in [line["message"] for line in found]


def test_the_worker_goes_on_in_a_new_file_and_leaves_the_old_one(scenario):
    before = pid(scenario)
    wait(scenario, send(scenario, "shop.count", 0, 1, 0))
    inode = scenario.host.check_output(f"stat --format %i {LOG}")
    scenario.host.check_output(ROTATE)
    assert scenario.host.check_output(f"stat --format %i {LOG}.1") == inode
    for _ in range(20):  # until both children of the pool have had one
        wait(scenario, send(scenario, "shop.count", 0, 1, 0))
        if not (held := scenario.host.run(f"ls -l /proc/[0-9]*/fd 2>/dev/null | grep '{LOG}.1'").stdout):
            break
    assert not held
    file = scenario.host.file(LOG)
    assert (file.user, file.group, file.mode) == ("celery", "celery", 0o640)
    assert scenario.host.check_output(f"stat --format %i {LOG}") != inode
    assert pid(scenario) == before


def test_rotations_under_load_lose_no_line(scenario):
    before = pid(scenario)
    first, second = (send(scenario, "shop.count", start, start + LINES, 0.004) for start in (10_000, 20_000))  # two children write at once
    rotations = 0
    while "SUCCESS" not in scenario.host.check_output(
        f"redis-cli --no-auth-warning --user celery --pass secret -n 1 GET celery-task-meta-{first}"
    ):
        scenario.host.check_output(ROTATE)
        rotations += 1
    assert [wait(scenario, task) for task in (first, second)] == ["SUCCESS", "SUCCESS"]
    assert rotations >= 5, "no rotation while they wrote"
    scenario.host.check_output(ROTATE)
    wait(scenario, send(scenario, "shop.count", 0, 1, 0))
    seen = Counter(line["message"] for line in all_files(scenario) if line.get("task_id") in {first, second})
    counted = {message: times for message, times in seen.items() if message.startswith("counted ")}
    assert counted == {f"counted {number}": 1 for start in (10_000, 20_000) for number in range(start, start + LINES)}
    assert pid(scenario) == before


def test_what_is_small_and_young_stays_and_what_has_its_size_is_rotated(scenario):
    scenario.host.check_output(ROTATE)
    wait(scenario, send(scenario, "shop.count", 0, 1, 0))
    inode = scenario.host.check_output(f"stat --format %i {LOG}")
    scenario.host.check_output("systemctl start logrotate.service")
    assert scenario.host.check_output(f"stat --format %i {LOG}") == inode
    wait(scenario, send(scenario, "shop.count", 0, 200, 0))  # more than celery_worker_log_max_size
    scenario.host.check_output("systemctl start logrotate.service")
    assert scenario.host.check_output(f"stat --format %i {LOG}.1") == inode


def test_files_of_your_own_are_rotated(scenario):
    scenario.host.check_output("mkdir -p /var/log/shop && seq 1000 > /var/log/shop/orders.log && systemctl start logrotate.service")
    assert scenario.host.file("/var/log/shop/orders.log.1").content_string.split()[-1] == "1000"
    assert scenario.host.file("/var/log/shop/orders.log").size == 0


def test_in_the_journal_each_line_is_json_as_well_and_a_busy_worker_loses_none(scenario):
    variables = {"celery_worker_log_files": False, "celery_worker_longest_task_seconds": 60}
    worker_again(scenario, **variables)
    assert not scenario.host.file("/etc/logrotate.d/celery_worker").exists
    task = send(scenario, "shop.count", 0, 12_000, 0, queue="journal")  # journald's own bound is 10000 in 30 s
    assert wait(scenario, task) == "SUCCESS"
    worker_again(scenario)  # and stops it, which Celery says past its loggers
    scenario.host.check_output("journalctl --sync")
    journal = "journalctl --unit celery@journal --output cat _TRANSPORT=stdout _COMM=celery"
    found = lines(scenario, journal)
    counted = [line["message"] for line in found if line.get("task_id") == task and line["message"].startswith("counted ")]
    assert sorted(counted) == sorted(f"counted {number}" for number in range(12_000))
    assert "worker: Warm shutdown (MainProcess)" in [line["message"] for line in found]


def test_text_is_what_it_was(scenario):
    worker_again(scenario, celery_worker_log_files=False, celery_worker_log_format="text", celery_worker_watchdog_seconds=0)
    task = send(scenario, "shop.count", 5, 6, 0)
    scenario.poll("journalctl --unit celery@default --output cat", f"shop.count[{task}]: counted 5")
    unit = scenario.host.file("/etc/systemd/system/celery@.service").content_string
    assert "ExecStart=/opt/celery/venv/bin/celery --app" in unit
    assert not re.search("LOG_FORMAT|LogsDirectory", unit)
    worker_again(scenario)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"celery_worker_log_max_size": "big"}, "celery_worker_log_max_size, celery_worker_log_keep: write a size such as 500k"),
        ({"celery_worker_log_keep": 0}, "and at least 1, not 20k and 0"),
        ({"celery_worker_log_format": "xml"}, "value of celery_worker_log_format must be one of: text, json, got: xml"),
    ],
)
def test_a_worker_s_log_that_cannot_be_is_refused(scenario, variables, said):
    assert said in worker_again(scenario, fails=True, **variables).output


def test_what_logrotate_does_not_accept_is_refused_and_nothing_changes(scenario):
    wrong = [{"name": "shop", "paths": ["/var/log/shop/*.log"], "options": ["rotate often"]}]
    for options in (["--check"], []):
        run = converge(scenario, *options, fails=True, logrotate_files=wrong)
        assert "logrotate refuses this configuration, and the one that was in force still is: local:" in run.output
        assert "bad rotation count 'often'" in run.output
        assert run.changed == []


def test_what_cannot_work_is_refused_all_at_once(scenario):
    run = converge(
        scenario,
        "--check",
        fails=True,
        logrotate_interval="hourly\n[Service]",
        logrotate_files=[{"name": "a b", "paths": ["shop.log"], "max_size": "big"}],
    )
    for said in (
        "logrotate_interval: write when, as systemd's OnCalendar= has it",
        "logrotate_files: write names of letters, digits, _ . and -, each once",
        "logrotate_files: write absolute paths, such as /var/log/shop/*.log, not shop.log",
        "logrotate_files: write a max_size such as 500k, 100M or 1G, not big",
    ):
        assert said in run.output


def test_another_interval_is_in_force_at_once(scenario):
    run = converge(scenario, logrotate_interval="*:0/10")
    assert run.changed == ["logrotate : Say how often logrotate looks", "logrotate : Start the timer and enable it at boot"]
    assert "*:00/10:00" in scenario.host.check_output("systemctl show --property TimersCalendar logrotate.timer")
    assert converge(scenario).changed == run.changed
