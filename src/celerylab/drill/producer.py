"""What a drill sends: an application of one site that turns to another site's broker where its own does not take its tasks."""

import itertools
import threading
import time
import uuid
from dataclasses import dataclass, field

from celerylab.verify.expect import BrokerUnreachableError
from celerylab.verify.stack import Stack
from celerylab.verify.worker import WorkerClient

EVERY_SECONDS = 0.25
TASK, TASK_SECONDS = "celerylab_probe.sleep", 0.05


@dataclass(frozen=True)
class Sent:
    """A task that a broker has accepted: its key in the ledger, the producer's site, the site whose broker took it, and when (time.time)."""

    key: str
    home: str
    taken_by: str
    seconds: float


@dataclass
class Producer:
    """Sends four tasks a second for as long as the block takes, to the brokers of `order`, its own site's first."""

    stack: Stack
    order: list[str]
    sent: list[Sent] = field(default_factory=list)
    refused: int = 0
    """Tasks that no broker took."""

    def __post_init__(self) -> None:
        self._clients = {site: self._client(site) for site in self.order}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def _client(self, site: str) -> WorkerClient:
        client = WorkerClient(self.stack.at_site(site))
        if self.stack.broker_name == "rabbitmq":
            client.app.conf.broker_transport_options = {"confirm_publish": True}  # else nobody says whether a task was taken
        client.app.conf.broker_connection_timeout = 1
        return client

    def __enter__(self) -> "Producer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        for client in self._clients.values():
            client.close()

    def _work(self) -> None:
        for number in itertools.count():
            key = f"drill-{uuid.uuid4().hex[:8]}-{number}"
            taken_by = next((site for site in self.order if self._take(site, key)), None)
            if taken_by:
                self.sent.append(Sent(key, self.order[0], taken_by, time.time()))
            else:
                self.refused += 1
            if self._ended.wait(EVERY_SECONDS):
                return

    def _take(self, site: str, key: str) -> bool:
        """Whether the broker of `site` has accepted the task."""
        try:
            self._clients[site].send(TASK, TASK_SECONDS, key, ignore_result=True)
        except BrokerUnreachableError:
            return False
        return True
