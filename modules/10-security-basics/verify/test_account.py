"""10.2: the worker's account, and who else is let in."""

import json

from celerylab.verify.credentials import ACCEPTED, DEFAULT_CREDENTIALS, try_urls
from celerylab.verify.evidence import scrub
from celerylab.verify.expect import expect, wait_for
from celerylab.verify.hosts import ObservedHost
from celerylab.verify.plugin import objective
from celerylab.verify.stack import TLS_SCHEMES, Stack
from celerylab.verify.worker import WorkerClient

ACCOUNT = "celery"
AUTHORITY = "/etc/tls/ca.crt"
FOREIGN_VHOST = "payroll"
ANSWER_SECONDS = 5
LOOK = {
    "redis": "celerylab shell 10 node-1 -- cat /etc/redis/users.conf /etc/redis/local.conf",
    "rabbitmq": f"celerylab shell 10 node-1 -- rabbitmqctl list_user_permissions {ACCOUNT}",
}
# Redis judges rights before arguments: whoever may not is told NOPERM, whoever may is told that the word is wrong, and nothing is flushed.
HARMLESS = {"SET": ["SET", "celerylab:10.2", "1", "EX", "5"], "FLUSHALL": ["FLUSHALL", "PLEASE"], "CONFIG": ["CONFIG", "GET", "maxmemory"]}
_REDIS = """
import json, sys
from redis import Redis
from redis.exceptions import NoPermissionError, RedisError, ResponseError
asked = json.load(sys.stdin)
tls = {"ssl_ca_certs": asked["authority"]} if asked["url"].startswith("rediss:") else {}
said = {}
with Redis.from_url(asked["url"], socket_timeout=3, socket_connect_timeout=3, **tls) as client:
    for name, words in asked["commands"].items():
        try:
            client.execute_command(*words)
        except NoPermissionError:
            said[name] = "denied"
        except ResponseError as error:
            said[name] = f"allowed ({error})"
        except RedisError as error:
            said[name] = f"impossible: {error}"
        else:
            said[name] = "allowed"
print(json.dumps(said))
"""


@objective("10.2")
def test_the_worker_has_an_account_of_its_own(worker: WorkerClient, stack: Stack) -> None:
    stats = wait_for(
        worker.stats, ANSWER_SECONDS, expected="a worker that answers", observed="no worker answered", look="celerylab logs 10"
    )
    accounts = {answer["broker"].get("userid") or "default" for answer in stats.values()}
    expect(
        accounts == {ACCOUNT},
        observed=f"the worker connects as {', '.join(sorted(accounts))}",
        expected=f"as {ACCOUNT}, with the password in LAB_BROKER_PASSWORD",
        look=LOOK[stack.broker_name],
        account=", ".join(sorted(accounts)),
    )


@objective("10.2")
def test_the_account_may_do_what_a_worker_does_and_no_more(node: ObservedHost, worker: WorkerClient, stack: Stack) -> None:
    url = _url(stack, worker)
    said = _redis_says(node, url) if stack.broker_name == "redis" else _rabbitmq_says(node, url)
    needed, *forbidden = said
    expect(
        said[needed].startswith("allowed"),
        observed=f"{needed} as {ACCOUNT} is {said[needed]}",
        expected="that the account can do a worker's work (else a denial of more would mean nothing)",
        look=LOOK[stack.broker_name],
    )
    allowed = [name for name in forbidden if said[name].startswith("allowed")]
    expect(
        forbidden and not allowed,
        observed=f"as {ACCOUNT}, {' and '.join(f'{name} is {said[name]}' for name in allowed)}",
        expected="denied",
        look=LOOK[stack.broker_name],
        allowed=len(allowed),
    )


@objective("10.2")
def test_nobody_else_is_let_in(node: ObservedHost, worker: WorkerClient, stack: Stack) -> None:
    own = _url(stack, worker)
    tls = worker.access.authority is not None
    addresses = [url.format(address=f"node-1:{_port(stack, worker)}") for url in DEFAULT_CREDENTIALS[stack.broker_name]]
    strangers = [TLS_SCHEMES.sub(r"\1s://", url) if tls else url for url in addresses]
    answers = try_urls([own, *strangers], node, AUTHORITY)
    expect(
        answers[own] == ACCEPTED,
        observed=f"the worker's own credentials are {scrub(answers[own], stack.secrets)}",
        expected="that the broker accepts them (else a refusal of others would mean nothing)",
        look=f"celerylab logs 10 -u {stack.broker.unit}",
    )
    accepted = [url for url in strangers if answers[url] == ACCEPTED]
    expect(
        strangers and not accepted,
        observed=f"the broker accepts {' and '.join(accepted)}",
        expected="that it refuses everybody without a password of their own",
        look=LOOK[stack.broker_name],
        accepted=len(accepted),
    )


def _port(stack: Stack, worker: WorkerClient) -> int:
    return stack.broker.tls_port if worker.access.authority is not None else stack.broker.port


def _url(stack: Stack, worker: WorkerClient) -> str:
    return stack.broker_url(f"node-1:{_port(stack, worker)}", tls=worker.access.authority is not None)


def _redis_says(node: ObservedHost, url: str) -> dict[str, str]:
    said: dict[str, str] = json.loads(node.python(_REDIS, stdin=json.dumps({"url": url, "authority": AUTHORITY, "commands": HARMLESS})))
    return said


def _rabbitmq_says(node: ObservedHost, url: str) -> dict[str, str]:
    foreign = f"{url.removesuffix('//')}/{FOREIGN_VHOST}"
    answers = try_urls([url, foreign], node, AUTHORITY)
    return {
        f"connecting to {name}": "allowed" if answers[one] == ACCEPTED else f"denied ({answers[one]})"
        for name, one in {"/": url, FOREIGN_VHOST: foreign}.items()
    }
