"""TLS as a client of a host sees it: which versions a port speaks, and what a program says to an impostor."""

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celerylab.verify.expect import NotObservedError
from celerylab.verify.faults import connections_redirected
from celerylab.verify.hosts import OBSERVER, ObservedHost

ACCEPTED = "accepted"
OLD = ("TLSv1", "TLSv1_1")
NEW = ("TLSv1_2", "TLSv1_3")
READY_SECONDS = 15
# A certificate of nobody's: made at once, signed by itself, with the names of this host.
_CERTIFICATE = """
import json, socket, ssl, subprocess, sys, tempfile, threading

def server_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    with tempfile.TemporaryDirectory() as folder:
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=" + socket.gethostname(),
                   "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1,DNS:" + socket.gethostname(),
                   "-keyout", folder + "/key", "-out", folder + "/certificate"]
        subprocess.run(command, check=True, capture_output=True)
        context.load_cert_chain(folder + "/certificate", folder + "/key")
    return context
"""
_VERSIONS = (
    _CERTIFICATE
    + """
def serve(listener, context):
    while True:
        connection, _ = listener.accept()
        try:
            context.wrap_socket(connection, server_side=True).close()
        except OSError:
            connection.close()

def shake(port, version):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    try:
        with socket.create_connection(("127.0.0.1", port), 3) as plain, context.wrap_socket(plain):
            return "accepted"
    except OSError as error:
        return f"refused: {error}"

asked = json.load(sys.stdin)
listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=serve, args=(listener, server_context()), daemon=True).start()
ports = {"stub": listener.getsockname()[1], "server": asked["port"]}
print(json.dumps({name: {version: shake(port, version) for version in asked["versions"]} for name, port in ports.items()}))
"""
)
# Ends when its standard input does. One line for each connection: was the handshake completed, and how much was said after it?
_IMPOSTOR = (
    _CERTIFICATE
    + """
def meet(connection, context):
    connection.settimeout(5)
    seen = {"completed": False, "said": 0}
    try:
        with context.wrap_socket(connection, server_side=True) as secure:
            seen["completed"] = True
            seen["said"] = len(secure.recv(4096))
    except OSError as error:
        seen["error"] = str(error)
    print(json.dumps(seen), flush=True)

def serve(listener, context):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=meet, args=(connection, context), daemon=True).start()

context = server_context()
listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=serve, args=(listener, context), daemon=True).start()
print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
sys.stdin.read()
"""
)
_BELIEVER = """
import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 5) as plain, context.wrap_socket(plain) as secure:
    secure.sendall(b"hello")
"""


def spoken_versions(host: ObservedHost, port: int, versions: tuple[str, ...] = OLD + NEW) -> dict[str, dict[str, str]]:
    """`accepted` or `refused: …` for each of `versions`: of the `server` at `port` on `host`, and of a `stub` beside it that speaks them all.

    The stub is the control: what the client could not say to it, a refusal by the server says nothing about.
    """
    answers: dict[str, dict[str, str]] = json.loads(host.python(_VERSIONS, stdin=json.dumps({"port": port, "versions": versions})))
    return answers


class Impostor:
    """A TLS server with a certificate that no authority of the lab signed. `met` are the connections so far."""

    def __init__(self, host: ObservedHost) -> None:
        line = ["docker", "exec", "--interactive", "--user", OBSERVER, host.container, "python3", "-c", _IMPOSTOR]
        self._process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.port = 0
        self.met: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait(self) -> None:
        """Returns when it listens. Raises NotObservedError where it does not."""
        deadline = time.monotonic() + READY_SECONDS
        while not self.port:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise NotObservedError("the impostor's server did not start")
            time.sleep(0.05)

    def close(self) -> None:
        """Ends it."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.terminate()
        self._process.wait()
        self._reader.join(5)

    def _read(self) -> None:
        assert self._process.stdout is not None  # it was asked for
        for line in self._process.stdout:
            said = json.loads(line)
            if "port" in said:
                self.port = int(said["port"])
            else:
                self.met.append(said)


@contextmanager
def impostor(host: ObservedHost, account: str, port: int) -> Iterator[Impostor]:
    """Whoever of `account` on `host` dials `port` meets an impostor inside the block. A client that believes everybody has tried it first.

    Raises NotObservedError where that client was not believed, because a refusal by others would mean nothing then.
    """
    server = Impostor(host)
    try:
        server.wait()
        with connections_redirected(host, account, port, server.port):
            host.as_root("setpriv", f"--reuid={account}", "--clear-groups", "python3", "-c", _BELIEVER, host.name, str(port))
            deadline = time.monotonic() + READY_SECONDS
            while not any(seen["said"] for seen in server.met):
                if time.monotonic() > deadline:
                    raise NotObservedError(f"a client that believes everybody did not meet the impostor: {server.met}")
                time.sleep(0.05)
            server.met.clear()
            yield server
    finally:
        server.close()
