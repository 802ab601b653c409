"""10.1: nothing in clear, nothing old, and no stranger in the broker's place."""

import json

from celerylab.verify.expect import expect, wait_for
from celerylab.verify.faults import restart_unit
from celerylab.verify.hosts import ObservedHost
from celerylab.verify.plugin import objective
from celerylab.verify.stack import Stack
from celerylab.verify.tls import ACCEPTED, NEW, OLD, impostor, spoken_versions
from celerylab.verify.worker import WORKER_UNIT, WorkerClient

LOOK = "celerylab shell 10 node-1 -- ss -ltn"
ANSWER_SECONDS = 5  # the client has waited for the worker before
MEET_SECONDS = 40  # a worker finishes what it does before it restarts
BACK_SECONDS = 30
_KNOCK = """
import json, socket, sys
def knock(port):
    try:
        socket.create_connection(("127.0.0.1", port), 3).close()
    except OSError as error:
        return str(error)
    return ""
print(json.dumps([knock(port) for port in json.load(sys.stdin)]))
"""


@objective("10.1")
def test_the_plain_port_is_closed_and_the_tls_port_is_open(node: ObservedHost, stack: Stack) -> None:
    # From the host itself, where no packet filter stands between.
    plain, tls = json.loads(node.python(_KNOCK, stdin=json.dumps([stack.broker.port, stack.broker.tls_port])))
    expect(
        tls == "" and plain != "",
        observed=f"port {stack.broker.port} (plain) is {plain or 'open'}, port {stack.broker.tls_port} (TLS) is {tls or 'open'}",
        expected=f"that {stack.broker_name} listens on {stack.broker.tls_port} and not on {stack.broker.port}",
        look=LOOK,
        plain_open=plain == "",
        tls_open=tls == "",
    )


@objective("10.1")
def test_only_tls_1_2_and_later_is_spoken(node: ObservedHost, stack: Stack) -> None:
    answers = spoken_versions(node, stack.broker.tls_port)
    stub, server = answers["stub"], answers["server"]
    expect(
        all(stub[version] == ACCEPTED for version in OLD + NEW),
        observed=f"to a stub that speaks them all, this client says {stub}",
        expected="that the client can speak every version (else a refusal by the broker would mean nothing)",
    )
    old = [version for version in OLD if server[version] == ACCEPTED]
    new = [version for version in NEW if server[version] == ACCEPTED]
    expect(
        new and not old,
        observed=f"the broker speaks {', '.join(old + new) or 'no TLS at all'}",
        expected="TLS 1.2 or 1.3, and nothing older",
        look=f"celerylab shell 10 node-1 -- openssl s_client -connect node-1:{stack.broker.tls_port} -tls1_2",
        old_versions=len(old),
    )


@objective("10.1")
def test_the_worker_is_connected_over_tls(worker: WorkerClient) -> None:
    stats = wait_for(
        worker.stats, ANSWER_SECONDS, expected="a worker that answers", observed="no worker answered", look="celerylab logs 10"
    )
    conf = worker.conf()
    in_clear = [name for name, answer in stats.items() if not answer["broker"].get("ssl")]
    results = [conf[name].get("result_backend") or "" for name in stats if name in conf]
    expect(
        stats and not in_clear and results and all(url.startswith(("rediss:", "rpc:")) for url in results),
        observed=f"connected in clear: {', '.join(in_clear) or 'none'}; results go to {', '.join(results) or 'nobody knows where'}",
        expected="broker and results over TLS: rediss://, or amqps:// with rpc://",
        look="celerylab logs 10",
    )


@objective("10.1")
def test_the_worker_refuses_a_server_of_a_foreign_authority(node: ObservedHost, worker: WorkerClient, stack: Stack) -> None:
    stats = wait_for(
        worker.stats, ANSWER_SECONDS, expected="a worker that answers", observed="no worker answered", look="celerylab logs 10"
    )
    ports = {answer["broker"].get("port") for answer in stats.values()}
    expect(
        ports == {stack.broker.tls_port},
        observed=f"the worker dials port {', '.join(str(port) for port in ports)}",
        expected=f"the TLS port {stack.broker.tls_port}: a connection in clear has no certificate to look at",
        look="celerylab logs 10",
    )
    with impostor(node, "celery", stack.broker.tls_port) as server:
        restart_unit(node, WORKER_UNIT)
        met = wait_for(
            lambda: list(server.met),
            MEET_SECONDS,
            expected="a worker that dials its broker's TLS port when it starts",
            observed=f"nobody dialled port {stack.broker.tls_port}",
            look="celerylab logs 10",
        )
    deceived = [seen for seen in met if seen["completed"] and seen["said"]]
    wait_for(
        worker.names,
        BACK_SECONDS,
        expected=f"a worker that is back within {BACK_SECONDS} s once the right broker answers again",
        observed="no worker answered",
        look="celerylab logs 10",
    )
    expect(
        met and not deceived,
        observed=f"shown the certificate of a foreign authority, the worker went on and sent {sum(seen['said'] for seen in deceived)} bytes to it",
        expected="that it breaks off the handshake",
        look="celerylab logs 10",
        deceived=len(deceived),
    )
