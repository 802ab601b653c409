"""The pool under test: the Deployment of workers, who scales it, and what the ledger says of a batch of tasks."""

import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from celerylab.verify.cluster import API_SECONDS, COMPONENT, ClusterView, observing
from celerylab.verify.cluster_objects import Pod, Workload
from celerylab.verify.expect import NotObservedError, expect, poll, wait_for
from celerylab.verify.ledger import LedgerReader
from celerylab.verify.redis_server import redis_client, redis_length
from celerylab.verify.stack import Stack
from celerylab.verify.worker import WorkerClient, broker_errors

WORKER, QUEUE = "worker", "celery"
READY_SECONDS, PINNED_SECONDS, GONE_SECONDS = 90, 60, 10
PAUSED = "autoscaling.keda.sh/paused-replicas"  # KEDA keeps so many while the annotation is there
LOOK = "celerylab status 23"


class Pool:
    """The workers of the stack. What a lab should have and has not is FAIL, what the cluster does not show NOT_OBSERVED."""

    def __init__(self, view: ClusterView, stack: Stack, worker: WorkerClient) -> None:
        self.view, self.worker = view, worker
        self._broker_url = stack.broker_url()

    @property
    def deployment(self) -> Workload:
        """The Deployment whose pods say that they are workers."""
        found = [one for one in self.view.workloads() if (one.raw.spec.template.metadata.labels or {}).get(COMPONENT) == WORKER]
        expect(
            len(found) == 1,
            observed=f"Deployments of workers: {', '.join(one.name for one in found) or 'none'}",
            expected=f"one whose pods have the label {COMPONENT}: {WORKER}",
            look=LOOK,
        )
        return found[0]

    @property
    def minimum(self) -> int:
        """Pods that there are with nothing to do: as whoever scales the pool is told, or as many as are wanted now."""
        scaled = self.scaled_objects()
        return min([int(one["spec"].get("minReplicaCount", 0)) for one in scaled], default=self.deployment.wanted)

    def scaled_objects(self) -> list[dict[str, Any]]:
        """KEDA's ScaledObjects of the pool."""
        name, found = self.deployment.name, self.view.objects("keda.sh/v1alpha1", "scaledobjects")
        return [one for one in found if one["spec"]["scaleTargetRef"]["name"] == name]

    def pods(self) -> list[Pod]:
        """Pods of the pool, those that are ending as well."""
        return self.view.pods(WORKER)

    def living(self) -> list[Pod]:
        """Pods of the pool that nobody has told to stop."""
        return [pod for pod in self.pods() if not pod.terminating]

    def nodes(self) -> dict[str, str]:
        """Celery's name of each worker that answers now, by its pod."""
        return {node.partition("@")[2]: node for node in self.worker.names()}

    def ready(self) -> dict[str, dict[str, Any]]:
        """What the worker of each pod says of itself, by pod, once all pods of the pool are ready and their workers answer."""

        def all_answer() -> dict[str, dict[str, Any]] | None:
            living = {pod.name for pod in self.living() if pod.ready}
            said = {node.partition("@")[2]: stats for node, stats in self.worker.stats().items()}
            found = {pod: said[pod] for pod in living if pod in said}
            return found if found and len(found) == len(living) >= self.deployment.wanted else None

        return wait_for(
            all_answer,
            READY_SECONDS,
            expected="an answer of the worker of each pod",
            observed=lambda: f"{self.deployment}; answers of {', '.join(self.worker.names()) or 'nobody'}",
            look=LOOK,
            every=0.5,
        )

    def slots(self) -> int:
        """Tasks that one pod runs at once."""
        return max(int(said["pool"]["max-concurrency"]) for said in self.ready().values())

    def waiting(self) -> int:
        """Messages that no worker has taken yet."""
        return redis_length(self._broker_url, QUEUE)

    def unacknowledged(self) -> int:
        """Messages that workers have taken and not acknowledged."""
        with broker_errors(), redis_client(self._broker_url) as client:
            return int(client.hlen("unacked"))  # type: ignore[arg-type]

    def busy(self) -> bool:
        """Whether anything waits, is held or runs."""
        return bool(self.waiting() or self.unacknowledged() or any(self.worker.active().values()))

    def restarts(self) -> dict[str, int]:
        """How often containers of each pod were restarted, by the pod's uid."""
        return {pod.uid: pod.restarts for pod in self.living()}

    def choose_to_stop(self, pods: list[str]) -> None:
        """When some pods have to go, these go first: a cluster chooses without regard to what pods do, and a check wants it certain."""
        cost = {"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": "-1000"}}}
        with observing("pods"):
            for pod in pods:
                self.view.core.patch_namespaced_pod(pod, self.view.namespace, cost, _request_timeout=API_SECONDS)

    @contextmanager
    def pinned(self, replicas: int) -> Iterator[Callable[[int], None]]:
        """So many pods inside the block, whoever scales the pool; with none, nothing is left of those that there were. Yields a function that makes
        it another number.
        """
        name, wanted = self.deployment.name, self.deployment.wanted
        scaled = [one["metadata"]["name"] for one in self.scaled_objects()]
        try:
            self._pin(name, scaled, replicas)
            yield partial(self._pin, name, scaled)
        finally:
            self._annotate(scaled, None)
            if not scaled:
                self._scale(name, wanted)

    def _pin(self, name: str, scaled: list[str], replicas: int) -> None:
        self._annotate(scaled, str(replicas))
        if not scaled:
            self._scale(name, replicas)

        def there() -> bool:
            # KEDA says when it has stopped to scale: the number alone may be right by chance, until it is not.
            paused = all(one.get("status", {}).get("pausedReplicaCount") == replicas for one in self.scaled_objects())
            return paused and self.deployment.wanted == replicas

        if not poll(there, PINNED_SECONDS, every=0.5):
            raise NotObservedError(f"the pool could not be kept at {replicas} pods: something else writes the number")
        poll(lambda: len(self.pods()) <= replicas, GONE_SECONDS, every=0.5)
        self.end([pod.name for pod in self.pods() if pod.terminating])  # they may take their time, which is judged elsewhere
        if not replicas and not poll(lambda: not self.pods(), PINNED_SECONDS, every=0.5):
            raise NotObservedError("the pods of the pool did not go")

    def afresh(self) -> None:
        """Takes away what a batch has left: its messages, also those that workers hold, and the workers that run its tasks."""

        def clean() -> bool:
            with broker_errors(), redis_client(self._broker_url) as client:
                client.delete(QUEUE, "unacked", "unacked_index")
            running = any(self.worker.active().values())
            if running:
                self.end([pod.name for pod in self.pods()])
            return not running and not self.busy() and self.deployment.settled

        poll(clean, READY_SECONDS, every=2)

    def end(self, pods: list[str]) -> None:
        """Ends pods at once, without their grace; whoever wants so many makes others."""
        for pod in pods:
            with observing(f"the end of {pod}"):
                if self.view.pod(pod) is not None:
                    self.view.core.delete_namespaced_pod(pod, self.view.namespace, grace_period_seconds=0, _request_timeout=API_SECONDS)

    def _annotate(self, scaled: list[str], value: str | None) -> None:
        body = {"metadata": {"annotations": {PAUSED: value}}}
        for name in scaled:
            with observing(f"ScaledObject {name}"):
                self.view.custom.patch_namespaced_custom_object(
                    "keda.sh", "v1alpha1", self.view.namespace, "scaledobjects", name, body, _request_timeout=API_SECONDS
                )

    def _scale(self, name: str, replicas: int) -> None:
        with observing(f"Deployment {name}"):
            self.view.apps.patch_namespaced_deployment_scale(
                name, self.view.namespace, {"spec": {"replicas": replicas}}, _request_timeout=API_SECONDS
            )


