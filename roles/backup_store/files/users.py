"""Makes the store's users what standard input says, as JSON of names and passwords. Writes `changed` or `same`; `--check` changes nothing."""

import crypt
import json
import os
import shutil
import sys
from pathlib import Path

FILE = Path("/etc/backup-store/htpasswd")
ROUNDS = 32  # the store checks a hash at every request; passwords are long, so that few rounds will do


def main():
    """Keeps the hash of a password that did not change, because a new one would be another text."""
    wanted = json.load(sys.stdin)
    text = FILE.read_text(encoding="utf-8") if FILE.exists() else ""
    known = dict(line.split(":", 1) for line in text.splitlines())
    lines = []
    for name, password in wanted.items():
        verifier = known.get(name, "")
        if not verifier or crypt.crypt(password, verifier) != verifier:
            verifier = crypt.crypt(password, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=ROUNDS))  # noqa: S324 - it is bcrypt
        lines.append(f"{name}:{verifier}\n")
    if "".join(lines) == text:
        sys.stdout.write("same")
        return
    sys.stdout.write("changed")
    if "--check" not in sys.argv:
        new = FILE.with_suffix(".new")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640), "w", encoding="utf-8") as file:
            file.write("".join(lines))
        shutil.chown(new, "root", "backup-store")
        new.replace(FILE)


main()
