"""celery_app on an unbaked host."""

import subprocess
import zipfile
from pathlib import Path

import pytest
from conftest import wheel

ROLE = "celery_app"
CELERY = "setpriv --reuid celery --regid celery --init-groups"


def prepare_files(files: Path) -> None:
    wheel(files / "wheels", "fact", "1.0")
    (files / "requirements.txt").write_text("fact==1.0\n")


def current(scenario):
    return scenario.host.check_output("readlink /opt/celery/current").removeprefix("releases/")


def releases(scenario):
    return set(scenario.host.check_output("ls /opt/celery/releases").split())


def test_the_account_cannot_log_in(scenario):
    user = scenario.host.user("celery")
    assert (user.group, user.shell, user.home) == ("celery", "/usr/sbin/nologin", "/opt/celery")
    assert user.uid < 1000


def test_the_worker_reads_its_code_and_cannot_change_it(scenario):
    assert "shop" in scenario.host.check_output(f"{CELERY} cat /opt/celery/current/shop.py")
    for path in ("/opt/celery/current/shop.py", "/opt/celery/current/new", "/opt/celery/venv/new", "/opt/celery/lib/library/__init__.py"):
        assert not scenario.host.run(f"{CELERY} touch {path}").succeeded, path
    assert not scenario.host.run("setpriv --reuid nobody --regid nogroup --clear-groups cat /opt/celery/current/shop.py").succeeded


def test_the_environment_file_is_secret_and_systemd_reads_it_back(scenario):
    file = scenario.host.file("/etc/celery/celery.env")
    assert (file.user, file.group, file.mode) == ("root", "celery", 0o640)
    shown = scenario.host.check_output(
        "systemd-run --quiet --pipe --wait --property EnvironmentFile=/etc/celery/celery.env env"
    ).splitlines()
    assert 'ODD=it\'s "odd": \\ `tick` 100% $HOME {}' in shown
    assert "BROKER_URL=redis://celery:secret@broker/0" in shown
    assert "PYTHONPATH=/opt/celery/lib" in shown


def test_requirements_come_from_the_wheelhouse(scenario):
    assert scenario.host.check_output("/opt/celery/venv/bin/python -c 'import fact; print(fact.VERSION)'") == "1.0"
    assert scenario.host.check_output("ls /opt/celery").split() == ["current", "lib", "releases", "venv"], "transferred wheels stayed"


def test_a_further_package_is_on_the_path(scenario):
    run = "cd /opt/celery/current && PYTHONPATH=/opt/celery/lib /opt/celery/venv/bin/python -c 'import library; print(library.GREETING)'"
    assert scenario.host.check_output(run) == "hello"


def test_new_requirements_are_installed_and_code_alone_does_not_run_pip(scenario):
    wheel(scenario.files / "wheels", "fact", "2.0")
    (scenario.files / "requirements.txt").write_text("fact==2.0\n")
    assert "celery_app : Run pip" in scenario.converge().changed
    assert scenario.host.check_output("/opt/celery/venv/bin/python -c 'import fact; print(fact.VERSION)'") == "2.0"
    with (scenario.files / "app" / "shop.py").open("a") as file:
        file.write("# changed\n")
    changed = scenario.converge().changed
    assert "celery_app : Switch to the release" in changed
    assert "celery_app : Run pip" not in changed


def test_requirements_that_cannot_be_had_are_named_and_the_release_stays(scenario):
    before = current(scenario)
    (scenario.files / "requirements.txt").write_text("fact==3.0\n")
    with (scenario.files / "app" / "shop.py").open("a") as file:
        file.write("# needs fact 3\n")
    run = scenario.converge(fails=True)
    assert "pip cannot install: ERROR: Could not find a version that satisfies the requirement fact==3.0" in run.output
    assert current(scenario) == before
    (scenario.files / "requirements.txt").write_text("fact==2.0\n")
    scenario.converge()


