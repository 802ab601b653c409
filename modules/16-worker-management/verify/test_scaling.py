"""16.4: as many processes as the work asks for, and a number that shows it."""

import time
from collections.abc import Callable

import pytest
from fleet import Fleet

from celerylab.verify.expect import expect, poll, wait_for
from celerylab.verify.plugin import objective
from celerylab.verify.prometheus import Prometheus
from celerylab.verify.rabbitmq import RabbitClient
from celerylab.verify.redis_server import redis_length
from celerylab.verify.stack import Stack
from celerylab.verify.worker import WorkerClient

TASK, QUEUE = "thumbnails.make", "celery"
REST, BURST = 2, 8  # processes of one host: at most, and at least
RISE_SECONDS, FALL_SECONDS, SHOWN_SECONDS = 40, 60, 15
FULL = 60  # messages that wait during the burst; each takes a process for a second
METRIC = "shop_pool_processes"
LOOK = "on_node celery --app shop inspect stats"


@objective("16.4")
@pytest.mark.usefixtures("idle_after")
def test_processes_rise_in_a_burst_and_fall_after_it_and_a_metric_shows_both(fleet: Fleet, worker: WorkerClient, stack: Stack) -> None:
    prometheus, depth = Prometheus(stack), _depth(stack)
    poll(lambda: _at_rest(_processes(fleet), fleet), FALL_SECONDS)
    before = _processes(fleet)
    expect(
        _at_rest(before, fleet),
        observed=f"with nothing to do there are {_said(before)} processes",
        expected=f"at most {REST} on each host",
        look=LOOK,
        at_rest=max(before.values(), default=0),
    )
    shown_at_rest = _shown(prometheus)

    peak = dict.fromkeys(fleet.hosts, 0)

    def rises() -> bool:
        for number in range(depth(), FULL):
            worker.send(TASK, f"picture-{number}", ignore_result=True)
        now = _processes(fleet)
        peak.update({host: max(peak[host], now.get(host, 0)) for host in peak})
        return min(now.get(host, 0) for host in fleet.hosts) >= BURST

    started = time.monotonic()
    poll(rises, RISE_SECONDS)
    expect(
        min(peak.values()) >= BURST,
        observed=f"{time.monotonic() - started:.0f} s of a burst, in which {FULL} tasks always waited, brought at most {_said(peak)} processes",
        expected=f"at least {BURST} on each host",
        look=LOOK,
        peak=min(peak.values()),
    )

    def shows_the_peak() -> bool:
        rises()  # as long as Prometheus has not looked
        return (_shown(prometheus) or 0) >= BURST * len(fleet.hosts)

    poll(shows_the_peak, SHOWN_SECONDS)
    shown = _shown(prometheus)
    expect(
        shown is not None and shown >= BURST * len(fleet.hosts),
        observed=f"with {_said(peak)} processes sum({METRIC}) is {'not there' if shown is None else f'{shown:g}'} in Prometheus",
        expected=f"at least {BURST * len(fleet.hosts)}, as there are",
        look="celerylab shell 16 monitor-1 -- cat /etc/prometheus/prometheus.yml",
        shown=shown is not None,
    )

    poll(lambda: depth() == 0, FALL_SECONDS)
    poll(lambda: _at_rest(_processes(fleet), fleet), FALL_SECONDS)
    after = _processes(fleet)
    expect(
        _at_rest(after, fleet),
        observed=f"{FALL_SECONDS} s after the burst there are {_said(after)} processes",
        expected=f"at most {REST} on each host again",
        look=LOOK,
        after=max(after.values(), default=0),
    )
    wait_for(
        lambda: len(fleet.hosts) <= (_shown(prometheus) or 0) <= REST * len(fleet.hosts),
        SHOWN_SECONDS,
        expected=f"sum({METRIC}) of at most {REST * len(fleet.hosts)} in Prometheus, as there are",
        observed=lambda: f"it was {shown_at_rest} before the burst, {shown:g} in it, and is {_shown(prometheus)} now",
        look=LOOK,
        shown=True,
    )


def _processes(fleet: Fleet) -> dict[str, int]:
    """How many processes run tasks, by host."""
    return {host: len(said["pool"]["processes"]) for host, said in fleet.stats().items()}


def _at_rest(processes: dict[str, int], fleet: Fleet) -> bool:
    return set(processes) == set(fleet.hosts) and all(1 <= count <= REST for count in processes.values())


def _said(processes: dict[str, int]) -> str:
    return ", ".join(f"{count} on {host}" for host, count in sorted(processes.items())) or "no"


def _shown(prometheus: Prometheus) -> float | None:
    return prometheus.value(f"sum({METRIC})")


def _depth(stack: Stack) -> Callable[[], int]:
    """How many messages wait in the queue."""
    url = stack.broker_url()
    if stack.broker_name == "redis":
        return lambda: redis_length(url, QUEUE)
    rabbit = RabbitClient(url)
    return lambda: rabbit.depth(QUEUE) or 0
