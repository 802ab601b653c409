"""node_exporter on an unbaked host."""

import pytest
from asking import ADDRESS, answers, command

ROLE = "node_exporter"
UNIT = "prometheus-node-exporter"
URL = "http://127.0.0.1:9100/metrics"


def test_it_runs_and_starts_at_boot_without_privileges(scenario):
    service = scenario.host.service(UNIT)
    assert service.is_running
    assert service.is_enabled
    pid = scenario.host.check_output(f"systemctl show --value --property MainPID {UNIT}")
    assert scenario.host.check_output(f"stat --format %U /proc/{pid}") == "prometheus"
    assert scenario.host.check_output(f"grep NoNewPrivs /proc/{pid}/status").split()[1] == "1"
    assert scenario.host.check_output(f"grep CapBnd /proc/{pid}/status").split()[1] == "0" * 16


@pytest.mark.parametrize("address", ["127.0.0.1", ADDRESS])
def test_it_answers_here_and_elsewhere(scenario, address):
    assert 'node_cpu_seconds_total{cpu="0",mode="idle"}' in scenario.poll(command(f"http://{address}:9100/metrics"))


def test_the_collectors_of_the_list_run_and_no_others(scenario):
    lines = scenario.poll(command(URL)).splitlines()
    ran = {line.split('"')[1] for line in lines if line.startswith("node_scrape_collector_success{")}
    assert ran == {"cpu", "meminfo", "textfile"}
    assert all(line.endswith(" 1") for line in lines if line.startswith("node_scrape_collector_success{"))
    assert not any(line.startswith("go_") for line in lines)  # node_exporter_options


def test_metrics_of_your_own_jobs_are_read(scenario):
    scenario.host.check_output("echo 'backup_finished_timestamp_seconds 1.7e9' > /var/lib/prometheus/node-exporter/backup.prom")
    scenario.poll(command(URL), "backup_finished_timestamp_seconds 1.7e+09")


def test_by_default_it_is_on_loopback_with_its_own_collectors(scenario):
    pattern = "--collector.netdev.device-exclude=^(veth|lo$).*'\\d\""
    run = scenario.converge(node_exporter_address="127.0.0.1", node_exporter_collectors=[], node_exporter_options=[pattern])
    assert run.changed == ["node_exporter : Write the arguments", "node_exporter : Start the exporter and enable it at boot"]
    assert 'node_scrape_collector_success{collector="loadavg"} 1' in scenario.poll(command(URL))
    assert not answers(scenario, f"http://{ADDRESS}:9100/metrics")
    pid = scenario.host.check_output(f"systemctl show --value --property MainPID {UNIT}")
    assert pattern in scenario.host.check_output(f"tr '\\0' '\\n' < /proc/{pid}/cmdline").splitlines()
    scenario.converge()


def test_it_comes_back_when_it_is_killed(scenario):
    scenario.host.check_output(f"kill -9 $(systemctl show --value --property MainPID {UNIT})")
    scenario.poll(command(URL), "node_memory_MemTotal_bytes")


def test_a_collector_that_it_does_not_have_is_refused_and_nothing_changes(scenario):
    run = scenario.converge(fails=True, node_exporter_collectors=["cpu", "gpu"])
    assert "node_exporter_collectors: this exporter has no gpu; it has arp," in run.output
    assert run.changed == []


def test_what_cannot_work_is_refused_all_at_once(scenario):
    run = scenario.converge(
        "--check",
        fails=True,
        node_exporter_address="127.0.0.1/8",
        node_exporter_port=80,
        node_exporter_collectors=["--collector.cpu"],
        node_exporter_options=["--web.max-requests 5", "--web.listen-address=0.0.0.0:9100"],
    )
    for said in (
        "node_exporter_address: write one address without a port, such as 127.0.0.1, not 127.0.0.1/8",
        "node_exporter_port: write a port from 1024 to 65535, not 80",
        "node_exporter_collectors: write names of collectors, such as cpu, not --collector.cpu",
        "node_exporter_options: write each option as --name or --name=value, without spaces",
        "node_exporter_options: what the role decides has variables of its own: node_exporter_address, node_exporter_port",
    ):
        assert said in run.output
