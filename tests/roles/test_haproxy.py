"""haproxy on an unbaked host, before a RabbitMQ and two Redis servers, of which the tests start the second."""

import csv
import io

import pytest
from asking import ADDRESS, answers, command

ROLE = "haproxy"
METRICS = "http://127.0.0.1:8405/metrics"
LOGIN = "AUTH celery a-password"
SECOND = (
    "systemd-run --quiet --collect --unit redis-second redis-server --port 6380 --save '' --dir /tmp "
    "--user default off --user celery on '>a-password' '~*' '&*' '+@all' --masteruser celery --masterauth a-password"
)


def converge(scenario, *options, **variables):
    """Runs this role alone again, without those beside it."""
    return scenario.converge("--tags", f"{ROLE}_preflight,{ROLE}_configure,{ROLE}_run", *options, **variables)


def ask(scenario, line):
    """What HAProxy's socket answers; as the account haproxy, for others may not."""
    talk = f"s.connect('/run/haproxy/admin.sock'); s.sendall(b'{line}\\n'); print(s.makefile().read())"
    code = f"import socket; s = socket.socket(socket.AF_UNIX); {talk}"
    return scenario.host.check_output(f'runuser -u haproxy -- python3 -c "{code}"'.replace("\\", "\\\\"))


def states(scenario, listener):
    """UP or DOWN of each server of a listener."""
    rows = csv.DictReader(io.StringIO(ask(scenario, "show stat").removeprefix("# ")))
    return {
        row["svname"]: row["status"].split()[0]
        for row in rows
        if row["pxname"] == listener and row["svname"] not in {"FRONTEND", "BACKEND"}
    }


def reaches(scenario, port, seconds=15):
    """Which Redis answers through a port of the front: its own port."""
    cli = f"redis-cli -p {port} --no-auth-warning --user celery --pass a-password"
    return scenario.poll(f"{cli} CONFIG GET port", "63", seconds).split()[-1]


def wait_until(scenario, listener, **wanted):
    """Waits until servers of a listener are as they should be."""
    for _ in range(100):
        if wanted.items() <= states(scenario, listener).items():
            return
        scenario.host.run("sleep 0.1")
    pytest.fail(f"{listener}: {states(scenario, listener)}, and not {wanted}")


@pytest.fixture
def second(scenario):
    """A second Redis server."""
    scenario.host.check_output(SECOND)
    try:
        wait_until(scenario, "redis", one="UP", two="UP")
        yield
    finally:
        scenario.host.check_output("systemctl stop redis-second; systemctl start redis-server")
        wait_until(scenario, "redis", one="UP", two="DOWN")


def test_it_runs_and_starts_at_boot_without_privileges(scenario):
    service = scenario.host.service("haproxy")
    assert service.is_running
    assert service.is_enabled
    pids = scenario.host.check_output("pgrep --exact haproxy").split()
    assert len(pids) == 2  # master and worker
    for pid in pids:
        assert scenario.host.check_output(f"stat --format %U /proc/{pid}") == "haproxy"
        assert scenario.host.check_output(f"grep NoNewPrivs /proc/{pid}/status").split()[1] == "1"
        assert scenario.host.check_output(f"grep CapBnd /proc/{pid}/status").split()[1] == "0" * 16


def test_the_configuration_and_the_socket_are_not_everybodys(scenario):
    configuration = scenario.host.file("/etc/haproxy/haproxy.cfg")
    assert (configuration.user, configuration.group, configuration.mode) == ("root", "haproxy", 0o640)
    socket = scenario.host.file("/run/haproxy/admin.sock")
    assert (socket.user, socket.group, socket.mode) == ("haproxy", "haproxy", 0o660)


def test_checks_speak_the_protocol(scenario):
    wait_until(scenario, "rabbitmq", node="UP", redis="DOWN")  # that one accepts connections, and does not speak AMQP
    wait_until(scenario, "redis", one="UP", two="DOWN")
    talk = "s.sendall(b'AMQP' + bytes([0, 0, 9, 1])); print(s.recv(11)[7:].hex())"
    code = f"import socket; s = socket.create_connection(('127.0.0.1', 7672), 5); {talk}"
    assert scenario.host.check_output(f'python3 -c "{code}"') == "000a000a"


def test_clients_reach_the_first_that_lives_and_are_told_when_it_dies(scenario, second):
    assert reaches(scenario, 7379) == "6379"
    waiting = f"(echo {LOGIN}; echo BLPOP queue 60; sleep 60) | redis-cli -p 7379 > /tmp/waiting 2>&1"
    scenario.host.check_output(f"systemd-run --quiet --unit waiting sh -c '{waiting}'")
    scenario.poll("redis-cli -p 6379 --no-auth-warning --user celery --pass a-password CLIENT LIST", "cmd=blpop")
    try:
        scenario.host.check_output("kill -STOP $(systemctl show --value --property MainPID redis-server)")  # its port still accepts
        wait_until(scenario, "redis", one="DOWN", two="UP")
        assert reaches(scenario, 7379) == "6380"
        scenario.poll("cat /tmp/waiting", "closed")  # failover: whoever waited on the dead one is told
    finally:
        scenario.host.check_output("kill -CONT $(systemctl show --value --property MainPID redis-server)")
        scenario.host.run("systemctl stop waiting")
    wait_until(scenario, "redis", one="UP", two="UP")
    assert reaches(scenario, 7379) == "6379"


