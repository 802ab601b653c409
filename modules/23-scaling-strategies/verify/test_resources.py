"""23.4: what a pod may take, and how many tasks it runs at once with that."""

from decimal import Decimal
from math import ceil
from typing import Any

from pool import Pool

from celerylab.verify.cluster import ClusterView
from celerylab.verify.expect import NotObservedError, expect
from celerylab.verify.plugin import objective

LOOK = "celerylab shell 23 worker -- celery --app shop inspect stats"
WANTED = [(kind, what) for kind in ("requests", "limits") for what in ("cpu", "memory")]
CPUS = "import os; print(os.cpu_count())"


@objective("23.4")
def test_every_container_has_requests_and_limits(pool: Pool) -> None:
    pool.ready()
    containers = _containers(pool)
    missing = [f"{name} has no {kind}.{what}" for name, said in containers.items() for kind, what in WANTED if what not in said[kind]]
    expect(
        containers and not missing,
        observed=f"{', '.join(missing) or 'nothing missing'}, in the containers {', '.join(containers) or '(none)'}",
        expected="requests and limits for CPU and memory in every container of the pool",
        look="celerylab status 23",
        bounded=False,
    )


@objective("23.4")
def test_a_worker_runs_as_many_tasks_at_once_as_its_cpu_limit_says(pool: Pool, cluster: ClusterView) -> None:
    said = pool.ready()
    pod = next(pod for pod in pool.living() if pod.name in said)
    seen = cluster.exec(pod.name, "python", "-c", CPUS)
    if seen.code or not seen.stdout.strip().isdigit():
        raise NotObservedError(f"pod {pod.name} does not say how many CPUs it sees: {seen.stderr.strip()[-200:]}")
    cpus = int(seen.stdout)
    concurrency = {name: int(stats["pool"]["max-concurrency"]) for name, stats in said.items()}
    limit = _cpus(_containers(pool)[_worker(pool)]["limits"].get("cpu"))
    run = " and ".join(sorted({str(count) for count in concurrency.values()}))
    expect(
        limit and set(concurrency.values()) == {ceil(limit)},
        observed=f"workers with {_said(limit)} run {run} tasks at once; their node has {cpus} CPUs",
        expected="as many as the CPU limit, rounded up",
        look=LOOK,
        concurrency_right=bool(limit) and set(concurrency.values()) == {ceil(limit)},
    )
    expect(
        ceil(limit) != cpus,
        observed=f"the CPU limit is {_said(limit)}, and the node has {cpus}",
        expected="another limit than the node's CPUs: else nobody can say from which of them Celery has its number",
        look=LOOK,
        differs=False,
    )


def _containers(pool: Pool) -> dict[str, dict[str, dict[str, str]]]:
    """Requests and limits of each container of the pool's pods, by its name."""
    template: Any = pool.deployment.raw.spec.template.spec
    return {
        one.name: {kind: dict(getattr(one.resources, kind, None) or {}) for kind in ("requests", "limits")}
        for one in [*template.containers, *(template.init_containers or [])]
    }


def _worker(pool: Pool) -> str:
    """The container that the worker runs in: the first one."""
    return str(pool.deployment.raw.spec.template.spec.containers[0].name)


def _cpus(quantity: str | None) -> Decimal:
    if not quantity:
        return Decimal(0)
    return Decimal(quantity[:-1]) / 1000 if quantity.endswith("m") else Decimal(quantity)


def _said(limit: Decimal) -> str:
    return f"a limit of {limit:f} CPUs" if limit else "no CPU limit"
