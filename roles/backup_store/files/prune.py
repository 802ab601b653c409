"""Deletes backups that are older than what prune.json says is kept, of each user whose repository's password is in it."""

import datetime
import json
import os
import subprocess
import sys
from pathlib import Path

WANTED = json.loads(Path("/etc/backup-store/prune.json").read_text(encoding="utf-8"))
CLOCKS = datetime.timedelta(hours=1)  # what the clocks of two hosts may be apart


class RefusedError(Exception):
    """What restic says."""


def restic(repository, password, *arguments):
    """What restic writes. Raises RefusedError with its complaint."""
    environment = {**os.environ, "RESTIC_REPOSITORY": str(repository), "RESTIC_PASSWORD": password}
    result = subprocess.run(["restic", *arguments], env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RefusedError(" | ".join(result.stderr.strip().splitlines()[-3:]))
    return result.stdout


def prune(repository, password):
    """Raises RefusedError."""
    restic(repository, password, "unlock")  # locks of processes that died
    now = datetime.datetime.now(datetime.UTC)
    for snapshot in json.loads(restic(repository, password, "snapshots", "--json")):
        # What is kept is counted from the newest one. Who may add backups must not drive the others out by one of next year.
        if datetime.datetime.fromisoformat(snapshot["time"]) > now + CLOCKS:
            raise RefusedError(
                f"snapshot {snapshot['short_id']} is of the future ({snapshot['time']}), so nothing is deleted; look into it"
            )
    restic(repository, password, "forget", "--prune", "--group-by=host,tags", *WANTED["keep"])


def main():
    """Goes through all of them, and fails where one failed."""
    failed = False
    for name, password in WANTED["passwords"].items():
        repository = Path(WANTED["directory"], name)
        if not (repository / "config").exists():
            continue  # it has stored nothing yet
        try:
            prune(repository, password)
            sys.stdout.write(f"{name}: pruned\n")
        except RefusedError as error:
            sys.stderr.write(f"{name}: not pruned: {error}\n")
            failed = True
    sys.exit(failed)


main()
