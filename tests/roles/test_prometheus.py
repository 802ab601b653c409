"""prometheus on an unbaked host, with an exporter that it scrapes and an Alertmanager whose sink hears of its alerts."""

import json
import shlex
from urllib.parse import quote

import pytest
from asking import ADDRESS, answers, ask, basic, command

ROLE = "prometheus"
URL = "http://127.0.0.1:9090"
SINK = "http://127.0.0.1:9095/alerts"
TOKEN = "Bearer a-token-of-the-test"
EVERYWHERE = "0.0.0.0"  # noqa: S104 (what a careless user writes)
PASSWORD, HASH = "correct horse", "$2b$10$z/BgHRz1mbHrynu.ZUl6jeCYa6KQzOZNqymMvfOl1bhydQBf6AaY."
OPERATOR = basic("ops", PASSWORD)
RULE = "groups: [{name: more, rules: [{record: job:up:sum, expr: sum by (job) (up)}]}]\n"
UNIT_TEST = """
rule_files: [/etc/prometheus/rules/node.yml]
evaluation_interval: 1s
tests:
  - interval: 1s
    input_series: [{series: 'up{job="node", instance="a:1", site="here"}', values: "1 1 0 0"}]
    alert_rule_test:
      - {eval_time: 1s, alertname: NodeIsDown, exp_alerts: []}
      - eval_time: 3s
        alertname: NodeIsDown
        exp_alerts:
          - exp_labels: {job: node, instance: "a:1", site: here, severity: page}
            exp_annotations: {summary: a:1 of here does not answer}
"""


def query(expression, address="127.0.0.1"):
    """URL of an instant query."""
    return f"http://{address}:9090/api/v1/query?query={quote(expression)}"


def converge(scenario, *options, **variables):
    """Runs this role alone again, without those beside it."""
    return scenario.converge("--tags", f"{ROLE}_preflight,{ROLE}_configure,{ROLE}_run", *options, **variables)


def pid(scenario):
    return scenario.host.check_output("systemctl show --value --property MainPID prometheus")


def sent(scenario):
    """What Alertmanager was told, oldest first."""
    return [(kept["time"], kept["notification"]) for kept in json.loads(ask(scenario, SINK, authorization=TOKEN)[1])]


def test_it_runs_and_starts_at_boot_without_privileges(scenario):
    service = scenario.host.service("prometheus")
    assert service.is_running
    assert service.is_enabled
    assert scenario.host.check_output(f"stat --format %U /proc/{pid(scenario)}") == "prometheus"
    assert scenario.host.check_output(f"grep CapBnd /proc/{pid(scenario)}/status").split()[1] == "0" * 16


def test_the_target_is_scraped_with_its_labels(scenario):
    scenario.poll(command(query('up{job="node", site="here", instance="127.0.0.1:9100"} == 1')), '"1"]')
    scenario.poll(command(query("node_memory_MemTotal_bytes > 0")), '"site":"here"')


def test_an_alert_fires_reaches_the_sink_and_ends(scenario):
    scenario.poll(command(query('up{job="node"}')), '"1"]')
    scenario.host.check_output("systemctl stop prometheus-node-exporter")
    try:
        scenario.poll(command(SINK, authorization=TOKEN), '"firing"')
    finally:
        scenario.host.check_output("systemctl start prometheus-node-exporter")
    scenario.poll(command(SINK, authorization=TOKEN), '"resolved"')
    first, last = sent(scenario)[0][1], sent(scenario)[-1][1]
    assert [first["status"], last["status"]] == ["firing", "resolved"]
    assert first["alerts"][0]["labels"] == {
        "alertname": "NodeIsDown",
        "instance": "127.0.0.1:9100",
        "job": "node",
        "lab": "one",  # of prometheus_config_file
        "severity": "page",
        "site": "here",
    }
    assert first["alerts"][0]["annotations"] == {"summary": "127.0.0.1:9100 of here does not answer"}


def test_the_rule_fires_when_it_should_and_not_before(scenario):
    scenario.host.check_output(f"printf %s {shlex.quote(UNIT_TEST)} > /tmp/node_test.yml")
    assert "SUCCESS" in scenario.host.check_output("promtool test rules /tmp/node_test.yml")


def test_rules_come_and_go_without_a_restart(scenario):
    before = pid(scenario)
    (scenario.files / "prometheus_rules" / "more.yaml").write_text(RULE)
    run = converge(scenario)
    assert run.changed == ["prometheus : Write the rules", "prometheus : Start Prometheus and enable it at boot"]
    scenario.poll(command(query('job:up:sum{job="node"}')), '"1"]')
    (scenario.files / "prometheus_rules" / "more.yaml").unlink()
    converge(scenario)
    assert scenario.host.check_output("ls /etc/prometheus/rules") == "node.yml"
    scenario.poll(f"{command(URL + '/api/v1/rules')} | grep -v job:up:sum", "NodeIsDown")
    assert pid(scenario) == before


