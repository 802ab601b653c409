"""Ports of this machine that lead to services of a namespace, and go on leading there when the pod behind a service is another one."""

import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from celerylab.clusters.kubectl import kubeconfig_file, kubectl, require_kubectl

LOCAL = "127.0.0.1"
READY_SECONDS = 20
AGAIN_SECONDS = 0.5
_BEGUN = "Forwarding from"  # how kubectl says that it listens
# Runs a command that ends when its standard input does, also because whoever held it was killed.
_TIED = ["sh", "-c", 'exec 3<&0; (cat <&3; kill $$) >/dev/null 2>&1 & exec "$@" 3<&- </dev/null', "sh"]


class Forwards:
    """One `kubectl port-forward` for each of `services` (name to `{"name": SERVICE, "port": NUMBER}`), kept alive for as long as the block takes.

    A service's port stays the same. While there is no pod behind the service nobody listens there; entering the block waits for each a while.
    Raises EngineError where there is no kubectl.
    """

    def __init__(self, kubeconfig: str, namespace: str, services: Mapping[str, Mapping[str, Any]]) -> None:
        self._kubeconfig, self._namespace, self._services = kubeconfig, namespace, services
        self._opened = ExitStack()
        self.endpoints: dict[str, str] = {}  # 127.0.0.1:port by the name of the service

    def __enter__(self) -> "Forwards":
        require_kubectl()
        with ExitStack() as opening:
            started = []
            for name, service in self._services.items():
                port = _free_port()
                what = [f"service/{service['name']}", f"{port}:{int(service['port'])}", "--address", LOCAL]
                forward = _Forward(self._kubeconfig, self._namespace, what)
                opening.callback(forward.close)
                started.append(forward)
                self.endpoints[name] = f"{LOCAL}:{port}"
            deadline = time.monotonic() + READY_SECONDS
            for forward in started:
                forward.listens.wait(max(0.0, deadline - time.monotonic()))
            self._opened = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()


class _Forward:
    """One `kubectl port-forward`, begun again when it ends: at once where it had listened, else after a moment. `listens` is set while it does."""

    def __init__(self, kubeconfig: str, namespace: str, what: list[str]) -> None:
        self._kubeconfig, self._namespace, self._what = kubeconfig, namespace, what
        self._changing = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._ending = threading.Event()
        self.listens = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends it for good."""
        with self._changing:
            self._ending.set()
            if self._process is not None:
                self._process.terminate()
        self._thread.join()

    def _keep(self) -> None:
        while not self._ending.is_set():
            if not self._once():
                self._ending.wait(AGAIN_SECONDS)

    def _once(self) -> bool:
        """Runs it until it ends; whether it had listened."""
        with kubeconfig_file(self._kubeconfig) as file:  # which it reads before it listens, and never again
            process = self._begin(file)
            if process is None:
                return False
            assert process.stdout is not None  # it was asked for
            had_listened = any(line.startswith(_BEGUN) for line in process.stdout)
        if had_listened:
            self.listens.set()
        with process:
            process.stdout.read()  # until it ends
        self.listens.clear()
        return had_listened

    def _begin(self, kubeconfig: Path) -> "subprocess.Popen[str] | None":
        with self._changing:
            if self._ending.is_set():
                return None
            self._process = subprocess.Popen(
                [*_TIED, *kubectl(kubeconfig, self._namespace, "port-forward", *self._what)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,  # Ctrl-C is for us: a fault that is undone still needs its way in
            )
            return self._process


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOCAL, 0))
        port: int = probe.getsockname()[1]
        return port
