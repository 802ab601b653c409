"""Replication of this host's Redis, as /etc/redis/replication.json says.

`replication.py start` runs before each start of Redis and writes the file that Redis starts with: the role's configuration, and whose
replica it is. `replication.py apply SECONDS` puts changed settings in force while Redis runs, and waits until a replica has its primary's
data. It prints `changed` or `same`; what is wrong is on standard error. With `--check` after it, nothing changes and nobody waits.
"""

import json
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

SETTINGS = Path("/etc/redis/replication.json")
CONFIGURATION = Path("/etc/redis/redis.conf")
LOCAL = Path("/etc/redis/local.conf")
KEY = Path("/etc/redis/users.key")
SOCKET = "/run/redis/redis-server.sock"
STARTED_WITH = Path("/var/lib/redis/redis.conf")
SECONDS = 2  # for one connection or one answer
PATIENCE = 45  # with answers that take long still less than the 90 s that systemd gives to a start


class RefusedError(Exception):
    """Words of a Redis or a Sentinel."""


class Redis:
    """A connection to a Redis or a Sentinel; `address` is a path, or a pair of host and port."""

    def __init__(self, address, user, password):
        if isinstance(address, tuple):
            self.socket = socket.create_connection(address, SECONDS)
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(SECONDS)
            self.socket.connect(address)
        self.stream = self.socket.makefile("rb")
        if password:
            self.ask("AUTH", user, password)

    def ask(self, *words):
        """The answer to one command: a text or a list. Raises RefusedError."""
        encoded = [word.encode() for word in words]
        self.socket.sendall(b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded))
        return self.answer()

    def answer(self):
        """The next answer."""
        line = self.stream.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the connection was closed")
        kind, rest = line[:1], line[1:-2].decode(errors="replace")
        if kind == b"-":
            raise RefusedError(rest)
        if kind == b"*":
            return [self.answer() for _ in range(int(rest))]
        if kind == b"$":
            return self.stream.read(int(rest) + 2)[:-2].decode(errors="replace")
        return rest


def settings():
    """What the role wrote."""
    return json.loads(SETTINGS.read_text(encoding="utf-8"))


def ask_sentinels(sentinels):
    """What sentinels know of the primary by the newest election, how many answered, and the words of those who did not let us in."""
    newest, answers, refused = {}, 0, []
    for address in sentinels["hosts"]:
        host, _, port = address.rpartition(":")
        try:
            said = Redis((host, int(port)), sentinels["user"], sentinels["password"]).ask("SENTINEL", "MASTER", sentinels["name"])
        except OSError:  # nobody there
            continue
        except RefusedError as error:
            if "No such master" not in str(error):
                refused.append(f"{address}: {error}")
            continue
        answers += 1
        known = dict(zip(said[::2], said[1::2], strict=True))
        if int(known["config-epoch"]) > int(newest.get("config-epoch", -1)):
            newest = known
    return newest, answers, refused


def is_here(host, announced):
    """Whether that is this host, by its name or by one of its addresses."""
    if host == announced:
        return True
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    for family, _, _, _, address in found:
        try:
            with socket.socket(family) as probe:
                probe.bind(address)  # an address of another host cannot be bound to
        except OSError:
            continue
        return True
    return False


