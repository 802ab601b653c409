"""What KEDA is told: the load per slot, no `replicas` beside it, and secrets by reference alone."""

import json

import pytest

from tests.render.chart import (
    MINIMAL,
    OUTSIDE,
    RABBITMQ,
    REDIS,
    SCALED,
    Object,
    container,
    env,
    example,
    examples,
    kinds,
    merged,
    one,
    render,
)

PROMETHEUS = {"scaling": {"prometheus": {"serverAddress": "http://prometheus.monitoring:9090"}}}
REDIS_OUTSIDE = {
    "scaling": {
        "redis": {
            "address": "redis.example.com:6380",
            "database": 2,
            "tls": True,
            "secretTargetRef": [{"parameter": "password", "name": "shop-broker", "key": "password"}],
        }
    }
}


def scaled(trigger: str = "exporter", **values: object) -> Object:
    own = dict(values)
    scaling = own.pop("autoscaling", {})
    return {"workers": {"fast": {"autoscaling": {"enabled": True, "trigger": trigger, **scaling}, **own}}}


def spec(*parts: Object) -> Object:
    return one(render(MINIMAL, OUTSIDE, *parts), "ScaledObject", "worker-fast")["spec"]


def target(*parts: Object) -> str:
    return spec(*parts)["triggers"][0]["metadata"]["targetValue"]


def test_a_deployment_has_replicas_exactly_where_keda_does_not_scale_it() -> None:
    objects = render(MINIMAL, OUTSIDE, SCALED, {"workers": {"slow": {"replicas": 3}}})
    assert "replicas" not in one(objects, "Deployment", "worker-fast")["spec"]
    assert one(objects, "Deployment", "worker-slow")["spec"]["replicas"] == 3
    assert [each["metadata"]["name"] for each in kinds(objects, "ScaledObject")] == ["shop-celery-worker-fast"]


@pytest.mark.parametrize("path", examples(), ids=lambda path: path.stem)
def test_no_example_has_both(path: str) -> None:
    objects = render(example(path))
    scaled_ones = {each["spec"]["scaleTargetRef"]["name"] for each in kinds(objects, "ScaledObject")}
    for each in kinds(objects, "Deployment"):
        assert ("replicas" in each["spec"]) == (each["metadata"]["name"] not in scaled_ones)


def test_a_pool_is_scaled_on_the_load_that_the_exporter_says() -> None:
    assert spec(scaled(concurrency=4, autoscaling={"minReplicas": 2, "maxReplicas": 9}))["triggers"] == [
        {
            "type": "metrics-api",
            "metricType": "AverageValue",
            "metadata": {
                "url": "http://shop-celery-exporter.prod.svc:9808/load/shop-celery-worker-fast",
                "valueLocation": "load",
                "targetValue": "4",
                "activationTargetValue": "0",
            },
        }
    ]


def test_keda_s_behaviour_is_what_the_pool_says() -> None:
    scaling = {"minReplicas": 2, "maxReplicas": 9, "pollingSeconds": 7, "cooldownSeconds": 60, "scaleUpPods": 3, "scaleDownPods": 2}
    found = spec(scaled(autoscaling=scaling))
    del found["triggers"]
    assert found == {
        "scaleTargetRef": {"name": "shop-celery-worker-fast"},
        "pollingInterval": 7,
        "cooldownPeriod": 60,
        "minReplicaCount": 2,
        "maxReplicaCount": 9,
        "fallback": {"failureThreshold": 3, "replicas": 2, "behavior": "currentReplicasIfHigher"},
        "advanced": {
            "horizontalPodAutoscalerConfig": {
                "behavior": {
                    "scaleUp": {
                        "stabilizationWindowSeconds": 0,
                        "policies": [
                            {"type": "Percent", "value": 100, "periodSeconds": 15},
                            {"type": "Pods", "value": 3, "periodSeconds": 15},
                        ],
                        "selectPolicy": "Max",
                    },
                    "scaleDown": {"stabilizationWindowSeconds": 60, "policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}]},
                }
            }
        },
    }


def test_a_pool_that_may_sleep_falls_back_to_one_worker_while_its_load_is_not_known() -> None:
    found = spec(scaled(autoscaling={"minReplicas": 0}))
    assert (found["minReplicaCount"], found["fallback"]["replicas"]) == (0, 1)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"concurrency": 4}, "4"),
        ({"concurrency": 4, "autoscaling": {"loadPerSlot": 2}}, "8"),
        ({"concurrency": 3, "autoscaling": {"loadPerSlot": 0.5}}, "1.5"),
        ({"poolType": "solo"}, "1"),
        ({"poolType": "gevent", "concurrency": 100}, "100"),
        ({"resources": {"limits": {"cpu": "2"}}}, "2"),
        ({"resources": {"limits": {"cpu": 2}}}, "2"),
        ({"resources": {"limits": {"cpu": "500m"}}}, "1"),
        ({"resources": {"limits": {"cpu": "1500m"}}}, "2"),
        ({"resources": {"limits": {"cpu": "2.5"}}}, "3"),
    ],
)
def test_the_target_is_the_load_per_slot_times_the_slots_of_a_worker(values: Object, expected: str) -> None:
    assert target(scaled(**values)) == expected


