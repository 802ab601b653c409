"""celery_web on an unbaked host: gunicorn with a small WSGI application."""

import shlex
import shutil
from pathlib import Path

import pytest

from celerylab.converge.wheelhouse import Interpreter, wheelhouse

ROLE = "celery_web"
WEB = """
import os
from shop import app


def application(environ, start_response):
    said = f"{app.main} {os.getuid()} {os.environ.get('COLOUR')} {environ['PATH_INFO']}"
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [said.encode()]
"""
ASK = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:8000/hello', timeout=5).read().decode())"


def prepare_files(files: Path) -> None:
    requirements = "celery[redis]==5.7.0\ngunicorn==27.0.1\n"
    (files / "requirements.txt").write_text(requirements, encoding="utf-8")
    shutil.copytree(wheelhouse(requirements, Interpreter("3.11.2", "x86_64")), files / "wheels")
    (files / "app" / "web.py").write_text(WEB, encoding="utf-8")


def show(scenario, name):
    return scenario.host.check_output(f"systemctl show --value --property {name} celery-web")


def ask(scenario, expected=""):
    return scenario.poll(f"python3 -c {shlex.quote(ASK)}", expected, seconds=30).split()


def converge(scenario, fails=False, **variables):
    tags = ",".join(f"celery_web_{part}" for part in ("preflight", "configure", "run"))
    return scenario.converge("--tags", tags, fails=fails, **variables)


def test_it_answers_with_the_application_of_the_release(scenario):
    name, user, _, path = ask(scenario)
    assert (name, path) == ("shop", "/hello")
    assert user == scenario.host.check_output("id --user celery")


def test_it_starts_at_boot_and_is_shut_in(scenario):
    assert scenario.host.service("celery-web").is_enabled
    status = scenario.host.file(f"/proc/{show(scenario, 'MainPID')}/status").content_string
    assert "NoNewPrivs:\t1" in status
    assert "CapEff:\t0000000000000000" in status
    assert [show(scenario, name) for name in ("Restart", "KillMode", "StartLimitIntervalUSec")] == ["always", "mixed", "0"]


def test_no_secret_is_in_the_process_list_or_the_unit(scenario):
    for command in ("ps -ww -eo args", "systemctl cat celery-web", "systemctl show celery-web"):
        assert "celery:secret" not in scenario.host.check_output(command), command


def test_it_comes_back_when_it_is_killed(scenario):
    before = show(scenario, "MainPID")
    scenario.host.check_output(f"kill -9 {before}")
    scenario.poll(f"pid=$(systemctl show --value --property MainPID celery-web); test $pid != {before} -a $pid != 0")
    ask(scenario)


def test_new_code_restarts_it_once(scenario):
    before = show(scenario, "MainPID")
    web = scenario.files / "app" / "web.py"
    web.write_text(web.read_text(encoding="utf-8").replace("{app.main} ", "new-{app.main} "), encoding="utf-8")
    run = scenario.converge()
    assert run.output.count("Restart the web server]") == 1
    assert show(scenario, "MainPID") != before
    assert ask(scenario, "new-shop")[0] == "new-shop"


def test_a_drop_in_is_added_and_removed_again(scenario):
    folder = scenario.files / "systemd" / "celery-web.service.d"
    folder.mkdir(parents=True)
    shutil.copy(scenario.files / "drop-in.conf", folder / "colour.conf")
    assert "celery_web : Copy your drop-ins" in converge(scenario).changed
    ask(scenario, "green")
    assert converge(scenario).changed == []
    (folder / "colour.conf").unlink()
    assert "celery_web : Remove drop-ins that are no longer yours" in converge(scenario).changed
    ask(scenario, "None")


def test_a_drop_in_that_systemd_cannot_use_is_refused(scenario):
    file = scenario.files / "systemd" / "celery-web.service.d" / "wrong.conf"
    file.write_text("[Service]\nExecStart=/bin/true\n")
    said = "systemd cannot use this unit: celery-web.service: Service has more than one ExecStart= setting"
    assert said in converge(scenario, fails=True).output
    file.unlink()
    converge(scenario)
    ask(scenario)


def test_a_server_that_cannot_start_does_not_fail_the_play_and_its_journal_says_why(scenario):
    converge(scenario, celery_web_command=["gunicorn", "--bind=0.0.0.0:8000", "nosuch"])
    scenario.poll("journalctl --unit celery-web --output cat", "No module named 'nosuch'", seconds=30)
    converge(scenario)
    ask(scenario)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"celery_web_command": []}, "celery_web_command: write the server and its arguments, such as [gunicorn"),
        ({"celery_web_command": ["/usr/bin/gunicorn"]}, "celery_web_command: write the name of a command of the virtual environment first"),
        ({"celery_web_command": ["gunicorn", "--name=$x"]}, "backslashes, % and $; look at --name=$x"),
        ({"celery_web_systemd_overrides": "systemd"}, "celery_web_systemd_overrides: write an absolute path"),
    ],
)
def test_what_cannot_work_is_refused(scenario, variables, said):
    assert said in converge(scenario, fails=True, **variables).output