def test_a_release_is_switched_at_once_and_old_ones_go(scenario):
    before = current(scenario)
    seen = []
    for text in ("one", "two", "three"):
        (scenario.files / "app" / "shop.py").write_text(f"TEXT = '{text}'\n")
        scenario.converge()
        seen.append(current(scenario))
        assert text in scenario.host.file("/opt/celery/current/shop.py").content_string
    assert len({before, *seen}) == 4
    assert releases(scenario) == set(seen[-2:]), "celery_app_keep_releases is 2"


def test_going_back_to_older_code_is_a_switch_too(scenario):
    (scenario.files / "app" / "shop.py").write_text("TEXT = 'two'\n")
    changed = scenario.converge().changed
    assert "celery_app : Switch to the release" in changed
    assert "celery_app : Unpack the release" not in changed
    assert "two" in scenario.host.file("/opt/celery/current/shop.py").content_string


def test_files_that_vanish_from_the_source_are_gone(scenario):
    (scenario.files / "app" / "extra.py").write_text("")
    scenario.converge()
    assert scenario.host.file("/opt/celery/current/extra.py").exists
    (scenario.files / "app" / "extra.py").unlink()
    scenario.converge()
    assert not scenario.host.file("/opt/celery/current/extra.py").exists


def test_a_named_release_belongs_to_one_content(scenario):
    scenario.converge(celery_app_version="2026.1")
    assert current(scenario) == "2026.1"
    (scenario.files / "app" / "shop.py").write_text("TEXT = 'other'\n")
    run = scenario.converge(celery_app_version="2026.1", fails=True)
    assert "celery_app_version: the release 2026.1 exists with other content" in run.output
    assert "two" in scenario.host.file("/opt/celery/current/shop.py").content_string


def test_a_wheel_is_installed_again_when_its_content_changes(scenario):
    path = wheel(scenario.files / "dist", "shopwheel", "1.0")
    scenario.converge(celery_app_source=str(path), celery_app_requirements="")
    assert scenario.host.check_output("cd / && /opt/celery/venv/bin/python -c 'import shopwheel; print(shopwheel.VERSION)'") == "1.0"
    # The same version with another module: what `pip install` alone would leave as it is.
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("shopextra.py", "")
    scenario.converge(celery_app_source=str(path), celery_app_requirements="")
    scenario.host.check_output("cd / && /opt/celery/venv/bin/python -c 'import shopextra'")


def test_a_git_repository_is_deployed_at_the_version_that_is_asked_for(scenario, tmp_path):
    def git(*words):
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        return subprocess.run(["git", "-C", str(tmp_path), *identity, *words], check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet", "--initial-branch", "main")
    for text in ("first", "second"):
        (tmp_path / "shop.py").write_text(f"TEXT = '{text}'\n")
        git("add", ".")
        git("commit", "--quiet", "--message", text)
        git("tag", text)
    scenario.converge(celery_app_source=f"file://{tmp_path}", celery_app_git_version="first", celery_app_python_path=[])
    assert current(scenario) == git("rev-parse", "first")[:12]
    assert "first" in scenario.host.file("/opt/celery/current/shop.py").content_string
    scenario.converge(celery_app_source=f"file://{tmp_path}", celery_app_git_version="main")
    assert "second" in scenario.host.file("/opt/celery/current/shop.py").content_string
    run = scenario.converge(celery_app_source=f"file://{tmp_path}", celery_app_git_version="nosuch", fails=True)
    assert "celery_app_git_version: the repository has no branch, tag or commit nosuch" in run.output


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"celery_app_source": "app"}, "celery_app_source: write an absolute path, such as {{ inventory_dir }}/app, not app"),
        ({"celery_app_source": "/no/such"}, "celery_app_source: there is no folder /no/such on this machine"),
        ({"celery_app_environment": {"TWO": "a\nb"}}, "write values without line breaks and control characters; look at TWO"),
        ({"celery_app_environment": {"not a name": "x"}}, "write names of letters, digits and _, not not a name"),
    ],
)
def test_what_cannot_work_is_refused(scenario, variables, said):
    assert said in scenario.converge("--check", fails=True, **variables).output
