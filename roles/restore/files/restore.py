"""Puts backups onto this host. Standard input says which, as JSON.

`find` looks whether the host is empty, and which backups there are; `look` reads the whole of them as well; both write what is to be restored.
`restore` restores it, and notes each item in /var/lib/restore, so that a second run leaves it alone.
"""

import datetime
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from items import RefusedError, Restic, complaint, pipe, start_as, when

SETTINGS = json.load(sys.stdin)
RESTIC = Restic(SETTINGS)
RESTIC.command.append("--no-cache")  # which would stay on the host
DONE = Path("/var/lib/restore")


def find(item):
    """The newest backup of an item that was asked for."""
    found = json.loads(RESTIC("--no-lock", "snapshots", "--json", "--tag", item["name"], "--host", SETTINGS["host"], timeout=120))
    if item.get("snapshot"):
        found = [snapshot for snapshot in found if snapshot["id"].startswith(item["snapshot"])]
    if SETTINGS["before"]:
        found = [snapshot for snapshot in found if when(snapshot["time"]) <= when(SETTINGS["before"])]
    if not found:
        raise RefusedError(f"the repository has no such backup of {SETTINGS['host']}")
    return max(found, key=lambda snapshot: when(snapshot["time"]))


def refuse_data(item, snapshot):
    """Raises RefusedError where the host has something of this item."""
    force = "to restore over it all the same, write restore_force: true"
    if item.get("empty"):
        process = start_as(as_user(item), item["empty"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        if process.wait():
            raise RefusedError(
                f"this host is not empty ({item['empty'][0]} ended with status {process.returncode}: {complaint(process)}); {force}"
            )
        return
    for path in snapshot["paths"]:
        here = Path(item.get("target") or "/") / path.lstrip("/")
        if here.is_file() or here.is_symlink() or (here.is_dir() and any(here.iterdir())):
            raise RefusedError(f"this host is not empty: it has {here}; {force}")


def as_user(item):
    """The item with an account."""
    return {"user": "root", **item}


def read(item, snapshot):
    """Reads a backup to its end, which restic compares with what it noted when it was made. Raises RefusedError where it is not that."""
    if item.get("argv"):
        argv = item.get("verify") or ["cat"]
        RESTIC.dump(snapshot["id"], item["name"], start_as(as_user(item), argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL))
    else:
        source = RESTIC.start("--no-lock", "dump", snapshot["id"], "/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        pipe(source, start_as({"user": "root"}, ["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL), signal.SIGKILL)


def look(whole):
    """What there is to restore: name, snapshot, when it was made, and the seconds that reading took."""
    found = []
    for item in SETTINGS["items"]:
        if (DONE / f"{item['name']}.json").exists() and not SETTINGS["force"]:
            continue
        began = time.monotonic()
        try:
            snapshot = find(item)
            if not SETTINGS["force"]:
                refuse_data(item, snapshot)
        except RefusedError as error:
            sys.exit(f"{item['name']}: {error}")
        try:
            if whole:
                read(item, snapshot)
        except RefusedError as error:
            which = f"snapshot {snapshot['short_id']} of {snapshot['time'][:19]}"
            sys.exit(f"{item['name']}: {which} does not verify: {error}; name another as snapshot, or in restore_before")
        found.append({"name": item["name"], "id": snapshot["id"], "made": when(snapshot["time"]), "seconds": time.monotonic() - began})
    return found


def restore(item, snapshot):
    """Puts an item onto the host."""
    if item.get("argv"):
        RESTIC.dump(snapshot, item["name"], start_as(as_user(item), item["argv"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL))
    else:
        RESTIC("--no-lock", "restore", snapshot, "--target", item.get("target") or "/", "--verify")


def restore_all():
    """Restores what was found, and says of each item how old its data are and how long it took."""
    items = {item["name"]: item for item in SETTINGS["items"]}
    for found in SETTINGS["found"]:
        began = time.monotonic()
        lost = time.time() - found["made"]
        try:
            restore(items[found["name"]], found["id"])
        except RefusedError as error:
            sys.exit(f"{found['name']}: not restored, and perhaps a part of it is here: {error}; empty the host of it before you try again")
        seconds = found["seconds"] + time.monotonic() - began
        made = datetime.datetime.fromtimestamp(found["made"], datetime.UTC).isoformat(timespec="seconds")
        known = {"snapshot": found["id"], "made": made, "rpo_seconds": round(lost), "rto_seconds": round(seconds, 1)}
        (DONE / f"{found['name']}.json").write_text(json.dumps(known), encoding="utf-8")
        sys.stdout.write(f"{found['name']}: snapshot {found['id'][:8]} of {made}; RPO {lost:.0f} s, RTO {seconds:.1f} s\n")
        sys.stdout.flush()


try:
    if sys.argv[1] == "restore":
        restore_all()
    else:
        json.dump(look(sys.argv[1] == "look"), sys.stdout)
except RefusedError as error:
    sys.exit(str(error))
