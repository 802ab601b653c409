"""Three hosts of one image as a cluster, and a fourth, `branch`, that fetches messages from it; clients are on `branch`, which has no part in it."""

import json
import re
import shlex
import subprocess
import time
from itertools import pairwise
from pathlib import Path

import amqp
import pytest
import vine
import yaml
from several import several_hosts

BROKERS = ["broker-1", "broker-2", "broker-3"]
NODES = {name: f"rabbit@{name}" for name in BROKERS} | {"branch": "rabbit@localhost"}
PASSWORD, SECRET, ALL = "a-secret-word", "the.up-stream_5ecret", {"/": {"configure": ".*", "write": ".*", "read": ".*"}}
CELERY = {"name": "celery", "password": PASSWORD, "permissions": ALL}
COMMON = {"rabbitmq_listener_address": "0.0.0.0", "rabbitmq_schedulers": 2, "rabbitmq_users": [CELERY]}  # noqa: S104 - there is no outside
CLUSTER = {
    **COMMON,
    "rabbitmq_cluster_nodes": [NODES[name] for name in BROKERS],
    "rabbitmq_nodename": "rabbit@{{ inventory_hostname }}",
    "rabbitmq_distribution_address": COMMON["rabbitmq_listener_address"],
    "rabbitmq_erlang_cookie": "abcdefghijklmnopqrstuvwxyz",
    "rabbitmq_default_queue_type": "quorum",
    "rabbitmq_users": [CELERY, {"name": "federation", "password": SECRET, "permissions": ALL}, {"name": "auditor", "password": "looks on"}],
    "rabbitmq_policies": [{"name": "short", "pattern": "^short$", "apply_to": "queues", "definition": {"message-ttl": 1000}}],
}
BRANCH = {
    **COMMON,
    "rabbitmq_policies": [{"name": "federated", "pattern": "^jobs$", "definition": {"federation-upstream-set": "all"}}],
    "rabbitmq_federation_upstreams": [
        {"name": "cluster", "uri": [f"amqp://federation:{SECRET}@{name}/%2f?heartbeat=4" for name in BROKERS], "reconnect_delay": 1}
    ],
}
PLAYS = [{"hosts": hosts, "roles": ["rabbitmq"], "vars": values} for hosts, values in (("broker-*", CLUSTER), ("branch", BRANCH))]
IMPORT = "rabbitmq : Import the definitions and delete users and permissions that are not in them"
UNIT = "rabbitmq-server.service"


