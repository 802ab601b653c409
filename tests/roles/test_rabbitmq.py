"""rabbitmq on an unbaked host of 512 MB."""

import json
import shlex

ROLE = "rabbitmq"
PASSWORD = "a $ecret # word"


def authenticate(scenario, user, password):
    # Debian's rabbitmqctl hands its arguments through a shell, which changes a password such as this one.
    answer = erlang(scenario, f'rabbit_access_control:check_user_pass_login(<<"{user}">>, <<"{password}">>).')
    return answer.startswith("{ok, {ok,")


def erlang(scenario, expression):
    return scenario.host.check_output(f"echo {shlex.quote(expression)} | HOME=/var/lib/rabbitmq erl_call -sname rabbit@localhost -e")


def listed(scenario, what, *columns):
    output = scenario.host.check_output(f"rabbitmqctl --quiet --formatter json {what} {' '.join(columns)}")
    return json.loads(output)


def test_it_runs_and_starts_at_boot(scenario):
    service = scenario.host.service("rabbitmq-server")
    assert service.is_running
    assert service.is_enabled


def test_users_are_exactly_those_that_are_written_down(scenario):
    assert {user["user"] for user in listed(scenario, "list_users")} == {"celery", "auditor"}
    assert authenticate(scenario, "celery", PASSWORD)
    assert authenticate(scenario, "auditor", "sees everything")
    assert not authenticate(scenario, "guest", "guest")


def test_no_password_is_on_the_disk_in_clear(scenario):
    for password in (PASSWORD, "sees everything"):
        assert scenario.host.run("grep --recursive --fixed-strings %s /etc /var/lib/rabbitmq /var/log", password).stdout == ""
    assert scenario.host.file("/etc/rabbitmq/definitions.json").mode == 0o640


def test_definitions_are_merged_with_the_variables(scenario):
    assert {vhost["name"] for vhost in listed(scenario, "list_vhosts")} == {"/", "reports"}
    assert [queue["name"] for queue in listed(scenario, "list_queues")] == ["dead"]
    assert [policy["name"] for policy in listed(scenario, "list_policies")] == ["short"]
    assert [one["read"] for one in listed(scenario, "list_permissions", "--vhost reports")] == [".*"]


def test_policies_are_merged_and_exact_from_the_first_one_on(scenario):
    mine = [
        {"name": "long", "pattern": "^long", "definition": {"message-ttl": 60000}},
        {"name": "short", "pattern": "x", "definition": {"expires": 1}},
    ]
    scenario.converge(rabbitmq_policies=mine)
    listing = {(one["name"], one["pattern"], one["apply-to"]) for one in listed(scenario, "list_policies")}
    assert listing == {("long", "^long", "all"), ("short", "^short", "queues")}
    run = scenario.converge(rabbitmq_policies=[{"name": "wrong", "pattern": "x", "definition": {"time-to-live": 1}}], fails=True)
    assert "RabbitMQ refuses this" in run.output
    assert "time-to-live" in run.output
    scenario.converge()
    assert [policy["name"] for policy in listed(scenario, "list_policies")] == ["short"]


def test_your_own_configuration_wins(scenario):
    assert "{ok, 17}" in erlang(scenario, "element(2, application:get_env(rabbit, heartbeat)).")


def test_only_the_listener_is_reachable_from_elsewhere(scenario):
    assert scenario.host.socket("tcp://0.0.0.0:5672").is_listening
    addresses = {line.split()[3] for line in scenario.host.check_output("ss --listening --tcp --numeric --no-header").splitlines()}
    assert {address for address in addresses if not address.startswith("127.0.0.1:")} == {"0.0.0.0:5672"}


def test_the_memory_limit_is_that_of_the_container(scenario):
    assert "{ok, 536870912}" in erlang(scenario, "vm_memory_monitor:get_total_memory().")


def test_the_secret_is_the_nodes_own(scenario):
    file = scenario.host.file("/var/lib/rabbitmq/.erlang.cookie")
    assert (file.user, file.mode, file.size) == ("rabbitmq", 0o400, 40)


def test_a_user_from_elsewhere_is_deleted_and_lost_permissions_return(scenario):
    scenario.host.check_output("rabbitmqctl --quiet add_user intruder intruder")
    scenario.host.check_output("rabbitmqctl --quiet clear_permissions celery")
    assert scenario.converge().changed == ["rabbitmq : Import the definitions and delete users and permissions that are not in them"]
    assert {user["user"] for user in listed(scenario, "list_users")} == {"celery", "auditor"}
    assert {one["user"] for one in listed(scenario, "list_permissions")} == {"celery"}


def test_a_new_password_needs_no_restart(scenario):
    before = scenario.host.check_output("systemctl show --value --property MainPID rabbitmq-server")
    scenario.converge(rabbitmq_users=[{"name": "celery", "password": "new", "permissions": {}}])
    assert authenticate(scenario, "celery", "new")
    assert listed(scenario, "list_permissions") == []
    assert scenario.host.check_output("systemctl show --value --property MainPID rabbitmq-server") == before


def test_definitions_that_are_no_json_are_refused(scenario):
    (scenario.files / "definitions.json").write_text('{"users": [}')
    run = scenario.converge("--check", fails=True)
    assert "Read rabbitmq_definitions_file" in run.output
    assert "line 1 column 12" in run.output


def test_a_line_that_rabbitmq_refuses_is_named(scenario):
    (scenario.files / "definitions.json").unlink(missing_ok=True)
    (scenario.files / "rabbitmq.conf").write_text("listeners.tcp.2 = nonsense\n")
    run = scenario.converge(fails=True)
    assert "RabbitMQ does not start with this configuration: Error preparing configuration" in run.output
    assert "listeners.tcp.2" in run.output
    assert "cannot be converted to a(n) integer" in run.output


TLS = """heartbeat = 17
listeners.tcp = none
listeners.ssl.default = 5671
ssl_options.cacertfile = /etc/rabbitmq/broker.crt
ssl_options.certfile = /etc/rabbitmq/broker.crt
ssl_options.keyfile = /etc/rabbitmq/broker.key
ssl_options.versions.1 = tlsv1.2
"""


def test_tls_replaces_the_plain_port(scenario):
    scenario.host.check_output(
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout /etc/rabbitmq/broker.key -out /etc/rabbitmq/broker.crt -days 2 "
        "-subj /CN=localhost 2>/dev/null && chown rabbitmq /etc/rabbitmq/broker.key"
    )
    (scenario.files / "rabbitmq.conf").write_text(TLS)
    scenario.converge()
    ports = {line.split()[3].rsplit(":", 1)[1] for line in scenario.host.check_output("ss -Hltn").splitlines()}
    assert "5671" in ports
    assert "5672" not in ports
    answer = scenario.host.check_output("echo | openssl s_client -connect 127.0.0.1:5671 -CAfile /etc/rabbitmq/broker.crt 2>&1")
    assert "Verify return code: 0 (ok)" in answer


def test_a_user_without_a_password_takes_the_one_of_the_variables(scenario):
    (scenario.files / "definitions.json").write_text(json.dumps({"users": [{"name": "celery", "tags": ["monitoring"]}]}))
    scenario.converge()
    assert authenticate(scenario, "celery", PASSWORD)
    assert {user["user"]: user["tags"] for user in listed(scenario, "list_users")}["celery"] == ["monitoring"]
