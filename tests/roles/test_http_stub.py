"""http_stub on an unbaked host."""

import json
import shlex
import time

import pytest

ROLE = "http_stub"
TOKEN = "a-token-of-the-test"
ADDRESS = "$(hostname --ip-address | cut -d' ' -f1)"
ASK = """
import json, sys, urllib.error, urllib.request
method, url, token, body = sys.argv[1:5]
request = urllib.request.Request(url, body.encode() or None, {"Authorization": "Bearer " + token} if token else {}, method=method)
try:
    with urllib.request.urlopen(request, timeout=10) as answer:
        print(json.dumps([answer.status, answer.read().decode()]))
except urllib.error.HTTPError as error:
    print(json.dumps([error.code, error.read().decode()]))
"""


def ask(scenario, path, method="GET", token="", body="", address="127.0.0.1"):
    """Status and body of an answer."""
    command = f"python3 -c {shlex.quote(ASK)} {method} http://{address}:8500{path} {shlex.quote(token)} {shlex.quote(body)}"
    return json.loads(scenario.poll(command))


def behave(scenario, **behaviours):
    assert ask(scenario, "/_control/behaviours", "PUT", TOKEN, json.dumps(behaviours))[0] == 204


def calls(scenario, prefix):
    return json.loads(ask(scenario, f"/_control/calls?prefix={prefix}", token=TOKEN)[1])


def test_it_runs_and_starts_at_boot_without_privileges(scenario):
    service = scenario.host.service("http-stub")
    assert service.is_running
    assert service.is_enabled
    pid = scenario.host.check_output("systemctl show --value --property MainPID http-stub")
    assert scenario.host.check_output(f"stat --format %U /proc/{pid}") == "http-stub"
    assert scenario.host.check_output(f"grep CapEff /proc/{pid}/status").split()[1] == "0" * 16


@pytest.mark.parametrize("address", ["127.0.0.1", ADDRESS])
def test_a_key_without_a_behaviour_is_answered_from_here_and_elsewhere(scenario, address):
    assert ask(scenario, "/v1/charges/plain", "POST", body="{}", address=address)[0] == 200


def test_a_key_fails_as_often_as_it_is_told_and_calls_are_remembered(scenario):
    behave(scenario, twice={"status": 503, "times": 2})
    before = time.time() - 1
    assert [ask(scenario, "/v1/charges/twice", "POST")[0] for _ in range(3)] == [503, 503, 200]
    remembered = calls(scenario, "twice")
    assert [call["status"] for call in remembered] == [503, 503, 200]
    assert [call["method"] for call in remembered] == ["POST"] * 3
    assert before < remembered[0]["time"] <= remembered[1]["time"] <= remembered[2]["time"] < time.time() + 1


def test_a_key_that_always_fails_can_be_healed(scenario):
    behave(scenario, sick={"status": 400})
    assert [ask(scenario, "/x/sick")[0] for _ in range(3)] == [400] * 3
    behave(scenario, sick=None)
    assert ask(scenario, "/x/sick")[0] == 200


def test_a_delay_holds_the_answer_back(scenario):
    behave(scenario, slow={"delay": 1.5})
    before = time.monotonic()
    assert ask(scenario, "/x/slow")[0] == 200
    assert time.monotonic() - before >= 1.5


def test_control_wants_the_token_and_says_what_is_wrong(scenario):
    assert ask(scenario, "/_control/calls")[0] == 401
    assert ask(scenario, "/_control/behaviours", "PUT", "wrong", "{}")[0] == 401
    assert ask(scenario, "/_control/behaviours", "PUT", TOKEN, '{"k": {"status": 99}}')[0] == 400
    assert "not tries" in ask(scenario, "/_control/behaviours", "PUT", TOKEN, '{"k": {"tries": 1}}')[1]
    assert ask(scenario, "/_control/health")[0] == 204


def test_roots_command_does_the_same(scenario):
    scenario.host.check_output("http-stub fail by-hand 503 1")
    assert [ask(scenario, "/x/by-hand")[0] for _ in range(2)] == [503, 200]
    listed = scenario.host.check_output("http-stub calls by-hand").splitlines()
    assert [line.split()[1:] for line in listed] == [["GET", "/x/by-hand", "503"], ["GET", "/x/by-hand", "200"]]
    scenario.host.check_output("http-stub fail by-hand 400")
    scenario.host.check_output("http-stub heal by-hand")
    assert ask(scenario, "/x/by-hand")[0] == 200
    assert "http-stub calls" in scenario.host.run_expect([1], "http-stub").stderr
    assert "status: write a number" in scenario.host.run_expect([1], "http-stub fail by-hand 99").stderr


def test_the_token_is_the_services_alone_and_in_no_process_list(scenario):
    file = scenario.host.file("/etc/http-stub/token")
    assert (file.user, file.group, file.mode) == ("root", "http-stub", 0o640)
    assert TOKEN not in scenario.host.check_output("ps -eo args ww; systemctl show http-stub")


def test_it_comes_back_when_it_is_killed(scenario):
    before = scenario.host.check_output("systemctl show --value --property MainPID http-stub")
    scenario.host.check_output(f"kill -9 {before}")
    assert ask(scenario, "/x/again")[0] == 200


def test_a_new_token_restarts_it(scenario):
    scenario.converge(http_stub_token="another-token-of-the-test")
    assert ask(scenario, "/_control/calls", token=TOKEN)[0] == 401
    assert ask(scenario, "/_control/calls", token="another-token-of-the-test")[0] == 200
    scenario.converge()


def test_no_token_is_refused(scenario):
    run = scenario.converge("--check", fails=True, http_stub_token="")
    assert "http_stub_token: write a token of at least 16 letters and digits" in run.output
