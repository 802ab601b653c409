"""02.1: the worker as a systemd service."""

from celerylab.verify.expect import expect, wait_for
from celerylab.verify.faults import process_killed
from celerylab.verify.hosts import ObservedHost
from celerylab.verify.plugin import objective
from celerylab.verify.worker import WORKER_UNIT

BACK_SECONDS = 10


@objective("02.1")
def test_unit_is_enabled(node: ObservedHost) -> None:
    state = node.run("systemctl is-enabled %s", WORKER_UNIT).stdout.strip()
    expect(
        state == "enabled",
        observed=f"systemctl is-enabled says {state or 'that there is no such unit'}",
        expected="enabled: the worker starts when the host does",
        look=f"celerylab shell 02 -- systemctl is-enabled {WORKER_UNIT}",
    )


@objective("02.1")
def test_no_process_of_the_worker_is_root(node: ObservedHost) -> None:
    pid = _steady_main_pid(node)
    owners = _owners(node)
    expect(
        owners and "root" not in owners.values(),
        observed=f"main process {pid}; owners of the unit's processes: {', '.join(sorted(set(owners.values()))) or 'there are none'}",
        expected="every process of the worker belongs to a user without privileges",
        look="celerylab shell 02 -- ps -eo user,pid,args",
        owners=sorted(set(owners.values())),
    )


@objective("02.1")
def test_worker_returns_after_its_main_process_is_killed(node: ObservedHost) -> None:
    before = _steady_main_pid(node)
    restart_usec = node.unit(WORKER_UNIT, "RestartUSec", "Restart")
    with process_killed(node, before, WORKER_UNIT):
        wait_for(
            lambda: node.main_pid(WORKER_UNIT) not in (0, before),
            BACK_SECONDS,
            expected=f"a new main process within {BACK_SECONDS} s",
            observed=lambda: f"main process {before} was killed; no new one (systemd says {_state(node)})",
            look=f"celerylab shell 02 -- systemctl cat {WORKER_UNIT}",
            restart=restart_usec["Restart"],
            restart_seconds=restart_usec["RestartUSec"],
        )
        _steady_main_pid(node)


def _steady_main_pid(node: ObservedHost) -> int:
    """The main process, once the same one has been there for a while: a unit that restarts again and again has one most of the time."""
    seen: dict[str, int] = {"pid": 0, "times": 0}

    def steady() -> int | None:
        pid = node.main_pid(WORKER_UNIT)
        seen["times"] = seen["times"] + 1 if pid and pid == seen["pid"] else 0
        seen["pid"] = pid
        return pid if seen["times"] >= 8 else None

    return wait_for(
        steady,
        BACK_SECONDS,
        every=0.3,
        expected="a worker that keeps running",
        observed=lambda: f"no main process that lasts ({_state(node)})",
        look="celerylab logs 02",
    )


def _owners(node: ObservedHost) -> dict[int, str]:
    """User of each process in the unit's control group."""
    group = node.unit(WORKER_UNIT, "ControlGroup")["ControlGroup"]
    lines = node.check_output("ps -eo pid=,user:32=,cgroup=").splitlines()
    found = [line.split(maxsplit=2) for line in lines if group and line.rstrip().endswith(group)]
    return {int(pid): user for pid, user, _ in found}


def _state(node: ObservedHost) -> str:
    unit = node.unit(WORKER_UNIT, "ActiveState", "SubState", "Result", "NRestarts")
    return f"{unit['ActiveState']}/{unit['SubState']}, last result {unit['Result']}, restarted {unit['NRestarts']} times"
