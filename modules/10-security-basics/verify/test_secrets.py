"""10.4: where secrets are, and where they are not."""

import json
import random
import shlex
import uuid
from collections.abc import Iterable

import pytest

from celerylab.verify.expect import expect, wait_for
from celerylab.verify.hosts import OBSERVER, ObservedHost
from celerylab.verify.plugin import objective
from celerylab.verify.stack import Stack
from celerylab.verify.worker import WORKER_UNIT, WorkerClient

LOOK = "celerylab logs 10"
OWN_KEY = "/etc/tls/observer.key"
PLACES = ["/etc", "/opt/celery/current", "/run/celery", "/var/lib/celery", "/var/log", "/tmp"]  # noqa: S108 (of a lab's host)
MODES = {"600", "640", "400", "440"}
_SEARCH = """
import json, os, sys
asked = json.load(sys.stdin)
found = {name: [] for name in asked["wanted"]}
for place in asked["places"]:
    for folder, _, names in os.walk(place):
        for name in names:
            path = os.path.join(folder, name)
            try:
                if not os.path.isfile(path) or os.path.getsize(path) > 4_000_000:
                    continue
                with open(path, "rb") as file:
                    text = file.read()
            except OSError:
                continue
            for key, words in asked["wanted"].items():
                if words.encode() in text:
                    found[key].append(path)
print(json.dumps(found))
"""


@pytest.fixture
def card() -> str:
    """A card number of this run."""
    return "4" + "".join(random.choices("0123456789", k=15))  # noqa: S311 (a number to look for, not a secret)


@objective("10.4")
def test_keys_and_environment_files_are_for_their_owners_alone(node: ObservedHost) -> None:
    listed = node.check_output("systemctl show --property=EnvironmentFiles --value %s", WORKER_UNIT).split()
    environments = sorted(path for path in listed if path.startswith("/") and not path.startswith("/etc/celery/workers/"))
    keys = node.check_output("ls /etc/tls").split()
    files = [*environments, *(f"/etc/tls/{name}" for name in keys if name.endswith(".key"))]
    stats = {path: node.check_output("stat --format=%s %s", "%a %U", path).split() for path in files}
    wrong = [f"{path} is {mode} {owner}" for path, (mode, owner) in stats.items() if mode not in MODES or owner not in {"root", OBSERVER}]
    expect(
        environments and len(files) > len(environments) and not wrong,
        observed="; ".join(wrong) or f"no environment file or no key among {', '.join(files)}",
        expected="mode 0600 or 0640, owned by root (or by the account that uses it)",
        look=f"celerylab shell 10 node-1 -- ls -l {shlex.join(files)}",
    )


@objective("10.4")
def test_nobody_can_read_a_key_or_a_secret_in_a_file(node: ObservedHost, stack: Stack) -> None:
    wanted = {**_secrets(stack), "a private key": "PRIVATE KEY-----\n", "a certificate": "BEGIN CERTIFICATE-----\n"}
    found = json.loads(node.python(_SEARCH, stdin=json.dumps({"places": PLACES, "wanted": wanted})))
    expect(
        "/etc/tls/ca.crt" in found["a certificate"],
        observed=f"this search finds certificates in {len(found['a certificate'])} files",
        expected="the authority's among them (else finding no secret would mean nothing)",
    )
    keys = [path for path in found["a private key"] if path != OWN_KEY]
    secrets = sorted({path for name in _secrets(stack) for path in found[name]})
    expect(
        found["a certificate"] and not keys and not secrets,
        observed=f"as {OBSERVER}, who is nobody, one can read {' and '.join(f'a private key in {path}' for path in keys)}"
        f"{' and '.join(f'a secret in {path}' for path in secrets)}",
        expected="neither a private key nor a secret in a file that everybody can read",
        look=f"celerylab shell 10 node-1 -- ls -l {shlex.join([*keys, *secrets])}",
        readable_keys=len(keys),
        secret_leaks=len(secrets),
    )


@objective("10.4")
def test_a_payment_leaves_no_card_number_and_no_secret_behind(node: ObservedHost, worker: WorkerClient, stack: Stack, card: str) -> None:
    canary = f"canary-{uuid.uuid4().hex}"
    node.check_output("systemd-cat --identifier=celerylab echo %s", canary)
    echoed = worker.outcome(worker.send("celerylab_probe.echo", canary), 10, LOOK)
    ids = [worker.send("payments.charge", "10", 1250, card), worker.send("payments.charge", "11", 1250, f"{card}x")]
    outcomes = [worker.outcome(task, 10, LOOK) for task in ids]
    journal = wait_for(
        lambda: _journal(node, canary), 10, expected="a journal that holds what was written to it", observed="no canary in it", look=LOOK
    )
    places = {
        "the journal": journal,
        "the process list": node.check_output("ps -eo args ww; : %s", canary) + _environments(node),
        "a result": str([echoed, *outcomes]),
    }
    blind = [place for place, text in places.items() if canary not in text]
    expect(
        places and not blind,
        observed=f"a canary that was put there is not found in {' and '.join(blind)}",
        expected="that this search finds what is there (else finding nothing would mean nothing)",
        look=LOOK,
    )
    cards = _where(places, [card])
    leaks = _where(places, _secrets(stack).values())
    expect(
        places and not cards and not leaks,
        observed=" and ".join(
            [*(f"the customer's card number stands in {one}" for one in cards), *(f"a secret stands in {one}" for one in leaks)]
        ),
        expected="neither in journal, process list nor result, after a payment that went well and one that did not",
        look=LOOK,
        card_leaks=len(cards),
        secret_leaks=len(leaks),
    )


def _secrets(stack: Stack) -> dict[str, str]:
    """What nobody but root and the worker is to know. The ledger's token belongs to the course and is not the learner's to keep."""
    return {name: value for name, value in stack.secrets.items() if name != "ledger_token"}


def _journal(node: ObservedHost, canary: str) -> str:
    """The journal since the worker's start: what a former version wrote into it, the present one cannot take back."""
    since = node.unit(WORKER_UNIT, "ExecMainStartTimestamp")["ExecMainStartTimestamp"]
    text: str = node.check_output("journalctl --no-pager --output=cat --since=%s", since)
    return text if canary in text else ""


def _environments(node: ObservedHost) -> str:
    """Environments of processes, as far as anybody may read them."""
    return str(node.run("cat /proc/[0-9]*/environ").stdout)


def _where(places: dict[str, str], words: Iterable[str]) -> list[str]:
    return [place for place, text in places.items() if any(word in text for word in words)]
