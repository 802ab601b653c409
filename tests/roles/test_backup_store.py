"""backup_store on an unbaked host, used by restic as other hosts use it."""

import json
import shlex

import pytest

ROLE = "backup_store"
PASSWORD = "a $ecret # of 16 letters"
REPOSITORY = "what db-1 encrypts with"
QUOTED = "a%20%24ecret%20%23%20of%2016%20letters"
FOLDER = "/var/lib/backup-store/db-1"


def restic(arguments, user="db-1", password=QUOTED, repository="db-1", key=REPOSITORY):
    """A command of another host."""
    url = f"rest:http://{user}:{password}@127.0.0.1:8000/{repository}/"
    return f"RESTIC_REPOSITORY={url} RESTIC_PASSWORD={shlex.quote(key)} timeout 10 restic --quiet --no-cache {arguments}"


def http(method, path, data="x", user="db-1", password=PASSWORD):
    """The status of a request, which restic would repeat for 15 minutes."""
    who = shlex.quote(f"{user}:{password}")
    return f"curl --silent --location --path-as-is --output /dev/null --write-out '%{{http_code}}' --request {method} --user {who} --data {data} http://127.0.0.1:8000/{path}"


def say(scenario, command):
    result = scenario.host.run(command)
    return (result.stdout + result.stderr).strip()


def snapshots(scenario, **who):
    return json.loads(scenario.host.check_output(restic("snapshots --json", **who)))


@pytest.fixture(scope="module")
def stored(scenario):
    """A backup of db-1, and its snapshot."""
    scenario.host.check_output("apt-get update --quiet --quiet && apt-get install --quiet --quiet --yes --no-install-recommends curl")
    scenario.host.check_output(restic("init"))
    scenario.host.check_output(f"echo first | {restic('backup --stdin --stdin-filename words --host db-1 --tag words')}")
    (snapshot,) = snapshots(scenario)
    return snapshot["id"]


def test_it_runs_as_an_account_without_rights_and_starts_at_boot(scenario):
    service = scenario.host.service("backup-store")
    assert service.is_running
    assert service.is_enabled
    process = scenario.host.process.get(comm="rclone")
    assert process.user == "backup-store"
    assert "CapEff:\t0000000000000000" in scenario.host.file(f"/proc/{process.pid}/status").content_string
    assert scenario.host.socket("tcp://127.0.0.1:8000").is_listening
    assert not scenario.host.socket("tcp://0.0.0.0:8000").is_listening


def test_what_is_stored_comes_back_and_is_encrypted(scenario, stored):
    assert scenario.host.check_output(restic("dump latest /words")) == "first"
    assert scenario.host.run(f"grep --recursive --quiet first {FOLDER}").rc == 1
    assert scenario.host.file(FOLDER).mode == 0o700


def test_who_stores_cannot_delete_or_change(scenario, stored):
    for kind, name in (("snapshots", stored), ("config", ""), ("keys", scenario.host.check_output(f"ls {FOLDER}/keys"))):
        path = f"db-1/{kind}/{name}".rstrip("/")
        assert scenario.host.check_output(http("DELETE", path)) == "403"
        assert scenario.host.check_output(http("POST", path)) == "403"
    assert [snapshot["id"] for snapshot in snapshots(scenario)] == [stored]
    lock = "0" * 64  # locks are what a client has to be able to delete
    assert scenario.host.check_output(http("POST", f"db-1/locks/{lock}")) == "200"
    assert scenario.host.check_output(http("DELETE", f"db-1/locks/{lock}")) == "200"


def test_nobody_else_reads_or_writes_there(scenario, stored):
    other = {"user": "db-2", "password": "another%20of%2016%20letters"}
    assert "403" in say(scenario, restic("snapshots", **other))
    scenario.host.check_output(restic("init", **other, repository="db-2", key="x"))
    assert snapshots(scenario, **other, repository="db-2", key="x") == []
    assert "401" in say(scenario, restic("snapshots", password="wrong"))
    assert "wrong password" in say(scenario, restic("snapshots", key="wrong"))
    for path in ("db-2/config", "db-1/../db-2/config", "db-1/../../../../../etc/passwd"):
        assert scenario.host.check_output(http("GET", path)) in ("403", "404")


