"""What a host's workers are told apart from the roles: to end what they have begun, before their host goes or while a new version is brought."""

import json
import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from celerylab.converge.connection import Connection, run_on_host
from celerylab.errors import ConvergeError
from celerylab.providers.engine import say

WORKER_ROLE = "celery_worker"
_RESTARTING = {WORKER_ROLE, "celery_app"}  # what they change, a running worker does not see
MARKER = "/var/lib/celerylab.json"  # on the host: what was done, or that a run began and did not end
UNFINISHED = {"state": "unfinished"}
_UNITS = "celery@*.service"
_OLD_TASKS_SECONDS = 600  # for what the old workers still run; systemd ends them earlier, by TimeoutStopSec
# Those that run, by name. The marker first: if this run is cut off, the next one starts the host again, and with it the workers.
_STOP = f"""
printf '%s' {shlex.quote(json.dumps(UNFINISHED))} > {MARKER}
units=$(systemctl list-units --plain --no-legend --state=active '{_UNITS}' | cut -d' ' -f1)
[ -z "$units" ] || systemctl stop --no-block $units
echo $units
"""
# Those that a role has taken out are no longer enabled.
_START = """
for unit in "$@"; do
    ! systemctl is-enabled --quiet "$unit" || systemctl start "$unit"
done
"""


def drain(host: str, connection: Connection, seconds: int) -> None:
    """Stops the host's workers warm: each ends the tasks it runs and gives back what it has only taken. After `seconds` the rest is given up."""
    began = time.monotonic()
    try:
        run_on_host(connection, ["systemctl", "stop", _UNITS], seconds)
    except ConvergeError as error:  # a host that is gone or hangs has nothing to drain, and must not stand in the way
        say(f"{host}: not drained: {error}")
    else:
        say(f"{host}: drained in {time.monotonic() - began:.1f} s")


@contextmanager
def restarted_around(connection: Connection, roles: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
    """Restarts the host's workers around a play with `roles`: they are told to stop warm before it, which takes about two seconds that Ansible
    needs to begin, and start with what the play brought. Yields the tasks that the play ends with; where it fails, they start as they were.

    Nothing where the roles do not concern a running worker, and on machines that are reached through SSH: there the roles' handlers restart.
    """
    units: list[str] = []
    if connection["type"] == "docker" and not _RESTARTING.isdisjoint(roles):
        units = run_on_host(connection, ["sh", "-c", _STOP]).split()
    start = ["sh", "-c", _START, "start", *units]
    try:
        yield [{"name": "Start the workers again", "ansible.builtin.command": {"argv": start}}] if units else []
    except ConvergeError:
        if units:
            run_on_host(connection, start, _OLD_TASKS_SECONDS)
        raise
