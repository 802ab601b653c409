"""Failures on purpose. Each is a context manager that is undone on any exit, and each has a test that it bites and that it heals."""

import shlex
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from celerylab.verify.expect import NotObservedError
from celerylab.verify.hosts import ObservedHost

_REDIRECT = "celerylab_redirect"
_CLOCK = "90-celerylab-clock.conf"


@contextmanager
def unit_stopped(host: ObservedHost, *units: str) -> Iterator[None]:
    """The systemd `units` are stopped inside the block, and started again after it."""
    host.as_root("systemctl", "stop", *units)
    try:
        yield
    finally:
        host.as_root("systemctl", "start", *units)


@contextmanager
def started_afterwards(host: ObservedHost, *units: str) -> Iterator[None]:
    """Whatever a fault inside the block does to `units`, they are started after it."""
    try:
        yield
    finally:
        host.as_root("systemctl", "start", *units)


@contextmanager
def process_killed(host: ObservedHost, pid: int, unit: str) -> Iterator[None]:
    """Process `pid` of `unit` gets SIGKILL, as the kernel does when memory runs out. Whoever has to start it again is what the block watches;
    after it the unit is started if nobody did."""
    host.as_root("kill", "-KILL", str(pid))
    try:
        yield
    finally:
        host.as_root("systemctl", "start", unit)


@contextmanager
def units_killed(host: ObservedHost, *units: str) -> Iterator[None]:
    """Every process of `units` gets SIGKILL at once, and they stay away inside the block, as when their host is gone. Then they are started."""
    host.as_root("systemctl", "kill", "--signal=KILL", *units)
    try:
        host.as_root("systemctl", "stop", *units)  # else systemd would bring them back
        yield
    finally:
        host.as_root("systemctl", "start", *units)


@contextmanager
def process_ended_afterwards(host: ObservedHost, pid: int, unit: str) -> Iterator[None]:
    """Whatever a fault inside the block does to process `pid` of `unit`: where it is still there after the block, it is killed, for one that
    hangs ends no other way; and the unit is started if nobody did."""
    try:
        yield
    finally:
        host.as_root("sh", "-c", f"kill -KILL {pid} 2>/dev/null || true")
        host.as_root("systemctl", "start", unit)


@contextmanager
def connections_redirected(host: ObservedHost, account: str, port: int, to: int) -> Iterator[None]:
    """New TCP connections that processes of `account` on `host` open to `port`, of whatever address, end at `to` on the host itself.

    What is connected stays connected, and nobody else's connections change: an attacker in the middle, for one account.
    """
    rules = (
        f"table inet {_REDIRECT} {{ chain out {{ type nat hook output priority -100; "
        f"meta skuid {account} tcp dport {port} redirect to :{to}; }}; }}"
    )
    host.as_root("nft", rules)
    try:
        yield
    finally:
        host.as_root("nft", "delete", "table", "inet", _REDIRECT)


@contextmanager
def process_frozen(host: ObservedHost, pid: int) -> Iterator[None]:
    """Process `pid` is stopped by SIGSTOP inside the block: its connections stay open, and nobody answers on them. Then it goes on."""
    host.as_root("kill", "-STOP", str(pid))
    try:
        yield
    finally:
        host.as_root("kill", "-CONT", str(pid))


def stop_process(host: ObservedHost, pid: int) -> None:
    """Process `pid` is stopped by SIGSTOP, for good. Use it inside `process_ended_afterwards`."""
    host.as_root("kill", "-STOP", str(pid))


@contextmanager
def clock_wrong(host: ObservedHost, unit: str, seconds: int) -> Iterator[None]:
    """The processes of `unit`, and no others, see a wall clock that is `seconds` ahead inside the block, behind where negative.

    A process keeps the clock that it began with, so the unit is restarted at both ends of the block. Monotonic clocks, and what waits by them, are
    right. The host needs datefudge: a module says `vars: {base_extra_packages: [datefudge]}`. Raises NotObservedError without it. (libfaketime
    0.9.10, which Debian 12 has, makes Python's time.sleep fail, or its waits never end.)
    """
    library = host.as_root("sh", "-c", "ls /usr/lib/*/datefudge/datefudge.so 2>/dev/null || true").strip()
    if not library:
        raise NotObservedError(f"{host.name} has no datefudge; write base_extra_packages: [datefudge] into the module's vars")
    folder = f"/run/systemd/system/{unit}.d"
    lines = shlex.join(["[Service]", f"Environment=LD_PRELOAD={library} DATEFUDGE={-seconds}"])
    try:
        host.as_root("sh", "-c", f"mkdir -p {folder} && printf '%s\\n' {lines} > {folder}/{_CLOCK}")
        host.as_root("systemctl", "daemon-reload")
        host.as_root("systemctl", "restart", unit)
        yield
    finally:
        host.as_root("rm", "-f", f"{folder}/{_CLOCK}")
        host.as_root("systemctl", "daemon-reload")
        host.as_root("systemctl", "restart", unit)


@contextmanager
def rabbitmq_setting(host: ObservedHost, name: str, value: int) -> Iterator[None]:
    """RabbitMQ's own setting `name` (of its application `rabbit`) is `value` inside the block, for what begins there, such as a channel."""
    before = _erlang(host, f"{{ok, Value}} = application:get_env(rabbit, {name}), Value.").removeprefix("{ok, ").removesuffix("}")
    _erlang(host, f"application:set_env(rabbit, {name}, {value}).")
    try:
        yield
    finally:
        _erlang(host, f"application:set_env(rabbit, {name}, {before}).")


def outlast_attempts(host: ObservedHost, processes: Mapping[str, int], times: int, seconds: float, since: str = "0") -> None:
    """Lets a broker's absence last until each worker has tried `times` times to reach it, has ended, or has had `seconds` for both.

    `processes` are main processes by unit. Their own logs are read, from `since` (of the host's clock, in seconds since 1970) on.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        going = [pid for unit, pid in processes.items() if host.main_pid(unit) == pid]
        logs = [host.check_output("journalctl --no-pager --output=cat --since=@%s _PID=%s", since, str(pid)) for pid in going]
        if all(log.count("annot connect") >= times for log in logs):
            return
        time.sleep(0.3)


def _erlang(host: ObservedHost, expression: str) -> str:
    """What RabbitMQ's node answers to an Erlang expression. erl_call takes milliseconds where rabbitmqctl takes a second."""
    call = f"echo {shlex.quote(expression)} | HOME=/var/lib/rabbitmq erl_call -sname rabbit@localhost -e"
    return host.as_root("sh", "-c", call).strip()


def restart_unit(host: ObservedHost, unit: str) -> None:
    """Restarts a unit without waiting for its start job, as a reboot of one service does."""
    host.as_root("systemctl", "restart", "--no-block", unit)
