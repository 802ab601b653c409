"""Looks what a PostgreSQL server is, and makes it a standby. Standard input says what is wanted, as JSON.

`look` changes nothing, and ends with a line that says what to do where the variables would cost data. `identity` makes a cluster anew that
never ran. `join` replaces the server's data by a copy of its primary's, `wait` waits until the copy follows. What ran here before is never
deleted: it is moved aside.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

WANTED = json.load(sys.stdin)
VERSION = WANTED["version"]
DATA = Path("/var/lib/postgresql", VERSION, "main")
PROGRAMS = Path("/usr/lib/postgresql", VERSION, "bin")
UNIT = f"postgresql@{VERSION}-main.service"
PRIMARY = WANTED["standby_of"]
NAME = f"{PRIMARY['host']}:{PRIMARY['port']}" if PRIMARY else ""
REBUILD = "write postgresql_rebuild_standby: true for one run; what is here is moved aside then"


class SilentError(Exception):
    """Nothing answers there."""


def run(*command, check=True, **environment):
    """What a command writes; ends the program with its complaint where it fails."""
    result = subprocess.run(command, capture_output=True, text=True, cwd="/", env={**os.environ, **environment}, check=False)
    if check and result.returncode:
        sys.exit(result.stderr.strip())
    return result


def ask(statement):
    """One row that the primary answers to the replication user. Raises SilentError where nothing listens."""
    dialled = f"host={PRIMARY['host']} port={PRIMARY['port']} user={WANTED['user']} replication=true connect_timeout=5"
    options = ["--no-psqlrc", "--no-password", "--tuples-only", "--no-align", "--field-separator=\t"]
    result = run("psql", *options, f"--dbname={dialled}", f"--command={statement}", check=False, PGPASSWORD=WANTED["password"])
    if result.returncode and "FATAL:" not in result.stderr:
        raise SilentError(result.stderr.strip())
    if result.returncode:
        sys.exit(f"{NAME} does not let this host look whose data are newer: {result.stderr.strip()}")
    return result.stdout.strip().split("\t")


def state():
    """`new` for a cluster that nothing was ever written to, `standby`, or `primary`."""
    # Every start writes postmaster.opts, and a base backup has a label instead until its first start.
    ran = any((DATA / name).exists() for name in ("postmaster.opts", "standby.signal", "backup_label"))
    if not ran and len(list((DATA / "base").iterdir())) == 3:  # template0, template1 and postgres
        return "new"
    return "standby" if (DATA / "standby.signal").exists() else "primary"


def here():
    """Identifier and timeline of this server's data. A promotion leaves a history in the log before it is in the control file."""
    output = run(str(PROGRAMS / "pg_controldata"), str(DATA), LC_ALL="C").stdout
    lines = dict(line.split(":", 1) for line in output.splitlines() if ":" in line)
    histories = [int(path.stem, 16) for path in (DATA / "pg_wal").glob("*.history")]
    return lines["Database system identifier"].strip(), max([int(lines["Latest checkpoint's TimeLineID"]), *histories])


def look():
    """State, whether this server is to follow its primary, whether it has to be copied from it first, and what there is to say."""
    known = state()
    if not PRIMARY:
        if known == "standby":
            sys.exit(
                "this server is a standby: write postgresql_standby_of for it, or promote it first "
                "(runuser -u postgres -- psql -c 'SELECT pg_promote()')"
            )
        return {"state": known, "follows": False, "joins": False, "said": ""}
    if known != "primary":
        return {"state": known, "follows": True, "joins": known == "new", "said": ""}
    promoted = f"This server is a primary: it was promoted. Write postgresql_standby_of: {{}} for it. {NAME}, of which it was a standby,"
    stays = {"state": known, "follows": False, "joins": False}
    try:
        identifier, timeline = ask("IDENTIFY_SYSTEM")[:2]
        recovers = ask("SHOW in_hot_standby")[0]
    except SilentError:
        return {**stays, "said": f"{promoted} does not answer."}
    if recovers == "on":
        return {**stays, "said": f"{promoted} is a standby now."}
    own_identifier, own_timeline = here()
    if own_identifier == identifier and own_timeline > int(timeline):
        sys.exit(
            f"two primaries: this server was promoted (timeline {own_timeline}), and {NAME} is one still (timeline {timeline}). "
            f"Stop {NAME}, write postgresql_standby_of: {{}} here, and let the other one follow this one"
        )
    if not WANTED["rebuild"]:
        timelines = f"timeline {own_timeline}, {NAME} is on timeline {timeline}"
        what = timelines if own_identifier == identifier else f"{NAME} has those of another database"
        sys.exit(
            f"this server has data of its own ({what}), perhaps some that {NAME} lacks, and nothing was changed. "
            f"To make it a standby all the same, {REBUILD}"
        )
    return {"state": known, "follows": True, "joins": True, "said": ""}


