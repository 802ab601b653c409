"""16.6: what a worker may take, and who pays for a task that takes more."""

from collections import Counter

from celery.states import FAILURE, RETRY
from fleet import Batch, Fleet

from celerylab.verify.expect import expect, poll
from celerylab.verify.hosts import ObservedHost
from celerylab.verify.ledger import LedgerReader
from celerylab.verify.plugin import objective
from celerylab.verify.worker import WorkerClient

MEBI = 2**20
MOST_MEBI, OVER_MEBI = 400, 60  # of a host that has 512
MOST_TASKS = 50  # of one child
ENDED_SECONDS = 30
BATCH, BATCHES = 100, 12
LOOK = "celerylab shell 16 worker-1 -- systemctl show celery@default -p MemoryMax -p OOMPolicy"


@objective("16.6")
def test_a_limit_is_in_force_in_the_control_group_of_the_worker(fleet: Fleet) -> None:
    fleet.ready()
    limits = _limits(fleet)
    expect(
        limits and max(limits.values()) <= MOST_MEBI * MEBI,
        observed=", ".join(f"{host}: {_said(limit)}" for host, limit in limits.items()),
        expected=f"a limit of at most {MOST_MEBI}M in the control group of each worker's main process",
        look=LOOK,
        limited=max(limits.values()) <= MOST_MEBI * MEBI,
    )


@objective("16.6")
def test_a_task_that_takes_too_much_ends_alone(fleet: Fleet, batch: Batch, worker: WorkerClient) -> None:
    before = {host: int(said["pid"]) for host, said in fleet.ready().items()}
    megabytes = max(_limits(fleet).values()) // MEBI + OVER_MEBI
    [key] = batch.send("celerylab_probe.leak", min(megabytes, MOST_MEBI + OVER_MEBI))
    task = batch.tasks[key]
    poll(lambda: worker.state(task) in {FAILURE, RETRY}, ENDED_SECONDS)
    state, starts, ends = worker.state(task), batch.counts("start"), batch.counts("end")
    expect(
        state in {FAILURE, RETRY} and starts[key] and not ends[key],
        observed=f"a task that takes {min(megabytes, MOST_MEBI + OVER_MEBI)}M is {state} after {starts[key]} starts and {ends[key]} ends",
        expected="that its process is killed, and the worker says so (FAILURE, or RETRY)",
        look=LOOK,
        oversize_state=state,
    )
    now = {host: int(said["pid"]) for host, said in fleet.ready().items()}
    expect(
        now == before,
        observed=f"main processes were {before}, and are {now} after one task took too much",
        expected="the same ones: one child is killed, and the worker replaces it",
        look=LOOK,
        main_kept=False,
    )


@objective("16.6")
def test_a_child_is_replaced_after_a_number_of_tasks(fleet: Fleet, batch: Batch, ledger: LedgerReader, worker: WorkerClient) -> None:
    said = {host: stats["pool"]["max-tasks-per-child"] for host, stats in fleet.ready().items()}
    numbers = [value for value in said.values() if isinstance(value, int)]
    expect(
        len(numbers) == len(fleet.hosts) and max(numbers) <= MOST_TASKS,
        observed=f"max-tasks-per-child is {' and '.join(sorted({str(value) for value in said.values()}))}",
        expected=f"a number of at most {MOST_TASKS} in the statistics of each worker",
        look="on_node celery --app shop inspect stats",
        most_tasks=max(numbers, default=0),
    )
    most = max(numbers)
    served: Counter[str] = Counter()
    for _ in range(BATCHES):
        last = batch.send("celerylab_probe.leak", 1, count=BATCH)[-1]
        worker.outcome(batch.tasks[last], ENDED_SECONDS, LOOK)
        poll(lambda: len(batch.counts("end")) == len(batch.tasks), ENDED_SECONDS)
        served = Counter(entry["client"] for entry in ledger.entries(kind="end") if entry["key"] in batch.tasks)
        if max(served.values()) >= most:
            break
    expect(
        served and max(served.values()) == most,
        observed=f"of {sum(served.values())} tasks one process did {max(served.values(), default=0)}, {len(served)} processes all together",
        expected=f"{most}, and not one more, before its place is taken by another one",
        look="on_node celery --app shop inspect stats",
        served=max(served.values(), default=0),
    )


def _limits(fleet: Fleet) -> dict[str, int]:
    """Memory limit in bytes that the kernel enforces on the main process of each host's worker."""
    return {host: _limit(fleet.hosts[host], pid) for host, pid in fleet.pids().items()}


def _limit(host: ObservedHost, pid: int) -> int:
    lines = [line.split(":", 2) for line in host.check_output("cat /proc/%s/cgroup", str(pid)).splitlines()]
    version_1 = next((path for _, controllers, path in lines if "memory" in controllers.split(",")), None)
    if version_1 is not None:
        return int(host.check_output("cat %s", f"/sys/fs/cgroup/memory{version_1}/memory.limit_in_bytes"))
    unified = next(path for number, _, path in lines if number == "0")
    text = host.check_output("cat %s", f"/sys/fs/cgroup{unified}/memory.max").strip()
    return 2**63 if text == "max" else int(text)


def _said(limit: int) -> str:
    return "no limit" if limit > 2**50 else f"{limit / MEBI:g}M"
