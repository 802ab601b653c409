"""postgresql on two hosts: a primary and its standby, of which the primary dies, comes back, and is made anew."""

import json
import shlex

import pytest
from several import several_hosts

NAMES = ["pg-1", "pg-2"]
SECRET = "replica: se\\cret"
CELERY = "celery-password"
SECRETS = [SECRET, CELERY, "monitor-password"]
DATA = "/var/lib/postgresql/15/main"
ALL = {  # README.md of the role has the same; `primary` is the inventory's word for who it is
    "postgresql_listen_addresses": "*",
    "postgresql_shared_buffers": "32MB",
    "postgresql_users": [{"name": "celery", "password": CELERY}],
    "postgresql_databases": [{"name": "results", "owner": "celery"}],
    "postgresql_hba": ["host results celery samenet scram-sha-256", "host postgres monitor samenet scram-sha-256"],
    "postgresql_monitoring_user": {"name": "monitor", "password": "monitor-password"},
    "postgresql_replication_user": {"name": "replica", "password": SECRET},
    "postgresql_replication_addresses": ["samenet"],
    "postgresql_standby_slots": ["{{ 'pg_2' if inventory_hostname == 'pg-1' else 'pg_1' }}"],
    "postgresql_standby_of": "{{ {} if inventory_hostname == primary else {'host': primary, 'slot': inventory_hostname | replace('-', '_')} }}",
    "postgresql_standby_wait_seconds": 20,
}
PLAYS = [{"hosts": "all", "roles": ["postgresql"], "vars": ALL}]
PROMOTE = "runuser -u postgres -- psql -c 'SELECT pg_promote()'"
LAG = "SELECT application_name, state, sync_state, pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn), replay_lag FROM pg_stat_replication"
AGE = "SELECT status, now() - pg_last_xact_replay_timestamp() FROM pg_stat_wal_receiver"
RECOVERS = "SELECT pg_is_in_recovery()"
# Notes what every process was started with, for as long as the host runs.
WATCH = (
    'systemd-run --quiet sh -c \'while :; do cat /proc/[0-9]*/cmdline 2>/dev/null | tr "\\0" " "; echo; sleep 0.02; done > /var/log/seen\''
)


def psql(statement, host="127.0.0.1", user="celery", password=CELERY, database="results"):
    """A command that asks a server as a client does."""
    arguments = f"--host={host} --username={user} --dbname={database} --tuples-only --no-align --command={shlex.quote(statement)}"
    return f"PGCONNECT_TIMEOUT=5 PGPASSWORD={shlex.quote(password)} psql --no-psqlrc --no-password {arguments}"


def admin(statement):
    return f"cd / && runuser -u postgres -- psql --no-psqlrc --tuples-only --no-align --command={shlex.quote(statement)}"


def say(host, command):
    result = host.run(command)
    return (result.stdout + result.stderr).strip()


def rows(hosts, name):
    return hosts[name].check_output(admin("SELECT value FROM kept ORDER BY value").replace("psql ", "psql --dbname=results ")).split()


@pytest.fixture(scope="module")
def hosts(root, ansible_environment, tmp_path_factory):
    folder = tmp_path_factory.mktemp("several")
    with several_hosts(root, ansible_environment, folder, "pgstandby", NAMES, ["postgresql"]) as found:
        found.said = ""
        dry = found.converge(PLAYS, "--check", primary="pg-1")
        found.said += dry.output + found.converge(PLAYS, primary="pg-1").output
        yield found


def converge(hosts, *options, **variables):
    run = hosts.converge(PLAYS, *options, **variables)
    hosts.said += run.output
    return run


def test_a_row_of_the_primary_is_on_the_standby_which_takes_none_itself(hosts):
    hosts["pg-1"].check_output(psql("CREATE TABLE kept (value int); INSERT INTO kept VALUES (1)"))
    hosts.poll("pg-2", psql("SELECT value FROM kept"), "1")
    assert "read-only transaction" in say(hosts["pg-2"], psql("INSERT INTO kept VALUES (2)"))
    assert hosts["pg-2"].check_output(admin(RECOVERS)) == "t"
    assert hosts["pg-2"].check_output(admin("SHOW data_checksums")) == "on"


def test_a_second_run_changes_nothing_and_a_dry_one_neither(hosts):
    assert converge(hosts, primary="pg-1").changed == []
    assert converge(hosts, "--check", primary="pg-1").changed == []


