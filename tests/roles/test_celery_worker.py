"""celery_worker on an unbaked host that also has its broker."""

import re
import shutil
from pathlib import Path

import pytest

from celerylab.converge.wheelhouse import Interpreter, wheelhouse

ROLE = "celery_worker"
CALL = (
    "systemd-run --quiet --pipe --wait --uid celery --working-directory /opt/celery/current "
    "--property EnvironmentFile=/etc/celery/celery.env /opt/celery/venv/bin/"
)


def prepare_files(files: Path) -> None:
    shutil.copytree(wheelhouse("celery[redis]==5.7.0\n", Interpreter("3.11.2", "x86_64")), files / "wheels")


def call(scenario, task, *arguments, queue="celery", timeout=15):
    code = f"from shop import app; print(app.send_task('{task}', {list(arguments)!r}, queue='{queue}').get(timeout={timeout}))"
    return scenario.host.check_output(f'{CALL}python -c "{code}"')


def show(scenario, name, instance="default"):
    return scenario.host.check_output(f"systemctl show --value --property {name} celery@{instance}")


def test_tasks_travel_there_and_back(scenario):
    assert call(scenario, "shop.echo", 7) == "7"
    assert call(scenario, "shop.echo", 8, queue="slow") == "8"


@pytest.mark.parametrize("instance", ["default", "slow"])
def test_it_starts_at_boot_and_is_not_root(scenario, instance):
    assert scenario.host.service(f"celery@{instance}").is_enabled
    pid = int(show(scenario, "MainPID", instance))
    assert scenario.host.process.get(pid=pid).user == "celery"


def test_no_secret_is_in_the_process_list_or_the_unit_or_the_journal(scenario):
    for command in ("ps -ww -eo args", "systemctl cat celery@default", "systemctl show celery@default", "journalctl --unit celery@default"):
        assert "celery:secret" not in scenario.host.check_output(command), command


def test_it_is_shut_in(scenario):
    pid = show(scenario, "MainPID")
    status = scenario.host.file(f"/proc/{pid}/status").content_string
    assert "NoNewPrivs:\t1" in status
    assert "CapEff:\t0000000000000000" in status
    for path in ("/etc/new", "/opt/celery/new", "/usr/new", "/var/new"):
        assert call(scenario, "shop.touch", path) == "Read-only file system", path
    assert call(scenario, "shop.touch", "/var/lib/celery/default/mine") == "written"
    assert call(scenario, "shop.touch", "/tmp/mine") == "written"
    assert not scenario.host.file("/tmp/mine").exists, "its /tmp is its own"


def test_its_time_to_stop_follows_the_longest_task(scenario):
    assert show(scenario, "TimeoutStopUSec") == "17s"  # 7 and a margin of 10


def test_it_comes_back_when_killed(scenario):
    before = show(scenario, "MainPID")
    scenario.host.check_output(f"kill -9 {before}")
    scenario.poll("systemctl is-active celery@default", "active")
    scenario.poll(f"pid=$(systemctl show --value --property MainPID celery@default); test $pid != {before} -a $pid != 0")
    assert call(scenario, "shop.echo", 1) == "1"


def converge(scenario, fails=False, **variables):
    """The worker's role alone, which is what a changed drop-in runs."""
    tags = ",".join(f"celery_worker_{part}" for part in ("preflight", "configure", "run"))
    return scenario.converge("--tags", tags, fails=fails, **variables)


def test_drop_ins_are_added_to_all_workers_or_to_one_and_removed_again(scenario):
    everyone, one = (scenario.files / "systemd" / f"{unit}.service.d" for unit in ("celery@", "celery@slow"))
    everyone.mkdir(parents=True)
    one.mkdir()
    shutil.copy(scenario.files / "drop-in.conf", everyone / "colour.conf")
    (one / "flavour.conf").write_text("[Service]\nEnvironment=FLAVOUR=sour\n")
    before = show(scenario, "MainPID")
    assert "celery_worker : Copy your drop-ins" in converge(scenario).changed
    assert show(scenario, "MainPID") != before
    assert call(scenario, "shop.environment", "COLOUR") == "green"
    assert call(scenario, "shop.environment", "FLAVOUR") == "None"
    assert call(scenario, "shop.environment", "FLAVOUR", queue="slow") == "sour"
    (everyone / "colour.conf").unlink()
    shutil.rmtree(one)
    assert "celery_worker : Remove drop-ins that are no longer yours" in converge(scenario).changed
    assert call(scenario, "shop.environment", "COLOUR") == "None"
    assert call(scenario, "shop.environment", "FLAVOUR", queue="slow") == "None"


@pytest.mark.parametrize(
    ("line", "said"),
    [("Environment=CELERY_APP=nosuch", "The module nosuch was not found"), ("User=nosuch", "status=217/USER")],
)
def test_a_wrong_worker_does_not_fail_the_play_and_its_journal_says_why(scenario, line, said):
    (scenario.files / "systemd" / "celery@.service.d" / "wrong.conf").write_text(f"[Service]\n{line}\n")
    converge(scenario)
    scenario.poll("journalctl --unit celery@default --output cat", said)


