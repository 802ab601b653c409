"""redis on two hosts without sentinels: one is the replica of the other."""

import shlex

import pytest
from several import several_hosts

PASSWORD = "a $ecret # word"
PAIR = {
    "redis_bind": "* -::*",
    "redis_users": [{"name": "celery", "password": PASSWORD}],
    "redis_replication_user": {"name": "replica", "password": 'a "first" one'},
}
PAIR_PLAYS = [{"hosts": "all", "roles": ["redis"], "vars": PAIR}]
FOLLOWS = "{{{{ {{}} if inventory_hostname == '{0}' else {{'host': '{0}'}} }}}}"


@pytest.fixture(scope="module")
def pair(root, ansible_environment, tmp_path_factory):
    """Two hosts without sentinels: `two` is a replica of `one`."""
    with several_hosts(root, ansible_environment, tmp_path_factory.mktemp("pair"), "redis-pair", ["one", "two"], ["redis"]) as hosts:
        hosts.converge(PAIR_PLAYS, redis_replica_of=FOLLOWS.format("one"))
        yield hosts


def ask(words, user="celery", password=PASSWORD):
    return f"redis-cli --user {user} --pass {shlex.quote(password)} --no-auth-warning {words}"


def ask_as_root(words):
    return f"REDISCLI_AUTH=$(cat /etc/redis/users.key) redis-cli --user ansible --no-auth-warning {words}"


def processes(hosts):
    return [hosts[name].check_output("systemctl show --value --property MainPID redis-server") for name in hosts.names]


def test_a_replica_has_what_its_primary_takes(pair):
    assert pair["one"].check_output(ask("RPUSH queue first")) == "1"
    pair.poll("two", ask("LRANGE queue 0 -1"), "first")
    assert "READONLY" in pair["two"].check_output(ask("RPUSH queue other"))
    assert "NOPERM" in pair["one"].check_output(ask("LRANGE queue 0 -1", "replica", 'a "first" one'))
    assert "replica on #" in pair["two"].check_output(ask_as_root("ACL LIST")), "the replica could not become the primary"
    settings = pair["one"].file("/etc/redis/replication.conf")
    assert (settings.user, settings.group, settings.mode) == ("root", "redis", 0o640)


def test_whose_replica_a_host_is_changes_while_it_runs(pair):
    before = processes(pair)
    run = pair.converge(PAIR_PLAYS, redis_replica_of=FOLLOWS.format("two"))
    assert run.changed == [
        "redis : Write what each start has to know",
        "redis : Put changed settings of replication in force, and wait until a replica has its data",
    ]
    assert pair.converge(PAIR_PLAYS, redis_replica_of=FOLLOWS.format("two")).changed == []
    assert processes(pair) == before
    assert pair["two"].check_output(ask("RPUSH queue second")) == "2"
    pair.poll("one", ask("LRANGE queue 0 -1"), "second")
    pair["one"].check_output("kill -9 $(systemctl show --value --property MainPID redis-server)")
    pair.poll("one", ask_as_root("INFO replication"), "master_host:two")


def test_settings_of_replication_change_while_it_runs(pair):
    before = processes(pair)
    user = {"name": "replica", "password": "second"}
    pair.converge(PAIR_PLAYS, redis_replica_of=FOLLOWS.format("two"), redis_replication_user=user, redis_min_replicas_to_write=2)
    assert processes(pair) == before
    assert "NOREPLICAS" in pair["two"].check_output(ask("RPUSH queue third"))
    pair.converge(PAIR_PLAYS, redis_replica_of=FOLLOWS.format("two"), redis_replication_user=user)
    assert pair["two"].check_output(ask("RPUSH queue third")) == "3"
    pair.poll("one", ask("LRANGE queue 0 -1"), "third")
    assert "WRONGPASS" in pair["two"].run(ask("PING", "replica", 'a "first" one')).stderr


def test_without_replication_a_host_is_what_it_was_without(pair):
    pair.converge(PAIR_PLAYS, redis_replication_user={})
    for name in pair.names:
        assert "config_file:/etc/redis/redis.conf" in pair[name].check_output(ask("INFO server"))
        assert "role:master" in pair[name].check_output(ask("INFO replication"))
        assert pair[name].check_output(ask("LLEN queue")) == "3"
        assert pair[name].run("ls -d /etc/redis/replication* /var/lib/redis/redis.conf /usr/local/lib/redis-replication").stdout == ""
        assert "replica" not in pair[name].check_output("cat /etc/redis/*.conf")