def test_the_store_prunes_what_is_old_and_nothing_else(scenario, stored):
    def backup(what, time):
        command = restic(f"backup --stdin --stdin-filename words --host db-1 --tag words --time '{time}'")
        scenario.host.check_output(f"echo {what} | {command}")

    backup("old", "2020-01-01 12:00:00")
    assert len(snapshots(scenario)) == 2
    scenario.host.check_output("systemctl start backup-store-prune")
    assert [snapshot["id"] for snapshot in snapshots(scenario)] == [stored]
    assert scenario.host.check_output(restic("dump latest /words")) == "first"
    backup("older", "2019-01-01 12:00:00")
    backup("future", "2199-01-01 12:00:00")
    assert scenario.host.run("systemctl start backup-store-prune").failed
    assert len(snapshots(scenario)) == 3
    assert "is of the future (2199-01-01" in scenario.host.check_output("journalctl --output cat --no-pager --unit backup-store-prune")
    timer = scenario.host.service("backup-store-prune.timer")
    assert timer.is_enabled
    assert timer.is_running


def test_users_change_while_it_runs(scenario, stored):
    pid = scenario.host.check_output("systemctl show --value --property MainPID backup-store")
    users = [{"name": "db-1", "password": PASSWORD}, {"name": "db-3", "password": "a third of 16 letters"}]
    run = scenario.converge(backup_store_users=users)
    assert run.changed == ["backup_store : Make users exact", "backup_store : Write what is pruned"]
    scenario.poll(http("GET", "db-3/config", user="db-3", password="a third of 16 letters"), "404")
    scenario.poll(http("GET", "db-2/config", user="db-2", password="another of 16 letters"), "401")
    assert scenario.host.check_output(http("GET", "db-1/config")) == "200"
    assert scenario.host.check_output("systemctl show --value --property MainPID backup-store") == pid
    scenario.converge()


def test_no_password_is_in_clear_where_it_need_not_be(scenario):
    found = scenario.host.run("grep --recursive --files-with-matches --fixed-strings %s /etc /var/lib /var/log /usr/local", PASSWORD)
    assert found.stdout == ""
    found = scenario.host.run("grep --recursive --files-with-matches --fixed-strings %s /etc /var/lib /var/log /usr/local", REPOSITORY)
    assert found.stdout.split() == ["/etc/backup-store/prune.json"]
    for name in ("prune.json", "htpasswd"):
        file = scenario.host.file(f"/etc/backup-store/{name}")
        assert (file.mode, file.user, file.group) == (0o640, "root", "backup-store")


def test_https_with_a_certificate_of_yours(scenario):
    scenario.host.check_output(
        "install --directory --owner root --group backup-store --mode 0750 /etc/store-tls && cd /etc/store-tls && openssl req -x509 -newkey rsa:2048 "
        "-nodes -keyout key.pem -out crt.pem -days 2 -subj /CN=node-1 -addext subjectAltName=DNS:node-1 2>&1 && chgrp backup-store key.pem "
        "&& chmod 0640 key.pem"
    )
    scenario.converge(backup_store_certificate="/etc/store-tls/crt.pem", backup_store_key="/etc/store-tls/key.pem")
    said = "curl --silent --output /dev/null --write-out '%{http_code}' --resolve node-1:8000:127.0.0.1"
    assert scenario.host.check_output(f"{said} --cacert /etc/store-tls/crt.pem https://node-1:8000/") == "401"
    assert scenario.host.run(f"{said} --cacert /etc/ssl/certs/ca-certificates.crt https://node-1:8000/").failed
    run = scenario.converge(backup_store_certificate="/etc/nowhere.pem", backup_store_key="/etc/nowhere.pem", fails=True)
    assert "The store does not answer with these options" in run.output
    assert "/etc/nowhere.pem: no such file" in run.output
    scenario.converge()


def test_what_cannot_work_is_refused_all_at_once(scenario):
    run = scenario.converge(
        "--check",
        fails=True,
        backup_store_address="all of them",
        backup_store_port=80,
        backup_store_directory="backups",
        backup_store_users=[{"name": "../db", "password": "short"}],
        backup_store_certificate="crt.pem",
        backup_store_keep={"within": "long"},
        backup_store_prune_schedule="now; then",
    )
    for said in (
        "backup_store_address: write one address without a port",
        "backup_store_port: write a port from 1024",
        "backup_store_directory: write an absolute path",
        "backup_store_users: write names of letters",
        "backup_store_users: write passwords of 16 to 72 characters",
        "backup_store_certificate, backup_store_key: write both or none",
        "backup_store_certificate, backup_store_key: write absolute paths",
        "backup_store_keep: write durations such as 14d or 1y6m, not long",
        "backup_store_prune_schedule: write when",
    ):
        assert said in run.output
    assert "short" not in run.output