@pytest.fixture(scope="module")
def hosts(root, ansible_environment, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rabbitmq-cluster")
    with several_hosts(root, ansible_environment, folder, "rabbitmq-cluster", [*BROKERS, "branch"], ["rabbitmq"]) as found:
        for path in (Path(amqp.__file__).parent, Path(vine.__file__).parent, root / "tests/roles/files/rabbitmq_client.py"):
            docker("cp", str(path), f"{found.container('branch')}:/opt/{path.name}")
        found.converge(PLAYS)
        yield found


def docker(*command):
    return subprocess.run(["docker", *command], capture_output=True, text=True, check=True).stdout


def call(host, expression):
    return f"echo {shlex.quote(expression)} | HOME=/var/lib/rabbitmq timeout 15 erl_call -sname {NODES[host]} -e"


def erlang(hosts, host, expression):
    return hosts[host].check_output(call(host, expression)).removeprefix("{ok, ").removesuffix("}")


def until_all_run(hosts, seconds=60):
    """Each node serves, and sees all."""
    for name in BROKERS:
        hosts.poll(name, call(name, "{rabbit:is_running(), length(rabbit_mnesia:cluster_nodes(running))}."), "{true, 3}", seconds)


def until_in_step(hosts, queue, seconds=60):
    """A quorum queue has a member on each node, and all of them know of everything that is confirmed."""
    status = f'Status = rabbit_quorum_queue:status(<<"/">>, <<"{queue}">>), {{length(Status), length(lists:usort(Indices(Status)))}}.'
    expression = f'Indices = fun(All) -> [proplists:get_value(<<"Commit Index">>, One) || One <- All] end, {status}'
    hosts.poll("broker-1", call("broker-1", expression), "{3, 1}", seconds)


def leader(hosts, queue):
    name = f'rabbit_misc:r(<<"/">>, queue, <<"{queue}">>)'
    return re.search(r"broker-\d", erlang(hosts, "broker-1", f"{{ok, Queue}} = rabbit_amqqueue:lookup({name}), amqqueue:get_pid(Queue)."))[
        0
    ]


def start(hosts, action, queue, count, addresses=BROKERS, pause=0.02):
    command = f"python3 /opt/rabbitmq_client.py {action} {','.join(addresses)} celery {PASSWORD} {queue} {count} {pause}"
    hosts["branch"].check_output(f"rm -f /tmp/{queue}.{action}; systemd-run --quiet --collect --unit={action}-{queue} {command}")


def told(hosts, action, queue, key, least, seconds=60):
    """What the client said when it had come so far."""
    deadline = time.monotonic() + seconds
    while True:
        said = json.loads(hosts["branch"].run(f"cat /tmp/{queue}.{action}").stdout or "{}")
        if said.get(key, 0) >= least:
            return said
        if time.monotonic() > deadline:
            journal = hosts["branch"].run(f"journalctl --no-pager --lines 20 --unit {action}-{queue}").stdout
            pytest.fail(f"{action} {queue}: no {key} of {least} within {seconds} s but {said}\n{journal}")
        time.sleep(0.2)


def all_arrive(hosts, queue, count, **options):
    start(hosts, "consume", queue, count, **options)
    assert told(hosts, "consume", queue, "done", True)["seen"] == count


def test_three_nodes_that_started_at_once_are_one_cluster(hosts):
    for name in BROKERS:
        running = re.findall(r"rabbit@[\w-]+", erlang(hosts, name, "rabbit_mnesia:cluster_nodes(running)."))
        assert sorted(running) == CLUSTER["rabbitmq_cluster_nodes"]
        expression = "{element(2, application:get_env(rabbit, cluster_partition_handling)), net_kernel:get_net_ticktime()}."
        assert erlang(hosts, name, expression) == "{pause_minority, 10}"
    assert erlang(hosts, "branch", "rabbit_mnesia:cluster_nodes(running).") == "[rabbit@localhost]"


def test_a_second_run_changes_nothing(hosts):
    assert hosts.converge(PLAYS).changed == []
    assert hosts.converge(PLAYS, "--check", "--limit", "broker-1").changed == []


def test_users_and_policies_are_exact_and_the_same_on_every_node(hosts):
    hosts["broker-1"].check_output(
        "rabbitmqctl --quiet set_policy by-hand '^x$' '{\"message-ttl\": 1}'; rabbitmqctl --quiet add_user intruder intruder"
    )
    assert erlang(hosts, "broker-3", "length(rabbit_policy:list()).") == "2"
    run = hosts.converge(PLAYS, "--limit", "broker-2", rabbitmq_policies=[])
    assert run.changed == ["rabbitmq : Write users, virtual hosts and what is to be in them", IMPORT]
    for name in BROKERS:
        assert erlang(hosts, name, "{rabbit_policy:list(), length(rabbit_auth_backend_internal:list_users())}.") == "{[], 3}"


def test_what_cannot_work_is_refused(hosts):
    wrong = {
        "rabbitmq_erlang_cookie": "",
        "rabbitmq_nodename": "rabbit@localhost",
        "rabbitmq_distribution_address": "127.0.0.1",
        "rabbitmq_federation_upstreams": [{"name": "cluster", "uri": f"amqp://federation:{SECRET}@@broker-1"}],
    }
    output = hosts.converge(PLAYS, "--check", "--limit", "broker-1", fails=True, **wrong).output
    assert SECRET not in output
    assert "rabbitmq_erlang_cookie: write the secret that all of rabbitmq_cluster_nodes share" in output
    assert (
        "rabbitmq_nodename: write the one of rabbitmq_cluster_nodes that this host is, such as rabbit@broker-1, not rabbit@localhost"
        in output
    )
    assert "rabbitmq_distribution_address: write 0.0.0.0 or an address of this host" in output
    assert "rabbitmq_federation_upstreams: write URIs such as amqp://user:password@host/vhost" in output


def test_a_federated_queue_is_drained_from_elsewhere_and_heals_unaided(hosts):
    start(hosts, "consume", "jobs", 300, addresses=["127.0.0.1"])
    docker("cp", f"{hosts.container('branch')}:/opt", str(hosts.folder / "opt"))
    docker("cp", str(hosts.folder / "opt"), f"{hosts.container('broker-1')}:/")
    hosts["broker-1"].check_output(
        f"systemd-run --quiet --collect --unit=publish-jobs python3 /opt/rabbitmq_client.py publish 127.0.0.1 celery {PASSWORD} jobs 300 0.03"
    )
    told(hosts, "consume", "jobs", "seen", 50)
    assert "running" in erlang(hosts, "branch", "rabbit_federation_status:status().")
    with hosts.cut("branch"):
        hosts.poll("broker-1", "cat /tmp/jobs.publish", '"confirmed": 300, "longest"', 60)
        assert told(hosts, "consume", "jobs", "seen", 50)["seen"] < 300
    assert told(hosts, "consume", "jobs", "done", True)["seen"] == 300


def test_the_upstreams_password_is_in_the_nodes_database_only(hosts):
    """Also not after a link was broken, about which the node had to say something."""
    found = (
        hosts["branch"].run(f"grep --recursive --files-with-matches --fixed-strings {SECRET} /etc /opt /root /run /tmp /var").stdout.split()
    )
    assert found
    assert [path for path in found if not path.startswith("/var/lib/rabbitmq/mnesia/")] == []
    assert hosts["branch"].check_output("find /var/lib/rabbitmq/mnesia -type f -perm /o+r") == ""
    assert "federation" in hosts["branch"].check_output("journalctl --no-pager --output=cat --unit rabbitmq-server")
    assert SECRET not in hosts["branch"].check_output("journalctl --no-pager --output=verbose --all")
    assert SECRET not in hosts["branch"].check_output("ps -eo args")


def test_an_upstream_that_is_taken_out_is_cleared_with_the_plugin(hosts):
    hosts.converge(PLAYS, "--limit", "branch", rabbitmq_federation_upstreams=[], rabbitmq_policies=[])
    assert erlang(hosts, "branch", "{rabbit_runtime_parameters:list(), rabbit_policy:list()}.") == "{[], []}"
    assert "rabbitmq_federation" not in erlang(hosts, "branch", "rabbit_plugins:active().")


def pids(hosts):
    return [hosts[name].check_output(f"systemctl show --value --property MainPID {UNIT}") for name in BROKERS]


def test_publishing_goes_on_when_the_leaders_host_dies_and_a_new_host_takes_its_place(hosts):
    start(hosts, "publish", "orders", 500)
    told(hosts, "publish", "orders", "confirmed", 50)
    victim = leader(hosts, "orders")
    hosts.kill(victim)
    said = told(hosts, "publish", "orders", "done", True)
    assert said["confirmed"] == 500
    assert said["longest"] <= 15  # the requirement
    hosts.create(victim)
    output = hosts.converge(PLAYS, "--limit", "broker-*").output
    assert re.findall(r"(rabbit@\S+) is new on this host: the cluster forgot the one that it knew by this name", output) == [NODES[victim]]
    until_all_run(hosts)
    until_in_step(hosts, "orders")
    all_arrive(hosts, "orders", 500, addresses=[victim])


def test_a_node_that_is_cut_off_pauses_and_comes_back_and_no_other_one_is_restarted_meanwhile(hosts):
    start(hosts, "publish", "cut", 0, addresses=["broker-1", "broker-3"])
    told(hosts, "publish", "cut", "confirmed", 50)
    before = pids(hosts)
    with hosts.cut("broker-2"):
        hosts.poll("broker-2", "! ss -Hltn | grep :5672", seconds=40)
        changed = {"rabbitmq_disk_free_limit": "200MB", "rabbitmq_cluster_wait_seconds": 2}
        run = hosts.converge(PLAYS, "--limit", "broker-1", fails=True, **changed)
        assert (
            "rabbit@broker-1 goes on as it is, because the others cannot do without it: too few other nodes of its cluster run"
            in run.output
        )
        confirmed = told(hosts, "publish", "cut", "confirmed", 1)["confirmed"]
        count = told(hosts, "publish", "cut", "confirmed", confirmed + 50)["confirmed"] + 100
    hosts["branch"].check_output(f"echo {count} > /tmp/cut.count")
    until_all_run(hosts)
    until_in_step(hosts, "cut")
    assert pids(hosts) == before
    assert told(hosts, "publish", "cut", "done", True)["confirmed"] == count
    all_arrive(hosts, "cut", count, addresses=["broker-2"])


def test_a_rolling_restart_loses_nothing(hosts, root):
    """The play of the README, under load. The first node waits for its restart since the test before."""
    readme = (root / "roles/rabbitmq/README.md").read_text(encoding="utf-8")
    (play,) = yaml.safe_load(re.search(r"```yaml\n(- hosts: brokers\n  become: true\n  serial: 1\n.*?)```", readme, re.DOTALL)[1])
    rolling = {**play, "hosts": "broker-*", "roles": ["rabbitmq"], "vars": {**CLUSTER, "rabbitmq_disk_free_limit": "200MB"}}
    del rolling["become"]
    before = pids(hosts)
    start(hosts, "publish", "rolling", 0)
    start(hosts, "consume", "rolling", 0)
    told(hosts, "consume", "rolling", "seen", 20)
    hosts.converge([rolling])
    count = told(hosts, "publish", "rolling", "confirmed", 100)["confirmed"] + 100
    hosts["branch"].check_output(f"echo {count} > /tmp/rolling.count")
    assert not set(pids(hosts)) & set(before)
    for name in BROKERS:
        assert erlang(hosts, name, "rabbit_disk_monitor:get_disk_free_limit().") == "200000000"
    shown = f"systemctl show --property=ActiveExitTimestampMonotonic --property=ActiveEnterTimestampMonotonic {UNIT}"
    down = sorted(sorted(map(int, re.findall(r"\d+", hosts[name].check_output(shown)))) for name in BROKERS)
    assert all(back < gone for (_, back), (gone, _) in pairwise(down)), down
    said = told(hosts, "publish", "rolling", "done", True)
    assert said["confirmed"] == count
    assert said["longest"] <= 15
    assert told(hosts, "consume", "rolling", "done", True)["seen"] == count


def test_a_node_that_starts_alone_says_whom_it_waits_for_and_all_come_back(hosts):
    start(hosts, "publish", "last", 100, pause=0)
    assert told(hosts, "publish", "last", "done", True)["confirmed"] == 100
    for name in BROKERS:  # a node that is killed before this is written, half a second after the declaration, forgets that it has the queue
        hosts.poll(name, "grep --quiet _last /var/lib/rabbitmq/mnesia/*/quorum/*/names.dets")
    hosts.kill("broker-3")
    hosts.poll("broker-1", call("broker-1", "length(rabbit_mnesia:cluster_nodes(running))."), "2", 40)
    erlang(hosts, "broker-1", 'rabbit_auth_backend_internal:delete_user(<<"auditor">>, <<"test">>).')
    hosts.kill("broker-1")
    hosts.kill("broker-2")
    hosts.start("broker-2", wait=False)
    run = hosts.converge(PLAYS, "--limit", "broker-2", fails=True, rabbitmq_cluster_wait_seconds=5, rabbitmq_disk_free_limit="200MB")
    assert "rabbit@broker-2 does not serve after 5 s and goes on trying" in run.output
    assert "these do not run: rabbit@broker-1, rabbit@broker-3" in run.output
    hosts.start("broker-1", "broker-3", wait=False)
    until_all_run(hosts, 90)
    until_in_step(hosts, "last")
    # One node was down when the user was taken out, and did not bring it back.
    assert erlang(hosts, "broker-3", "length(rabbit_auth_backend_internal:list_users()).") == "2"
    all_arrive(hosts, "last", 100)


def test_a_node_that_left_the_list_is_forgotten_once_it_does_not_run(hosts, root):
    script = shlex.quote((root / "roles/rabbitmq/files/cluster.py").read_text(encoding="utf-8"))
    left = f"python3 -c {script} left rabbit@broker-1 60 rabbit@broker-2"
    assert "rabbit@broker-3 runs: stop it, and the next run lets it go" in hosts["broker-1"].check_output(left)
    hosts["broker-3"].check_output(f"systemctl stop {UNIT}")
    assert "rabbit@broker-3 is forgotten" in hosts["broker-1"].check_output(left)
    assert hosts["broker-1"].check_output(left) == ""
    assert erlang(hosts, "broker-2", "length(rabbit_mnesia:cluster_nodes(all)).") == "2"
