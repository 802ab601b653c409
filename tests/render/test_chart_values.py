"""Values of the chart: what is refused and with which words, where secrets are, and that texts and defaults agree."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.render.chart import (
    CHART,
    MINIMAL,
    OUTSIDE,
    RABBITMQ,
    REDIS,
    ROOT,
    SCHEMAS,
    WHOLE,
    Object,
    container,
    env,
    example,
    examples,
    kinds,
    one,
    pod,
    render,
    run,
)

EXAMPLES = pytest.mark.parametrize("path", examples(), ids=lambda path: path.stem)
SCHEMA = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))


@EXAMPLES
def test_an_example_passes_helm_s_own_linter(path: Path) -> None:
    result = run("lint", "--strict", str(CHART), "--values", str(path))
    assert result.returncode == 0, result.stdout
    assert "[WARNING]" not in result.stdout


@EXAMPLES
def test_an_example_renders(path: Path) -> None:
    assert kinds(render(example(path)), "Deployment")


def secret_free(value: Any) -> list[str]:
    """Every text in an object."""
    if isinstance(value, dict):
        return [text for each in value.values() for text in secret_free(each)]
    return [text for each in value for text in secret_free(each)] if isinstance(value, list) else [str(value)]


@pytest.mark.parametrize("inside", [REDIS, RABBITMQ], ids=["redis", "rabbitmq"])
def test_a_password_is_in_the_broker_s_own_secret_and_nowhere_else(inside: Object) -> None:
    (kind,) = set(inside) - {"broker"}
    password = inside[kind]["password"]
    objects = render(
        MINIMAL, inside, {"beat": {"enabled": True}, "workers": {"fast": {"autoscaling": {"enabled": True, "trigger": "broker"}}}}
    )
    holders = [(each["kind"], each["metadata"]["name"]) for each in objects if any(password in text for text in secret_free(each))]
    assert holders == [("Secret", f"shop-celery-{kind}")]


@pytest.mark.parametrize("values", WHOLE.values(), ids=WHOLE)
def test_the_broker_s_url_comes_out_of_a_secret(values: Object) -> None:
    objects = render(values)
    made = {each["metadata"]["name"] for each in kinds(objects, "Secret")}
    variable = values.get("broker", {}).get("urlEnv", "CELERY_BROKER_URL")
    for each in kinds(objects, "Deployment"):
        source = env(each["spec"]["template"]["spec"]["containers"][0])[variable]["secretKeyRef"]
        assert source["key"] == "url"
        assert source["name"] in (made or {"shop-broker"})


def test_nothing_is_secret_where_the_broker_is_elsewhere() -> None:
    assert kinds(render(WHOLE["outside"]), "Secret") == []


@pytest.mark.parametrize("kind", ["redis", "rabbitmq"])
def test_a_broker_in_the_cluster_takes_a_secret_that_exists(kind: str) -> None:
    own = {"broker": {"type": kind}, kind: {"enabled": True, "existingSecret": "own"}}
    objects = render(MINIMAL, own)
    assert kinds(objects, "Secret") == []
    assert env(container(objects, "worker-fast"))["CELERY_BROKER_URL"] == {"secretKeyRef": {"name": "own", "key": "url"}}
    assert "own" in secret_free(pod(objects, kind))


def test_redis_keeps_what_it_accepted_and_refuses_when_it_is_full() -> None:
    objects = render(MINIMAL, REDIS)
    settings = one(objects, "ConfigMap", "redis")["data"]["redis.conf"]
    assert {"appendonly yes", "maxmemory-policy noeviction", "maxmemory 192mb"} <= set(settings.splitlines())
    assert one(objects, "Secret", "redis")["stringData"] == {
        "password": "pass-word-of-redis-1",
        "url": "redis://:pass-word-of-redis-1@shop-celery-redis.prod.svc:6379/0",
        "redis.conf": "requirepass pass-word-of-redis-1",
    }


def test_rabbitmq_s_memory_is_the_container_s() -> None:
    objects = render(MINIMAL, RABBITMQ, {"rabbitmq": {"resources": {"limits": {"memory": "1Gi"}}}})
    assert "total_memory_available_override_value = 1GiB" in one(objects, "ConfigMap", "rabbitmq")["data"]["rabbitmq.conf"]
    assert (
        one(objects, "Secret", "rabbitmq")["stringData"]["url"]
        == "amqp://celery:pass-word-of-rabbit@shop-celery-rabbitmq.prod.svc:5672/%2F"
    )


@pytest.mark.parametrize(
    ("release", "override", "name"), [("shop", "", "shop-celery"), ("celery", "", "celery"), ("a" * 53, "", "a" * 34), ("x", "own", "own")]
)
def test_names_are_short_enough_for_labels(release: str, override: str, name: str) -> None:
    objects = render(MINIMAL, OUTSIDE, {"fullnameOverride": override, "workers": {"p" * 20: {}}}, release=release)
    names = {each["metadata"]["name"] for each in objects}
    assert f"{name}-worker-fast" in names
    assert max(map(len, names)) <= 63


def test_the_notes_say_what_runs_and_what_the_application_must_do(tmp_path: Path) -> None:
    chart = tmp_path / "celery"
    shutil.copytree(CHART, chart)
    show = '{{ include (print $.Template.BasePath "/NOTES.txt") . }}'
    shown = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: notes}}\ndata:\n  notes: {{{{ tpl {json.dumps(show)} . | quote }}}}\n"
    (chart / "templates" / "notes.yaml").write_text(shown, encoding="utf-8")
    objects = render(MINIMAL, REDIS, {"workers": {"fast": {"longestTaskSeconds": 600}}}, chart=chart)
    notes = next(each for each in objects if each["metadata"]["name"] == "notes")["data"]["notes"]
    assert "shop-celery-worker-fast: queues celery; 1 at once in each worker; 2 workers; 630 s to stop" in notes
    assert "not below your longest task or 630 s" in notes
    assert "to try and to learn" in notes


def test_the_readme_s_table_is_fresh() -> None:
    result = subprocess.run([sys.executable, "scripts/chart-readme", "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"run scripts/chart-readme: {result.stdout}"


def described(schema: Object, values: Object, path: str = "") -> list[str]:
    """Values that the schema does not describe, and those that it describes and that have no default."""
    found = [f"{path}{name}: no default" for name in set(schema["properties"]) - set(values) - {"global"}]
    for name, value in values.items():
        each = schema["properties"].get(name)
        if each is None:
            found.append(f"{path}{name}: not in the schema")
        elif "description" not in each:
            whole = SCHEMA["$defs"][each["$ref"].rsplit("/", 1)[1]] if "$ref" in each else each
            found += described(whole, value, f"{path}{name}.") if "properties" in whole else [f"{path}{name}: no description"]
    return found


def test_every_value_has_a_description_and_a_default() -> None:
    assert described(SCHEMA, DEFAULTS) == []


def test_the_schema_is_one_and_closed_everywhere() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)

    def open_ones(schema: Any, path: str) -> list[str]:
        if not isinstance(schema, dict):
            return []
        own = [path] if "properties" in schema and "additionalProperties" not in schema else []
        return own + [each for key, value in schema.items() for each in open_ones(value, f"{path}/{key}")]

    assert open_ones(SCHEMA, "") == []


def test_the_schemas_of_kubernetes_are_those_of_the_versions_that_we_build() -> None:
    modules = (ROOT / "tools/go.mod").read_text(encoding="utf-8")
    for path, version in SCHEMAS["versions"].items():
        assert re.search(rf"^\t{re.escape(path)} {re.escape(version)}\b", modules, re.MULTILINE), (
            f"run scripts/kubernetes-schemas: {path} is {version}"
        )
