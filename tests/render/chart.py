"""Renders the chart with the real `helm template` and hands back objects, each checked against Kubernetes' own schema of its kind."""

import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "manifests" / "charts" / "celery"
SCHEMAS = json.loads((Path(__file__).parent / "schemas" / "kubernetes.json").read_text(encoding="utf-8"))
RELEASE, NAMESPACE = "shop", "prod"
Object = dict[str, Any]

MINIMAL: Object = {"image": {"repository": "registry.example.com/shop", "tag": "1"}, "app": "shop", "workers": {"fast": {}}}
OUTSIDE: Object = {"broker": {"existingSecret": "shop-broker"}}
REDIS: Object = {"redis": {"enabled": True, "password": "pass-word-of-redis-1"}}
RABBITMQ: Object = {"broker": {"type": "rabbitmq"}, "rabbitmq": {"enabled": True, "password": "pass-word-of-rabbit"}}
SCALED: Object = {"workers": {"fast": {"autoscaling": {"enabled": True}}}}


@cache
def helm() -> str:
    """Path of a helm that fits: the one on PATH, or the one that scripts/toolchain builds. Skips, with the reason, where there is none; not in CI."""
    made = subprocess.run(["sh", "scripts/toolchain", "helm"], cwd=ROOT, capture_output=True, text=True, check=False)
    found = shutil.which("helm", path=os.pathsep.join([str(ROOT / ".tools" / "bin"), os.environ["PATH"]]))
    if made.returncode != 0 or found is None:
        reason = f"needs helm, and scripts/toolchain could not build it: {made.stderr.strip()[-300:]}"
        if os.environ.get("CI"):
            raise AssertionError(reason)
        pytest.skip(reason)
    return found


def merged(*parts: Object) -> Object:
    """Maps over maps, as Helm merges values files."""
    whole: Object = {}
    for part in parts:
        for key, value in part.items():
            whole[key] = merged(whole[key], value) if isinstance(whole.get(key), dict) and isinstance(value, dict) else value
    return whole


def run(*arguments: str, values: Object | None = None) -> subprocess.CompletedProcess[str]:
    """One command of helm's, with values on its standard input."""
    given = [] if values is None else ["--values", "-"]
    text = None if values is None else json.dumps(values)
    return subprocess.run([helm(), *arguments, *given], input=text, capture_output=True, text=True, check=False, cwd=ROOT)


@cache
def _rendered(values: str, release: str, chart: Path) -> list[Object]:
    result = run("template", release, str(chart), "--namespace", NAMESPACE, values=json.loads(values))
    assert result.returncode == 0, result.stderr
    found = [each for each in yaml.safe_load_all(result.stdout) if each]
    for each in found:
        validate(each)
    names = [(each["kind"], each["metadata"]["name"]) for each in found]
    assert len(names) == len(set(names)), names
    return found


def render(*parts: Object, release: str = RELEASE, chart: Path = CHART) -> list[Object]:
    """All objects of a release; `parts` are values, the later over the earlier."""
    return json.loads(json.dumps(_rendered(json.dumps(merged(*parts)), release, chart)))


def refusal(*parts: Object) -> str:
    """The line with which values are refused."""
    result = run("template", RELEASE, str(CHART), "--namespace", NAMESPACE, values=merged(*parts))
    assert result.returncode != 0, "rendered, though it must not"
    return result.stderr


def validate(rendered: Object) -> None:
    """Raises with the place and the reason where Kubernetes would not take the object."""
    kind = f"{rendered['apiVersion']}/{rendered['kind']}"
    errors = [f"{kind} {rendered['metadata']['name']} {each.json_path}: {each.message}" for each in _validator(kind).iter_errors(rendered)]
    assert errors == []


@cache
def _validator(kind: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator({**SCHEMAS["kinds"][kind], "definitions": SCHEMAS["definitions"]})


def one(objects: list[Object], kind: str, name: str) -> Object:
    """The object of this kind and name, which is `shop-celery-NAME`."""
    found = [each for each in objects if each["kind"] == kind and each["metadata"]["name"] == f"{RELEASE}-celery{name and '-'}{name}"]
    assert len(found) == 1, [(each["kind"], each["metadata"]["name"]) for each in objects]
    return found[0]


def kinds(objects: list[Object], kind: str) -> list[Object]:
    """All objects of a kind."""
    return [each for each in objects if each["kind"] == kind]


def workloads(objects: list[Object]) -> list[Object]:
    """Everything that has pods."""
    return kinds(objects, "Deployment") + kinds(objects, "StatefulSet")


def pod(objects: list[Object], name: str) -> Object:
    """Spec of the pods of a Deployment or StatefulSet."""
    return next(each for each in workloads(objects) if each["metadata"]["name"] == f"{RELEASE}-celery-{name}")["spec"]["template"]["spec"]


def container(objects: list[Object], name: str) -> Object:
    """The one container of these pods."""
    (found,) = pod(objects, name)["containers"]
    return found


def env(rendered: Object) -> Object:
    """Variables of a container, name to value or to where it comes from."""
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in rendered.get("env", [])}


def examples() -> list[Path]:
    """Values files that are published."""
    return sorted((CHART / "examples").glob("*.yaml"))


def example(path: Path) -> Object:
    """Values of one."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


# Every component and every way to have a broker, in few releases: what holds for all pods is asked of all of them.
EVERYTHING = {"beat": {"enabled": True}, "flower": {"enabled": True, "existingSecret": "shop-flower"}}
WHOLE: dict[str, Object] = {
    "outside": merged(MINIMAL, OUTSIDE, EVERYTHING),
    "redis": merged(MINIMAL, REDIS, EVERYTHING, SCALED),
    "rabbitmq": merged(MINIMAL, RABBITMQ, EVERYTHING, {"workers": {"slow": {"autoscaling": {"enabled": True, "trigger": "broker"}}}}),
    **{path.stem: example(path) for path in examples()},
}
