"""celery_beat on an unbaked host that also has its broker and a worker."""

import json
import shutil
import time
from pathlib import Path

import pytest

from celerylab.converge.wheelhouse import Interpreter, wheelhouse

ROLE = "celery_beat"
# What the application adds for beat. Its effects are lists in Redis: `sent` says which beat dispatched what and when, `runs` what ran.
SCHEDULE = """

import redis
from celery.signals import before_task_publish

store = redis.Redis.from_url(os.environ["RESULT_URL"])
app.conf.update(
    beat_schedule={
        "tick": {"task": "shop.tick", "schedule": 1.0},
        "hourly": {"task": "shop.hourly", "schedule": 3600.0},
    },
    beat_sync_every=1,
    beat_max_loop_interval=1,
    beat_enable_remote_control=True,
    redbeat_redis_url=os.environ["BROKER_URL"],
    redbeat_lock_timeout=6,
)


@before_task_publish.connect
def note(sender=None, **_):
    if sender in ("shop.tick", "shop.hourly"):
        store.rpush("sent", f"{sender} {os.getpid()} {time.time()}")


@app.task(name="shop.tick")
def tick():
    store.rpush("runs", "tick")


@app.task(name="shop.hourly")
def hourly():
    store.rpush("runs", "hourly")
"""
RUN = (
    "--uid celery --working-directory /opt/celery/current --property EnvironmentFile=/etc/celery/celery.env "
    "--property EnvironmentFile=/etc/celery/beat.env"
)
REDIS = "redis-cli --no-auth-warning -u redis://celery:secret@localhost:6379/1"
# Of a copy: beat holds a lock on its file.
KEPT = """
import json, shelve, shutil, tempfile
copy = shutil.copy("/var/lib/celery-beat/schedule", tempfile.mkdtemp())
entries = shelve.open(copy, "r")["entries"]
print(json.dumps({name: [entry.last_run_at.isoformat(), entry.total_run_count] for name, entry in entries.items()}))
"""


def prepare_files(files: Path) -> None:
    wheels = wheelhouse("celery[redis]==5.7.0\ncelery-redbeat==2.4.2\n", Interpreter("3.11.2", "x86_64"))
    shutil.copytree(wheels, files / "wheels")
    with (files / "app" / "shop.py").open("a", encoding="utf-8") as file:
        file.write(SCHEDULE)


def show(scenario, name):
    return scenario.host.check_output(f"systemctl show --value --property {name} celery-beat")


def sent(scenario, task="shop.tick"):
    """Process and time of each dispatch of a task, in order."""
    lines = [line.split() for line in scenario.host.check_output(f"{REDIS} lrange sent 0 -1").splitlines()]
    return [(pid, float(at)) for name, pid, at in lines if name == task]


def wait_for(scenario, number, seconds=40):
    """Waits until so many more ticks were sent; these."""
    before = len(sent(scenario))
    scenario.poll(f"test $({REDIS} llen sent) -ge {before + number}", seconds=seconds)
    return sent(scenario)[before:]


def second_beat(scenario, arguments):
    """Starts another beat by hand, as on another host, and waits until it is there; its process."""
    scenario.host.check_output(
        f"systemd-run --quiet --unit second-beat {RUN} /opt/celery/venv/bin/celery --app shop beat --loglevel INFO {arguments}"
    )
    scenario.poll("journalctl --unit second-beat --output cat", "beat: Starting...", seconds=30)
    return scenario.host.check_output("systemctl show --value --property MainPID second-beat")


def kept(scenario):
    """What beat's file says about each entry: when it ran last, and how often it ran."""
    return json.loads(scenario.poll(f"/opt/celery/venv/bin/python -c '{KEPT}'"))


def converge(scenario, fails=False, **variables):
    tags = ",".join(f"celery_beat_{part}" for part in ("preflight", "configure", "run"))
    return scenario.converge("--tags", tags, fails=fails, **variables)


def test_the_schedule_runs_in_the_worker(scenario):
    scenario.poll(f"{REDIS} lrange runs 0 -1", "tick", seconds=30)
    found = wait_for(scenario, 3)
    assert {pid for pid, _ in found} == {show(scenario, "MainPID")}
    assert sent(scenario, "shop.hourly") == [], "what is due in an hour was sent at once"


