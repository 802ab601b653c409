"""What the chart refuses, and with which words: contradictions in one line that says what to write, bad input with its place."""

import pytest

from tests.render.chart import MINIMAL, OUTSIDE, RABBITMQ, REDIS, Object, container, merged, refusal, render


def pool(**values: object) -> Object:
    return merged(OUTSIDE, {"workers": {"fast": values}})


def scaled(**values: object) -> Object:
    return pool(autoscaling={"enabled": True, **values})


CONTRADICTIONS: dict[str, tuple[Object, str]] = {
    "no broker": ({}, "broker.existingSecret: write the name of the Secret that holds the broker's URL"),
    "two brokers": (merged(REDIS, RABBITMQ), "redis.enabled and rabbitmq.enabled: one broker in the cluster is enough"),
    "a broker of another type": (
        merged(REDIS, {"broker": {"type": "rabbitmq"}}),
        "redis.enabled: write broker.type: redis as well, not rabbitmq",
    ),
    "inside and outside": (
        merged(REDIS, OUTSIDE),
        "redis.enabled and broker.existingSecret: the broker is either in the cluster or elsewhere",
    ),
    "no password": (merged(REDIS, {"redis": {"password": ""}}), "redis.password: write one of 16 characters or more"),
    "two passwords": (
        merged(REDIS, {"redis": {"existingSecret": "own"}}),
        "redis.password and redis.existingSecret: the password comes from one place",
    ),
    "no version": (merged(OUTSIDE, {"image": {"tag": ""}}), "image.tag: write the version of your image, or image.digest"),
    "Flower for everybody": (
        merged(OUTSIDE, {"flower": {"enabled": True}}),
        "flower.existingSecret: write the name of a Secret that holds user:password",
    ),
    "no account": (merged(OUTSIDE, {"serviceAccount": {"create": False}}), "serviceAccount.name: write which one to use"),
    "replicas of KEDA's": (pool(replicas=2, autoscaling={"enabled": True}), "workers.fast: replicas and autoscaling.enabled: KEDA decides"),
    "least above most": (scaled(minReplicas=5, maxReplicas=4), "workers.fast: autoscaling.minReplicas, 5, is above maxReplicas, 4"),
    "no exporter": (merged(scaled(), {"exporter": {"enabled": False}}), "workers.fast: the trigger exporter needs exporter.enabled: true"),
    "no exporter for Prometheus": (
        merged(scaled(trigger="prometheus"), {"exporter": {"enabled": False}}),
        "workers.fast: the trigger prometheus needs exporter.enabled: true",
    ),
    "no Prometheus": (scaled(trigger="prometheus"), "workers.fast: the trigger prometheus needs scaling.prometheus.serverAddress"),
    "a Redis that KEDA does not know": (
        scaled(trigger="broker"),
        "the trigger broker needs scaling.redis.address and scaling.redis.secretTargetRef",
    ),
    "a limit above the longest task": (
        pool(longestTaskSeconds=30, timeLimitSeconds=31),
        "workers.fast: a task may take 31 s (timeLimitSeconds), longer than longestTaskSeconds, 30",
    ),
    "limits the wrong way round": (
        pool(timeLimitSeconds=10, softTimeLimitSeconds=10),
        "workers.fast: softTimeLimitSeconds, 10, must be below timeLimitSeconds, 10",
    ),
    "a soft shutdown that ends nothing": (
        pool(longestTaskSeconds=30, softShutdownSeconds=31),
        "workers.fast: no task takes as long as softShutdownSeconds, 31",
    ),
    "auto of threads": (pool(poolType="threads"), "workers.fast: concurrency auto is for the pool prefork"),
    "auto of no limit": (
        merged(OUTSIDE, {"workerDefaults": {"resources": {"limits": {"cpu": None}}}}),
        "workers.fast: concurrency auto counts the CPUs of resources.limits.cpu",
    ),
    "no memory limit": (
        merged(OUTSIDE, {"workerDefaults": {"resources": {"limits": {"memory": None}}}}),
        "workers.fast: resources.limits.memory is needed",
    ),
    "no requests": (merged(OUTSIDE, {"beat": {"resources": {"requests": None}}}), "beat: resources.requests.cpu is needed"),
    "two at once of one": (pool(poolType="solo", concurrency=2), "workers.fast: a worker with the pool solo runs one task at a time"),
    "children of threads": (pool(poolType="threads", concurrency=4, maxTasksPerChild=5), "workers.fast: the pool threads has no children"),
    "limits of threads": (
        pool(poolType="threads", concurrency=4, timeLimitSeconds=5),
        "workers.fast: a worker with the pool threads ignores time limits",
    ),
    "soft limits of gevent": (
        pool(poolType="gevent", concurrency=4, softTimeLimitSeconds=5),
        "workers.fast: a worker with the pool gevent has no soft time limit",
    ),
    "Redis' setting for RabbitMQ": (
        merged(pool(disablePrefetch=True), {"broker": {"type": "rabbitmq"}}),
        "workers.fast: disablePrefetch is for Redis; with RabbitMQ write prefetchMultiplier: 1",
    ),
    "beat in a worker": (pool(extraArgs=["-B"]), "workers.fast: each worker with -B would send every periodic task"),
    "beat in a worker, in full": (pool(extraArgs=["--beat"]), "workers.fast: each worker with --beat would send every periodic task"),
    "no heartbeats": (pool(extraArgs=["--without-heartbeat"]), "workers.fast: the exporter learns from heartbeats how many tasks run"),
    **{
        f"{argument} beside its value": (
            pool(extraArgs=[argument]),
            f"workers.fast: {argument} in extraArgs would contradict what the chart derives",
        )
        for argument in ("--concurrency=3", "-c3", "-Q", "--queues", "--hostname=x", "--autoscale=4,1", "--time-limit=3")
    },
}


