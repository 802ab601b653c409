"""23.6: four pods are four times as fast, and a sizing that rests on what one really does."""

import json
from collections import Counter
from datetime import datetime
from typing import Any

from celery.states import SUCCESS
from pool import Batch, Pool

from celerylab.verify.expect import expect, poll
from celerylab.verify.plugin import objective
from celerylab.verify.stack import Stack
from celerylab.verify.worker import WorkerClient

ALONE, MANY, PODS, TASK_SECONDS = (
    8,
    120,
    4,
    1.0,
)  # tasks for each slot of a pod: so many that pods which start some seconds late still count
DONE_SECONDS = 150
MOST_SHARE = 40  # percent of the tasks that one pod may do
RESIZES, RESIZE_SECONDS = 10, 60
TASKS_A_DAY, DAY_SECONDS = 1_000_000, 86400
MEAN, PEAK = TASKS_A_DAY / DAY_SECONDS, TASKS_A_DAY / 10 / 3600  # tasks a second; a tenth of the day comes in its busiest hour
NEAR = 0.2  # a measurement may differ by so much
LEAST_PODS, MOST_PODS = 0.9, 1.7  # of what is needed
FILE = "answers/sizing.json"
LOOK = "celerylab shell 23 worker -- celery --app shop inspect reserved"


@objective("23.6")
def test_four_pods_share_what_waited_before_they_came(pool: Pool, batch: Batch, worker: WorkerClient) -> None:
    with pool.pinned(1) as pin:
        slots = pool.slots()
        alone = batch.send(TASK_SECONDS, ALONE * slots)
        poll(lambda: len(batch.entries("end")) == len(alone), DONE_SECONDS, every=0.5)
        one_pod = _makespan(batch, alone) / ALONE * MANY
        pin(0)
        many = batch.send(TASK_SECONDS, MANY * slots)
        pin(PODS)
        poll(lambda: len(batch.entries("end", many)) == len(many), DONE_SECONDS, every=0.5)
        done = Counter(entry.pod for entry in batch.entries("end", many))
        took = _makespan(batch, many)
    if sum(done.values()) < len(many):
        pool.afresh()
    share = 100 * max(done.values(), default=0) / len(many)
    shares = " + ".join(str(count) for count in sorted(done.values(), reverse=True)) or "none"
    expect(
        sum(done.values()) == len(many) and share <= MOST_SHARE,
        observed=f"of {len(many)} tasks that waited, {PODS} pods did {shares} within {DONE_SECONDS} s",
        expected=f"all of them, and none of the pods over {MOST_SHARE}%",
        look=LOOK,
        largest_share=round(share),
    )
    with worker.timing():
        expect(
            took <= one_pod / 3,
            observed=f"{PODS} pods took {took:.1f} s for {len(many)} tasks, one would take {one_pod:.0f} s",
            expected="at most a third of it",
            look=LOOK,
            speedup=round(one_pod / took, 1),
        )


@objective("23.6")
def test_the_sizing_for_a_million_tasks_a_day_agrees_with_what_a_pod_does(pool: Pool, worker: WorkerClient, stack: Stack) -> None:
    said = _numbers(stack)
    expect(
        said is not None,
        observed=f"{FILE} is not there, is not in its form, or has a null",
        expected="seconds_per_task, tasks_per_second and pods, the latter two each with mean and peak, as numbers",
        look="celerylab status 23",
        sizing_complete=False,
    )
    assert said is not None
    with pool.pinned(1):
        pool.ready()
        tasks = [worker.send("orders.resize", f"picture-{number}") for number in range(RESIZES)]
        outcomes = [worker.outcome(task, RESIZE_SECONDS, LOOK) for task in tasks]
        done = sorted(_done(worker, task.id) for task in tasks)
    expect(
        {outcome.state for outcome in outcomes} == {SUCCESS},
        observed=f"orders.resize ended {' and '.join(sorted({outcome.state for outcome in outcomes}))}",
        expected="SUCCESS",
        look=LOOK,
    )
    seconds = (done[-1] - done[0]).total_seconds() / (RESIZES - 1)
    with worker.timing():
        expect(
            abs(said["seconds"] / seconds - 1) <= NEAR,
            observed=f"seconds_per_task is {said['seconds']:g}; a pod of this pool does one task in {seconds:.2f} s",
            expected=f"what a pod really needs, within {NEAR:.0%}",
            look="celerylab shell 23 worker -- celery --app shop inspect stats",
            seconds_right=False,
        )
        wrong = [f"{name} {said[name]:g}" for name, right in (("mean", MEAN), ("peak", PEAK)) if abs(said[name] / right - 1) > 0.05]
        expect(
            not wrong and said["peak"] > said["mean"],
            observed=f"tasks_per_second says {', '.join(wrong) or 'a peak below the mean'}",
            expected=f"{MEAN:.1f} on average and {PEAK:.1f} in the busiest hour, in which a tenth of {TASKS_A_DAY:,} tasks comes",
            look="celerylab status 23",
            rates_right=False,
        )
        needed = {"mean": MEAN * seconds, "peak": PEAK * seconds}
        need = " and ".join(f"{pods:.1f}" for pods in needed.values())
        off = [name for name, pods in needed.items() if not LEAST_PODS * pods <= said[f"{name}_pods"] <= MOST_PODS * pods]
        expect(
            not off and said["peak_pods"] >= said["mean_pods"],
            observed=f"pods are {said['mean_pods']:g} and {said['peak_pods']:g}; as fast as they are, {need} are needed",
            expected=f"between {LEAST_PODS:g} and {MOST_PODS:g} times of that: enough, and not bought for nothing",
            look="celerylab status 23",
            pods_right=False,
        )


def _makespan(batch: Batch, keys: list[str]) -> float:
    """Seconds from the first start to the last end."""
    starts, ends = ([entry.seconds for entry in batch.entries(kind, keys)] for kind in ("start", "end"))
    return max(ends) - min(starts) if starts and ends else 0.0


def _done(worker: WorkerClient, task_id: str) -> datetime:
    """When a task ended, as the result backend knows it."""
    return datetime.fromisoformat(worker.app.backend.get_task_meta(task_id)["date_done"])


def _numbers(stack: Stack) -> dict[str, float] | None:
    """What is written in the file; None where a number is missing."""
    text = stack.lab_file(FILE)
    try:
        said: Any = json.loads(text or "null")
        found = {
            "seconds": said["seconds_per_task"],
            **{name: said["tasks_per_second"][name] for name in ("mean", "peak")},
            **{f"{name}_pods": said["pods"][name] for name in ("mean", "peak")},
        }
    except (ValueError, KeyError, TypeError):
        return None
    numbers = all(isinstance(number, int | float) and not isinstance(number, bool) and number > 0 for number in found.values())
    return found if numbers else None