def test_a_drop_in_that_systemd_cannot_use_is_refused_by_file(scenario):
    file = scenario.files / "systemd" / "celery@.service.d" / "wrong.conf"
    file.write_text("[Service]\nExecStart=/bin/true\n")
    run = converge(scenario, fails=True)
    assert "systemd cannot use these units: celery@default.service: Service has more than one ExecStart= setting" in run.output
    file.unlink()
    converge(scenario)
    assert call(scenario, "shop.echo", 3) == "3"


def test_new_code_restarts_every_worker_once_and_lets_a_task_finish(scenario):
    pids = {instance: show(scenario, "MainPID", instance) for instance in ("default", "slow")}
    with (scenario.files / "app" / "shop.py").open("a") as file:
        file.write("\n\n@app.task(name='shop.added')\ndef added():\n    return 'added'\n")
    code = "from shop import app; print(app.send_task('shop.nap', [4], queue='slow').id)"
    task = scenario.host.check_output(f'{CALL}python -c "{code}"')
    scenario.poll("journalctl --unit celery@slow --output cat", f"shop.nap[{task}] received")
    run = scenario.converge()
    assert run.output.count("Restart Celery workers]") == 1
    assert all(show(scenario, "MainPID", instance) != pid for instance, pid in pids.items())
    assert call(scenario, "shop.added") == "added"
    result = f"from shop import app; print(app.AsyncResult('{task}').get(timeout=1))"
    assert scenario.host.check_output(f'{CALL}python -c "{result}"') == "rested"


WATCHED = {
    "prefork": {"queues": ["prefork"], "concurrency": 1},
    "threads": {"queues": ["threads"], "pool": "threads", "concurrency": 1},
    "solo": {"queues": ["solo"], "pool": "solo"},
}


@pytest.fixture(scope="module")
def watched(scenario):
    """A worker of each pool, with the shortest watchdog there is; their names."""
    converge(scenario, celery_worker_instances=WATCHED, celery_worker_watchdog_seconds=10, celery_worker_longest_task_seconds=60)
    for instance in WATCHED:
        assert call(scenario, "shop.echo", 1, queue=instance, timeout=30) == "1"
    yield list(WATCHED)
    converge(scenario)


def send(scenario, task, *arguments, queue):
    """Sends a task and does not wait for it; its id."""
    return scenario.host.check_output(
        f"{CALL}python -c \"from shop import app; print(app.send_task('{task}', {list(arguments)!r}, queue='{queue}').id)\""
    )


def result_of(scenario, task, timeout=1):
    return scenario.host.check_output(f"{CALL}python -c \"from shop import app; print(app.AsyncResult('{task}').get(timeout={timeout}))\"")


def heartbeat(scenario, instance):
    return int(scenario.host.check_output(f"stat --format %Y /run/celery/{instance}/heartbeat"))


def wait_for_heartbeat(scenario, instance, until, seconds):
    """Waits until the heart of a worker has beaten at that time of the host's clock."""
    scenario.poll(f"test $(stat --format %Y /run/celery/{instance}/heartbeat) -ge {until}", seconds=seconds)


def clock(scenario):
    return int(scenario.host.check_output("date +%s"))


def replaced(scenario, pids):
    """Waits until each worker has another main process, and serves."""
    for instance, pid in pids.items():
        scenario.poll(f"pid=$(systemctl show --value --property MainPID celery@{instance}); test $pid != {pid} -a $pid != 0", seconds=60)
        scenario.poll(f"journalctl --unit celery@{instance} --output cat", "Watchdog timeout (limit 10s)!")
        assert call(scenario, "shop.echo", 2, queue=instance, timeout=30) == "2", instance


def test_a_worker_whose_main_loop_is_blocked_is_restarted(scenario, watched):
    pids = {instance: show(scenario, "MainPID", instance) for instance in watched}
    for instance in watched:
        code = f"app.control.broadcast('block', arguments={{'seconds': 600}}, destination=['{instance}@node-1'])"
        scenario.host.check_output(f'{CALL}python -c "from shop import app; {code}"')
    assert all(scenario.host.service(f"celery@{instance}").is_running for instance in watched), "is-active sees nothing"
    assert {instance: show(scenario, "MainPID", instance) for instance in watched} == pids
    replaced(scenario, pids)
    for instance in watched:
        journal = scenario.host.check_output(f"journalctl --unit celery@{instance} --output cat")
        assert re.search(r"shop.py\", line \d+ in block", journal), f"the journal of {instance} does not say where it hung"


def test_a_worker_that_is_stopped_by_a_signal_is_restarted(scenario, watched):
    pids = {instance: show(scenario, "MainPID", instance) for instance in watched}
    scenario.host.check_output(f"kill -STOP {' '.join(pids.values())}")
    assert all(scenario.host.service(f"celery@{instance}").is_running for instance in watched), "is-active sees nothing"
    replaced(scenario, pids)