def test_it_starts_at_boot_and_is_not_root(scenario):
    assert scenario.host.service("celery-beat").is_enabled
    assert scenario.host.process.get(pid=int(show(scenario, "MainPID"))).user == "celery"


def test_no_secret_is_in_the_process_list_or_the_unit_or_the_journal(scenario):
    for command in ("ps -ww -eo args", "systemctl cat celery-beat", "systemctl show celery-beat", "journalctl --unit celery-beat"):
        assert "celery:secret" not in scenario.host.check_output(command), command


def test_it_is_shut_in_and_its_file_is_its_own(scenario):
    status = scenario.host.file(f"/proc/{show(scenario, 'MainPID')}/status").content_string
    assert "NoNewPrivs:\t1" in status
    assert "CapEff:\t0000000000000000" in status
    folder = scenario.host.file("/var/lib/celery-beat")
    assert (folder.user, folder.group, folder.mode) == ("celery", "celery", 0o750)
    assert scenario.host.check_output("find /opt/celery/releases -name '*schedule*'") == ""


def test_systemd_never_gives_it_up(scenario):
    names = ("Restart", "KillMode", "StartLimitIntervalUSec", "TimeoutStopUSec")
    assert [show(scenario, name) for name in names] == ["always", "mixed", "0", "10s"]


def test_it_answers_a_ping_where_the_application_wants_it(scenario):
    ping = f"systemd-run --quiet --pipe --wait {RUN} /opt/celery/venv/bin/celery --app shop inspect ping -d celerybeat@node-1"
    assert "pong" in scenario.poll(ping, "celerybeat@node-1: OK", seconds=30)


def test_a_killed_beat_comes_back_and_knows_what_ran_last(scenario):
    pid = show(scenario, "MainPID")
    wait_for(scenario, 2)
    before = kept(scenario)
    scenario.host.check_output(f"kill -9 {pid}")
    scenario.poll(f"pid=$(systemctl show --value --property MainPID celery-beat); test $pid != {pid} -a $pid != 0")
    assert {found for found, _ in wait_for(scenario, 3)} == {show(scenario, "MainPID")}
    after = kept(scenario)
    assert after["hourly"] == before["hourly"], "a restart puts off what is rare"
    assert after["tick"][1] > before["tick"][1] > 0


def test_a_stop_is_quick_and_writes_the_schedule(scenario):
    wait_for(scenario, 1)
    began = time.monotonic()
    scenario.host.check_output("systemctl stop celery-beat")
    assert time.monotonic() - began < 10, "systemd had to kill it"
    assert show(scenario, "Result") == "success"
    assert kept(scenario)["tick"][1] >= len(sent(scenario)) - 1, "what ran last is lost (one may be from when it was killed)"
    converge(scenario)
    wait_for(scenario, 1)


def test_two_plain_beats_send_everything_twice(scenario):
    other = second_beat(scenario, "--schedule /tmp/second")
    found = wait_for(scenario, 12)
    scenario.host.check_output("systemctl stop second-beat")
    per_beat = [[at for pid, at in found if pid == beat] for beat in (show(scenario, "MainPID"), other)]
    assert sum(map(len, per_beat)) == len(found)
    assert all(len(times) >= 3 for times in per_beat), "both beats send the one schedule"


def environment_of_beat(scenario):
    return scenario.host.check_output(f"tr '\\0' '\\n' < /proc/{show(scenario, 'MainPID')}/environ")


def test_a_drop_in_is_added_and_removed_again(scenario):
    folder = scenario.files / "systemd" / "celery-beat.service.d"
    folder.mkdir(parents=True)
    shutil.copy(scenario.files / "drop-in.conf", folder / "colour.conf")
    before = show(scenario, "MainPID")
    assert "celery_beat : Copy your drop-ins" in converge(scenario).changed
    assert show(scenario, "MainPID") != before
    assert "COLOUR=green" in environment_of_beat(scenario)
    assert converge(scenario).changed == []
    (folder / "colour.conf").unlink()
    assert "celery_beat : Remove drop-ins that are no longer yours" in converge(scenario).changed
    assert "COLOUR" not in environment_of_beat(scenario)


