"""backup on an unbaked host, into a folder of the same host."""

import json
import re

ROLE = "backup"
PASSWORD = "a $ecret # word"
METRICS = "/var/lib/prometheus/node-exporter/backup.prom"
JOURNAL = "journalctl --sync; journalctl --output cat --no-pager --unit {}"


def restic(arguments, password=PASSWORD):
    return f"RESTIC_REPOSITORY=/srv/repository RESTIC_PASSWORD='{password}' restic --quiet --no-cache {arguments}"


def snapshots(scenario, tag):
    found = json.loads(scenario.host.check_output(restic(f"snapshots --json --tag {tag}")))
    return [snapshot["id"] for snapshot in sorted(found, key=lambda snapshot: snapshot["time"])]


def metrics(scenario):
    text = scenario.host.check_output(f"cat {METRICS}")
    found = re.findall(r'^backup_(\w+)\{item="(\w+)"\} ([0-9.e+]+)$', text, re.MULTILINE)
    return {(name, item): float(value) for name, item, value in found}


def now(scenario):
    return float(scenario.host.check_output("date +%s"))


def test_the_timers_run_and_start_at_boot(scenario):
    for name in ("backup.timer", "backup-verify.timer"):
        timer = scenario.host.service(name)
        assert timer.is_running
        assert timer.is_enabled
    assert "02:00:00" in scenario.host.check_output("systemctl show --property TimersCalendar backup.timer")


def test_folders_and_commands_are_backed_up(scenario):
    before = now(scenario)
    scenario.host.check_output("systemctl start backup")
    assert scenario.host.check_output(restic("dump latest --tag settings /etc/hostname")) == scenario.host.check_output("cat /etc/hostname")
    listed = scenario.host.check_output(restic("ls latest --tag settings"))
    assert "/etc/systemd/system\n" in listed
    assert "/etc/systemd/user\n" not in listed  # excluded
    dumped = scenario.host.check_output(restic("dump latest --tag accounts /accounts"))
    assert re.match(r"uid=5\(games\) gid=60\(games\) groups=60\(games\)\nroot:", dumped)
    known = metrics(scenario)
    for item in ("settings", "accounts"):
        assert known["last_success_timestamp_seconds", item] >= before
        assert known["size_bytes", item] > 0
        assert known["failed", item] == 0
    assert scenario.host.file(METRICS).mode == 0o644


def test_a_command_that_fails_leaves_no_backup_and_a_failed_unit(scenario):
    kept, others = snapshots(scenario, "accounts"), snapshots(scenario, "settings")
    before = metrics(scenario)
    half = {"name": "accounts", "argv": ["sh", "-c", "echo half a dump; echo the disk broke >&2; exit 3"], "user": "games"}
    scenario.converge(backup_commands=[half])
    assert scenario.host.run("systemctl start backup").failed
    assert scenario.host.check_output("systemctl show --value --property Result backup") == "exit-code"
    assert "accounts: failed: sh ended with status 3: the disk broke\n" in scenario.host.check_output(JOURNAL.format("backup"))
    assert snapshots(scenario, "accounts") == kept
    assert snapshots(scenario, "settings") != others  # had its turn all the same
    after = metrics(scenario)
    assert after["failed", "accounts"] == 1
    assert after["failed", "settings"] == 0
    same = ("last_success_timestamp_seconds", "accounts")
    assert after[same] == before[same]
    scenario.converge(backup_commands=[{**half, "argv": ["true"]}])
    assert scenario.host.run("systemctl start backup").failed
    assert "accounts: failed: true wrote nothing\n" in scenario.host.check_output(JOURNAL.format("backup"))
    assert snapshots(scenario, "accounts") == kept
    assert scenario.host.check_output("ls /srv/repository/locks") == ""


def test_what_is_not_to_be_kept_is_forgotten(scenario):
    scenario.converge()
    for _ in range(2):
        scenario.host.check_output("systemctl start backup")
    assert len(snapshots(scenario, "settings")) == 2


def test_backups_are_verified_by_restoring_them(scenario):
    before = now(scenario)
    scenario.host.check_output("systemctl start backup-verify")
    known = metrics(scenario)
    for item in ("settings", "accounts", "repository"):
        assert known["verify_failed", item] == 0
        assert known["verify_last_success_timestamp_seconds", item] >= before
    assert known["verify_snapshot_timestamp_seconds", "accounts"] <= known["last_success_timestamp_seconds", "accounts"] + 1
    assert not scenario.host.file("/var/lib/backup/scratch").exists
    assert known["failed", "accounts"] == 0  # what making them left is still there


