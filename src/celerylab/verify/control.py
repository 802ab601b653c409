"""The control channel: is what we see with still working? A failure counts only if it is."""

import socket
import subprocess

from celerylab.verify.stack import Stack

EXEC_SECONDS = 5


def control_problem(stack: Stack) -> str | None:
    """What is broken between the harness and the stack, in one line; None if the harness can see.

    Looks at containers, at `docker exec` into each host, and at the gateway's ports. What runs inside a host is not its business.
    """
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
