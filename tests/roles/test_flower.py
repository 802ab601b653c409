"""flower on an unbaked host, beside a Redis."""

import shlex
import shutil
from pathlib import Path

import pytest

from celerylab.converge.wheelhouse import Interpreter, wheelhouse

ROLE = "flower"
PASSWORD = 'a $ecret # "word"'
ADDRESS = "$(hostname --ip-address | cut -d' ' -f1)"
ASK = """
import base64, sys, urllib.error, urllib.request
url, who = sys.argv[1:3]
headers = {"Authorization": "Basic " + base64.b64encode(who.encode()).decode()} if who else {}
try:
    print(urllib.request.urlopen(urllib.request.Request(url, headers=headers, method=sys.argv[3]), timeout=10).status)
except urllib.error.HTTPError as error:
    print(error.code)
"""


def prepare_files(files: Path) -> None:
    shutil.copytree(wheelhouse("flower==2.2.0\ncelery[redis]==5.7.0\n", Interpreter("3.11.2", "x86_64")), files / "wheels")


def ask(scenario, path, who="", address="127.0.0.1", port=5555, method="GET"):
    """Status of Flower's answer."""
    return int(scenario.poll(f"python3 -c {shlex.quote(ASK)} http://{address}:{port}{path} {shlex.quote(who)} {method}", seconds=30))


def test_it_runs_and_starts_at_boot_without_privileges(scenario):
    service = scenario.host.service("flower")
    assert service.is_running
    assert service.is_enabled
    pid = scenario.host.check_output("systemctl show --value --property MainPID flower")
    assert scenario.host.check_output(f"stat --format %U /proc/{pid}") == "flower"


@pytest.mark.parametrize("address", ["127.0.0.1", ADDRESS])
@pytest.mark.parametrize("path", ["/", "/tasks", "/api/workers"])
def test_nobody_comes_in_without_the_password(scenario, address, path):
    assert ask(scenario, path, address=address) == 401
    assert ask(scenario, path, "admin:admin", address=address) == 401
    assert ask(scenario, path, "admin:", address=address) == 401


@pytest.mark.parametrize("address", ["127.0.0.1", ADDRESS])
def test_who_has_the_password_comes_in(scenario, address):
    assert ask(scenario, "/", f"admin:{PASSWORD}", address=address) == 200
    assert ask(scenario, "/api/workers", f"admin:{PASSWORD}", address=address) == 200


def test_it_only_looks(scenario):
    assert ask(scenario, "/api/worker/shutdown/somebody", f"admin:{PASSWORD}", method="POST") == 403


def test_it_is_connected_to_the_broker(scenario):
    scenario.poll("journalctl -u flower --output cat", "Connected to redis://celery:**@localhost:6379/0", seconds=20)


def test_passwords_are_in_no_process_list_unit_or_journal(scenario):
    text = scenario.host.check_output("ps -eo args ww; systemctl cat flower; systemctl show flower; journalctl -u flower --output cat")
    assert "celery flower" in text
    assert PASSWORD not in text
    assert "celery:secret" not in text
    for name in ("flower.env", "flowerconfig.py"):
        file = scenario.host.file(f"/etc/flower/{name}")
        assert (file.user, file.group, file.mode) == ("root", "flower", 0o640)


def test_it_comes_back_when_it_is_killed(scenario):
    scenario.host.check_output("kill -9 $(systemctl show --value --property MainPID flower)")
    assert ask(scenario, "/healthcheck") == 200


def test_your_own_file_wins(scenario):
    (scenario.files / "flowerconfig.py").write_text("port = 5556\n")
    assert "flower : Restart Flower" in scenario.converge().changed
    assert ask(scenario, "/", f"admin:{PASSWORD}", port=5556) == 200
    (scenario.files / "flowerconfig.py").unlink()
    scenario.converge()
    assert ask(scenario, "/", f"admin:{PASSWORD}") == 200


def test_an_open_door_and_no_broker_are_refused(scenario):
    run = scenario.converge("--check", fails=True, flower_users=[], flower_broker_url="")
    assert (
        "flower_address: 0.0.0.0 lets other hosts in; write flower_users with a name and a password, or listen on 127.0.0.1" in run.output
    )
    assert "flower_broker_url: write the URL of the broker" in run.output


def test_on_loopback_it_needs_no_users(scenario):
    scenario.converge(flower_users=[], flower_address="127.0.0.1")
    assert ask(scenario, "/") == 200
    assert ask(scenario, "/api/workers") == 401
    assert scenario.host.run(f"python3 -c {shlex.quote(ASK)} http://{ADDRESS}:5555/ '' GET").rc != 0