def test_a_backup_that_its_own_check_finds_bad_is_not_good(scenario):
    command = {"name": "accounts", "argv": ["cat", "/etc/passwd"], "user": "games", "verify": ["grep", "--quiet", "nobody-like-this"]}
    scenario.converge(backup_commands=[command])
    assert scenario.host.run("systemctl start backup-verify").failed
    assert "accounts: failed: grep ended with status 1: " in scenario.host.check_output(JOURNAL.format("backup-verify"))
    known = metrics(scenario)
    assert known["verify_failed", "accounts"] == 1
    assert known["verify_failed", "settings"] == 0


def test_the_rights_are_few(scenario):
    assert scenario.host.check_output("stat --format %a:%U /etc/backup/backup.json") == "600:root"
    script = "cat /proc/self/status; touch /etc/x 2>&1; touch /tmp/x"
    scenario.converge(backup_commands=[{"name": "accounts", "argv": ["sh", "-c", script], "user": "root"}])
    scenario.host.check_output("systemctl start backup")
    said = scenario.host.check_output(restic("dump latest --tag accounts /accounts"))
    assert "Read-only file system" in said
    assert not scenario.host.file("/tmp/x").exists  # a /tmp of its own
    rights = int(re.search(r"CapEff:\t([0-9a-f]+)", said)[1], 16)
    assert rights == 1 << 1 | 1 << 6 | 1 << 7  # DAC_OVERRIDE, SETGID, SETUID


def test_no_secret_is_in_the_journal_or_a_file_that_others_read(scenario):
    found = scenario.host.run("grep --recursive --files-with-matches --fixed-strings %s /etc /var/lib /var/log /usr/local", PASSWORD)
    assert found.stdout.split() == ["/etc/backup/backup.json"]
    journal = scenario.host.check_output("journalctl --no-pager --output=cat")
    assert "accounts: good" in journal
    assert PASSWORD not in journal
    assert "two words" not in journal


def test_a_repository_of_another_password_is_refused_and_what_was_in_force_stays(scenario):
    before = scenario.host.check_output("cat /etc/backup/backup.json")
    run = scenario.converge(backup_password="wrong", fails=True)
    assert "The repository does not open: this is not its backup_password: Fatal: wrong password or no key found" in run.output
    assert scenario.host.check_output("cat /etc/backup/backup.json") == before
    run = scenario.converge(backup_repository="rest:http://127.0.0.1:1/", backup_wait_seconds=1, fails=True)
    assert re.search("The repository does not open: .*connection refused", run.output)
    assert scenario.host.check_output("cat /etc/backup/backup.json") == before


def test_a_schedule_that_systemd_cannot_read_is_refused(scenario):
    assert scenario.converge(backup_schedule="every now and then", fails=True).code
    scenario.converge()
    assert scenario.host.service("backup.timer").is_running


def test_a_damaged_backup_does_not_verify(scenario):
    scenario.host.check_output("systemctl start backup backup-verify")
    largest = "find /srv/repository/data -type f -printf '%s %p\\n' | sort --numeric-sort | tail -1 | cut --delimiter ' ' --fields 2"
    scenario.host.check_output(f"file=$({largest}); chmod u+w $file; printf XXXXXXXX | dd of=$file bs=1 seek=20 conv=notrunc")
    assert scenario.host.run("systemctl start backup-verify").failed
    assert ": failed: " in scenario.host.check_output(JOURNAL.format("backup-verify") + " --lines 8")
    assert 1 in [value for (name, _), value in metrics(scenario).items() if name == "verify_failed"]


def test_what_cannot_work_is_refused_all_at_once(scenario):
    run = scenario.converge(
        "--check",
        fails=True,
        backup_repository="",
        backup_password="",
        backup_ca_file="ca.crt",
        backup_folders=[{"name": "a b", "paths": ["etc"]}, {"name": "repository", "paths": []}],
        backup_commands=[{"name": "a b", "argv": [], "user": "root"}],
        backup_schedule="",
        backup_randomized_delay="long",
        backup_keep={"last": 0},
        backup_verify_subset="all",
        backup_metrics_directory="metrics",
    )
    for said in (
        "backup_repository: write where backups go",
        "backup_password: write what backups are encrypted with",
        "backup_ca_file: write an absolute path",
        "write names of letters, digits and _ . -, each once",
        "repository is what metrics call the whole",
        "backup_folders: write absolute paths, at least one for each, not etc",
        "backup_commands: write argv for each",
        "backup_schedule, backup_verify_schedule: write when",
        "backup_randomized_delay: write a span",
        "backup_keep: write 1 or more, not 0",
        "backup_verify_subset: write a part",
        "backup_metrics_directory: write an absolute path",
    ):
        assert said in run.output
