"""The fleet, which is every worker of every worker host, and what the ledger says of a batch of tasks."""

import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

from celerylab.verify.expect import poll, wait_for
from celerylab.verify.hosts import ObservedHost
from celerylab.verify.ledger import LedgerReader
from celerylab.verify.stack import Stack
from celerylab.verify.worker import WorkerClient

GROUP = "worker"
READY_SECONDS = 30
LOOK_PING = "celerylab shell 16 worker-1 -- systemctl status celery@default"


class Fleet:
    """The worker hosts, and the workers that answer from them."""

    def __init__(self, stack: Stack, hosts: dict[str, ObservedHost], worker: WorkerClient) -> None:
        self.hosts = {name: host for name, host in hosts.items() if stack.hosts[name]["group"] == GROUP}
        self._worker = worker

    def nodes(self) -> dict[str, str]:
        """Name of a worker that answers now, by its host: `default@worker-1` runs on worker-1."""
        return {host: node for node in self._worker.names() if (host := _host_of(node)) in self.hosts}

    def stats(self) -> dict[str, dict[str, Any]]:
        """What the worker of each host says of itself, by host."""
        return {host: said for node, said in self._worker.stats().items() if (host := _host_of(node)) in self.hosts}

    def pids(self) -> dict[str, int]:
        """Main process of the worker of each host, as the worker says it."""
        return {host: int(said["pid"]) for host, said in self.stats().items()}

    def ready(self) -> dict[str, dict[str, Any]]:
        """`stats`, once a worker of every host answers. Fails where one of them does not."""

        def all_answer() -> dict[str, dict[str, Any]] | None:
            found = self.stats()
            return found if len(found) == len(self.hosts) else None

        return wait_for(
            all_answer,
            READY_SECONDS,
            expected=f"an answer of a worker of each of {', '.join(self.hosts)}",
            observed=lambda: f"answers of {', '.join(self._worker.names()) or 'nobody'}",
            look=LOOK_PING,
        )

    def idle(self) -> bool:
        """Whether workers answer and none of them runs a task: as long as any waits, one does."""
        running = self._worker.active()
        return bool(running) and not any(running.values())

    def units(self, host: str) -> list[str]:
        """Units of workers, and of what runs beside them, that are active on a host."""
        listed = self.hosts[host].check_output("systemctl list-units --type=service --state=active --plain --no-legend 'celery@*'")
        return [line.split()[0] for line in listed.splitlines()]


class Batch:
    """Tasks of one check, by keys that nobody else has."""

    def __init__(self, worker: WorkerClient, ledger: LedgerReader) -> None:
        self._worker, self._ledger = worker, ledger
        self._prefix = f"16-{uuid.uuid4().hex[:10]}-"
        self.tasks: dict[str, Any] = {}

    def send(self, task: str, *arguments: Any, count: int = 1) -> list[str]:
        """Sends a probe task `count` times, its key the last argument. Returns the keys."""
        keys = [f"{self._prefix}{len(self.tasks) + number}" for number in range(count)]
        for key in keys:
            self.tasks[key] = self._worker.send(task, *arguments, key)
        return keys

    def entries(self, kind: str) -> list[tuple[str, str]]:
        """Key and host of each entry of a kind (start, end), in the order of their arrival."""
        everything = self._ledger.entries(kind=kind)
        return [(entry["key"], _host_in(entry["client"])) for entry in everything if entry["key"] in self.tasks]

    def counts(self, kind: str) -> Counter[str]:
        """How many entries of a kind each key has."""
        return Counter(key for key, _ in self.entries(kind))

    def hosts(self) -> set[str]:
        """Hosts on which a task has started."""
        return {host for _, host in self.entries("start")}

    def started_within(self, seconds: float) -> int:
        """How many have started, once all have or `seconds` are over."""
        poll(lambda: len(self.counts("start")) == len(self.tasks), seconds)
        return len(self.counts("start"))

    def spread(self, fleet: Fleet, seconds: float, send: Callable[[], object]) -> set[str]:
        """Sends tasks, one after the other, until one of the batch has started on every host, for `seconds` at most. The hosts where one has."""

        def everywhere() -> bool:
            if self.hosts() >= set(fleet.hosts):
                return True
            send()
            return False

        poll(everywhere, seconds)
        return self.hosts()


def _host_of(node: str) -> str:
    return node.partition("@")[2].partition(".")[0]


def _host_in(client: str) -> str:
    """The ledger's clients are called HOST-PID-RANDOM."""
    return client.rsplit("-", 2)[0]
