"""Asks a service of a scenario's host over HTTP, from the host itself, which has Python and no curl."""

import base64
import shlex
from typing import Any

ADDRESS = "$(hostname --ip-address | cut -d' ' -f1)"  # the host's own, as others see it
_SCRIPT = """
import sys, urllib.error, urllib.request
method, url, authorization, body = sys.argv[1:5]
headers = {"Content-Type": "application/json"} | ({"Authorization": authorization} if authorization else {})
try:
    with urllib.request.urlopen(urllib.request.Request(url, body.encode() or None, headers, method=method), timeout=10) as answer:
        print(answer.status, answer.read().decode(), sep="\\n")
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode(), sep="\\n")
"""


def command(url: str, method: str = "GET", authorization: str = "", body: str = "") -> str:
    """A command that prints the status, and then the body; it fails where nobody answers."""
    return " ".join(["python3", "-c", shlex.quote(_SCRIPT), method, url, shlex.quote(authorization), shlex.quote(body)])


def ask(scenario: Any, url: str, method: str = "GET", authorization: str = "", body: str = "") -> tuple[int, str]:
    """Status and body of the answer, once there is one."""
    status, text = scenario.poll(command(url, method, authorization, body)).split("\n", 1)
    return int(status), text


def answers(scenario: Any, url: str) -> bool:
    """Whether somebody answers at all, now."""
    return bool(scenario.host.run(command(url)).succeeded)


def basic(name: str, password: str) -> str:
    """The header of HTTP basic authentication."""
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()
