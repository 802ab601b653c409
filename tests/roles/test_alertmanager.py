"""alertmanager on an unbaked host, with its sink."""

import json
import shlex

import pytest
from asking import ADDRESS, answers, ask, basic, command

ROLE = "alertmanager"
UNIT = "prometheus-alertmanager"
TOKEN = "a-token-of-the-test"
PASSWORD, HASH = "correct horse", "$2b$10$z/BgHRz1mbHrynu.ZUl6jeCYa6KQzOZNqymMvfOl1bhydQBf6AaY."
EVERYWHERE = "0.0.0.0"  # noqa: S104 (what a careless user writes)
SINK, ALERTMANAGER = "http://127.0.0.1:9095", "http://127.0.0.1:9093"
OWN = """
route: {receiver: own, group_by: [job], group_wait: 0s, group_interval: 1s}
receivers:
  - name: own
    webhook_configs:
      - url: http://127.0.0.1:9095/
        http_config: {authorization: {credentials_file: /etc/alertmanager-sink/token}}
"""


def of_the_sink(scenario, since=0.0):
    """What the sink kept."""
    return json.loads(ask(scenario, f"{SINK}/alerts?since={since!r}", authorization=f"Bearer {TOKEN}")[1])


def last(scenario):
    """When the last notification arrived."""
    return max((kept["time"] for kept in of_the_sink(scenario)), default=0.0)


def alert(scenario, name, ends=""):
    """Tells Alertmanager of an alert, as Prometheus does."""
    alerts = [{"labels": {"alertname": name, "job": "test"}, **({"endsAt": ends} if ends else {})}]
    assert ask(scenario, f"{ALERTMANAGER}/api/v2/alerts", "POST", body=json.dumps(alerts))[0] == 200


def arrives(scenario, since, name):
    """The first notification of alert `name` after `since`."""
    listing = command(f"{SINK}/alerts?since={since!r}", authorization=f"Bearer {TOKEN}")
    for kept in json.loads(scenario.poll(listing, f'"alertname": "{name}"').split("\n", 1)[1]):
        if kept["notification"]["alerts"][0]["labels"]["alertname"] == name:
            return kept
    raise AssertionError(name)


@pytest.mark.parametrize(("unit", "user"), [(UNIT, "prometheus"), ("alertmanager-sink", "alertmanager-sink")])
def test_both_run_and_start_at_boot_without_privileges(scenario, unit, user):
    service = scenario.host.service(unit)
    assert service.is_running
    assert service.is_enabled
    pid = scenario.host.check_output(f"systemctl show --value --property MainPID {unit}")
    assert scenario.host.check_output(f"stat --format %U /proc/{pid}") == user
    assert scenario.host.check_output(f"grep CapBnd /proc/{pid}/status").split()[1] == "0" * 16


def test_an_alert_reaches_the_sink_and_so_does_its_end(scenario):
    before = last(scenario)
    alert(scenario, "QueueIsLong")
    first = arrives(scenario, before, "QueueIsLong")
    assert first["notification"]["status"] == "firing"
    assert first["time"] > before
    alert(scenario, "QueueIsLong", ends="2020-01-01T00:00:00Z")
    assert arrives(scenario, first["time"], "QueueIsLong")["notification"]["status"] == "resolved"


def test_the_sink_wants_its_token_and_says_what_is_wrong(scenario):
    for method, body in (("GET", ""), ("POST", "{}")):
        for authorization in ("", "Bearer wrong"):
            assert ask(scenario, f"{SINK}/alerts", method, authorization, body)[0] == 401
    assert ask(scenario, f"{SINK}/alerts?since=yesterday", authorization=f"Bearer {TOKEN}")[0] == 400
    assert ask(scenario, SINK, "POST", f"Bearer {TOKEN}", "no json")[0] == 400
    assert ask(scenario, f"{SINK}/health")[0] == 204


def test_what_the_sink_keeps_survives_a_kill_and_half_a_line(scenario):
    assert ask(scenario, SINK, "POST", f"Bearer {TOKEN}", '{"number": 1}')[0] == 204
    scenario.host.check_output("kill -9 $(systemctl show --value --property MainPID alertmanager-sink)")
    scenario.host.check_output("printf '{\"time\": 1' >> /var/lib/alertmanager-sink/alerts.jsonl")
    assert ask(scenario, SINK, "POST", f"Bearer {TOKEN}", '{"number": 2}')[0] == 204
    assert [kept["notification"] for kept in of_the_sink(scenario)][-2:] == [{"number": 1}, {"number": 2}]