def test_the_standby_has_its_slot_and_rights_to_replicate_alone(hosts):
    assert hosts["pg-1"].check_output(admin("SELECT slot_name, slot_type, active FROM pg_replication_slots")) == "pg_2|physical|t"
    may = "SELECT rolreplication, rolsuper, rolcreatedb, rolcreaterole, rolbypassrls FROM pg_roles WHERE rolname = 'replica'"
    assert hosts["pg-1"].check_output(admin(may)) == "t|f|f|f|f"
    right = {"host": "pg-1", "user": "replica", "password": SECRET}
    assert "no pg_hba.conf entry" in say(hosts["pg-2"], psql("SELECT 1", **right))
    assert "pg_2" not in say(hosts["pg-2"], psql("IDENTIFY_SYSTEM", **{**right, "password": "wrong", "database": "replication=true"}))
    passwords = hosts["pg-2"].file("/etc/postgresql/15/main/replication.pgpass")
    assert (passwords.mode, passwords.user) == (0o600, "postgres")
    assert not hosts["pg-1"].file("/etc/postgresql/15/main/replication.pgpass").exists


def test_the_monitor_reads_how_far_the_standby_is_behind_and_no_data(hosts):
    monitor = {"user": "monitor", "password": "monitor-password", "database": "postgres"}
    assert say(hosts["pg-2"], psql(LAG, host="pg-1", **monitor)).startswith("pg_2|streaming|async|")
    assert say(hosts["pg-1"], psql(AGE, host="pg-2", **monitor)).startswith("streaming|")
    assert "permission denied" in say(hosts["pg-1"], psql("SELECT * FROM pg_authid", host="pg-2", **monitor))
    without = say(hosts["pg-1"], psql("SELECT status FROM pg_stat_wal_receiver", host="pg-2"))
    assert without == ""  # who is not a monitor reads nothing there


def test_a_synchronous_standby_is_a_matter_of_a_reload(hosts):
    pid = hosts["pg-1"].check_output("head -1 /var/lib/postgresql/15/main/postmaster.pid")
    converge(hosts, "--limit", "pg-1", primary="pg-1", postgresql_synchronous_standby_names="FIRST 1 (pg_2)")
    hosts.poll("pg-1", admin("SELECT sync_state FROM pg_stat_replication"), "sync")
    assert hosts["pg-1"].check_output("head -1 /var/lib/postgresql/15/main/postmaster.pid") == pid
    hosts["pg-1"].check_output(psql("INSERT INTO kept VALUES (2)"))
    assert rows(hosts, "pg-2")[-1] == "2"


def test_when_the_primary_dies_a_promoted_standby_takes_writes_and_a_run_changes_nothing(hosts):
    hosts.kill("pg-1")
    said = converge(hosts, "--limit", "pg-2", primary="pg-1", postgresql_standby_wait_seconds=1)
    assert "waits for its primary, pg-1:5432, which does not answer" in said.output
    assert said.changed == []
    assert "read-only transaction" in say(hosts["pg-2"], psql("INSERT INTO kept VALUES (3)"))
    hosts["pg-2"].check_output(PROMOTE)
    hosts["pg-2"].check_output(psql("INSERT INTO kept VALUES (3)"))
    run = converge(hosts, "--limit", "pg-2", primary="pg-1", postgresql_rebuild_standby=True)
    assert run.changed == []
    assert "it was promoted. Write postgresql_standby_of: {} for it. pg-1:5432, of which it was a standby, does not answer" in run.output
    assert hosts["pg-2"].check_output(admin(RECOVERS)) == "f"
    assert rows(hosts, "pg-2") == ["1", "2", "3"]


def test_two_primaries_are_said_and_neither_is_touched(hosts):
    hosts.start("pg-1")
    hosts.poll("pg-1", admin("SELECT 1"), "1")
    hosts["pg-1"].check_output(psql("SET synchronous_commit = local; INSERT INTO kept VALUES (100)"))
    run = converge(hosts, "--limit", "pg-2", primary="pg-1", postgresql_rebuild_standby=True, fails=True)
    assert "two primaries: this server was promoted (timeline 2), and pg-1:5432 is one still (timeline 1)" in run.output
    assert run.changed == []
    assert rows(hosts, "pg-2") == ["1", "2", "3"]
    assert rows(hosts, "pg-1") == ["1", "2", "100"]


