"""When a workload counts as there, and when waiting for it is of no use."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kubernetes import client

from celerylab.clusters.workloads import STEADY_SECONDS, hopeless, is_settled

LABELS = {"app": "worker"}


def workload(wanted: int = 1, seen: int = 2, **status: int) -> Any:
    counts = {"replicas": wanted, "updated_replicas": wanted, "ready_replicas": wanted, **status}
    return client.V1Deployment(
        metadata=client.V1ObjectMeta(name="worker", generation=2),
        spec=client.V1DeploymentSpec(
            replicas=wanted, selector=client.V1LabelSelector(match_labels=LABELS), template=client.V1PodTemplateSpec()
        ),
        status=client.V1DeploymentStatus(observed_generation=seen, **counts),
    )


def pod(
    seconds: float = 60,
    probed: bool = False,
    going: bool = False,
    version: str = "new",
    waiting: str = "",
    restarts: int = 0,
    code: int | None = None,
) -> Any:
    began = datetime.now(UTC) - timedelta(seconds=seconds)
    probe = client.V1Probe() if probed else None
    state = client.V1ContainerState(
        running=None if waiting else client.V1ContainerStateRunning(started_at=began),
        waiting=client.V1ContainerStateWaiting(reason=waiting, message="said") if waiting else None,
    )
    last = client.V1ContainerState(terminated=None if code is None else client.V1ContainerStateTerminated(exit_code=code))
    status = client.V1ContainerStatus(
        name="worker", state=state, last_state=last, restart_count=restarts, image="i", image_id="i", ready=not waiting
    )
    return client.V1Pod(
        metadata=client.V1ObjectMeta(
            name="worker-1", labels={**LABELS, "pod-template-hash": version}, deletion_timestamp=began if going else None
        ),
        spec=client.V1PodSpec(containers=[client.V1Container(name="worker", readiness_probe=probe)]),
        status=client.V1PodStatus(container_statuses=[status]),
    )


@pytest.mark.parametrize(
    ("found", "pods", "settled"),
    [
        (workload(), [pod()], True),
        (workload(seen=1), [pod()], False),
        (workload(ready_replicas=0), [pod()], False),
        (workload(updated_replicas=0), [pod()], False),
        (workload(replicas=2), [pod()], False),
        (workload(), [pod(), pod()], False),
        (workload(), [pod(), pod(going=True)], True),
        (workload(), [pod(), pod(going=True, version="old")], False),
        (workload(wanted=0, replicas=0, updated_replicas=0, ready_replicas=0), [], True),
        (workload(), [pod(seconds=STEADY_SECONDS / 2)], False),
        (workload(), [pod(seconds=STEADY_SECONDS / 2, probed=True)], True),
    ],
    ids=[
        *(
            "there",
            "not-seen-yet",
            "not-ready",
            "of-an-old-version",
            "one-too-many",
            "a-pod-of-the-old-version",
            "one-that-goes",
            "an-old-one-that-goes",
        ),
        *("none-wanted", "has-not-run-long", "says-itself-that-it-is-ready"),
    ],
)
def test_a_workload_is_there(found: Any, pods: list[Any], settled: bool) -> None:
    assert is_settled(found, pods) is settled


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (pod(), ""),
        (pod(waiting="ContainerCreating"), ""),
        (pod(waiting="CrashLoopBackOff", restarts=1, code=1), ""),
        (pod(waiting="CrashLoopBackOff", restarts=2, code=1), "container worker CrashLoopBackOff, ended with 1"),
        (pod(waiting="ImagePullBackOff"), "container worker ImagePullBackOff (said)"),
        (pod(waiting="CreateContainerConfigError"), "container worker CreateContainerConfigError (said)"),
    ],
)
def test_waiting_is_of_no_use(found: Any, said: str) -> None:
    assert hopeless(found) == said
