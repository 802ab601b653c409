"""postgresql on an unbaked host."""

import json
import shlex

import pytest

ROLE = "postgresql"
PASSWORD = "a $ecret # word"
ADDRESS = "$(hostname --ip-address | cut -d' ' -f1)"
UNIT = "postgresql@15-main"


def query(scenario, statement, user="celery", password=PASSWORD, address="127.0.0.1", database="results"):
    """What a client with a password gets over TCP: the rows, or the server's words."""
    arguments = f"--host={address} --username={user} --dbname={database} --tuples-only --no-align --command={shlex.quote(statement)}"
    result = scenario.host.run(f"PGPASSWORD={shlex.quote(password)} psql --no-psqlrc --no-password {arguments}")
    return (result.stdout + result.stderr).strip()


def as_superuser(scenario, statement):
    script = f"runuser -u postgres -- psql --no-psqlrc --tuples-only --no-align --command={shlex.quote(statement)}"
    return scenario.host.check_output(script).strip()


def test_it_runs_and_starts_at_boot(scenario):
    assert scenario.host.service(UNIT).is_running
    assert scenario.host.service("postgresql").is_enabled
    assert scenario.host.process.filter(comm="postgres", user="postgres")


@pytest.mark.parametrize("address", ["127.0.0.1", ADDRESS])
def test_the_user_is_let_in_here_and_from_elsewhere(scenario, address):
    assert query(scenario, "SELECT 42", address=address) == "42"


@pytest.mark.parametrize("address", ["127.0.0.1", ADDRESS])
def test_nobody_else_is_let_in(scenario, address):
    assert "password authentication failed" in query(scenario, "SELECT 42", password="wrong", address=address)
    assert "no pg_hba.conf entry" in query(scenario, "SELECT 42", user="postgres", database="postgres", address=address)
    assert "no pg_hba.conf entry" in query(scenario, "SELECT 42", database="postgres", address=address)


def test_the_owner_may_make_tables_and_harm_nobody_else(scenario):
    assert query(scenario, "CREATE TABLE celery_taskmeta (id int)") == "CREATE TABLE"
    assert "must be superuser" in query(scenario, "ALTER SYSTEM SET fsync = off") or "permission denied" in query(
        scenario, "ALTER SYSTEM SET fsync = off"
    )
    assert "permission denied" in query(scenario, "CREATE DATABASE other")


def test_no_password_is_on_the_disk_or_in_the_log_in_clear(scenario):
    assert scenario.host.run("grep --recursive --fixed-strings %s /etc /var/lib/postgresql /var/log", PASSWORD).stdout == ""
    assert PASSWORD not in scenario.host.check_output("journalctl --no-pager --output=cat")
    assert as_superuser(scenario, "SELECT rolpassword FROM pg_authid WHERE rolname = 'celery'").startswith("SCRAM-SHA-256$4096:")
    assert scenario.host.file("/etc/postgresql/15/main/pg_hba.conf").mode == 0o640


def test_data_survive_a_crash(scenario):
    query(scenario, "CREATE TABLE kept AS SELECT 7 AS value")
    scenario.host.check_output(f"systemctl kill --signal=SIGKILL {UNIT}")
    scenario.host.check_output(f"systemctl reset-failed {UNIT}; systemctl restart {UNIT}")
    assert query(scenario, "SELECT value FROM kept") == "7"


def test_your_own_settings_win_and_the_defaults_are_safe(scenario):
    names = ["work_mem", "password_encryption", "data_checksums", "fsync", "server_encoding", "idle_in_transaction_session_timeout"]
    in_force = {name: as_superuser(scenario, f"SHOW {name}") for name in names}
    assert in_force == {
        "work_mem": "5MB",
        "password_encryption": "scram-sha-256",
        "data_checksums": "on",
        "fsync": "on",
        "server_encoding": "UTF8",
        "idle_in_transaction_session_timeout": "10min",
    }


def test_a_new_password_replaces_the_old_one(scenario):
    users = [{"name": "celery", "password": "another"}]
    assert "postgresql : Make users and databases exact" in scenario.converge("--check", postgresql_users=users).changed
    assert query(scenario, "SELECT 1") == "1"  # a dry run changes nothing
    assert scenario.converge(postgresql_users=users).changed == ["postgresql : Make users and databases exact"]
    assert query(scenario, "SELECT 1", password="another") == "1"
    assert "password authentication failed" in query(scenario, "SELECT 1")
    scenario.converge()
    assert query(scenario, "SELECT 1") == "1"