@pytest.mark.parametrize(
    ("trigger", "values", "seconds"),
    [
        ("exporter", {"longestTaskSeconds": 900}, 60),
        ("broker", {"longestTaskSeconds": 900}, 900),
        ("broker", {"longestTaskSeconds": 10}, 60),
        ("broker", {"longestTaskSeconds": 86400}, 3600),
        ("broker", {"longestTaskSeconds": 900, "autoscaling": {"scaleDownSeconds": 30}}, 30),
        ("exporter", {"autoscaling": {"scaleDownSeconds": 0}}, 0),
    ],
)
def test_a_pool_shrinks_late_where_its_trigger_does_not_see_tasks_that_run(trigger: str, values: Object, seconds: int) -> None:
    found = spec(scaled(trigger, **values), REDIS_OUTSIDE)
    assert found["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == seconds


def test_the_exporter_watches_every_pool_by_the_names_that_workers_and_keda_use() -> None:
    objects = render(MINIMAL, OUTSIDE, {"workers": {"slow": {"queues": ["a", "b"], "autoscaling": {"enabled": True}}}})
    pools = json.loads(env(container(objects, "exporter"))["POOLS"])
    assert pools == {
        "shop-celery-worker-fast": {"nodes": "shop-celery-fast@", "queues": ["celery"]},
        "shop-celery-worker-slow": {"nodes": "shop-celery-slow@", "queues": ["a", "b"]},
    }
    for name in ("fast", "slow"):
        assert f"--hostname={pools[f'shop-celery-worker-{name}']['nodes']}%h" in container(objects, f"worker-{name}")["args"]
    url = one(objects, "ScaledObject", "worker-slow")["spec"]["triggers"][0]["metadata"]["url"]
    (port,) = one(objects, "Service", "exporter")["spec"]["ports"]
    assert url == f"http://shop-celery-exporter.prod.svc:{port['port']}/load/shop-celery-worker-slow"
    (listening,) = container(objects, "exporter")["ports"]
    assert (listening["name"], str(listening["containerPort"])) == (port["targetPort"], env(container(objects, "exporter"))["PORT"])


def test_the_exporter_tells_the_load_of_workers_that_the_chart_does_not_make() -> None:
    mail = {"nodes": "celery@mail-", "queues": ["mail"]}
    objects = render({**MINIMAL, "workers": {}}, OUTSIDE, {"exporter": {"pools": {"mail": mail}}})
    assert json.loads(env(container(objects, "exporter"))["POOLS"]) == {"mail": mail}
    assert not [found for found in objects if found["kind"] == "Deployment" and found["metadata"]["name"] != "shop-celery-exporter"]


def test_prometheus_is_asked_for_this_pool_and_no_answer_is_not_zero() -> None:
    objects = render(MINIMAL, OUTSIDE, scaled("prometheus", concurrency=2), PROMETHEUS)
    assert one(objects, "ScaledObject", "worker-fast")["spec"]["triggers"] == [
        {
            "type": "prometheus",
            "metricType": "AverageValue",
            "metadata": {
                "serverAddress": "http://prometheus.monitoring:9090",
                "query": 'max(celery_pool_load{pool="shop-celery-worker-fast",namespace="prod"})',
                "threshold": "2",
                "activationThreshold": "0",
                "ignoreNullValues": "false",
            },
        }
    ]
    assert kinds(objects, "TriggerAuthentication") == []
    assert env(container(objects, "exporter"))["NAMESPACE"] == "prod"


def test_keda_logs_in_to_prometheus_with_a_secret() -> None:
    reference = {"parameter": "bearerToken", "name": "prometheus", "key": "token"}
    login = {"scaling": {"prometheus": {"authModes": "bearer", "secretTargetRef": [reference]}}}
    objects = render(MINIMAL, OUTSIDE, scaled("prometheus"), PROMETHEUS, login)
    (trigger,) = one(objects, "ScaledObject", "worker-fast")["spec"]["triggers"]
    assert (trigger["metadata"]["authModes"], trigger["authenticationRef"]) == ("bearer", {"name": "shop-celery-scaling"})
    assert one(objects, "TriggerAuthentication", "scaling")["spec"] == {"secretTargetRef": [reference]}


@pytest.mark.parametrize(
    ("broker", "expected", "reference"),
    [
        (
            merged(OUTSIDE, REDIS_OUTSIDE),
            {"address": "redis.example.com:6380", "databaseIndex": "2", "enableTLS": "true", "listName": "a", "listLength": "4"},
            {"parameter": "password", "name": "shop-broker", "key": "password"},
        ),
        (
            REDIS,
            {"address": "shop-celery-redis.prod.svc:6379", "listName": "a", "listLength": "4"},
            {"parameter": "password", "name": "shop-celery-redis", "key": "password"},
        ),
        (
            merged(OUTSIDE, {"broker": {"type": "rabbitmq"}}),
            {"protocol": "amqp", "queueName": "a", "mode": "QueueLength", "value": "4"},
            {"parameter": "host", "name": "shop-broker", "key": "url"},
        ),
        (
            RABBITMQ,
            {"protocol": "amqp", "queueName": "a", "mode": "QueueLength", "value": "4"},
            {"parameter": "host", "name": "shop-celery-rabbitmq", "key": "url"},
        ),
    ],
    ids=["redis-outside", "redis-inside", "rabbitmq-outside", "rabbitmq-inside"],
)
def test_without_the_exporter_keda_asks_the_broker(broker: Object, expected: Object, reference: Object) -> None:
    objects = render(MINIMAL, broker, scaled("broker", queues=["a"], concurrency=4), {"exporter": {"enabled": False}})
    found = one(objects, "ScaledObject", "worker-fast")["spec"]
    (trigger,) = found["triggers"]
    activation = "activationListLength" if trigger["type"] == "redis" else "activationValue"
    assert trigger["metadata"] == {**expected, activation: "0"}
    assert trigger["authenticationRef"] == {"name": "shop-celery-scaling"}
    assert "scalingModifiers" not in found["advanced"]
    assert one(objects, "TriggerAuthentication", "scaling")["spec"] == {"secretTargetRef": [reference]}


def test_a_pool_with_several_queues_is_scaled_for_their_sum() -> None:
    found = spec(scaled("broker", queues=["a", "b", "c"], concurrency=2), REDIS_OUTSIDE)
    assert [(each["name"], each["metadata"]["listName"]) for each in found["triggers"]] == [
        ("queue0", "a"),
        ("queue1", "b"),
        ("queue2", "c"),
    ]
    assert found["advanced"]["scalingModifiers"] == {
        "formula": "queue0 + queue1 + queue2",
        "target": "2",
        "activationTarget": "0",
        "metricType": "AverageValue",
    }


@pytest.mark.parametrize(
    ("values", "source"),
    [
        ({}, None),
        (RABBITMQ, ("shop-celery-rabbitmq", "management")),
        ({"exporter": {"rabbitmqManagement": {"existingSecret": "shop-admin", "key": "url"}}}, ("shop-admin", "url")),
    ],
)
def test_the_exporter_asks_rabbitmq_s_management_where_there_is_one(values: Object, source: tuple[str, str] | None) -> None:
    broker = {} if "rabbitmq" in values else OUTSIDE
    found = env(container(render(MINIMAL, broker, values), "exporter")).get("RABBITMQ_MANAGEMENT_URL")
    assert found == (source and {"secretKeyRef": {"name": source[0], "key": source[1]}})
