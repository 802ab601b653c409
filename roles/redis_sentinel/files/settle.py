"""Brings the settings of /etc/redis/sentinel.conf into the file that Sentinel starts with and rewrites, and keeps what Sentinel learnt.

`settle.py bring HOST:PORT...` prints `same` where the file has these settings. Where it has others it prints `changed` and leaves Sentinel
stopped. The hosts are the sentinels that a new one asks who is the primary now. `settle.py check` changes nothing. `settle.py back` puts
back the file of before.

Not SENTINEL SET: it cannot set ports, says nothing of passwords in force, and does not take back what is no longer written. A restart costs
little: Sentinel answers again at once and has forgotten nothing, for what it learnt is in its file.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SETTINGS = Path("/etc/redis/sentinel.conf")
FILE = Path("/var/lib/redis-sentinel/sentinel.conf")
FORMER = FILE.with_suffix(".former")
LEARNT = {"config-epoch", "leader-epoch", "known-replica", "known-slave", "known-sentinel"}  # each followed by the name of a primary
SECONDS = 5


def ask(name, hosts, settings):
    """Where the other sentinels have the primary `name`, by the newest election; empty where none knows."""
    peer = dict(re.findall(r"(?m)^sentinel sentinel-(user|pass) (\S+)$", settings))
    newest = {}
    for address in hosts:
        host, _, port = address.rpartition(":")
        command = ["redis-cli", "-h", host, "-p", port, *(["--user", peer["user"], "--no-auth-warning"] if peer else [])]
        environment = {**os.environ, **({"REDISCLI_AUTH": peer["pass"]} if peer else {})}
        try:
            result = subprocess.run(
                [*command, "SENTINEL", "MASTER", name], env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            continue
        words = result.stdout.splitlines()
        known = dict(zip(words[::2], words[1::2], strict=False))  # an error is one line, or two
        if int(known.get("config-epoch", -1)) > int(newest.get("config-epoch", -1)):
            newest = known
    return f"{newest['ip']} {newest['port']}" if newest else ""


def compose(mark, settings, former, hosts):
    """What Sentinel is to start with: these settings, and what it learnt of primaries that it still watches."""
    addresses = dict(re.findall(r"(?m)^sentinel monitor (\S+) (\S+ \d+) \d+$", former))
    lines, names = [mark], set()
    for line in settings.splitlines():
        if found := re.fullmatch(r"sentinel monitor (\S+) (\S+ \d+) (\d+)", line):
            name, at_first, quorum = found.groups()
            names.add(name)
            lines.append(f"sentinel monitor {name} {addresses.get(name) or ask(name, hosts, settings) or at_first} {quorum}")
        else:
            lines.append(line)
    for line in former.splitlines():
        words = line.split()
        if words[:1] == ["sentinel"] and (words[1] in {"myid", "current-epoch"} or (words[1] in LEARNT and words[2] in names)):
            lines.append(line)
    return "\n".join(lines) + "\n"


def write(text):
    """Writes the file whole or not at all; and not through a link, for the folder is Sentinel's."""
    FILE.parent.mkdir(mode=0o750, exist_ok=True)
    shutil.chown(FILE.parent, "redis", "redis")
    descriptor, path = tempfile.mkstemp(dir=FILE.parent)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    shutil.chown(path, "redis", "redis")
    Path(path).chmod(0o640)
    Path(path).replace(FILE)


def main():
    """Does what the arguments say."""
    step, hosts = sys.argv[1], sys.argv[2:]
    if step == "back":
        if FORMER.exists():
            FORMER.replace(FILE)
            sys.stdout.write("changed")
        return
    settings = SETTINGS.read_text(encoding="utf-8")
    mark = f"# Written by role redis_sentinel and by Sentinel. Settings {hashlib.sha256(settings.encode()).hexdigest()}"
    if FILE.exists() and mark in FILE.read_text(encoding="utf-8").splitlines():
        sys.stdout.write("same")
        return
    if step == "bring":
        former = ""
        if FILE.exists():
            subprocess.run(["systemctl", "stop", "redis-sentinel.service"], check=True)  # what it learns now would be lost
            former = FILE.read_text(encoding="utf-8")
        text = compose(mark, settings, former, hosts)
        FORMER.unlink(missing_ok=True)
        if former:
            FORMER.hardlink_to(FILE)
        write(text)
    sys.stdout.write("changed")


main()
