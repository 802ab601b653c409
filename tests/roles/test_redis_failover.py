"""Redis and Sentinel on three hosts of which one is cut off, one loses power and one is made anew."""

import importlib.util
import shlex
import subprocess
from pathlib import Path

import pytest
from sentinels import CELERY, CLIENT, FRONT, LEARNT, NAMES, PLAYS, SECRETS, admin, cli, root, say
from several import several_hosts


@pytest.fixture(scope="module")
def hosts(root, ansible_environment, tmp_path_factory):
    folder = tmp_path_factory.mktemp("several")
    with several_hosts(root, ansible_environment, folder, "sentinel", NAMES, ["redis", "redis_sentinel", "haproxy"]) as found:
        found.said = found.converge([*PLAYS, *FRONT]).output
        for name in NAMES:
            install_client(found.container(name), folder)
            found.poll(name, admin("SENTINEL", "CKQUORUM", "main"), "OK 3 usable Sentinels")
            found.poll(name, admin("SENTINEL", "MASTER", "main"), "num-slaves\n2\n")
        yield found


def install_client(container, folder):
    """redis-py, as Celery uses it, without pip; its asynchronous half would want another library of Python 3.11.2."""
    library = folder / "library"
    library.mkdir(exist_ok=True)
    (library / "async_timeout.py").write_text("timeout = None\n")
    for path in (f"{library}/.", str(Path(importlib.util.find_spec("redis").origin).parent)):
        subprocess.run(["docker", "exec", container, "mkdir", "--parents", "/opt/library"], check=True)
        subprocess.run(["docker", "cp", path, f"{container}:/opt/library/"], check=True, capture_output=True)


def send(what, password=CELERY):
    return f"PYTHONPATH=/opt/library python3 -c {shlex.quote(CLIENT)} {','.join(NAMES)} {password} {what}"


def celery(*words, **options):
    return cli(6379, *words, user="celery", password="broker-password", **options)


def primary(hosts, asked, seconds=15, other_than=""):
    """Who is the primary for the Sentinel of `asked`, as soon as it is not `other_than`."""
    ask = admin("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main")
    return hosts.poll(asked, f"{ask} | grep --invert-match --line-regexp '{other_than or '-'}' | grep data", "data-", seconds).strip()


def tasks(hosts, name):
    """What a host has, asked as its root, for a replica as for a primary."""
    return hosts[name].check_output(root("LRANGE", "tasks", "0", "-1")).split()


def survivors(lost):
    return [name for name in NAMES if name != lost]


def test_replicas_get_what_the_primary_takes(hosts):
    assert hosts["data-3"].check_output(send("first")) == "data-1 1"
    for name in ("data-2", "data-3"):
        hosts.poll(name, root("LRANGE", "tasks", "0", "-1"), "first")
        assert "READONLY" in say(hosts[name], celery("RPUSH", "tasks", "x"))
        assert hosts[name].check_output(root("CONFIG", "GET", "masterauth")).split()[-1] == "replica-password"
    assert "ip=data-2," in hosts["data-1"].check_output(root("INFO", "replication"))


def test_the_rights_suffice_among_several(hosts):
    for name in NAMES:
        assert say(hosts[name], root("ACL", "LOG")) == ""
        assert say(hosts[name], admin("ACL", "LOG")) == ""


def test_a_wrong_password_opens_neither_redis_nor_sentinel(hosts):
    assert "AuthenticationError" in say(hosts["data-3"], send("x", password="wrong"))
    wrong = {"password": "wrong", "host": "data-1"}
    assert "WRONGPASS" in say(hosts["data-2"], cli(6379, "PING", user="replica", **wrong))
    assert "WRONGPASS" in say(hosts["data-2"], cli(26379, "PING", user="peer", **wrong))
    right = {"user": "replica", "password": "replica-password", "host": "data-1"}
    assert say(hosts["data-2"], cli(6379, "PING", **right)) == "PONG"
    assert "NOPERM" in say(hosts["data-2"], cli(6379, "LRANGE", "tasks", "0", "-1", **right))


def test_a_primary_that_is_cut_off_refuses_writes_and_comes_back_as_a_replica(hosts):
    assert primary(hosts, "data-2") == "data-1"
    assert hosts["data-1"].check_output(celery("RPUSH", "tasks", "before")) == "2"
    with hosts.cut("data-1"):
        hosts.poll("data-1", celery("RPUSH", "lost", "x"), "NOREPLICAS")
        assert "role:master" in hosts["data-1"].check_output(root("INFO", "replication"))
        new = primary(hosts, "data-2", 30, other_than="data-1")
        hosts.poll(new, send("meanwhile"), new, 30)
    hosts.poll("data-1", root("INFO", "replication"), f"master_host:{new}", 30)
    hosts.poll("data-1", root("INFO", "replication"), "master_link_status:up", 30)
    assert tasks(hosts, "data-1") == ["first", "before", "meanwhile"]


