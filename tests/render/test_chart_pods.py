"""Pods of the chart: what the standard `restricted` wants, probes that ask no broker, time to stop, what runs in them."""

import copy

import jsonschema
import pytest

from tests.render.chart import (
    MINIMAL,
    OUTSIDE,
    REDIS,
    SCHEMAS,
    WHOLE,
    Object,
    container,
    env,
    kinds,
    merged,
    one,
    pod,
    render,
    validate,
    workloads,
)

RELEASES = pytest.mark.parametrize("values", WHOLE.values(), ids=WHOLE)


@RELEASES
def test_a_pod_meets_the_standard_restricted_and_has_a_read_only_root(values: Object) -> None:
    for workload in workloads(render(values)):
        spec = workload["spec"]["template"]["spec"]
        user = spec["securityContext"]["runAsUser"]
        assert isinstance(user, int)
        assert user > 0
        assert spec["securityContext"] == {
            "runAsNonRoot": True,
            "runAsUser": user,
            "runAsGroup": user,
            "fsGroup": user,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(spec)
        assert {next(iter(set(volume) - {"name"})) for volume in spec["volumes"]} <= {
            "configMap",
            "secret",
            "projected",
            "emptyDir",
            "persistentVolumeClaim",
        }
        for each in spec["containers"]:
            assert each["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


@RELEASES
def test_a_container_has_requests_and_limits(values: Object) -> None:
    for workload in workloads(render(values)):
        for each in workload["spec"]["template"]["spec"]["containers"]:
            assert set(each["resources"]["requests"]) == {"cpu", "memory"}
            assert "memory" in each["resources"]["limits"]


@RELEASES
def test_a_pod_gets_no_token_and_no_variables_of_services(values: Object) -> None:
    objects = render(values)
    (account,) = kinds(objects, "ServiceAccount")
    assert account["automountServiceAccountToken"] is False
    for workload in workloads(objects):
        spec = workload["spec"]["template"]["spec"]
        assert spec["serviceAccountName"] == account["metadata"]["name"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False


@RELEASES
def test_every_selector_finds_its_own_pods_and_no_others(values: Object) -> None:
    objects = render(values)
    labels = {each["metadata"]["name"]: each["spec"]["template"]["metadata"]["labels"] for each in workloads(objects)}

    def found(selector: Object) -> set[str]:
        return {name for name, own in labels.items() if selector.items() <= own.items()}

    for each in workloads(objects):
        assert found(each["spec"]["selector"]["matchLabels"]) == {each["metadata"]["name"]}
        for constraint in each["spec"]["template"]["spec"].get("topologySpreadConstraints", []):
            assert found(constraint["labelSelector"]["matchLabels"]) == {each["metadata"]["name"]}
    for each in kinds(objects, "Service"):
        assert found(each["spec"]["selector"]) == {each["metadata"]["name"]}
    for each in kinds(objects, "PodDisruptionBudget"):
        assert found(each["spec"]["selector"]["matchLabels"]) == {each["metadata"]["name"]}
    for each in kinds(objects, "ScaledObject"):
        assert each["spec"]["scaleTargetRef"]["name"] in labels


@RELEASES
def test_every_mount_has_its_volume_and_every_named_object_of_ours_exists(values: Object) -> None:
    objects = render(values)
    named = {(each["kind"], each["metadata"]["name"]) for each in objects}
    for workload in workloads(objects):
        spec = workload["spec"]["template"]["spec"]
        claims = {each["metadata"]["name"] for each in workload["spec"].get("volumeClaimTemplates", [])}
        volumes = {each["name"] for each in spec["volumes"]}
        assert {each["name"] for each in spec["containers"][0]["volumeMounts"]} == volumes | claims
        for volume in spec["volumes"]:
            if "configMap" in volume:
                source = one(objects, "ConfigMap", volume["configMap"]["name"].removeprefix("shop-celery-"))
                assert {item["key"] for item in volume["configMap"].get("items", [])} <= set(source["data"])
            if "persistentVolumeClaim" in volume:
                assert ("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]) in named


@RELEASES
def test_no_probe_of_what_runs_the_application_asks_a_broker(values: Object) -> None:
    for workload in workloads(render(values)):
        component = workload["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"]
        (each,) = workload["spec"]["template"]["spec"]["containers"]
        probes = {key: value for key, value in each.items() if key.endswith("Probe")}
        if component == "beat":
            assert probes == {}
        elif component == "worker":
            assert {probe["exec"]["command"][2] for probe in probes.values()} == {"/opt/celery-chart/probe.py"}
            assert len(probes) == 3
        elif component in {"exporter", "flower"}:
            path = {"exporter": "/healthz", "flower": "/healthcheck"}[component]
            assert [probe["httpGet"] for probe in probes.values()] == [{"path": path, "port": "http"}] * 3


@RELEASES
def test_every_client_of_the_broker_knows_the_longest_time_that_a_worker_may_take_to_stop(values: Object) -> None:
    objects = render(values)
    grace = {
        each["metadata"]["name"]: each["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] for each in kinds(objects, "Deployment")
    }
    longest = max(seconds for name, seconds in grace.items() if "-worker-" in name)
    for each in kinds(objects, "Deployment"):
        assert env(each["spec"]["template"]["spec"]["containers"][0])["CELERY_LONGEST_GRACE_SECONDS"] == str(longest)


def test_beat_is_one_and_never_two_at_once() -> None:
    objects = render(
        MINIMAL, OUTSIDE, {"beat": {"enabled": True, "scheduler": "redbeat.RedBeatScheduler", "extraArgs": ["--max-interval=5"]}}
    )
    beat = one(objects, "Deployment", "beat")["spec"]
    assert (beat["replicas"], beat["strategy"]) == (1, {"type": "Recreate"})
    assert container(objects, "beat")["args"] == [
        "--app=shop",
        "beat",
        "--loglevel=INFO",
        "--schedule=/var/lib/celery-beat/schedule",
        "--pidfile=",
        "--scheduler=redbeat.RedBeatScheduler",
        "--max-interval=5",
    ]


@pytest.mark.parametrize(("keep", "kind"), [(True, "persistentVolumeClaim"), (False, "emptyDir")])
def test_beat_s_schedule_is_on_a_volume_where_it_is_to_be_kept(keep: bool, kind: str) -> None:
    objects = render(MINIMAL, OUTSIDE, {"beat": {"enabled": True, "persistence": {"enabled": keep}}})
    (volume,) = [each for each in pod(objects, "beat")["volumes"] if each["name"] == "schedule"]
    assert kind in volume
    assert len(kinds(objects, "PersistentVolumeClaim")) == int(keep)


def test_flower_takes_its_login_out_of_a_secret() -> None:
    flower = {"flower": {"enabled": True, "existingSecret": "login", "key": "user", "extraArgs": ["--max-tasks=1000"]}}
    each = container(render(MINIMAL, OUTSIDE, flower), "flower")
    assert env(each)["FLOWER_BASIC_AUTH"] == {"secretKeyRef": {"name": "login", "key": "user"}}
    assert "FLOWER_UNAUTHENTICATED_API" not in env(each)
    assert each["args"] == ["--app=shop", "flower", "--address=0.0.0.0", "--port=5555", "--max-tasks=1000"]


def test_nothing_runs_that_was_not_asked_for() -> None:
    names = {each["metadata"]["name"] for each in workloads(render(MINIMAL, OUTSIDE, {"exporter": {"enabled": False}}))}
    assert names == {"shop-celery-worker-fast"}


def test_pods_roll_when_settings_or_a_broker_s_secret_change_and_otherwise_not() -> None:
    def annotations(*parts: Object, name: str = "worker-fast") -> Object:
        found = next(each for each in workloads(render(MINIMAL, *parts)) if each["metadata"]["name"].endswith(name))
        return found["spec"]["template"]["metadata"]

    first = annotations(OUTSIDE, {"settings": {"A": "1"}})
    assert first == annotations(OUTSIDE, {"settings": {"A": "1"}, "networkPolicy": {"enabled": False}})
    assert first != annotations(OUTSIDE, {"settings": {"A": "2"}})
    other = {"redis": {"password": "another-pass-word-1"}}
    assert annotations(REDIS, name="celery-redis") != annotations(REDIS, other, name="celery-redis")


def test_the_schemas_of_kubernetes_find_a_field_that_it_does_not_know() -> None:
    """Canary: all renders above are checked with them."""
    deployment = one(render(MINIMAL, OUTSIDE), "Deployment", "worker-fast")
    validate(deployment)
    for path, value in [("terminationGraceSeconds", 1), ("containers", [{}]), ("enableServiceLinks", "no")]:
        broken = copy.deepcopy(deployment)
        broken["spec"]["template"]["spec"][path] = value
        with pytest.raises(AssertionError):
            validate(broken)
    jsonschema.Draft202012Validator.check_schema({**SCHEMAS["kinds"]["apps/v1/Deployment"], "definitions": SCHEMAS["definitions"]})


def test_volumes_and_variables_of_yours_reach_all_that_runs_the_application() -> None:
    own = {
        "env": [{"name": "A", "value": "1"}],
        "secrets": ["shop-database"],
        "settings": {"B": "2"},
        "volumes": [{"name": "ca", "secret": {"secretName": "shop-ca"}}],
        "volumeMounts": [{"name": "ca", "mountPath": "/etc/ca"}],
        "imagePullSecrets": [{"name": "registry"}],
        "workingDir": "/srv/shop",
        "python": "/opt/venv/bin/python",
    }
    objects = render(merged(WHOLE["outside"], own))
    assert one(objects, "ConfigMap", "settings")["data"] == {"B": "2"}
    for name in ("worker-fast", "beat", "exporter", "flower"):
        each = container(objects, name)
        assert env(each)["A"] == "1"
        assert each["envFrom"] == [{"configMapRef": {"name": "shop-celery-settings"}}, {"secretRef": {"name": "shop-database"}}]
        assert {"name": "ca", "mountPath": "/etc/ca"} in each["volumeMounts"]
        assert (each["command"][0], each["workingDir"]) == ("/opt/venv/bin/python", "/srv/shop")
        assert pod(objects, name)["imagePullSecrets"] == [{"name": "registry"}]