def has_data():
    """Whether Redis finds anything to load when it starts here."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in (CONFIGURATION, LOCAL))
    folder = Path(re.findall(r'(?im)^[ \t]*dir[ \t]+"?([^"\s]+)', text)[-1])
    return any(next(folder.rglob(pattern), None) for pattern in ("*.rdb", "*.manifest"))


def start():
    """Writes the file that Redis starts with."""
    wanted = settings()
    noted = None  # by the role, or by Redis when a Sentinel or somebody else told it whose replica to be
    if STARTED_WITH.exists():
        noted = re.findall(r"(?m)^replicaof (\S+) (\d+)$", STARTED_WITH.read_text(encoding="utf-8"))
    primary, because = choose(wanted, noted)
    lines = ["# Written by role redis before each start. Redis notes here whose replica it becomes."]
    lines += [f"include {CONFIGURATION}", *(f"replicaof {host} {port}" for host, port in primary)]
    fresh = STARTED_WITH.with_suffix(".new")
    fresh.touch(mode=0o640)
    fresh.write_text("\n".join(lines) + "\n", encoding="utf-8")
    fresh.replace(STARTED_WITH)
    said = f"a replica of {':'.join(primary[0])}" if primary else "a primary"
    sys.stderr.write(f"starts as {said}, {because}\n")


def choose(wanted, noted):
    """The primary whose replica Redis is, as a list of one pair or none, and why. Ends the program where a start would do harm."""
    sentinels = wanted["sentinels"]
    if not sentinels:
        return (noted, "as before") if noted is not None else (wanted["replica_of"], "as redis_replica_of says")
    deadline = time.monotonic() + PATIENCE
    while True:
        known, answers, refused = ask_sentinels(sentinels)
        if noted is None and refused:
            sys.exit(f"a Sentinel refuses to say who is the primary: {'; '.join(refused)}")
        here = bool(known) and is_here(known["ip"], wanted["announced"])
        # Replicas of an empty primary delete what they have. Without this one the sentinels soon choose one of them.
        if not here or int(known["num-slaves"]) == 0 or has_data():
            break
        if time.monotonic() > deadline:
            name = sentinels["name"]
            sys.exit(
                f"the sentinels take this host for the primary {name}, but it has no data, and its replicas would lose theirs; "
                f"where these are gone as well, tell the sentinels SENTINEL RESET {name}"
            )
        time.sleep(1)
    # One Sentinel that is cut off may know an old primary, so what was noted here gives way to most of them only.
    if known and (noted is None or answers * 2 > len(sentinels["hosts"])):
        return [] if here else [(known["ip"], known["port"])], f"as {answers} of {len(sentinels['hosts'])} sentinels say"
    if noted is not None:
        return noted, "as before"
    return wanted["replica_of"], "as redis_replica_of says, for no Sentinel knows"


def apply(seconds, check):
    """`changed` or `same`. Ends the program where replication does not work."""
    wanted = settings()
    redis = Redis(SOCKET, "ansible", KEY.read_text(encoding="ascii"))
    own = {line.split()[0].lower() for line in LOCAL.read_text(encoding="utf-8").splitlines() if line.split()}
    changed = False
    for name, value in wanted["settings"].items():
        if name not in own and redis.ask("CONFIG", "GET", name) != [name, value]:
            changed = True
            if not check:
                redis.ask("CONFIG", "SET", name, value)
    if not wanted["sentinels"]:
        changed = follow(redis, wanted["replica_of"], check) or changed
    if not check:
        wait(redis, seconds)
    return "changed" if changed else "same"


def follow(redis, wanted, check):
    """Makes Redis a replica of the one that is written, or a primary; whether it was not that before."""
    kind, *rest = redis.ask("ROLE")
    if ([rest[:2]] if kind == "slave" else []) == wanted:
        return False
    if " name=sentinel-" in redis.ask("CLIENT", "LIST"):
        sys.exit("a Sentinel decides whose replica this Redis is, and redis_replica_of says something else; write redis_sentinels")
    if not check:
        redis.ask("REPLICAOF", *(wanted[0] if wanted else ("NO", "ONE")))
        redis.ask("CONFIG", "REWRITE")
    return True


def wait(redis, seconds):
    """Waits until a replica has its primary's data. A primary that is not there is not this host's fault."""
    deadline = time.monotonic() + seconds
    while True:
        known = dict(line.split(":", 1) for line in redis.ask("INFO", "replication").splitlines() if ":" in line)
        if known["role"] == "master" or known["master_link_status"] == "up":
            return
        if known["master_sync_in_progress"] == "1":
            deadline = time.monotonic() + seconds
        primary = known["master_host"], int(known["master_port"])
        try:
            socket.create_connection(primary, SECONDS).close()
        except OSError:
            sys.stderr.write(f"waits for its primary, {primary[0]}:{primary[1]}, which does not answer")
            return
        if time.monotonic() > deadline:
            sys.exit(f"no data from {primary[0]}:{primary[1]}: {complaint()}")
        time.sleep(0.2)


def complaint():
    """What Redis last said of its primary."""
    command = ["journalctl", "--quiet", "--output=cat", "--lines=50", "--unit=redis-server.service"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    warnings = [line.split(" # ", 1)[1] for line in said if " # " in line and "master" in line.lower()]
    return (warnings or said or ["Redis does not say why"])[-1]


def main():
    """Does what the arguments say."""
    if sys.argv[1] == "start":
        start()
        return
    check = "--check" in sys.argv
    try:
        sys.stdout.write(apply(float(sys.argv[2]), check))
    except (OSError, RefusedError) as error:
        if not check:  # in a dry run Redis may not be what it will be
            sys.exit(str(error))
        sys.stdout.write("same")


main()
