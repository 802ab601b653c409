"""restore on an unbaked host that has backups of its own, and on a host made anew in the place of one whose backups are on a store."""

import re
import shlex

import pytest
from several import several_hosts

ROLE = "restore"
PASSWORD = "a $ecret # word"

# One host.


@pytest.fixture(scope="module")
def stored(scenario):
    """A backup of some files and of a command, then a newer one."""
    scenario.host.check_output("install --directory /srv/data/inner && echo one > /srv/data/inner/file && chown games /srv/data/inner/file")
    folders = [{"name": "data", "paths": ["/srv/data"]}]
    commands = [{"name": "words", "argv": ["cat", "/srv/data/inner/file"], "user": "games"}]
    scenario.converge("--tags", "backup_configure,backup_run", backup_folders=folders, backup_commands=commands)
    scenario.host.check_output("systemctl start backup")
    moment = scenario.host.check_output("date --utc +%Y-%m-%dT%H:%M:%SZ")
    scenario.poll("date --utc +%Y-%m-%dT%H:%M:%SZ | grep --invert-match " + moment)
    scenario.host.check_output("echo two > /srv/data/inner/file; systemctl start backup")
    return moment


def restore(scenario, *items, **options):
    return scenario.converge("--tags", "restore_preflight,restore_configure,restore_run", restore_items=list(items), **options)


DATA = {"name": "data", "target": "/srv/restored"}
WORDS = {"name": "words", "argv": ["sh", "-c", "cat > /var/games/words"], "user": "games", "empty": ["test", "!", "-e", "/var/games/words"]}


def test_a_dry_run_finds_what_there_is_and_changes_nothing(scenario, stored):
    scenario.host.check_output("install --directory --owner games /var/games")
    run = scenario.converge("--check", "--tags", "restore_preflight,restore_configure,restore_run", restore_items=[DATA, WORDS])
    assert run.changed == []
    assert not scenario.host.file("/srv/restored").exists


def test_a_command_that_finds_the_backup_bad_keeps_everything_as_it_is(scenario, stored):
    run = restore(scenario, DATA, {**WORDS, "verify": ["grep", "three"]}, fails=True)
    assert re.search(r"Nothing was changed: words: snapshot \w{8} of \S+ does not verify: grep ended with status 1", run.output)
    assert not scenario.host.file("/srv/restored").exists


def test_files_and_commands_come_back_as_they_were_and_once(scenario, stored):
    run = restore(scenario, DATA, WORDS)
    assert scenario.host.file("/srv/restored/srv/data/inner/file").content_string == "two\n"
    assert scenario.host.file("/srv/restored/srv/data/inner/file").user == "games"
    words = scenario.host.file("/var/games/words")
    assert (words.content_string, words.user) == ("two\n", "games")
    assert len(re.findall(r"(data|words): snapshot \w{8} of 20\S+\+00:00; RPO \d+ s, RTO \d+\.\d s", run.output)) == 2
    assert restore(scenario, DATA, WORDS).changed == []


def test_a_host_that_is_not_empty_is_refused_before_anything_changes(scenario, stored):
    scenario.host.check_output("rm /var/lib/restore/*.json; echo mine > /var/games/words; echo mine > /srv/restored/srv/data/inner/file")
    other = {**DATA, "target": "/srv/other"}
    run = restore(scenario, other, WORDS, fails=True)
    assert "Nothing was changed: words: this host is not empty (test ended with status 1" in run.output
    assert not scenario.host.file("/srv/other").exists
    run = restore(scenario, DATA, fails=True)
    assert "Nothing was changed: data: this host is not empty: it has /srv/restored/srv/data" in run.output
    assert scenario.host.file("/srv/restored/srv/data/inner/file").content_string == "mine\n"
    restore(scenario, DATA, WORDS, restore_force=True)
    assert scenario.host.file("/srv/restored/srv/data/inner/file").content_string == "two\n"
    assert scenario.host.file("/var/games/words").content_string == "two\n"


