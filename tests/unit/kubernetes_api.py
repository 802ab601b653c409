"""A stand-in for the Kubernetes API, our edge: what it has is said by the test, and what is asked of it is noted."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import yaml

CORE, APPS = "/api/v1/namespaces/space", "/apis/apps/v1/namespaces/space"
REDIS = f"{APPS}/statefulsets/lab-redis"
LABELS = {"app": "worker"}


def pod(name: str, node: str = "node-1", labels: dict[str, str] = LABELS, ready: str = "True", **more: Any) -> dict[str, Any]:
    status = {"phase": "Running", "podIP": "10.244.0.9", "conditions": [{"type": "Ready", "status": ready}]}
    containers = [{"name": "worker", "restartCount": 2, "image": "", "imageID": "", "ready": True}]
    metadata = {"name": name, "uid": f"uid-{name}", "labels": labels, **more}
    spec = {"nodeName": node, "containers": [{"name": "worker"}]}
    return {"metadata": metadata, "spec": spec, "status": {**status, "containerStatuses": containers}}


def workload(name: str, wanted: int, ready: int, labels: dict[str, str] = LABELS, **status: int) -> dict[str, Any]:
    there = {"replicas": wanted, "readyReplicas": ready, "updatedReplicas": wanted, "observedGeneration": 1, **status}
    spec = {"replicas": wanted, "selector": {"matchLabels": labels}, "template": {}, "serviceName": name}
    return {"metadata": {"name": name, "generation": 1}, "spec": spec, "status": there}


class FakeApi:
    """Answers `GET PATH` with `objects[PATH]`, lists with what is in them, and notes all else; `refusals` are answers to a method, one each."""

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {}
        self.asked: list[tuple[str, str, Any]] = []
        self.refusals: dict[str, list[tuple[int, str]]] = {}
        self.url = ""

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if method != "GET":
            self.asked.append((method, path, body))
        if method == "GET":
            found = self.objects.get(path)
            return (404, {"message": "not found"}) if found is None else (200, {"items": found} if isinstance(found, list) else found)
        if self.refusals.get(method):
            status, message = self.refusals[method].pop(0)
            return status, {"message": message}
        if path.endswith("/eviction") or method == "DELETE":
            name = path.removesuffix("/eviction").rsplit("/", 1)[1]
            self.objects[f"{CORE}/pods"] = [found for found in self.objects[f"{CORE}/pods"] if found["metadata"]["name"] != name]
        if path == f"{REDIS}/scale":
            replicas = body["spec"]["replicas"]
            self.objects[REDIS] = workload("lab-redis", replicas, replicas, {"app": "redis"})
            return 200, {"spec": body["spec"], "status": {"replicas": replicas}}
        return 200, {"kind": "Status", "status": "Success"}


@contextmanager
def served(fake: FakeApi) -> Iterator[FakeApi]:
    """`fake` behind `fake.url`, for as long as the block takes."""

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            status, value = fake.answer(self.command, self.path.partition("?")[0], body)
            text = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PATCH = do_DELETE = handle_any  # noqa: N815 (names of the base class)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield fake
    server.shutdown()
    server.server_close()


def kubeconfig_of(url: str) -> str:
    entry = {"name": "c", "cluster": {"server": url}}
    context = {"name": "c", "context": {"cluster": "c", "user": "c"}}
    known = {"clusters": [entry], "contexts": [context], "users": [{"name": "c", "user": {}}], "current-context": "c"}
    return yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **known})
