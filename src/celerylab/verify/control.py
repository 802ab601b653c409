"""The control channel: is what we see with still working? A failure counts only if it is."""

import socket
import subprocess
import urllib.error
import urllib.request

from celerylab.verify.expect import NotObservedError
from celerylab.verify.stack import Stack

EXEC_SECONDS = 5


def control_problem(stack: Stack) -> str | None:
    """What is broken between the harness and the stack, in one line; None if the harness can see.

    Looks at containers, at `docker exec` into each host, and at the gateway's ports; of a stack on a cluster, at the API and at the ledger. What runs
    inside a host or a pod is not its business.
    """
    if stack.namespace:
        return _api_problem(stack) or _ledger_problem(stack)
    for name, host in stack.hosts.items():
        problem = _exec_problem(host["container"])
        if problem:
            return f"host {name}: {problem}"
    for name in stack.outputs["endpoints"]:
        address, port = stack.endpoint(name).rsplit(":", 1)
        try:
            socket.create_connection((address, int(port)), timeout=EXEC_SECONDS).close()
        except OSError as error:
            return f"the gateway's endpoint {name} at {address}:{port} does not answer: {error}"
    return None


def _exec_problem(container: str) -> str | None:
    try:
        result = subprocess.run(["docker", "exec", container, "true"], capture_output=True, text=True, timeout=EXEC_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"did not answer `docker exec` within {EXEC_SECONDS} s"
    except FileNotFoundError:
        return "the `docker` command is not installed"
    return None if result.returncode == 0 else result.stderr.strip() or f"`docker exec` ended with {result.returncode}"


def _api_problem(stack: Stack) -> str | None:
    from celerylab.verify.cluster import ClusterView  # here, because importing it costs a second, which other rungs need not pay

    try:
        ClusterView.of(stack).pods()
    except NotObservedError as error:
        return str(error)
    return None


def _ledger_problem(stack: Stack) -> str | None:
    """A port that is forwarded takes connections, whoever is behind it: so it is asked for an answer."""
    try:
        urllib.request.urlopen(f"http://{stack.endpoint('ledger')}/health", timeout=EXEC_SECONDS).close()
    except (urllib.error.URLError, OSError) as error:
        return f"the ledger does not answer: {error}"
    return None