@pytest.mark.parametrize(("values", "words"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_a_contradiction_is_refused_with_what_to_write(values: Object, words: str) -> None:
    lines = [
        line
        for line in refusal(MINIMAL, values).splitlines()
        if "symbolic link" not in line and not line.startswith("Use --debug") and line
    ]
    assert len(lines) == 1
    assert words in lines[0]


@pytest.mark.parametrize("argument", ["-O", "--without-gossip", "--purge"])
def test_other_arguments_are_the_user_s(argument: str) -> None:
    assert container(render(MINIMAL, pool(extraArgs=[argument])), "worker-fast")["args"][-1] == argument


BAD_INPUT: dict[str, tuple[Object, str, str]] = {
    "no pools": ({"workers": []}, "/workers", "want object"),
    "a word that nobody knows": ({"wrokers": {}}, "additional properties 'wrokers' not allowed", ""),
    "a word that no pool knows": (pool(queue=["a"]), "/workers/fast", "additional properties 'queue' not allowed"),
    "a word deep down": (pool(autoscaling={"max": 3}), "/workers/fast/autoscaling", "additional properties 'max' not allowed"),
    "no queue": (pool(queues=[]), "/workers/fast/queues", ""),
    "one queue twice": (pool(queues=["a", "a"]), "/workers/fast/queues", ""),
    "a queue with a blank": (pool(queues=["a b"]), "/workers/fast/queues/0", ""),
    "no slot": (pool(concurrency=0), "/workers/fast/concurrency", ""),
    "a pool that nobody knows": (pool(poolType="fork"), "/workers/fast/poolType", "'prefork', 'threads', 'gevent', 'eventlet', 'solo'"),
    "a task of no time": (pool(longestTaskSeconds=0), "/workers/fast/longestTaskSeconds", ""),
    "a watchdog that bites": (pool(probes={"watchdogSeconds": 5}), "/workers/fast/probes/watchdogSeconds", "want 10"),
    "a budget that allows no drain": (pool(disruptionBudget={"maxUnavailable": 0}), "/workers/fast/disruptionBudget/maxUnavailable", ""),
    "a budget of no percent": (pool(disruptionBudget={"maxUnavailable": "0%"}), "/workers/fast/disruptionBudget/maxUnavailable", ""),
    "no load": (scaled(loadPerSlot=0), "/workers/fast/autoscaling/loadPerSlot", ""),
    "a trigger that nobody knows": (scaled(trigger="cpu"), "/workers/fast/autoscaling/trigger", "'exporter', 'prometheus', 'broker'"),
    "a name with capitals": ({"workers": {"Fast": {}}}, "invalid propertyName", "Fast"),
    "a name that is too long": ({"workers": {"a" * 21: {}}}, "invalid propertyName", "want 20"),
    "no image": ({"image": {"repository": ""}}, "/image/repository", ""),
    "a digest that is none": ({"image": {"digest": "sha256:1"}}, "/image/digest", ""),
    "no application": ({"app": ""}, "/app", ""),
    "a broker that nobody knows": ({"broker": {"type": "kafka"}}, "/broker/type", "'redis', 'rabbitmq'"),
    "root": ({"podSecurity": {"runAsUser": 0}}, "/podSecurity/runAsUser", ""),
    "a user by name": ({"podSecurity": {"runAsUser": "celery"}}, "/podSecurity/runAsUser", "want integer"),
    "a short password": ({"redis": {"password": "short"}}, "/redis/password", ""),
    "a number as a setting": ({"settings": {"A": 1}}, "/settings/A", "want string"),
    "a variable without a name": ({"env": [{"value": "1"}]}, "/env/0", "missing property 'name'"),
}


@pytest.mark.parametrize(("values", "place", "words"), BAD_INPUT.values(), ids=BAD_INPUT)
def test_bad_input_is_refused_with_its_place(values: Object, place: str, words: str) -> None:
    said = refusal(MINIMAL, OUTSIDE, values)
    assert "values don't meet the specifications of the schema" in said
    assert place in said
    assert words in said


def test_without_a_pool_nothing_is_rendered() -> None:
    said = refusal({**MINIMAL, "workers": {}}, OUTSIDE)
    assert "workers: write at least one pool" in said