def refuse_mount():
    """Data are moved, and a mount cannot be."""
    if DATA.is_mount():
        sys.exit(f"{DATA} is a mount, and it has to be moved: mount the disk on {DATA.parents[1]}")


def identity():
    """Hosts that are made of one image have one cluster, whose identifier is what keeps a standby from another database's log."""
    if state() != "new":
        return
    refuse_mount()
    shutil.rmtree(DATA)
    # As tasks/install.yml makes it; what it configures is in /etc.
    options = ["--locale=C.UTF-8", "--encoding=UTF8", "--data-checksums"]
    run("runuser", "--user=postgres", "--", str(PROGRAMS / "initdb"), f"--pgdata={DATA}", *options)
    for name in ("postgresql.conf", "pg_hba.conf", "pg_ident.conf"):
        (DATA / name).unlink()


def join():
    """Puts a copy of the primary's data in the place of this server's; says what became of the latter. The server does not run then."""
    refuse_mount()
    copy = DATA.with_name("main.joining")
    slot = [f"--slot={PRIMARY['slot']}"] if PRIMARY["slot"] else []
    options = [f"--pgdata={copy}", f"--dbname={WANTED['conninfo']}", "--no-password", "--checkpoint=fast", "--wal-method=stream", *slot]
    deadline = time.monotonic() + WANTED["seconds"]
    while True:
        shutil.rmtree(copy, ignore_errors=True)  # of a run that was cut short
        result = run("runuser", "--user=postgres", "--", str(PROGRAMS / "pg_basebackup"), *options, check=False)
        if result.returncode == 0:
            break
        # The primary is perhaps being set up just now, on a host that is converged at the same time.
        if time.monotonic() > deadline:
            sys.exit(f"no copy of the data of {NAME}: {result.stderr.strip()}")
        time.sleep(1)
    version = (copy / "PG_VERSION").read_text(encoding="ascii").strip()
    if version != VERSION:
        sys.exit(f"{NAME} is PostgreSQL {version}, and this host has {VERSION}: write one postgresql_version for both")
    signal = copy / "standby.signal"
    signal.touch(mode=0o600)
    shutil.copystat(copy / "PG_VERSION", signal)
    shutil.chown(signal, "postgres", "postgres")
    if state() == "new":
        shutil.rmtree(DATA)
        said = "joined"
    else:
        run("systemctl", "stop", UNIT)
        aside = DATA.with_name(f"main.replaced-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
        run("mv", "--no-target-directory", str(DATA), str(aside))  # which a container's layers do not let rename() do
        said = f"rebuilt; what was here is in {aside}, and yours to delete"
    copy.rename(DATA)
    os.sync()
    return said


def follows():
    """Whether the log arrives, within the time that it may take. A receiver that is refused says `streaming` as well, for a moment."""
    deadline = time.monotonic() + WANTED["seconds"]
    statement = "SELECT pid FROM pg_stat_wal_receiver WHERE status = 'streaming'"
    options = ["--no-psqlrc", "--tuples-only", "--no-align", f"--port={WANTED['port']}", f"--command={statement}"]
    before = ""
    while True:
        receiver = run("runuser", "--user=postgres", "--", "psql", *options, check=False).stdout.strip()
        if receiver and receiver == before:
            return True
        if time.monotonic() > deadline:
            return False
        before = receiver
        time.sleep(0.5)


def wait():
    """Waits until this standby follows. A primary that does not answer is not this host's fault; says so."""
    if follows():
        return ""
    try:
        ask("IDENTIFY_SYSTEM")
    except SilentError:
        return f"waits for its primary, {NAME}, which does not answer"
    if WANTED["rebuild"]:
        said = join()
        run("systemctl", "start", UNIT)
        if follows():
            return said
    journal = run("journalctl", "--quiet", "--output=cat", "--lines=100", f"--unit={UNIT}", check=False).stdout.splitlines()
    complaints = [line for line in journal if any(word in line for word in ("FATAL:", "ERROR:", "timeline"))][-4:]
    sys.exit(f"no log from {NAME}: {' | '.join(dict.fromkeys(complaints))}; where the two have gone apart, {REBUILD}")


if sys.argv[1] == "look":
    json.dump(look(), sys.stdout)
else:
    sys.stdout.write({"identity": identity, "join": join, "wait": wait}[sys.argv[1]]() or "")