def test_only_a_primary_gets_connections_and_a_promoted_one_does(scenario, second):
    cli = "redis-cli --no-auth-warning --user celery --pass a-password -p"
    scenario.host.check_output(f"{cli} 6380 REPLICAOF 127.0.0.1 6379")
    wait_until(scenario, "primary", one="UP", two="DOWN")
    assert reaches(scenario, 7380) == "6379"
    scenario.host.check_output("systemctl stop redis-server")
    scenario.host.check_output(f"{cli} 6380 REPLICAOF NO ONE")
    wait_until(scenario, "primary", one="DOWN", two="UP")
    assert reaches(scenario, 7380) == "6380"


@pytest.mark.parametrize("address", ["127.0.0.1", ADDRESS])
def test_prometheus_may_ask(scenario, address):
    metrics = scenario.poll(command(f"http://{address}:8405/metrics"))
    assert 'haproxy_server_status{proxy="rabbitmq",server="node",state="UP"} 1' in metrics
    assert scenario.host.run(command(f"http://{address}:8405/stats")).stdout.startswith("404")


def test_a_new_configuration_is_reloaded_and_connections_stay(scenario):
    before = scenario.host.check_output("systemctl show --value --property MainPID haproxy")
    scenario.host.check_output(
        f"systemd-run --quiet --unit held sh -c '(echo {LOGIN}; sleep 20; echo PING; sleep 1) | redis-cli -p 7379 > /tmp/held 2>&1'"
    )
    scenario.poll("cat /tmp/held", "OK")
    run = converge(scenario, haproxy_check_fall=2, haproxy_metrics_address="127.0.0.1")
    assert run.changed == ["haproxy : Write the configuration", "haproxy : Start HAProxy and enable it at boot"]
    assert scenario.host.check_output("systemctl show --value --property MainPID haproxy") == before
    scenario.poll("cat /tmp/held", "PONG", 30)
    assert not answers(scenario, f"http://{ADDRESS}:8405/metrics")
    assert converge(scenario, haproxy_check_fall=2, haproxy_metrics_address="127.0.0.1").changed == []
    converge(scenario)


def test_what_haproxy_does_not_accept_is_refused_and_nothing_changes(scenario, files):
    before = scenario.host.check_output("sha256sum /etc/haproxy/haproxy.cfg")
    own = files / "haproxy.cfg"
    own.write_text("listen mine\n  bind 127.0.0.1:7999\n  balanse first\n")
    for options in (["--check"], []):
        run = converge(scenario, *options, fails=True, haproxy_config_file=str(own))
        assert "HAProxy refuses this configuration, and the one that was in force still is: parsing [haproxy.cfg:" in run.output
        assert "unknown keyword 'balanse' in 'listen' section" in run.output
        assert "a-password" not in run.output
        assert run.changed == []
    own.write_text("listen mine\n  bind 127.0.0.1:7999\n  server one 127.0.0.1:6379\n")
    converge(scenario, haproxy_config_file=str(own))
    assert "OK" in scenario.host.check_output(f"(echo {LOGIN}; echo PING) | redis-cli -p 7999")
    converge(scenario)
    assert scenario.host.check_output("sha256sum /etc/haproxy/haproxy.cfg") == before


def test_one_that_cannot_be_in_force_is_taken_back(scenario):
    before = scenario.host.check_output("sha256sum /etc/haproxy/haproxy.cfg")
    taken = [{"name": "taken", "port": 5672, "servers": [{"name": "one", "address": "127.0.0.1:6379"}]}]
    run = converge(scenario, fails=True, haproxy_listeners=taken)
    assert "HAProxy does not run with this configuration, and the one of before is in force" in run.output
    assert "127.0.0.1:5672" in run.output
    assert scenario.host.check_output("sha256sum /etc/haproxy/haproxy.cfg") == before
    assert reaches(scenario, 7379) == "6379"
    assert converge(scenario).changed == []


def test_it_comes_back_when_it_is_killed(scenario):
    scenario.host.check_output("kill -9 $(systemctl show --value --property MainPID haproxy)")
    assert reaches(scenario, 7379) == "6379"


def test_what_cannot_work_is_refused_all_at_once(scenario):
    run = converge(
        scenario,
        "--check",
        fails=True,
        haproxy_listeners=[
            {"name": "a b", "port": 80, "servers": [{"name": "one", "address": "broker-1"}]},
            {"name": "metrics", "port": 5672, "address": "127.0.0.1/8", "check_password": "a $ecret", "servers": []},
        ],
        haproxy_check_interval="2",
        haproxy_check_fall=0,
        haproxy_config_file="haproxy.cfg",
    )
    for said in (
        "haproxy_listeners: write names of letters, digits, _ . : and -",
        "haproxy_listeners: write a name once, and not metrics, which is the role's own",
        "haproxy_listeners: write at least one server for each",
        "haproxy_listeners, haproxy_metrics_port: write ports from 1024 to 65535; HAProxy has no privileges here",
        "haproxy_listeners, haproxy_metrics_address: write one address without a port, such as 127.0.0.1, not 127.0.0.1/8",
        "haproxy_listeners: write the address of a server as host:port, not broker-1",
        "haproxy_listeners: check_user and check_password may have letters",
        "haproxy_check_interval, haproxy_connect_timeout, haproxy_idle_timeout: write durations such as 500ms, 2s or 3h, not 2",
        "haproxy_check_fall, haproxy_check_rise, haproxy_max_connections: write 1 or more",
        "haproxy_config_file: write an absolute path",
    ):
        assert said in run.output
    assert "a $ecret" not in run.output