def test_a_worker_that_is_busy_with_a_long_task_is_left_alone(scenario, watched):
    pids = {instance: show(scenario, "MainPID", instance) for instance in watched}
    tasks = {instance: send(scenario, "shop.nap", 25, queue=instance) for instance in watched}
    for instance, task in tasks.items():
        assert result_of(scenario, task, timeout=60) == "rested", instance
    assert {instance: show(scenario, "MainPID", instance) for instance in watched} == pids


def test_a_worker_whose_broker_is_away_is_left_alone(scenario, watched):
    pids = {instance: show(scenario, "MainPID", instance) for instance in watched}
    scenario.host.check_output("systemctl stop redis-server")
    until = clock(scenario) + 25
    for instance in watched:
        wait_for_heartbeat(scenario, instance, until, seconds=60)
    scenario.host.check_output("systemctl start redis-server")
    for instance in watched:
        assert call(scenario, "shop.echo", 3, queue=instance, timeout=60) == "3", instance
    assert {instance: show(scenario, "MainPID", instance) for instance in watched} == pids


def test_a_worker_whose_heartbeat_is_due_when_its_broker_goes_is_left_alone(scenario, watched):
    """Celery sends the event each 2 s: after three without its process it is due at once, before the lost connection is seen."""
    pids = {instance: show(scenario, "MainPID", instance) for instance in watched}
    processes = " ".join(pids.values())
    scenario.host.check_output(f"kill -STOP {processes}; systemctl stop redis-server; sleep 3; kill -CONT {processes}")
    until = clock(scenario) + 50
    for instance in watched:
        wait_for_heartbeat(scenario, instance, until, seconds=90)
    assert {instance: show(scenario, "MainPID", instance) for instance in watched} == pids
    scenario.host.check_output("systemctl start redis-server")
    for instance in watched:
        assert call(scenario, "shop.echo", 6, queue=instance, timeout=60) == "6", instance
    assert {instance: show(scenario, "MainPID", instance) for instance in watched} == pids


@pytest.mark.parametrize(
    "stop", ["systemctl restart celery@*", "kill -TERM $(systemctl show --value --property MainPID celery@*)"], ids=["systemd", "signal"]
)
def test_a_shutdown_that_waits_for_a_long_task_is_not_cut_short(scenario, watched, stop):
    restarts = {instance: show(scenario, "MainPID", instance) for instance in watched}
    before = scenario.host.check_output("journalctl --output cat").count("Watchdog timeout")
    tasks = {instance: send(scenario, "shop.nap", 20, queue=instance) for instance in watched}
    for instance, task in tasks.items():
        scenario.poll(f"journalctl --unit celery@{instance} --output cat", f"shop.nap[{task}] received")
    scenario.host.check_output(stop)
    for instance, task in tasks.items():
        assert result_of(scenario, task, timeout=60) == "rested", instance
        pid = restarts[instance]
        scenario.poll(f"pid=$(systemctl show --value --property MainPID celery@{instance}); test $pid != {pid} -a $pid != 0", seconds=60)
    assert scenario.host.check_output("journalctl --output cat").count("Watchdog timeout") == before


def test_without_a_watchdog_the_unit_is_what_it_was(scenario):
    converge(scenario, celery_worker_watchdog_seconds=0)
    names = ("WatchdogUSec", "NotifyAccess")
    assert [show(scenario, name) for name in names] == ["0", "none"]
    unit = scenario.host.file("/etc/systemd/system/celery@.service").content_string
    assert "ExecStart=/opt/celery/venv/bin/celery --app ${CELERY_APP} worker" in unit
    assert not re.search("(?i)watchdog|heartbeat|notify|abort", unit)
    assert call(scenario, "shop.echo", 5) == "5"
    assert not scenario.host.file("/run/celery/default/heartbeat").exists
    converge(scenario)


def test_a_watchdog_that_is_too_quick_is_refused(scenario):
    said = "celery_worker_watchdog_seconds: write at least 10, or 0 for no watchdog, not 9"
    assert said in converge(scenario, celery_worker_watchdog_seconds=9, fails=True).output


def test_a_worker_that_is_taken_out_is_stopped_for_good(scenario):
    changed = converge(scenario, celery_worker_instances={"default": {"concurrency": 1}}).changed
    assert changed == ["celery_worker : Stop the worker", "celery_worker : Remove its options"]
    assert not scenario.host.service("celery@slow").is_running
    assert not scenario.host.service("celery@slow").is_enabled
    assert call(scenario, "shop.echo", 4) == "4"


@pytest.mark.parametrize(
    ("instances", "said"),
    [
        ({"a b": {}}, "celery_worker_instances: write names of letters, digits, _ . and -, not a b"),
        ({"a": {"queue": "x"}}, "celery_worker_instances: queue is not known; write queues, concurrency, pool, log_level, extra_args"),
        ({"a": {"extra_args": ["--x=$y"]}}, "write every argument as one item without spaces, quotes, backslashes and $; look at --x=$y"),
    ],
)
def test_what_cannot_work_is_refused(scenario, instances, said):
    assert said in converge(scenario, celery_worker_instances=instances, fails=True).output
