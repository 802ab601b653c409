"""Faults of links bite and heal: two hosts that talk to each other over TCP, and a third whom none of it concerns."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from celerylab.images.bake import bake_dockerfile
from celerylab.providers.engine import engine
from celerylab.verify.expect import NotObservedError, wait_for
from celerylab.verify.hosts import ObservedHost
from celerylab.verify.link_faults import connections_half_open, hosts_cut, link_half_open, link_slow

PORT = 5000
SLOW_SECONDS = 0.4  # of each packet, in the tests
# Answers each line with its length, once it has all of it.
SERVER = """
import socketserver
class Lengths(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(b"%d\\n" % (len(line) - 1))
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
Server(("", 5000), Lengths).serve_forever()
"""
# Asks over one connection, each time that a length comes in: [length, seconds until an answer may come] in, [answer, seconds it took] out.
CLIENT = """
import json, socket, sys, time
talk = socket.create_connection((sys.argv[1], 5000), float(sys.argv[2]))
print(json.dumps(["connected", 0]), flush=True)
for line in sys.stdin:
    length, patience = json.loads(line)
    talk.settimeout(patience)
    began = time.monotonic()
    try:
        if length:
            talk.sendall(b"x" * (length - 1) + b"y\\n")
        answer = b""
        while not answer.endswith(b"\\n"):
            more = talk.recv(100)
            if not more:
                raise ConnectionError("closed")
            answer += more
        said = answer.decode().strip()
    except Exception as error:
        said = type(error).__name__
    print(json.dumps([said, time.monotonic() - began]), flush=True)
"""


class Talk:
    """One TCP connection from a host to another."""

    def __init__(self, host: ObservedHost, peer: ObservedHost, seconds: float = 10) -> None:
        line = ["docker", "exec", "--interactive", host.container, "python3", "-c", CLIENT, peer.name, str(seconds)]
        self.process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._read()[0] == "connected"

    def ask(self, length: int = 5, patience: float = 20) -> tuple[str, float]:
        """What the server said, or the name of the error, and after how many seconds. Nothing is sent with length 0."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([length, patience]) + "\n")
        self.process.stdin.flush()
        said, seconds = self._read()
        return str(said), float(seconds)

    def close(self) -> None:
        """Ends it."""
        self.process.communicate()

    def _read(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline() or '["no connection", 0]')


@contextmanager
def talking(host: ObservedHost, peer: ObservedHost) -> Iterator[Talk]:
    talk = Talk(host, peer)
    try:
        yield talk
    finally:
        talk.close()


@pytest.fixture(scope="module")
def hosts(root: Path) -> Iterator[list[ObservedHost]]:
    """client, server and other, each with a server."""
    image = bake_dockerfile(root, "bare", print)
    mark, client = uuid.uuid4().hex[:6], engine()
    network = client.networks.create(f"celerylab-test-{mark}", internal=True, labels={"io.celerylab.kind": "test"})
    containers = []
    try:
        for name in ("client", "server", "other"):
            container = client.containers.create(
                image, ["-c", "useradd observer && exec sleep infinity"], entrypoint="sh", name=f"celerylab-test-{mark}-{name}",
                hostname=name, network=network.name, labels={"io.celerylab.kind": "test"}, init=True,
            )  # fmt: skip
            containers.append(container)
            network.disconnect(container)
            network.connect(container, aliases=[name])
            container.start()
        found = [ObservedHost(name, container.name) for name, container in zip(("client", "server", "other"), containers, strict=True)]
        for host in found:
            wait_for(lambda host=host: host.run("id").rc == 0, 20, expected="an observer")
            subprocess.run(["docker", "exec", "--detach", host.container, "python3", "-c", SERVER], check=True)
            wait_for(lambda host=host: ":5000" in host.check_output("ss -ltn"), 20, expected="a server")
        yield found
    finally:
        for container in containers:
            container.remove(force=True, v=True)
        network.remove()


def left() -> list[str]:
    """Helpers of faults that are still there."""
    return [found.name for found in engine().containers.list(all=True, filters={"label": "io.celerylab.kind=fault"}, ignore_removed=True)]


def connects(host: ObservedHost, peer: ObservedHost, seconds: float = 2) -> bool:
    try:
        Talk(host, peer, seconds).close()
    except AssertionError:
        return False
    return True


def test_a_slow_link_makes_connections_of_before_and_new_ones_wait_in_both_directions(hosts: list[ObservedHost]) -> None:
    client, server, other = hosts
    with talking(client, server) as talk:
        assert talk.ask() == ("5", pytest.approx(0, abs=SLOW_SECONDS))
        with link_slow(client, server, SLOW_SECONDS):
            said, seconds = talk.ask()
            assert said == "5"
            assert seconds >= 2 * SLOW_SECONDS  # it bites: there and back
            with talking(server, client) as back, talking(client, other) as elsewhere:
                assert back.ask()[1] >= 2 * SLOW_SECONDS
                assert elsewhere.ask()[1] < SLOW_SECONDS
            assert talk.ask(1_000_000) == ("1000000", pytest.approx(10, abs=10))  # large packets, which the card cuts, arrive whole
        assert talk.ask(1_000_000)[1] < SLOW_SECONDS  # it heals


def test_a_half_open_link_lets_answers_through_and_no_question(hosts: list[ObservedHost]) -> None:
    client, server, _ = hosts
    with talking(client, server) as talk, talking(server, client) as back:
        assert talk.ask()[0] == back.ask()[0] == "5"
        with link_half_open(client, server):
            assert talk.ask(patience=1)[0] == "TimeoutError"  # it bites
            assert back.ask(patience=1)[0] == "TimeoutError"  # the question arrives, and its answer does not
            assert ":5000" in client.check_output("ss -tn state established")  # nobody was told
            assert ":5000" in server.check_output("ss -tn state established")
            assert not connects(client, server)
        assert talk.ask(0)[0] == back.ask(0)[0] == "5"  # it heals: what was lost is sent again
        assert connects(client, server)


def test_a_peer_that_forgot_is_believed_in_until_something_is_sent(hosts: list[ObservedHost]) -> None:
    client, server, other = hosts
    with talking(client, server) as waiting, talking(client, server) as asking, talking(client, other) as elsewhere:
        with connections_half_open(client, server):
            assert client.check_output("ss -Htn state established").count(":5000") == 3
            assert not server.check_output("ss -Htn state established")  # it bites
            assert waiting.ask(0, patience=1)[0] == "TimeoutError"
            assert asking.ask()[0] == "ConnectionResetError"
            with talking(client, server) as new:
                assert new.ask()[0] == "5"
        assert waiting.ask(0, patience=5)[0] not in {"5", "TimeoutError"}  # it heals: whoever waited has an error
        assert elsewhere.ask()[0] == "5"


def test_a_cut_is_silence_for_both_and_for_nobody_else(hosts: list[ObservedHost]) -> None:
    client, server, other = hosts
    with talking(client, server) as talk:
        with hosts_cut(client, server):
            assert talk.ask(patience=1)[0] == "TimeoutError"  # it bites
            assert not connects(server, client)
            assert connects(client, other)
            assert connects(other, server)
        assert talk.ask(0)[0] == "5"  # it heals


def test_a_second_fault_on_a_link_is_refused_and_leaves_the_first(hosts: list[ObservedHost]) -> None:
    client, server, other = hosts
    with link_half_open(client, server):
        with pytest.raises(NotObservedError, match="another fault is at work on this link"), link_slow(client, server, 1):
            pytest.fail("it began")
        assert not connects(client, server)
        with link_half_open(client, other):
            assert not connects(client, other)
        assert connects(client, other)
    assert connects(client, server)


def test_an_exception_heals_and_leaves_no_helper(hosts: list[ObservedHost]) -> None:
    client, server, _ = hosts
    with pytest.raises(KeyError), link_slow(client, server, 5):
        raise KeyError("on the way")
    assert connects(client, server)
    assert not left()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_ended_heals(hosts: list[ObservedHost], how: signal.Signals) -> None:
    client, server, _ = hosts
    script = f"""
        import time
        from celerylab.verify.hosts import ObservedHost
        from celerylab.verify.link_faults import hosts_cut
        with hosts_cut(ObservedHost("client", "{client.container}"), ObservedHost("server", "{server.container}")):
            print("begun", flush=True)
            time.sleep(60)
    """
    run = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert run.stdout is not None
    assert run.stdout.readline() == "begun\n"
    assert not connects(client, server)
    os.killpg(run.pid, how)  # as a terminal does
    run.wait()
    deadline = time.monotonic() + 15
    while not connects(client, server):
        assert time.monotonic() < deadline
    wait_for(lambda: not left(), 15, expected="no helper")
