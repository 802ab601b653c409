"""Backs up what backup.json says, and proves that it can be restored.

`run` backs up each item, `verify` restores the newest backup of each, `open` looks whether the repository answers and makes it where there is
none (standard input is what backup.json will be). An item that fails does not keep the others from their turn; the program fails then.
"""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from items import RefusedError, Restic, pipe, start_as, when

STATE = Path("/var/lib/backup")
SETTINGS = json.load(sys.stdin) if sys.argv[1] == "open" else json.loads(Path("/etc/backup/backup.json").read_text(encoding="utf-8"))
RESTIC = Restic(SETTINGS)
ITEMS = [*SETTINGS["folders"], *SETTINGS["commands"]]
REPOSITORY = {"name": "repository"}  # what metrics call the whole of it
OF_THIS_HOST = ["--host", SETTINGS["host"]]
METRICS = {
    "last_success_timestamp_seconds": "When the newest good backup was made.",
    "size_bytes": "What the newest good backup holds.",
    "duration_seconds": "How long making it took.",
    "failed": "Whether the last attempt failed.",
    "verify_last_success_timestamp_seconds": "When a backup was last restored and found good.",
    "verify_snapshot_timestamp_seconds": "When that backup was made.",
    "verify_failed": "Whether the last attempt to restore one failed.",
}


def run(item):
    """Makes a backup of an item."""
    began = time.time()
    options = ["backup", "--json", "--tag", item["name"], *OF_THIS_HOST]
    if "paths" in item:
        patterns = [f"--exclude={pattern}" for pattern in item.get("exclude") or []]
        output = RESTIC(*options, "--one-file-system", *patterns, *item["paths"])
    else:
        source = start_as(item, item["argv"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        sink = RESTIC.start(*options, "--stdin", f"--stdin-filename={item['name']}", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        output = pipe(source, sink, signal.SIGINT)  # upon which restic takes its lock away
    if SETTINGS["keep"]:
        kept = [f"--keep-{name}={number}" for name, number in SETTINGS["keep"].items()]
        RESTIC("forget", "--prune", "--group-by=host,tags", "--tag", item["name"], *OF_THIS_HOST, *kept)
    size = json.loads(output.splitlines()[-1])["total_bytes_processed"]
    return {"last_success_timestamp_seconds": time.time(), "size_bytes": size, "duration_seconds": time.time() - began}


def verify(item):
    """Restores the newest backup of an item; of the repository itself, reads a part."""
    made = {}
    if item is REPOSITORY:
        RESTIC("check", f"--read-data-subset={SETTINGS['subset']}")
    else:
        found = json.loads(RESTIC("snapshots", "--json", "--tag", item["name"], *OF_THIS_HOST))
        if not found:
            raise RefusedError("there is no backup")
        newest = max(found, key=lambda snapshot: when(snapshot["time"]))
        made = {"verify_snapshot_timestamp_seconds": when(newest["time"])}
        if "paths" in item:
            restore_to_scratch(newest)
        else:
            sink = start_as(item, item.get("verify") or ["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
            RESTIC.dump(newest["id"], item["name"], sink)
    return {**made, "verify_last_success_timestamp_seconds": time.time()}


def restore_to_scratch(snapshot):
    """Restores files, which restic then reads again, and takes them away."""
    scratch = STATE / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        RESTIC("restore", snapshot["id"], "--target", str(scratch), "--verify")
        missing = [path for path in snapshot["paths"] if not os.path.lexists(f"{scratch}{path}")]
        if missing:
            raise RefusedError(f"{', '.join(missing)} is not in it")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def publish(state):
    """Leaves the metrics for node_exporter, which may read the file while it is written."""
    if not SETTINGS["metrics"]:
        return
    text = ""
    for metric, description in METRICS.items():
        text += f"# HELP backup_{metric} {description}\n# TYPE backup_{metric} gauge\n"
        text += "".join(f'backup_{metric}{{item="{name}"}} {known[metric]}\n' for name, known in state.items() if metric in known)
    new = Path(SETTINGS["metrics"], "backup.prom.new")  # another ending, which node_exporter does not read
    new.write_text(text, encoding="utf-8")
    new.chmod(0o644)
    new.rename(new.with_suffix(""))


def go_through(items, prefix, work):
    """Does `work` for each item and notes how it went under metrics that begin with `prefix`; whether all went well."""
    path = STATE / "state.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    state = {item["name"]: before.get(item["name"], {}) for item in [*ITEMS, REPOSITORY]}
    for item in items:
        known = state[item["name"]]
        try:
            known.update(work(item))
            known[f"{prefix}failed"] = 0
            sys.stdout.write(f"{item['name']}: good\n")
        except RefusedError as error:
            known[f"{prefix}failed"] = 1
            sys.stderr.write(f"{item['name']}: failed: {error}\n")
        sys.stdout.flush()
    path.write_text(json.dumps(state), encoding="utf-8")
    publish(state)
    return not any(state[item["name"]][f"{prefix}failed"] for item in items)


def open_repository(check):
    """`made` or `there`. Raises RefusedError where the repository does not open within the time that it may take."""
    deadline = time.monotonic() + SETTINGS["seconds"]
    while True:
        try:
            RESTIC("--no-cache", "--no-lock", "cat", "config", timeout=max(5, deadline - time.monotonic()))
            return "there"
        except RefusedError as error:
            said = str(error)
        if "does not exist" in said or "no such file" in said:
            if not check:
                RESTIC("--no-cache", "init")
            return "made"
        if "wrong password" in said:
            raise RefusedError(f"this is not its backup_password: {said}")
        # The store is perhaps being set up just now, on a host that is converged at the same time.
        if time.monotonic() > deadline:
            raise RefusedError(said)
        time.sleep(1)


def main():
    """Does what the argument says."""
    try:
        if sys.argv[1] == "open":
            sys.stdout.write(open_repository("--check" in sys.argv))
            return
        os.umask(0o077)
        with (STATE / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # a backup waits for a check, and a check for a backup
            RESTIC("unlock")  # what processes that died have locked
            good = go_through([*ITEMS, REPOSITORY], "verify_", verify) if sys.argv[1] == "verify" else go_through(ITEMS, "", run)
    except RefusedError as error:
        sys.exit(f"failed: {error}" if sys.argv[1] != "open" else str(error))
    sys.exit(not good)


main()
