"""celery_worker on an unbaked host that also has its broker."""

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
