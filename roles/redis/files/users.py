"""Changes the users of a running Redis without a restart, which every client would notice.

`users.py key` prints the SHA-256 of the password of the user that does it, and makes that password where there is none.
`users.py apply` reads the wanted users (lines of redis.conf) from standard input and prints `changed`, `same`, or `restart` where it cannot be
done so. What Redis refuses is on standard error, and then nothing has changed. With `--check` after it, nothing changes anyway.

Not ACL LOAD: Redis 7.0 answers it by closing every connection, those of users that stay the same as well.
"""

import hashlib
import os
import secrets
import socket
import sys
from pathlib import Path

KEY = Path("/etc/redis/users.key")  # for root alone
IN_FORCE = Path("/etc/redis/users.conf")
SOCKET = "/run/redis/redis-server.sock"
ME = "ansible"
SECONDS = 10


class RefusedError(Exception):
    """Redis' own words."""


class Redis:
    """A connection to this host's Redis."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(SECONDS)
        self.socket.connect(SOCKET)
        self.stream = self.socket.makefile("rb")

    def ask(self, *words):
        """The answer to one command: a text, a number or a list of texts. Raises RefusedError."""
        encoded = [word.encode() for word in words]
        self.socket.sendall(b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded))
        return self.answer()

    def answer(self):
        """The next answer of Redis."""
        line = self.stream.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("Redis closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RefusedError(rest.decode(errors="replace").removeprefix("ERR "))
        if kind == b"*":
            return [self.answer() for _ in range(int(rest))]
        if kind == b"$":
            return self.stream.read(int(rest) + 2)[:-2].decode(errors="replace")
        return rest.decode()

    def users(self):
        """Rules in force, by name. The flag that is Redis' default is named only after a `reset`, so it is left out."""
        lines = [line.split() for line in self.ask("ACL", "LIST")]
        return {words[1]: [word for word in words[2:] if word != "sanitize-payload"] for words in lines}


def ways_in(words):
    """Passwords that let a user in, as hashes, and `nopass`."""
    return {word for word in words if word.startswith("#") or word == "nopass"} if "on" in words else set()


def read_users(text):
    """Rules by name."""
    lines = [line.split() for line in text.splitlines() if line.split()[:1] and not line.lstrip().startswith("#")]
    return {words[1]: words[2:] for words in lines}


def key(check):
    """The hash of the password of the user that changes users; on standard error, that it was made."""
    if not KEY.exists():
        if check:
            return ""
        with os.fdopen(os.open(KEY, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o400), "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32))
        sys.stderr.write("made")
    return hashlib.sha256(KEY.read_bytes()).hexdigest()


def apply(text, check):
    """`changed`, `same` or `restart`. Ends the program with Redis' words where it refuses a user."""
    wanted = read_users(text)
    # Words in quotes are Redis' to read. And only Redis knows what `default` is where nothing is said of it.
    if set(text) & set("\"'\\") or not {ME, "default"} <= set(wanted):
        return "restart"
    try:
        redis = Redis()
        redis.ask("AUTH", ME, KEY.read_text(encoding="ascii"))
        before = redis.users()
    except (OSError, RefusedError):  # it does not run, or does not know this user yet
        return "restart"
    trial = f"trial-{secrets.token_hex(8)}"
    try:
        for name, rules in wanted.items():
            try:
                redis.ask("ACL", "SETUSER", trial, "reset", *rules, "off")
            except RefusedError as error:
                sys.exit(f"user {name}: {error}")
    finally:
        redis.ask("ACL", "DELUSER", trial)
    if check:
        return "same"
    for name, rules in wanted.items():
        redis.ask("ACL", "SETUSER", name, "reset", *rules)
    for name in set(read_users(IN_FORCE.read_text(encoding="utf-8"))) - set(wanted):
        redis.ask("ACL", "DELUSER", name)  # which closes its connections
    after = redis.users()
    for name in set(before) & set(after):
        if ways_in(before[name]) - ways_in(after[name]):
            redis.ask("CLIENT", "KILL", "USER", name)
    return "changed" if before != after else "same"


def main():
    """Does what the arguments say."""
    step, check = sys.argv[1], "--check" in sys.argv
    try:
        answer = key(check) if step == "key" else apply(sys.stdin.read(), check)
    except (OSError, RefusedError):
        if step == "key":
            raise
        answer = "restart"  # the connection broke in the middle
    sys.stdout.write(answer)


main()
