"""NetworkPolicies of the chart: every pod has exactly one, and it admits what is needed and nothing else."""

import pytest

from tests.render.chart import MINIMAL, OUTSIDE, RABBITMQ, REDIS, WHOLE, Object, container, kinds, merged, one, render, workloads

DNS = {
    "to": [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        }
    ],
    "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}],
}
KEDA = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "keda"}}}
MONITORING = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
WEB = {"podSelector": {"matchLabels": {"app": "web"}}}
ANYWHERE = [{"ipBlock": {"cidr": "0.0.0.0/0"}}, {"ipBlock": {"cidr": "::/0"}}]
SCALED = {"workers": {"fast": {"autoscaling": {"enabled": True}}}}


def of(component: str) -> Object:
    return {
        "podSelector": {
            "matchLabels": {
                "app.kubernetes.io/name": "celery",
                "app.kubernetes.io/instance": "shop",
                "app.kubernetes.io/component": component,
            }
        }
    }


CLIENTS = {
    "podSelector": {
        "matchLabels": {"app.kubernetes.io/name": "celery", "app.kubernetes.io/instance": "shop"},
        "matchExpressions": [
            {"key": "app.kubernetes.io/component", "operator": "In", "values": ["worker", "beat", "exporter", "flower"]},
        ],
    }
}


