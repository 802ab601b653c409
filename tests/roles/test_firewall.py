"""firewall on an unbaked host."""

import shlex
import subprocess

from celerylab.providers.boot import BOOTED

ROLE = "firewall"
RULES = "nft list table inet firewall"


def listed(scenario):
    return scenario.host.check_output(RULES)


def test_what_nobody_allowed_is_dropped_and_the_essentials_pass(scenario):
    rules = listed(scenario)
    assert "policy drop" in rules
    for line in (
        "ct state established,related accept",
        'iifname "lo" accept',
        "ip saddr 10.77.0.0/24 ip daddr 10.77.0.0/24 accept",
        "jump local",
    ):
        assert line in rules, line
    assert rules.index("10.77.0.0/24") < rules.index("jump local")


def test_your_rules_are_in_force_with_the_names_of_hosts(scenario):
    assert "ip saddr 10.77.1.3 tcp dport 6380 counter packets 0 bytes 0 accept" in listed(scenario)


def test_a_stranger_is_kept_out_and_loopback_is_not(scenario):
    scenario.host.run("systemd-run --quiet --unit listener python3 -m http.server 8000")
    scenario.poll("python3 -c \"import socket; socket.create_connection(('127.0.0.1', 8000), 1)\"")
    address = scenario.host.check_output("hostname --ip-address").split()[0]
    assert not reaches(address, 8000)
    (scenario.files / "nftables" / "open.nft").write_text("tcp dport 8000 accept\n")
    scenario.converge()
    assert reaches(address, 8000)
    (scenario.files / "nftables" / "open.nft").unlink()
    scenario.converge()
    assert not reaches(address, 8000)


def reaches(address, port):
    """Whether this machine, which is another host for the container, can open a connection."""
    script = f"import socket; socket.create_connection(('{address}', {port}), 2)"
    return subprocess.run(["python3", "-c", script], capture_output=True, check=False).returncode == 0


def test_a_line_that_nft_refuses_is_named_and_changes_nothing(scenario):
    before = listed(scenario)
    (scenario.files / "nftables" / "wrong.nft").write_text("tcp dprt 6380 accept\n")
    run = scenario.converge(fails=True)
    assert "nft refuses these rules, and those that were in force still are" in run.output
    assert "tcp dprt 6380 accept" in run.output
    assert listed(scenario) == before
    (scenario.files / "nftables" / "wrong.nft").unlink()
    assert not scenario.converge().changed


def test_a_file_that_leaves_its_chain_is_refused(scenario):
    path = scenario.files / "nftables" / "escape.nft"
    path.write_text("# a comment with } in it is fine\n}\nchain other {\n")
    run = scenario.converge("--check", fails=True)
    path.unlink()
    assert "escape.nft: closes a brace that it did not open" in run.output


def test_other_tables_stay_as_they_are(scenario):
    scenario.host.check_output("nft add table inet somebody_else")
    (scenario.files / "nftables" / "more.nft").write_text("tcp dport { 80, 443 } accept # both\n")
    assert "firewall : Load the rules, now and at boot" in scenario.converge().changed
    assert "table inet somebody_else" in scenario.host.check_output("nft list tables")
    assert "tcp dport { 80, 443 } accept" in listed(scenario)


def test_rules_are_there_again_after_a_reboot(scenario):
    before = listed(scenario)
    subprocess.run(["docker", "restart", scenario.container], check=True, capture_output=True)
    scenario.host.check_output(shlex.join(BOOTED))
    assert listed(scenario) == before
    assert scenario.host.run("systemctl is-enabled nftables.service").stdout.strip() != "enabled"


def test_stopping_the_unit_takes_its_own_table_away(scenario):
    scenario.host.check_output("systemctl stop firewall")
    assert scenario.host.run(RULES).failed
    scenario.host.check_output("systemctl start firewall")
    assert "policy drop" in listed(scenario)