def test_a_drop_in_that_systemd_cannot_use_is_refused(scenario):
    file = scenario.files / "systemd" / "celery-beat.service.d" / "wrong.conf"
    file.write_text("[Service]\nExecStart=/bin/true\n")
    said = "systemd cannot use this unit: celery-beat.service: Service has more than one ExecStart= setting"
    assert said in converge(scenario, fails=True).output
    file.unlink()
    converge(scenario)
    wait_for(scenario, 1)


def test_new_code_restarts_beat_once(scenario):
    before = show(scenario, "MainPID")
    with (scenario.files / "app" / "shop.py").open("a") as file:
        file.write("\n\napp.conf.beat_schedule['added'] = {'task': 'shop.echo', 'schedule': 1.0, 'args': (1,)}\n")
    run = scenario.converge()
    assert run.output.count("Restart Celery beat]") == 1
    assert show(scenario, "MainPID") != before
    scenario.poll("journalctl --unit celery-beat --output cat", "Sending due task added (shop.echo)")


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (
            {"celery_beat_app": "shop beat"},
            "celery_beat_app: write the application as celery --app takes it, such as shop or shop.celery:app",
        ),
        ({"celery_beat_scheduler": "cron"}, "celery_beat_scheduler must be one of: plain, redbeat, got: cron"),
        (
            {"celery_beat_scheduler": "redbeat"},
            "redbeat is not installed in /opt/celery/venv; write celery-redbeat==2.4.2 into celery_app_packages",
        ),
        (
            {"celery_beat_extra_args": ["--x=$y"]},
            "write every argument as one item without spaces, quotes, backslashes and $; look at --x=$y",
        ),
        ({"celery_beat_systemd_overrides": "systemd"}, "celery_beat_systemd_overrides: write an absolute path"),
        ({"celery_beat_extra_args": ["--detach"]}, "celery_beat_extra_args: leave --detach out; systemd runs beat in the foreground"),
        ({"celery_worker_instances": {"a": {"extra_args": ["-B"]}}}, "celery_worker_instances: a would run a beat as well (-B)"),
    ],
)
def test_what_cannot_work_is_refused(scenario, variables, said):
    assert said in converge(scenario, fails=True, **variables).output


def test_redbeat_sends_once_from_two_beats(scenario):
    (scenario.files / "requirements.txt").write_text("celery[redis]==5.7.0\ncelery-redbeat==2.4.2\n")
    scenario.converge(celery_beat_scheduler="redbeat")
    scenario.poll("journalctl --unit celery-beat --output cat", "beat: Acquired lock", seconds=30)
    wait_for(scenario, 1)
    second_beat(scenario, "--scheduler redbeat.RedBeatScheduler")
    found = wait_for(scenario, 8)
    assert {pid for pid, _ in found} == {show(scenario, "MainPID")}, "the other one waits for the lock"
    assert found[-1][1] - found[0][1] > 6, "eight runs of one entry take seven seconds, of two beats four"
    assert "Acquired lock" not in scenario.host.check_output("journalctl --unit second-beat --output cat --since -20s")


def test_redbeats_second_takes_over_when_the_first_is_gone(scenario):
    other = scenario.host.check_output("systemctl show --value --property MainPID second-beat")
    scenario.host.check_output("systemctl kill --signal KILL celery-beat && systemctl stop celery-beat")
    found = wait_for(scenario, 3)
    assert {pid for pid, _ in found} == {other}
    scenario.host.check_output("systemctl stop second-beat")
    converge(scenario, celery_beat_scheduler="redbeat")
    assert {pid for pid, _ in wait_for(scenario, 2)} == {show(scenario, "MainPID")}, "a beat that is stopped gives its lock back"


def test_a_beat_that_is_switched_off_stays_off(scenario):
    changed = converge(scenario, celery_beat_scheduler="redbeat", celery_beat_enabled=False).changed
    assert changed == ["celery_beat : Start beat and enable it at boot, or stop it for good"]
    assert not scenario.host.service("celery-beat").is_running
    assert not scenario.host.service("celery-beat").is_enabled