def test_a_run_after_a_failover_changes_nothing_and_demotes_nobody(hosts):
    before = primary(hosts, "data-2")
    assert before != "data-1", "the variables call that one the primary, so nobody could be demoted"
    learnt = {name: hosts[name].check_output(LEARNT) for name in NAMES}
    run = hosts.converge(PLAYS)
    hosts.said += run.output
    assert run.changed == []
    assert {name: hosts[name].check_output(LEARNT) for name in NAMES} == learnt
    assert primary(hosts, "data-2") == before
    assert "role:master" in hosts[before].check_output(root("INFO", "replication"))


def test_when_the_primarys_host_dies_writes_go_on(hosts):
    old = primary(hosts, "data-1")
    hosts.poll(old, root("INFO", "replication"), "connected_slaves:2")
    asked = survivors(old)[0]
    hosts.kill(old)
    new = primary(hosts, asked, 30, other_than=old)
    for name in survivors(old):
        hosts.poll(name, send(f"after-{name}"), new, 30)
        hosts.poll(name, cli(7379, "SET", "through", "haproxy", user="celery", password="broker-password"), "OK", 30)
    hosts.start(old)
    hosts.poll(old, root("INFO", "replication"), "role:slave", 30)
    hosts.poll(old, root("INFO", "replication"), "master_link_status:up", 30)
    said = hosts[old].check_output("journalctl --boot --output cat --no-pager --unit redis-server")
    assert f"starts as a replica of {new}:6379" in said  # and was no primary for a moment
    assert tasks(hosts, old) == tasks(hosts, new)


def test_a_primary_that_lost_its_data_does_not_take_them_from_its_replicas(hosts):
    old = primary(hosts, "data-1")
    had = tasks(hosts, old)
    assert had
    hosts[old].check_output(
        "systemctl stop redis-server; rm -rf /var/lib/redis/appendonlydir /var/lib/redis/dump.rdb; systemctl start redis-server"
    )
    hosts.poll(old, root("INFO", "replication"), "master_link_status:up", 30)
    assert tasks(hosts, old) == had
    assert primary(hosts, old) != old


def test_a_new_host_in_the_place_of_a_lost_one_is_a_replica_of_the_present_primary(hosts):
    asked, lost = "data-2", "data-1"  # which was the first primary, and is one for the variables still
    if primary(hosts, asked) == lost:
        hosts[asked].check_output(admin("SENTINEL", "FAILOVER", "main"))
    present = primary(hosts, asked, other_than=lost)
    hosts.poll(present, root("INFO", "replication"), "connected_slaves:2", 30)
    hosts.create(lost)
    wrong = {"redis_replication_user": {"name": "replica", "password": "wrong"}, "redis_replica_wait_seconds": 1}
    run = hosts.converge(PLAYS, "--limit", lost, fails=True, **wrong)
    assert f"Redis does not replicate: no data from {present}:6379: " in run.output
    assert "WRONGPASS" in run.output
    hosts.converge(PLAYS, "--limit", lost)
    hosts.poll(lost, root("INFO", "replication"), f"master_host:{present}")
    assert tasks(hosts, lost) == tasks(hosts, present)
    for name in NAMES:
        hosts.poll(name, admin("SENTINEL", "CKQUORUM", "main"), "OK 3 usable Sentinels", 30)
        assert primary(hosts, name) == present
        assert "num-other-sentinels\n2\n" in hosts[name].check_output(admin("SENTINEL", "MASTER", "main"))


def test_without_knowing_of_sentinels_the_role_does_not_undo_what_they_decided(hosts):
    present = primary(hosts, "data-2")
    assert present != "data-1"
    run = hosts.converge(PLAYS, "--limit", present, "--tags", "redis_configure,redis_run", fails=True, redis_sentinels={})
    assert "a Sentinel decides whose replica this Redis is" in run.output
    assert "role:master" in hosts[present].check_output(root("INFO", "replication"))


def test_no_secret_is_said(hosts):
    said = hosts.said
    for name in NAMES:
        said += hosts[name].check_output("journalctl --no-pager --output cat; cat /proc/*/cmdline | tr '\\0' ' '")
    assert "redis-sentinel" in said
    assert not [secret for secret in SECRETS if secret in said]
