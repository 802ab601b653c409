"""Runs a drill: calm, the fault, and the time until every accepted task has had its effect."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from celerylab.drill.drills import drill_of
from celerylab.drill.producer import Producer
from celerylab.drill.report import Report, judge, write
from celerylab.errors import InputError
from celerylab.verify.expect import poll
from celerylab.verify.ledger import LedgerReader
from celerylab.verify.stack import Stack

CALM_SECONDS = 5.0
HEAL_SECONDS = 120.0  # until every accepted task has had its effect


def run_drill(
    stack: Stack, name: str, site: str, seconds: float, stated: Mapping[str, float], folder: Path, say: Callable[[str], None]
) -> Report:
    """Runs the drill `name` on `site` for so many `seconds`, and writes its report into `folder`; `say` hears what goes on.

    Raises InputError where the stack has no such site, or no other one; NotObservedError where the ledger does not answer.
    """
    drill = drill_of(name)
    if len(stack.sites) < 2:
        raise InputError(f"a drill needs a stack with two sites or more; this one has {len(stack.sites)}")
    if site not in stack.sites:
        raise InputError(f"there is no site {site}; the stack has {', '.join(stack.sites)}")
    ledger = LedgerReader(stack)
    with ExitStack() as ended:
        orders = [[home, *(other for other in stack.sites if other != home)] for home in stack.sites]
        producers = {order[0]: ended.enter_context(Producer(stack, order)) for order in orders}
        say(f"all is well for {CALM_SECONDS:g} s")
        time.sleep(CALM_SECONDS)
        say(f"{site}: {drill.says}, for {seconds:g} s")
        began = time.time()
        with drill.fault(stack, site):
            time.sleep(seconds)
        healed = time.time()
        say("healed; tasks are sent for a moment longer")
        time.sleep(CALM_SECONDS)
    every = [task for producer in producers.values() for task in producer.sent]
    say(f"waiting for the effects of {len(every)} tasks")
    ends: dict[str, list[float]] = {}

    def all_done() -> bool:
        ends.clear()
        ends.update(_ends(ledger))
        return all(task.key in ends for task in every)

    poll(all_done, HEAL_SECONDS, every=1)
    sent = {home: (producer.sent, producer.refused) for home, producer in producers.items()}
    report = judge(name, site, sent, ends, (began, healed), stated)
    write(report, folder, every, ends)
    return report


def _ends(ledger: LedgerReader) -> dict[str, list[float]]:
    """When each key had its effect."""
    found: dict[str, list[float]] = defaultdict(list)
    for entry in ledger.entries(kind="end"):
        found[entry["key"]].append(float(entry["time"]))
    return dict(found)