def test_a_former_primary_is_refused_and_then_rebuilt(hosts):
    run = converge(hosts, primary="pg-2", fails=True)
    assert "this server has data of its own (timeline 1, pg-2:5432 is on timeline 2)" in run.output
    assert "write postgresql_rebuild_standby: true for one run" in run.output
    assert rows(hosts, "pg-1") == ["1", "2", "100"]
    run = converge(hosts, primary="pg-2", postgresql_rebuild_standby=True)
    assert "what was here is in /var/lib/postgresql/15/main.replaced-" in run.output
    assert hosts["pg-1"].check_output(admin(RECOVERS)) == "t"
    assert rows(hosts, "pg-1") == ["1", "2", "3"]
    hosts["pg-2"].check_output(psql("INSERT INTO kept VALUES (4)"))
    hosts.poll("pg-1", psql("SELECT value FROM kept"), "4")
    assert hosts["pg-1"].check_output(f"cat {DATA}.replaced-*/PG_VERSION") == "15"
    assert converge(hosts, primary="pg-2", postgresql_rebuild_standby=True).changed == []  # it follows


def test_a_standby_is_not_made_a_primary_by_a_variable(hosts):
    run = converge(hosts, primary="pg-1", fails=True)
    assert "this server is a standby: write postgresql_standby_of for it, or promote it first" in run.output
    assert "of which it was a standby, is a standby now" in run.output  # pg-2, which has its settings of a standby again and is none
    assert hosts["pg-2"].check_output(admin(RECOVERS)) == "f"
    assert hosts["pg-1"].check_output(admin("SELECT status FROM pg_stat_wal_receiver")) == "streaming"


def test_a_host_made_anew_joins_with_the_right_password_alone(hosts):
    hosts.create("pg-1")
    identifier = f"cd / && /usr/lib/postgresql/15/bin/pg_controldata {DATA} | grep 'system identifier'"
    assert hosts["pg-1"].check_output(identifier) != hosts["pg-2"].check_output(identifier)  # that of the image is nobody's
    hosts["pg-1"].check_output(WATCH)
    wrong = {"postgresql_replication_user": {"name": "replica", "password": "wrong"}, "postgresql_standby_wait_seconds": 1}
    run = converge(hosts, "--limit", "pg-1", primary="pg-2", fails=True, **wrong)
    assert "This host does not become a standby: no copy of the data of pg-2:5432: " in run.output
    assert 'password authentication failed for user \\"replica\\"' in run.output
    assert "postgres" not in say(hosts["pg-1"], "ps -C postgres -o comm=")
    converge(hosts, "--limit", "pg-1", primary="pg-2")
    assert rows(hosts, "pg-1") == ["1", "2", "3", "4"]
    assert hosts["pg-1"].check_output(identifier) == hosts["pg-2"].check_output(identifier)
    seen = hosts["pg-1"].check_output("cat /var/log/seen")
    assert "pg_basebackup" in seen
    assert not [secret for secret in SECRETS if secret in seen]


def test_a_standby_that_cannot_follow_says_why_and_is_rebuilt(hosts):
    hosts["pg-1"].check_output("systemctl stop postgresql@15-main")
    hosts.poll("pg-2", admin("SELECT count(*) FROM pg_replication_slots WHERE active"), "0")
    slot = ("SELECT pg_drop_replication_slot('pg_1')", "SELECT pg_create_physical_replication_slot('pg_1')")
    for statement in (slot[0], *("SELECT pg_switch_wal()", "CHECKPOINT") * 2, slot[1]):
        hosts["pg-2"].check_output(admin(statement))
    hosts["pg-1"].check_output("systemctl start postgresql@15-main")
    hosts.poll("pg-1", "journalctl --output cat --no-pager --unit postgresql@15-main", "has already been removed")
    run = converge(hosts, primary="pg-2", postgresql_standby_wait_seconds=1, fails=True)
    assert "This standby does not follow: no log from pg-2:5432: " in run.output
    assert "has already been removed" in run.output
    converge(hosts, primary="pg-2", postgresql_standby_wait_seconds=3, postgresql_rebuild_standby=True)
    assert rows(hosts, "pg-1") == ["1", "2", "3", "4"]
    assert hosts["pg-1"].check_output(admin("SELECT status FROM pg_stat_wal_receiver")) == "streaming"


def test_no_secret_is_said(hosts):
    said = hosts.said
    for name in NAMES:
        said += hosts[name].check_output("journalctl --no-pager --output cat; cat /proc/*/cmdline | tr '\\0' ' '")
    assert "postgres" in said
    assert not [secret for secret in [*SECRETS, json.dumps(SECRET)[1:-1]] if secret in said]