def test_the_sinks_files_stay_within_their_bound(scenario):
    script = f"""
import json, urllib.request
for number in range(40):
    body = json.dumps({{"number": number, "filling": "x" * 600}}).encode()
    urllib.request.urlopen(urllib.request.Request("{SINK}/", body, {{"Authorization": "Bearer {TOKEN}"}}), timeout=5)
"""
    scenario.host.check_output(f"python3 -c {shlex.quote(script)}")
    sizes = scenario.host.check_output("stat --format %s /var/lib/alertmanager-sink/alerts.jsonl*").split()
    assert len(sizes) == 2
    assert all(int(size) <= 8192 for size in sizes)
    numbers = [kept["notification"].get("number") for kept in of_the_sink(scenario)]
    assert numbers == list(range(numbers[0], 40))
    assert len(numbers) >= 8192 // 700


def test_tokens_are_for_those_who_need_them_and_in_no_process_list(scenario):
    for path, group in (("/etc/alertmanager-sink/token", "alertmanager-sink"), ("/etc/prometheus/alertmanager.yml", "prometheus")):
        file = scenario.host.file(path)
        assert (file.user, file.group, file.mode) == ("root", group, 0o640)
    assert TOKEN not in scenario.host.check_output(f"ps -eo args ww; systemctl show alertmanager-sink {UNIT}; journalctl --output cat")


def test_your_own_file_wins_and_is_reloaded(scenario):
    pid = scenario.host.check_output(f"systemctl show --value --property MainPID {UNIT}")
    before = last(scenario)
    (scenario.files / "alertmanager.yml").write_text(OWN)
    run = scenario.converge()
    assert run.changed == ["alertmanager : Write the configuration", "alertmanager : Start Alertmanager and enable it at boot"]
    scenario.poll(command(f"{ALERTMANAGER}/api/v2/status"), "receiver: own")
    alert(scenario, "Owned")
    assert arrives(scenario, before, "Owned")["notification"]["receiver"] == "own"
    assert scenario.host.check_output(f"systemctl show --value --property MainPID {UNIT}") == pid


@pytest.mark.parametrize("option", ["--check", "--diff"])
def test_a_file_that_amtool_refuses_is_explained_and_changes_nothing(scenario, option):
    (scenario.files / "alertmanager.yml").write_text(OWN.replace("receiver: own,", "receiver: nobody,"))
    run = scenario.converge(option, fails=True, alertmanager_port=9096)
    assert "amtool refuses this configuration, and the one that was in force still is" in run.output
    assert 'undefined receiver \\"nobody\\" used in route' in run.output
    assert run.changed == []
    assert "receiver: own" in ask(scenario, f"{ALERTMANAGER}/api/v2/status")[1]
    (scenario.files / "alertmanager.yml").unlink()


def test_an_open_door_is_refused_until_someone_says_so(scenario):
    run = scenario.converge("--check", fails=True, alertmanager_address=EVERYWHERE)
    assert "alertmanager_address: 0.0.0.0 lets other hosts in; write alertmanager_users with a name and a password_hash" in run.output
    assert not answers(scenario, f"http://{ADDRESS}:9093/")
    scenario.converge("--check", alertmanager_address=EVERYWHERE, alertmanager_open=True)


def test_beyond_loopback_it_asks_for_a_password(scenario):
    users = [{"name": "ops", "password_hash": HASH}]
    scenario.converge(alertmanager_address=EVERYWHERE, alertmanager_users=users)
    url = f"http://{ADDRESS}:9093/api/v2/status"
    assert ask(scenario, url)[0] == 401
    assert ask(scenario, url, authorization=basic("ops", "wrong"))[0] == 401
    assert ask(scenario, url, authorization=basic("ops", PASSWORD))[0] == 200
    assert scenario.converge(alertmanager_address=EVERYWHERE, alertmanager_users=users).changed == []


def test_without_the_sink_it_is_stopped(scenario):
    scenario.converge(alertmanager_sink=False, alertmanager_webhooks=[{"url": "http://127.0.0.1:1/"}])
    assert not scenario.host.service("alertmanager-sink").is_running
    assert not scenario.host.service("alertmanager-sink").is_enabled


def test_what_cannot_work_is_refused_all_at_once(scenario):
    run = scenario.converge(
        "--check",
        fails=True,
        alertmanager_group_wait="30",
        alertmanager_options=["--web.listen-address=0.0.0.0:9093"],
        alertmanager_sink_token="short",
        alertmanager_users=[{"name": "ops", "password_hash": "secret"}],
        alertmanager_webhooks=[{"url": "chat.example.com"}],
    )
    for said in (
        "alertmanager_repeat_interval: write durations such as 30s, 5m or 4h, not 30",
        "alertmanager_options: what the role decides has variables of its own: alertmanager_address, alertmanager_port,",
        "alertmanager_sink_token: write a token of at least 16 letters and digits",
        "alertmanager_users: write in password_hash what `htpasswd -nBC 10 NAME` writes after the colon",
        "alertmanager_webhooks: write URLs that begin with http:// or https://",
    ):
        assert said in run.output


def test_that_nobody_hears_of_an_alert_is_refused(scenario):
    run = scenario.converge("--check", fails=True, alertmanager_sink=False)
    assert "alertmanager_webhooks: write a url, or nobody hears of an alert" in run.output
