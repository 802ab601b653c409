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


JUST_BEGUN = {"seconds": STEADY_SECONDS / 2}


@pytest.mark.parametrize(
    ("found", "pods", "settled"),
    [
        pytest.param({}, [{}], True, id="there"),
        pytest.param({"seen": 1}, [{}], False, id="not-seen-yet"),
        pytest.param({"ready_replicas": 0}, [{}], False, id="not-ready"),
        pytest.param({"updated_replicas": 0}, [{}], False, id="of-an-old-version"),
        pytest.param({"replicas": 2}, [{}], False, id="one-too-many"),
        pytest.param({}, [{}, {}], False, id="a-pod-too-many"),
        pytest.param({}, [{}, {"going": True}], True, id="one-that-goes"),
        pytest.param({}, [{}, {"going": True, "version": "old"}], False, id="an-old-one-that-goes"),
        pytest.param({"wanted": 0}, [], True, id="none-wanted"),
        pytest.param({}, [JUST_BEGUN], False, id="has-not-run-long"),
        pytest.param({}, [{**JUST_BEGUN, "probed": True}], True, id="says-itself-that-it-is-ready"),
    ],
)
def test_a_workload_is_there(found: dict[str, Any], pods: list[dict[str, Any]], settled: bool) -> None:
    assert is_settled(workload(**found), [pod(**each) for each in pods]) is settled


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
