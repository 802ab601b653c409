"""A lab's own Kubernetes manifests: which are refused before anything is touched, and how they get to the stack's images and namespace."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from celerylab.errors import InputError
from celerylab.topology.lab import Lab
from celerylab.topology.source import suggestion

FOLDER = "manifests"
_NAMESPACE = "${NAMESPACE}"
_IMAGE = re.compile(r"^lab/([a-z]+)$")
# What a stack may make in its namespace; manifests/access/stacks.yaml grants the same.
KINDS = (
    *("ConfigMap", "CronJob", "Deployment", "HorizontalPodAutoscaler", "Job", "NetworkPolicy", "PersistentVolumeClaim"),
    *("PodDisruptionBudget", "ScaledJob", "ScaledObject", "Secret", "Service", "ServiceAccount", "StatefulSet", "TriggerAuthentication"),
)


def read_manifests(lab: Lab, namespace: str, images: Mapping[str, str]) -> list[dict[str, Any]]:
    """Every object of manifests/*.yaml, in `namespace`: `lab/NAME` as an image becomes `images[NAME]`, `${NAMESPACE}` the namespace.

    Raises InputError, naming file and document, for what is no object, for a kind that a stack may not make, for one that names another
    namespace, and for two of one name.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for path in sorted((lab.folder / FOLDER).glob("*.y*ml")):
        origin = lab.origin(f"{FOLDER}/{path.name}")
        text = path.read_text(encoding="utf-8").replace(_NAMESPACE, namespace)
        for number, document in enumerate(yaml.safe_load_all(text), start=1):
            if document is None:
                continue
            place = f"{origin}, document {number}"
            made = _object(document, place, namespace, images)
            key = made["kind"], made["metadata"]["name"]
            if key in found:
                raise InputError(f"{place}: {key[0]} {key[1]} is written twice; keep one")
            found[key] = made
    return list(found.values())


def _object(document: Any, place: str, namespace: str, images: Mapping[str, str]) -> dict[str, Any]:
    metadata = document.get("metadata") if isinstance(document, dict) else None
    if not isinstance(metadata, dict) or not metadata.get("name") or not document.get("apiVersion") or not document.get("kind"):
        raise InputError(f"{place}: is no Kubernetes object; write apiVersion, kind and metadata.name")
    if document["kind"] not in KINDS:
        raise InputError(
            f"{place}: a stack makes no {document['kind']}{suggestion(document['kind'], list(KINDS))}; it may make {', '.join(KINDS)}"
        )
    if metadata.get("namespace", namespace) != namespace:
        raise InputError(f"{place}: names namespace {metadata['namespace']}; leave it out, everything is in the stack's own")
    named: dict[str, Any] = _with_images(document, place, images)
    return {**named, "metadata": {**metadata, "namespace": namespace}}


def _with_images(value: Any, place: str, images: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_with_images(each, place, images) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _image(each, place, images) if key == "image" and isinstance(each, str) else _with_images(each, place, images)
        for key, each in value.items()
    }


def _image(written: str, place: str, images: Mapping[str, str]) -> str:
    match = _IMAGE.match(written)
    if match is None:
        return written
    if match[1] not in images:
        raise InputError(f"{place}: there is no image {written}; there are {', '.join(f'lab/{name}' for name in images)}")
    return images[match[1]]
