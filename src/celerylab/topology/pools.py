"""Pools of workers, as a plan's hosts have them: is every queue that somebody watches one that somebody consumes?"""

from typing import Any

from celerylab.errors import InputError
from celerylab.topology.hosts import HostPlan
from celerylab.topology.source import suggestion

WORKERS, WATCHED = "celery_worker_instances", "celery_exporter_queues"


def check_queues(hosts: tuple[HostPlan, ...], where: str) -> None:
    """Raises InputError, beginning with `where`, for a watched queue that no pool consumes. A worker that names no queues leaves that to Celery."""
    pools = [worker or {} for variables in _variables(hosts, "celery_worker") for worker in variables.get(WORKERS, {"": {}}).values()]
    if not pools or any(not pool.get("queues") for pool in pools):
        return
    consumed = sorted({queue for pool in pools for queue in pool["queues"]})
    for variables in _variables(hosts, "celery_exporter"):
        for queue in variables.get(WATCHED, []):
            if queue not in consumed:
                raise InputError(
                    f"{where}: nobody consumes queue {queue} of {WATCHED}{suggestion(queue, consumed)}; the pools take {', '.join(consumed)}"
                )


def _variables(hosts: tuple[HostPlan, ...], role: str) -> list[dict[str, Any]]:
    return [planned.variables for host in hosts for planned in host.roles if planned.name == role]
