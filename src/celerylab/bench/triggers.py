"""How a pool of workers follows its load under each trigger that the chart offers, for both brokers: what ADR 0015 measures."""

import secrets
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from celery import Celery

from celerylab.bench.chart import NAMESPACE, ShopOnCluster
from celerylab.bench.cluster import bench_cluster
from celerylab.bench.measuring import Figure, timed
from celerylab.errors import EngineError
from celerylab.verify.expect import poll

CASES = (("redis", "exporter"), ("redis", "prometheus"), ("redis", "broker"), ("rabbitmq", "exporter"), ("rabbitmq", "broker"))
TASKS, ENOUGH = 120, 4  # tasks of a second, and ready workers
BUSY, BUSY_SECONDS = 4, 40.0  # tasks that all run at once, so that no message waits
PATIENCE_SECONDS = 240
PASSWORD = secrets.token_hex(12)
_BROKERS = {"redis": ("redis", 6379, "redis://{}/0"), "rabbitmq": ("shop-celery-rabbitmq", 5672, f"amqp://celery:{PASSWORD}@{{}}//")}
_EXPORTER = "deployment/shop-celery-exporter"


@dataclass
class Case:
    """One broker and one trigger."""

    broker: str
    trigger: str
    figures: list[Figure] = field(init=False)

    def __post_init__(self) -> None:
        title = f"{self.broker}, trigger {self.trigger}"
        self.install = Figure(f"{title}: helm install, to no worker")
        self.first = Figure(f"{title}: from no worker to the first result")
        self.blind = Figure(f"{title}: the same, 20 s of it without the exporter")
        self.burst = Figure(f"{title}: {TASKS} tasks of a second, to {ENOUGH} ready workers")
        self.least = Figure(f"{title}: workers kept while {BUSY} tasks run and none waits")
        self.back = Figure(f"{title}: from the last task to no worker")
        self.wrong = Figure(f"{title}: tasks lost or doubled", 0)
        blind = [self.blind] if self.trigger != "broker" else []
        self.figures = [self.install, self.first, *blind, self.burst, self.least, self.back, self.wrong]

    def values(self, shop: ShopOnCluster) -> dict[str, Any]:
        """The chart's values: the shop's, with a pool that may have no worker."""
        values = shop.values
        scaling = {**values["workers"]["default"]["autoscaling"], "trigger": self.trigger, "minReplicas": 0, "cooldownSeconds": 20}
        pool = {**values["workers"]["default"], "longestTaskSeconds": int(BUSY_SECONDS), "autoscaling": scaling}
        sources = {"prometheus": {"serverAddress": f"http://prometheus.{NAMESPACE}:9090"}, "redis": {"address": f"redis.{NAMESPACE}:6379"}}
        values = {**values, "workers": {"default": pool}, "scaling": sources}
        if self.broker == "redis":
            return values
        repository, tag = shop.bring("rabbitmq").rsplit(":", 1)
        own = {"enabled": True, "password": PASSWORD, "image": {"repository": repository, "tag": tag}}
        return {**values, "broker": {"type": "rabbitmq"}, "rabbitmq": own}

    def measure(self, shop: ShopOnCluster) -> None:
        """All figures of the case, on a release that is gone afterwards."""
        values = self.values(shop)
        try:
            self.install.values.append(timed(lambda: self._install(shop, values)))
            with self._client(shop) as (app, counters):
                self.first.values.append(timed(lambda: _ended(counters, _sent(app, 1, 0.0))))
                self._wait("no worker", lambda: shop.replicas()[0] == 0)
                if self.blind in self.figures:
                    self._blind(shop, app, counters)
                self._load(shop, app, counters)
        finally:
            shop.helm("uninstall", "shop", "--wait", "--ignore-not-found")

    def _install(self, shop: ShopOnCluster, values: dict[str, Any]) -> None:
        shop.helm("install", "shop", "--wait", "--timeout", "120s", values=values)
        self._empty(shop)

    def _blind(self, shop: ShopOnCluster, app: Celery, counters: redis.Redis) -> None:
        """A task for a pool without workers while nobody tells its load."""
        shop.kubectl("scale", _EXPORTER, "--replicas=0")
        shop.kubectl("wait", "--for=delete", "pod", "--selector=app.kubernetes.io/component=exporter", "--timeout=60s")
        started = time.monotonic()
        keys = _sent(app, 1, 0.0)
        time.sleep(20)
        shop.kubectl("scale", _EXPORTER, "--replicas=1")
        _ended(counters, keys)
        self.blind.values.append(time.monotonic() - started)
        self._empty(shop)

    def _load(self, shop: ShopOnCluster, app: Celery, counters: redis.Redis) -> None:
        began = time.monotonic()
        keys = _sent(app, TASKS, 1.0)
        self._wait(f"{ENOUGH} workers", lambda: shop.replicas()[1] >= ENOUGH)
        self.burst.values.append(time.monotonic() - began)
        _ended(counters, keys)
        busy = _sent(app, BUSY, BUSY_SECONDS)
        self._wait(f"{BUSY} tasks that run", lambda: _count(counters, "started", busy) == BUSY)
        least = BUSY
        while _count(counters, "ended", busy) == 0:
            least = min(least, shop.replicas()[0])
            time.sleep(0.5)
        self.least.values.append(least)
        _ended(counters, busy)
        self.back.values.append(timed(lambda: self._empty(shop)))
        counts = [counters.get(f"{what}:{key}") for what in ("started", "ended") for key in [*keys, *busy]]
        self.wrong.values.append(sum(count != b"1" for count in counts))

    def _empty(self, shop: ShopOnCluster) -> None:
        self._wait("no worker", lambda: shop.replicas() == (0, 0))

    def _wait(self, what: str, holds: Callable[[], bool]) -> None:
        if not poll(holds, PATIENCE_SECONDS, every=0.5):
            raise EngineError(f"{self.broker}, trigger {self.trigger}: {what}: not within {PATIENCE_SECONDS} s")

    @contextmanager
    def _client(self, shop: ShopOnCluster) -> Iterator[tuple[Celery, redis.Redis]]:
        """Who sends tasks, and where tasks count themselves."""
        service, port, url = _BROKERS[self.broker]
        with shop.port_of("redis", 6379) as counting, shop.port_of(service, port) as broker:
            app = Celery(broker=url.format(f"127.0.0.1:{broker}"), set_as_current=False)
            yield app, redis.Redis(port=counting, db=1)


