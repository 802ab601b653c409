"""Workers of the chart: how they are started, watched and stopped."""

import pytest

from tests.render.chart import MINIMAL, OUTSIDE, Object, container, env, kinds, one, pod, render

PYTHON = ["python", "-IS", "/opt/celery-chart/probe.py"]


def pool(**values: object) -> Object:
    return {"workers": {"fast": values}}


def worker(*parts: Object) -> Object:
    return container(render(MINIMAL, OUTSIDE, *parts), "worker-fast")


def test_a_worker_that_hangs_is_restarted_within_a_minute_and_gets_ten_seconds_to_end() -> None:
    each = worker(pool(longestTaskSeconds=3600, probes={"watchdogSeconds": 20, "startupSeconds": 61}))
    assert each["livenessProbe"] == {
        "exec": {"command": [*PYTHON, "alive", "20"]},
        "periodSeconds": 10,
        "timeoutSeconds": 5,
        "failureThreshold": 2,
        "terminationGracePeriodSeconds": 10,
    }
    assert each["startupProbe"] == {
        "exec": {"command": [*PYTHON, "alive", "20"]},
        "periodSeconds": 5,
        "timeoutSeconds": 5,
        "failureThreshold": 13,
    }
    assert each["readinessProbe"] == {
        "exec": {"command": [*PYTHON, "consuming"]},
        "periodSeconds": 5,
        "timeoutSeconds": 5,
        "failureThreshold": 2,
    }
    assert env(each)["CELERY_WORKER_WATCHDOG_SECONDS"] == "20"


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        ({}, 90),
        ({"longestTaskSeconds": 600}, 630),
        ({"longestTaskSeconds": 600, "stopMarginSeconds": 10}, 610),
        ({"longestTaskSeconds": 3600, "softShutdownSeconds": 120}, 150),
        ({"longestTaskSeconds": 86400}, 86430),
    ],
)
def test_a_worker_gets_its_longest_task_and_the_margin_to_stop(values: Object, seconds: int) -> None:
    assert pod(render(MINIMAL, OUTSIDE, pool(**values)), "worker-fast")["terminationGracePeriodSeconds"] == seconds


def test_a_soft_shutdown_is_celery_s_own() -> None:
    each = worker(pool(softShutdownSeconds=20))
    assert each["args"][-2:] == ["worker.soft_shutdown_timeout=20", "worker.enable_soft_shutdown_on_idle=true"]
    assert env(each)["REMAP_SIGTERM"] == "SIGQUIT"
    assert "REMAP_SIGTERM" not in env(worker())


def test_a_worker_is_started_with_what_its_pool_says_and_nothing_else() -> None:
    values = {
        "queues": ["a", "b"],
        "concurrency": 3,
        "prefetchMultiplier": 2,
        "disablePrefetch": True,
        "softTimeLimitSeconds": 10,
        "timeLimitSeconds": 20,
        "maxTasksPerChild": 50,
        "maxMemoryPerChildKiB": 200000,
        "taskEvents": True,
        "logLevel": "DEBUG",
        "extraArgs": ["-O", "fair"],
    }
    each = worker(pool(**values))
    assert each["command"] == ["python", "/opt/celery-chart/worker.py"]
    assert each["args"] == [
        "--app=shop",
        "worker",
        "--hostname=shop-celery-fast@%h",
        "--loglevel=DEBUG",
        "--queues=a,b",
        "--pool=prefork",
        "--concurrency=3",
        "--prefetch-multiplier=2",
        "--disable-prefetch",
        "--task-events",
        "--max-memory-per-child=200000",
        "--max-tasks-per-child=50",
        "--soft-time-limit=10",
        "--time-limit=20",
        "-O",
        "fair",
    ]


@pytest.mark.parametrize(("values", "form"), [({}, None), ({"logFormat": "text"}, None), ({"logFormat": "json"}, "json")])
def test_a_worker_writes_json_where_it_is_asked_to(values: Object, form: str | None) -> None:
    assert env(worker(pool(**values))).get("CELERY_WORKER_LOG_FORMAT") == form


def test_a_solo_worker_is_told_no_concurrency() -> None:
    assert not [each for each in worker(pool(poolType="solo"))["args"] if each.startswith("--concurrency")]


def test_pools_are_deployments_of_their_own_over_common_defaults() -> None:
    objects = render(MINIMAL, OUTSIDE, {"workerDefaults": {"replicas": 5, "concurrency": 2}, "workers": {"slow": {"replicas": 1}}})
    assert {
        each["metadata"]["name"]: each["spec"]["replicas"] for each in kinds(objects, "Deployment") if "worker" in each["metadata"]["name"]
    } == {
        "shop-celery-worker-fast": 5,
        "shop-celery-worker-slow": 1,
    }
    assert "--concurrency=2" in container(objects, "worker-slow")["args"]


@pytest.mark.parametrize("unavailable", [1, "25%"])
def test_a_drain_may_take_workers_away_also_the_last_one(unavailable: object) -> None:
    objects = render(MINIMAL, OUTSIDE, pool(replicas=1, disruptionBudget={"maxUnavailable": unavailable}))
    budget = one(objects, "PodDisruptionBudget", "worker-fast")["spec"]
    assert budget["maxUnavailable"] == unavailable
    assert "minAvailable" not in budget
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_a_pool_without_a_budget_has_none() -> None:
    objects = render(MINIMAL, OUTSIDE, pool(disruptionBudget={"enabled": False}), {"workers": {"slow": {}}})
    assert [each["metadata"]["name"] for each in kinds(objects, "PodDisruptionBudget")] == ["shop-celery-worker-slow"]


def test_workers_are_spread_over_zones_and_nodes_and_a_rollout_takes_none_away_first() -> None:
    objects = render(MINIMAL, OUTSIDE, pool(topologySpread={"maxSkew": 2, "whenUnsatisfiable": "DoNotSchedule"}))
    constraints = pod(objects, "worker-fast")["topologySpreadConstraints"]
    assert [(each["topologyKey"], each["maxSkew"], each["whenUnsatisfiable"]) for each in constraints] == [
        ("topology.kubernetes.io/zone", 2, "DoNotSchedule"),
        ("kubernetes.io/hostname", 2, "DoNotSchedule"),
    ]
    assert one(objects, "Deployment", "worker-fast")["spec"]["strategy"] == {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}}


def test_a_pool_says_where_its_workers_run() -> None:
    where = {
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "batch", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
        "priorityClassName": "high",
    }
    spec = pod(render(MINIMAL, OUTSIDE, pool(**where)), "worker-fast")
    assert {key: spec[key] for key in where} == where


@pytest.mark.parametrize(
    ("key", "default", "own"), [("extraArgs", ["-O", "fair"], []), ("taskEvents", True, False), ("queues", ["a", "b"], ["c"])]
)
def test_a_pool_can_take_back_what_the_defaults_say(key: str, default: object, own: object) -> None:
    alike = render(MINIMAL, OUTSIDE, pool(**{key: own}))
    assert container(render(MINIMAL, OUTSIDE, {"workerDefaults": {key: default}}, pool(**{key: own})), "worker-fast") == container(
        alike, "worker-fast"
    )
