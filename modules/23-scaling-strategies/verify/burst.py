"""The burst that 23.1, 23.2 and 23.3 look at: 300 tasks, of which the last three take two minutes each, and everything that became of the pool.

The long ones are sent when the others are done and the pool is still large: so they come to different pods, and leave others with nothing to do.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil

from pool import Batch, Pool

from celerylab.verify.expect import poll

TASKS, LONG, SHORT_SECONDS, LONG_SECONDS = 300, 3, 0.5, 120
ENOUGH = 4  # ready pods
RISE_SECONDS, DRAIN_SECONDS, START_SECONDS, FALL_SECONDS, LINGER_SECONDS = 90, 180, 20, 60, 25
MARGIN_SECONDS = 40  # for a task of LONG_SECONDS, from its start to the end that the ledger has
REST_SECONDS = 120
LEDGER_EVERY = 1.0  # seconds between two looks into the ledger


@dataclass(frozen=True)
class Moment:
    """What there was so many seconds after the first task was sent."""

    seconds: float
    wanted: int
    ready: int
    waiting: int
    long_running: int


@dataclass
class Told:
    """A pod that was told to stop: when that was seen, whether a long task ran in it, when it had nothing to do, and when it was gone."""

    at: float
    busy: bool
    free: float = 0.0
    gone: float | None = None


@dataclass
class Record:
    """What was seen. `rest` is how many pods were wanted before; `after`, at the end, and `allowed` what may be wanted then: the minimum, or a
    pod for each task that still runs, because something went wrong with it."""

    rest: int
    slots: int
    moments: list[Moment] = field(default_factory=list)
    told: dict[str, Told] = field(default_factory=dict)
    starts: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    long_keys: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    unacknowledged: int = 0
    rose_after: float | None = None
    after: int = 0
    allowed: int = 0
    fell_after: float | None = None

    @property
    def peak(self) -> int:
        """Most pods that were ready at one time."""
        return max((moment.ready for moment in self.moments), default=0)

    @property
    def needed(self) -> int:
        """Pods that the long tasks need."""
        return ceil(LONG / self.slots)

    @property
    def while_long_ones_run(self) -> list[Moment]:
        """Moments at which no message waited and all long tasks ran."""
        return [moment for moment in self.moments if moment.waiting == 0 and moment.long_running == LONG]

    def lingered(self) -> dict[str, float]:
        """For how many seconds each pod that was told to stop stayed with nothing to do; those that could be seen so long."""
        last = self.moments[-1].seconds
        return {pod: (told.gone if told.gone is not None else last) - told.free for pod, told in self.told.items() if told.free}


class Burst:
    """Watched once; every check that asks sees the same record."""

    def __init__(self, pool: Pool, batch: Batch) -> None:
        self._pool, self._batch = pool, batch
        self._record: Record | None = None
        self._began = self._looked = 0.0
        self._long_at: dict[str, str] = {}  # pod of each long task that runs

    def record(self) -> Record:
        """The record. Where the pool does not grow there is nothing more to see, and it ends there."""
        if self._record is None:
            self._record = Record(0, 1)
            try:
                self._watch(self._record)
            finally:
                if self._pool.busy():
                    self._pool.afresh()
        return self._record

    def _watch(self, seen: Record) -> None:
        pool = self._pool
        poll(lambda: not pool.busy() and pool.deployment.settled and pool.deployment.wanted <= pool.minimum, REST_SECONDS, every=0.5)
        seen.rest, seen.slots = pool.deployment.wanted, pool.slots()
        self._began = time.monotonic()
        short = set(self._batch.send(SHORT_SECONDS, TASKS - LONG))
        seen.keys = list(self._batch.keys)

        self._until(seen, RISE_SECONDS, lambda: self._now(seen).ready >= ENOUGH)
        if self._now(seen).ready < ENOUGH:
            return
        seen.rose_after = self._now(seen).seconds

        self._until(seen, DRAIN_SECONDS, lambda: set(seen.ends) >= short)
        seen.long_keys = self._batch.send(LONG_SECONDS, LONG)
        seen.keys = list(self._batch.keys)
        self._until(seen, START_SECONDS, lambda: self._now(seen).long_running == LONG)
        pool.choose_to_stop(sorted(set(self._long_at.values())))
        seen.unacknowledged = pool.unacknowledged()
        if not self._long_at:
            return

        self._until(seen, LONG_SECONDS + MARGIN_SECONDS, lambda: set(seen.ends) >= set(seen.keys))
        ended = self._now(seen).seconds

        def back() -> bool:
            running = sum(seen.starts.values()) - sum(seen.ends.values())
            seen.allowed = max(1, seen.rest, ceil((running + self._now(seen).waiting) / seen.slots))
            return self._now(seen).wanted <= seen.allowed

        self._until(seen, FALL_SECONDS, back)
        seen.after = self._now(seen).wanted
        if back():
            seen.fell_after = self._now(seen).seconds - ended
        self._until(seen, LINGER_SECONDS + 5, lambda: all(told.gone is not None for told in seen.told.values()))

    def _until(self, seen: Record, seconds: float, holds: Callable[[], object]) -> None:
        def look() -> bool:
            self._look(seen)
            return bool(holds())

        poll(look, seconds, every=0.3)

    @staticmethod
    def _now(seen: Record) -> Moment:
        return seen.moments[-1]

    def _look(self, seen: Record) -> None:
        pool = self._pool
        now = time.monotonic() - self._began
        if now - self._looked >= LEDGER_EVERY or not seen.moments:
            self._looked = now
            starts, ends = self._batch.entries("start"), self._batch.entries("end")
            seen.starts, seen.ends = Counter(entry.key for entry in starts), Counter(entry.key for entry in ends)
            self._long_at = {entry.key: entry.pod for entry in starts if entry.key in seen.long_keys and not seen.ends[entry.key]}
        deployment, pods = pool.deployment, {pod.name: pod for pod in pool.pods()}
        for name, pod in pods.items():
            if pod.terminating and name not in seen.told:
                seen.told[name] = Told(now, name in self._long_at.values())
        for name, told in seen.told.items():
            if name not in self._long_at.values() and not told.free:
                told.free = now
            if name not in pods and told.gone is None:
                told.gone = now
        seen.moments.append(Moment(now, deployment.wanted, deployment.ready, pool.waiting(), len(self._long_at)))