class TriggersBench:
    """Every case on one cluster. `figures` are its rows."""

    def __init__(self) -> None:
        self.up = Figure("cluster up, with KEDA ready")
        self.cases = [Case(broker, trigger) for broker, trigger in CASES]

    @property
    def figures(self) -> list[Figure]:
        """All rows, case by case."""
        return [self.up, *(figure for case in self.cases for figure in case.figures)]

    def measure(self, root: Path) -> None:
        """One run of every case."""
        with bench_cluster(root, self.up) as target:
            shop = ShopOnCluster.on(root, target)
            shop.prepare()
            shop.run_beside("prometheus")
            for case in self.cases:
                case.measure(shop)


def _sent(app: Celery, number: int, seconds: float) -> list[str]:
    keys = [uuid.uuid4().hex for _ in range(number)]
    for key in keys:
        app.send_task("shop.work", (key, seconds), ignore_result=True)
    return keys


def _count(counters: redis.Redis, what: str, keys: list[str]) -> int:
    return sum(value is not None for value in counters.mget([f"{what}:{key}" for key in keys]))


def _ended(counters: redis.Redis, keys: list[str]) -> None:
    if not poll(lambda: _count(counters, "ended", keys) == len(keys), PATIENCE_SECONDS):
        raise EngineError(f"{_count(counters, 'ended', keys)} of {len(keys)} tasks ended within {PATIENCE_SECONDS} s")
