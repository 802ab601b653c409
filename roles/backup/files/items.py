"""What making backups and restoring them share: restic, commands of other accounts, and what one of them writes to another."""

import contextlib
import datetime
import os
import pwd
import signal
import subprocess
import tempfile


class RefusedError(Exception):
    """What went wrong, in one line."""


class Restic:
    """restic with a repository. What is secret is in its environment, which root alone can read; a command line is everybody's."""

    def __init__(self, settings):
        self.command = ["restic", "--quiet", *([f"--cacert={settings['ca_file']}"] if settings["ca_file"] else [])]
        self.environment = {**os.environ, "RESTIC_REPOSITORY": settings["repository"], "RESTIC_PASSWORD": settings["password"]}

    def __call__(self, *arguments, timeout=None):
        """What restic writes. Raises RefusedError with what it complains of."""
        try:
            result = subprocess.run([*self.command, *arguments], capture_output=True, env=self.environment, timeout=timeout, check=False)
        except subprocess.TimeoutExpired as error:
            raise RefusedError(f"no answer: {last(error.stderr or b'')}") from None
        if result.returncode:
            raise RefusedError(last(result.stderr))
        return result.stdout

    def start(self, *arguments, **streams):
        """A restic that runs."""
        return start([*self.command, *arguments], env=self.environment, **streams)

    def dump(self, snapshot, name, sink):
        """Writes what a command once wrote to `sink`. Raises RefusedError where not all of it is there as it was."""
        source = self.start("--no-lock", "dump", snapshot, f"/{name}", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        pipe(source, sink, signal.SIGKILL)


def last(said):
    """The end of what a program complained of."""
    lines = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip() and not line.startswith("\t")]
    return " | ".join(lines[-3:]) or "it does not say why"


def start(argv, **options):
    """A process that notes what it complains of. Raises RefusedError where there is no such program."""
    said = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
    try:
        process = subprocess.Popen(argv, stderr=said, cwd="/", start_new_session=True, **options)
    except OSError as error:
        raise RefusedError(str(error)) from None
    process.said = said
    return process


def start_as(item, argv, **streams):
    """A command of an item, run by the item's account and with its environment. Raises RefusedError where there is no such account."""
    try:
        account = pwd.getpwnam(item["user"])
    except KeyError:
        raise RefusedError(f"this host has no account {item['user']}") from None
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "HOME": account.pw_dir, "USER": account.pw_name}
    environment.update({name: str(value) for name, value in (item.get("environment") or {}).items()})
    groups = os.getgrouplist(account.pw_name, account.pw_gid)
    return start(argv, env=environment, user=account.pw_uid, group=account.pw_gid, extra_groups=groups, **streams)


def complaint(process):
    """What a process wrote to its standard error."""
    process.said.seek(0)
    return last(process.said.read())


def pipe(source, sink, stop):
    """Copies what `source` writes to `sink`, which sees the end of it only where the source ended well; what the sink writes.

    A sink that saw the end of half a dump would take it for a whole one, so it gets the signal `stop` instead. One that ends early does not
    keep the rest from being read: restic says at the end whether all was there.
    """
    size, takes = 0, True
    while chunk := source.stdout.read(1 << 20):
        size += len(chunk)
        try:
            if takes:
                sink.stdin.write(chunk)
                sink.stdin.flush()
        except BrokenPipeError:
            takes = False
    failed = source.wait()
    if failed or not size:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(sink.pid, stop)
        sink.wait()
        said = f"ended with status {failed}: {complaint(source)}" if failed else "wrote nothing"
        raise RefusedError(f"{source.args[0]} {said}")
    output, _ = sink.communicate()
    if sink.returncode:
        raise RefusedError(f"{sink.args[0]} ended with status {sink.returncode}: {complaint(sink)}")
    return output


def when(written):
    """Seconds since 1970 of a time as restic writes it."""
    return datetime.datetime.fromisoformat(written).timestamp()