def test_a_user_that_is_taken_out_keeps_its_tables_and_stays_outside(scenario):
    guest = [{"name": "guest", "password": "welcome"}]
    scenario.converge(
        postgresql_users=[{"name": "celery", "password": PASSWORD}, *guest], postgresql_hba=["host all guest all scram-sha-256"]
    )
    assert query(scenario, "SELECT 1", user="guest", password="welcome", database="postgres") == "1"
    assert "permission denied" in query(scenario, "SELECT 1", user="guest", password="welcome")  # another one's database
    scenario.converge(postgresql_hba=["host all guest all scram-sha-256"])
    assert "not permitted to log in" in query(scenario, "SELECT 1", user="guest", password="welcome", database="postgres")


def test_new_rules_are_reloaded_without_cutting_connections(scenario):
    before = scenario.host.check_output(f"systemctl show --value --property MainPID {UNIT}")
    (scenario.files / "pg_hba.conf").write_text("host all all all reject\n")
    scenario.converge()
    assert "pg_hba.conf rejects connection" in query(scenario, "SELECT 1")
    assert scenario.host.check_output(f"systemctl show --value --property MainPID {UNIT}") == before


def test_a_rule_that_postgresql_cannot_read_is_named(scenario):
    (scenario.files / "pg_hba.conf").write_text("host results celery everywhere-please scram\n")
    run = scenario.converge(fails=True)
    assert 'invalid authentication method \\"scram\\"' in run.output
    (scenario.files / "pg_hba.conf").write_text("host results celery all scram-sha-256\n")
    scenario.converge()
    assert query(scenario, "SELECT 1") == "1"


def test_a_setting_that_postgresql_refuses_is_named(scenario):
    (scenario.files / "postgresql.conf").write_text("work_memory = 5MB\n")
    run = scenario.converge(fails=True)
    assert "PostgreSQL does not start with this configuration" in run.output
    assert "work_memory" in run.output
    (scenario.files / "postgresql.conf").unlink()
    scenario.converge()
    assert query(scenario, "SELECT 1") == "1"


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"postgresql_users": [{"name": "Robert'); --", "password": "x"}]}, "write names of small letters, digits and _"),
        ({"postgresql_databases": [{"name": "lost", "owner": "nobody"}]}, "nobody is none of postgresql_users"),
        ({"postgresql_hba_file": "pg_hba.conf"}, "write an absolute path"),
    ],
)
def test_what_cannot_work_is_refused(scenario, variables, said):
    assert said in scenario.converge("--check", fails=True, **variables).output


def test_the_verifier_is_what_postgresql_itself_makes(scenario):
    """Were it not, the login above would fail; this says why."""
    statement = "SELECT rolpassword FROM pg_authid WHERE rolname = 'celery'"
    stored = json.dumps(as_superuser(scenario, statement))
    assert stored.count("$") == 2
    assert stored.count(":") == 2


def test_replication_that_cannot_work_is_refused_all_at_once(scenario):
    run = scenario.converge(
        "--check",
        fails=True,
        postgresql_replication_user={"name": "celery", "password": "secret\nlines"},
        postgresql_monitoring_user={"name": "monitor"},
        postgresql_standby_of={"port": 5432, "slot": "data-2"},
        postgresql_replication_addresses=["10.0.0.0/24 trust"],
        postgresql_slot_wal_limit="much",
        postgresql_synchronous_standby_names="'data'",
        postgresql_standby_wait_seconds=0,
    )
    for said in (
        "postgresql_monitoring_user: write name and password",
        "postgresql_replication_user: write a password of one line",
        "write names of their own",
        "postgresql_standby_of: write a host",
        "write names of slots of small letters",
        "postgresql_replication_addresses: write addresses such as 10.0.0.0/24, not 10.0.0.0/24 trust",
        "postgresql_slot_wal_limit: write a size such as 512MB",
        "postgresql_synchronous_standby_names: write it without single quotes",
        "postgresql_standby_wait_seconds: write 1 or more",
    ):
        assert said in run.output
    assert "secret" not in run.output
    run = scenario.converge("--check", fails=True, postgresql_standby_slots=["data_2"])
    assert "write postgresql_replication_user, on all hosts, as well" in run.output


def test_a_server_of_its_own_has_nothing_of_replication(scenario):
    folder = scenario.host.file("/etc/postgresql/15/main")
    assert folder.is_directory
    assert not [name for name in ("replication.pgpass", "conf.d/60-replication.conf") if scenario.host.file(f"{folder.path}/{name}").exists]
    assert "replication" not in scenario.host.check_output("cat /etc/postgresql/15/main/pg_hba.conf")