def test_an_older_backup_comes_back_where_it_is_asked_for(scenario, stored):
    restore(scenario, {**DATA, "target": "/srv/older"}, restore_before=stored, restore_force=True)
    assert scenario.host.file("/srv/older/srv/data/inner/file").content_string == "one\n"
    run = restore(scenario, DATA, restore_before="2020-01-01T00:00:00Z", restore_force=True, fails=True)
    assert "data: the repository has no such backup of celerylab-test-restore" in run.output


def test_a_restore_that_breaks_off_says_that_it_is_half_done(scenario, stored):
    broken = {**WORDS, "name": "words", "argv": ["sh", "-c", "cat > /dev/null; echo the disk broke >&2; exit 3"]}
    run = restore(scenario, broken, restore_force=True, fails=True)
    assert "words: not restored, and perhaps a part of it is here: sh ended with status 3: the disk broke" in run.output


def test_what_cannot_work_is_refused_all_at_once(scenario):
    run = scenario.converge(
        "--check",
        fails=True,
        restore_repository="",
        restore_password="",
        restore_ca_file="ca.crt",
        restore_items=[{"name": "a b", "argv": ["cat"], "target": "srv", "snapshot": "newest"}],
        restore_before="yesterday",
    )
    for said in (
        "restore_repository: write where backups are",
        "restore_password: write what backups are encrypted with",
        "restore_ca_file: write an absolute path",
        "restore_host, restore_items: write names of letters",
        "restore_items: write empty, a command that ends with 0 where there is nothing yet, for a b",
        "restore_items: write absolute paths for target",
        "restore_items: write a snapshot as restic shows it",
        "restore_before: write a time with its zone, such as 2026-11-29T12:00:00Z, not yesterday",
    ):
        assert said in run.output


# A store, and a database that is lost.