class Batch:
    """Tasks of one check, by keys that nobody else has."""

    def __init__(self, worker: WorkerClient, ledger: LedgerReader) -> None:
        self._worker, self._ledger = worker, ledger
        self._prefix = f"23-{uuid.uuid4().hex[:10]}-"
        self.keys: list[str] = []

    def send(self, seconds: float, count: int) -> list[str]:
        """Sends `count` tasks that take so many seconds. Returns their keys."""
        keys = [f"{self._prefix}{len(self.keys) + number}" for number in range(count)]
        for key in keys:
            self._worker.send("celerylab_probe.sleep", seconds, key, ignore_result=True)
            self.keys.append(key)
        return keys

    def entries(self, kind: str, keys: list[str] | None = None) -> list["Entry"]:
        """Entries of a kind (start, end), in the order of their arrival."""
        wanted = set(self.keys if keys is None else keys)
        return [
            Entry(entry["key"], _pod_in(entry["client"]), entry["time"])
            for entry in self._ledger.entries(kind=kind)
            if entry["key"] in wanted
        ]

    def counts(self, kind: str) -> Counter[str]:
        """How many entries of a kind each key has."""
        return Counter(entry.key for entry in self.entries(kind))


class Entry:
    """A line of the ledger: which task, in which pod, and when by the pod's clock."""

    def __init__(self, key: str, pod: str, seconds: float) -> None:
        self.key, self.pod, self.seconds = key, pod, seconds


def _pod_in(client: str) -> str:
    """The ledger's clients are called HOST-PID-RANDOM, and a pod's host name is the pod's."""
    return client.rsplit("-", 2)[0]