def rules(name: str, *parts: Object) -> tuple[list[Object], list[Object]]:
    """Ingress and egress of one policy."""
    policy = one(render(MINIMAL, *parts), "NetworkPolicy", name)["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    return policy["ingress"], policy["egress"]


def tcp(port: int | str) -> list[Object]:
    return [{"port": port, "protocol": "TCP"}]


@pytest.mark.parametrize("values", WHOLE.values(), ids=WHOLE)
def test_every_pod_has_exactly_one_policy(values: Object) -> None:
    objects = render(values)
    selectors = [each["spec"]["podSelector"]["matchLabels"] for each in kinds(objects, "NetworkPolicy")]
    for workload in workloads(objects):
        labels = workload["spec"]["template"]["metadata"]["labels"]
        assert len([selector for selector in selectors if selector.items() <= labels.items()]) == 1


def test_there_is_none_where_they_are_turned_off() -> None:
    assert kinds(render(WHOLE["redis"], {"networkPolicy": {"enabled": False}}), "NetworkPolicy") == []


@pytest.mark.parametrize("name", ["worker", "beat"])
@pytest.mark.parametrize(
    ("values", "broker"),
    [
        (OUTSIDE, {"to": ANYWHERE, "ports": tcp(6379)}),
        (merged(OUTSIDE, {"broker": {"type": "rabbitmq"}}), {"to": ANYWHERE, "ports": tcp(5672)}),
        (
            merged(OUTSIDE, {"broker": {"port": 6380}, "networkPolicy": {"broker": [{"ipBlock": {"cidr": "10.2.0.0/24"}}]}}),
            {"to": [{"ipBlock": {"cidr": "10.2.0.0/24"}}], "ports": tcp(6380)},
        ),
        (REDIS, {"to": [of("redis")], "ports": tcp(6379)}),
        (merged(REDIS, {"broker": {"port": 6380}}), {"to": [of("redis")], "ports": tcp(6379)}),
        (RABBITMQ, {"to": [of("rabbitmq")], "ports": tcp(5672)}),
    ],
    ids=["redis", "rabbitmq", "own-port", "redis-inside", "redis-inside-ignores-port", "rabbitmq-inside"],
)
def test_nobody_reaches_a_worker_or_beat_and_they_reach_names_and_the_broker(name: str, values: Object, broker: Object) -> None:
    assert rules(name, {"beat": {"enabled": True}}, values) == ([], [DNS, broker])


@pytest.mark.parametrize("name", ["worker", "beat", "exporter", "flower"])
def test_what_runs_the_application_also_reaches_what_the_values_add(name: str) -> None:
    database = {"to": [{"ipBlock": {"cidr": "10.1.0.0/24"}}], "ports": tcp(5432)}
    _, egress = rules(name, WHOLE["outside"], {"networkPolicy": {"egress": [database]}})
    assert egress == [DNS, {"to": ANYWHERE, "ports": tcp(6379)}, database]


@pytest.mark.parametrize(
    ("values", "admitted"),
    [
        ({}, []),
        (SCALED, [KEDA]),
        ({"exporter": {"pools": {"mail": {"nodes": "celery@mail-", "queues": ["mail"]}}}}, [KEDA]),
        ({"networkPolicy": {"prometheus": [MONITORING]}}, [MONITORING]),
        (merged(SCALED, {"networkPolicy": {"prometheus": [MONITORING]}}), [KEDA, MONITORING]),
        (
            {
                "workers": {"fast": {"autoscaling": {"enabled": True, "trigger": "prometheus"}}},
                "scaling": {"prometheus": {"serverAddress": "http://prometheus:9090"}},
                "networkPolicy": {"prometheus": [MONITORING]},
            },
            [MONITORING],
        ),
    ],
)
def test_the_exporter_is_reached_by_who_asks_it_and_nobody_else(values: Object, admitted: list[Object]) -> None:
    ingress, _ = rules("exporter", OUTSIDE, values)
    assert ingress == ([{"from": admitted, "ports": tcp("http")}] if admitted else [])


def test_the_exporter_reaches_rabbitmq_s_management() -> None:
    _, egress = rules("exporter", RABBITMQ)
    assert egress == [DNS, {"to": [of("rabbitmq")], "ports": tcp(5672)}, {"to": [of("rabbitmq")], "ports": tcp(15672)}]
    management = {"broker": {"type": "rabbitmq"}, "exporter": {"rabbitmqManagement": {"existingSecret": "shop-admin", "port": 15671}}}
    _, egress = rules("exporter", OUTSIDE, management)
    assert egress == [DNS, {"to": ANYWHERE, "ports": tcp(5672)}, {"to": ANYWHERE, "ports": tcp(15671)}]


@pytest.mark.parametrize(("peers", "admitted"), [([], []), ([WEB], [{"from": [WEB], "ports": tcp("http")}])])
def test_flower_is_reached_by_whom_the_values_name(peers: list[Object], admitted: list[Object]) -> None:
    ingress, _ = rules("flower", WHOLE["outside"], {"flower": {"ingressFrom": peers}})
    assert ingress == admitted


@pytest.mark.parametrize(
    ("values", "others"),
    [
        ({}, []),
        ({"networkPolicy": {"producers": [WEB]}}, [WEB]),
        ({"workers": {"fast": {"autoscaling": {"enabled": True, "trigger": "broker"}}}}, [KEDA]),
        (SCALED, []),
    ],
    ids=["alone", "producers", "keda-asks-it", "keda-asks-the-exporter"],
)
@pytest.mark.parametrize("broker", ["redis", "rabbitmq"])
def test_a_broker_in_the_cluster_is_reached_by_its_clients_and_reaches_nobody(broker: str, values: Object, others: list[Object]) -> None:
    inside, port = {"redis": (REDIS, "redis"), "rabbitmq": (RABBITMQ, "amqp")}[broker]
    ingress, egress = rules(broker, inside, values, {"exporter": {"enabled": True}})
    assert ingress[0] == {"from": [CLIENTS, *others], "ports": tcp(port)}
    assert ingress[1:] == ([{"from": [of("exporter")], "ports": tcp("management")}] if broker == "rabbitmq" else [])
    assert egress == []


def test_a_port_that_a_policy_names_is_one_of_the_pod_s() -> None:
    for values in WHOLE.values():
        objects = render(values)
        for policy in kinds(objects, "NetworkPolicy"):
            name = policy["metadata"]["name"].removeprefix("shop-celery-")
            named = {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]}
            if named:
                assert named <= {port["name"] for port in container(objects, name)["ports"]}