SECRETS = ["what db encrypts with", "the.store.lets.db.in", "celery-password"]
KEY, STORE, CELERY = SECRETS
REPOSITORY = f"rest:http://db:{STORE}@store:8000/db/"
EMPTY = "DO $$BEGIN ASSERT (SELECT count(*) = 0 FROM pg_stat_user_tables), 'it has tables'; END$$"
ALL = {
    "backup_store_address": "0.0.0.0",  # noqa: S104
    "backup_store_users": [{"name": "db", "password": STORE}],
    "postgresql_shared_buffers": "32MB",
    "postgresql_users": [{"name": "celery", "password": CELERY}],
    "postgresql_databases": [{"name": "results", "owner": "celery"}],
    "backup_repository": REPOSITORY,
    "backup_password": KEY,
    "backup_commands": [
        {"name": "results", "argv": ["pg_dump", "--format=custom", "results"], "user": "postgres", "verify": ["pg_restore", "--list"]}
    ],
    "restore_repository": REPOSITORY,
    "restore_password": KEY,
    "restore_items": [
        {
            "name": "results",
            "argv": ["pg_restore", "--dbname=results", "--single-transaction", "--exit-on-error"],
            "user": "postgres",
            "verify": ["pg_restore", "--list"],
            "empty": ["psql", "--dbname=results", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", f"--command={EMPTY}"],
        }
    ],
}
FIRST = [{"hosts": "store", "roles": ["backup_store"], "vars": ALL}, {"hosts": "db", "roles": ["postgresql", "backup"], "vars": ALL}]
AGAIN = [{"hosts": "db", "roles": ["postgresql", "restore"], "vars": ALL}]
REQUEST = """
import base64, sys, urllib.error, urllib.request
request = urllib.request.Request("http://store:8000/db/" + sys.argv[2], method=sys.argv[1], data=b"x")
request.add_header("Authorization", "Basic " + base64.b64encode(b"db:" + sys.argv[3].encode()).decode())
try:
    print(urllib.request.urlopen(request).status)
except urllib.error.HTTPError as error:
    print(error.code)
"""


@pytest.fixture(scope="module")
def hosts(root, ansible_environment, tmp_path_factory):
    folder = tmp_path_factory.mktemp("several")
    roles = ["postgresql", "backup_store", "backup", "restore"]
    with several_hosts(root, ansible_environment, folder, "restore-db", ["store", "db"], roles) as found:
        found.said = found.converge(FIRST).output
        found["db"].check_output(
            sql("CREATE TABLE celery_taskmeta AS SELECT id, md5(id::text) AS result FROM generate_series(1, 10000) id")
        )
        found["db"].check_output(sql("ALTER TABLE celery_taskmeta OWNER TO celery"))
        found.digest = digest(found)
        found["db"].check_output("systemctl start backup backup-verify")
        yield found


def sql(statement):
    arguments = f"--dbname=results --no-psqlrc --tuples-only --no-align --command={shlex.quote(statement)}"
    return f"cd / && runuser --user postgres -- psql {arguments}"


def digest(hosts):
    return hosts["db"].check_output(sql("SELECT count(*), md5(string_agg(result, ',' ORDER BY id)) FROM celery_taskmeta"))


def tables(hosts):
    return hosts["db"].check_output(sql("SELECT tablename, tableowner FROM pg_tables WHERE schemaname = 'public'"))


def again(hosts, *options, **variables):
    run = hosts.converge(AGAIN, *options, **variables)
    hosts.said += run.output
    return run


def test_what_db_has_lets_it_delete_no_backup(hosts):
    folder = "/var/lib/backup-store/db"
    snapshot = hosts["store"].check_output(f"ls {folder}/snapshots")
    data = hosts["store"].check_output(f"cd {folder}/data && find -type f -printf '%f\\n' | head -1")
    for path in (f"snapshots/{snapshot}", f"data/{data}", "config"):
        for method in ("DELETE", "POST"):
            assert hosts["db"].check_output(f"python3 -c {shlex.quote(REQUEST)} {method} {path} {STORE}") == "403", (method, path)
    assert hosts["db"].check_output(f"python3 -c {shlex.quote(REQUEST)} DELETE {path} wrong") == "401"
    assert hosts["store"].check_output(f"ls {folder}/snapshots") == snapshot


def test_a_database_that_is_lost_comes_back_on_a_new_host_with_the_right_password_alone(hosts):
    hosts.create("db")
    run = again(hosts, restore_password="wrong", fails=True)
    assert "Nothing was changed: results: Fatal: wrong password or no key found" in run.output
    assert tables(hosts) == ""
    run = again(hosts)
    assert digest(hosts) == hosts.digest
    assert tables(hosts) == "celery_taskmeta|celery"
    assert re.search(r"results: snapshot \w{8} of 20\S+; RPO \d+ s, RTO \d+\.\d s", run.output)
    assert again(hosts).changed == []


def test_a_database_that_has_something_is_not_overwritten(hosts):
    hosts["db"].check_output("rm /var/lib/restore/results.json")
    hosts["db"].check_output(sql("DELETE FROM celery_taskmeta WHERE id > 1"))
    run = again(hosts, fails=True)
    assert "Nothing was changed: results: this host is not empty (psql ended with status 1: " in run.output
    assert "it has tables" in run.output
    assert hosts["db"].check_output(sql("SELECT count(*) FROM celery_taskmeta")) == "1"


def test_a_damaged_backup_is_refused_before_anything_changes(hosts):
    damage = "printf XXXXXXXX | dd of={} bs=1 seek=100 conv=notrunc status=none"
    hosts["store"].check_output(f"find /var/lib/backup-store/db/data -type f | while read -r file; do {damage.format('$file')}; done")
    hosts.create("db")
    run = again(hosts, fails=True)
    assert re.search(r"Nothing was changed: results: snapshot \w{8} of \S+ does not verify: ", run.output)
    assert tables(hosts) == ""


def test_no_secret_is_said(hosts):
    said = hosts.said
    for name in ("db", "store"):
        said += hosts[name].check_output("journalctl --no-pager --output cat; cat /proc/*/cmdline | tr '\\0' ' '")
    assert "rclone" in said
    assert not [secret for secret in SECRETS if secret in said]