@pytest.mark.parametrize("option", ["--check", "--diff"])
def test_a_rule_that_promtool_refuses_is_named_and_nothing_changes(scenario, option):
    rules = scenario.files / "prometheus_rules"
    (rules / "wrong.yml").write_text(RULE.replace("sum by (job) (up)", "sum by job (up)"))
    (rules / "more.yaml").write_text(RULE)
    run = converge(scenario, option, fails=True, prometheus_scrape_interval="2s")
    assert "promtool refuses this, and what was in force still is: Checking wrong.yml FAILED:" in run.output
    assert "could not parse expression" in run.output
    assert not run.changed
    (rules / "wrong.yml").unlink()
    (rules / "more.yaml").unlink()
    assert not converge(scenario).changed


def test_a_setting_that_promtool_refuses_is_explained(scenario):
    before = (scenario.files / "prometheus.yml").read_text()
    (scenario.files / "prometheus.yml").write_text("global: {scrape_intervall: 5s}\n")
    assert "field scrape_intervall not found" in converge(scenario, "--check", fails=True).output
    (scenario.files / "prometheus.yml").write_text(before)


def test_samples_are_kept_as_long_as_was_said(scenario):
    flags = json.loads(ask(scenario, f"{URL}/api/v1/status/flags")[1])["data"]
    assert flags["storage.tsdb.retention.time"] == "15d"
    assert flags["storage.tsdb.retention.size"] == "1GiB"
    assert flags["web.enable-admin-api"] == flags["web.enable-lifecycle"] == "false"


def test_it_comes_back_when_it_is_killed(scenario):
    before = pid(scenario)
    scenario.host.check_output(f"kill -9 {before}")
    scenario.poll(command(query('up{job="node"}')), '"1"]')
    assert pid(scenario) != before


def test_an_open_door_is_refused_until_someone_says_so(scenario):
    run = converge(scenario, "--check", fails=True, prometheus_address=EVERYWHERE)
    assert "prometheus_address: 0.0.0.0 lets other hosts in; write prometheus_users with a name and a password_hash" in run.output
    assert not answers(scenario, f"http://{ADDRESS}:9090/-/ready")
    converge(scenario, "--check", prometheus_address=EVERYWHERE, prometheus_open=True)


def test_beyond_loopback_it_asks_for_a_password_and_can_scrape_itself(scenario):
    itself = {"name": "itself", "targets": ["localhost:9090"], "username": "ops", "password": PASSWORD, "scrape_interval": "500ms"}
    variables = {
        "prometheus_address": EVERYWHERE,
        "prometheus_users": [{"name": "ops", "password_hash": HASH}],
        "prometheus_jobs": [itself],
    }
    converge(scenario, **variables)
    for authorization in ("", basic("ops", "wrong"), basic("admin", "admin")):
        assert ask(scenario, query("up", ADDRESS), authorization=authorization)[0] == 401
    scenario.poll(command(query('up{job="itself"}', ADDRESS), authorization=OPERATOR), '"1"]')
    for name in ("prometheus.yml", "web.yml"):
        file = scenario.host.file(f"/etc/prometheus/{name}")
        assert (file.user, file.group, file.mode) == ("root", "prometheus", 0o640)
    assert PASSWORD not in scenario.host.check_output("ps -eo args ww; systemctl show prometheus; journalctl -u prometheus --output cat")
    assert converge(scenario, **variables).changed == []


def test_what_cannot_work_is_refused_all_at_once(scenario):
    run = converge(
        scenario,
        "--check",
        fails=True,
        prometheus_jobs=[{"name": "n", "targets": ["http://a:9100/metrics"], "scrape_interval": "5"}, {"name": "n", "targets": ["a:1"]}],
        prometheus_options=["--web.listen-address=0.0.0.0:9090"],
        prometheus_retention_size="10 GB",
        prometheus_rules_directory="/nowhere",
        prometheus_users=[{"name": "ops", "password_hash": "secret"}],
    )
    for said in (
        "write targets as host:port, without http:// and path, not http://a:9100/metrics",
        "prometheus_jobs: write every name once",
        "prometheus_retention_time: write durations such as 15s or 30d, not 5",
        "prometheus_options: what the role decides has variables of its own: prometheus_address, prometheus_port,",
        "prometheus_retention_size: write a size such as 512MB or 10GB, not 10 GB",
        "prometheus_rules_directory: write the absolute path of a folder of the controller",
        "prometheus_users: write in password_hash what `htpasswd -nBC 10 NAME` writes after the colon",
    ):
        assert said in run.output
