"""Who may talk to a broker or a database: tries URLs from a host of the lab, or from here through the gateway."""

import json
import subprocess
import sys

from celerylab.verify.expect import NotObservedError
from celerylab.verify.hosts import ObservedHost

ACCEPTED = "accepted"
TIMEOUT_SECONDS = 60
# What a stranger tries first, by broker; `{address}` is host:port.
DEFAULT_CREDENTIALS = {
    "redis": ["redis://{address}/0", "redis://default:@{address}/0", "redis://:redis@{address}/0", "redis://default:redis@{address}/0"],
    "rabbitmq": ["amqp://guest:guest@{address}//", "amqp://admin:admin@{address}//", "amqp://rabbitmq:rabbitmq@{address}//"],
}
# URLs come on standard input, so that no password is ever in a process list.
_SCRIPT = """
import json, ssl, sys
from amqp.exceptions import AMQPError
from kombu import Connection
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
try:
    from psycopg import Error as DatabaseError, connect
except ImportError:  # where no URL is PostgreSQL's, nobody needs its driver
    class DatabaseError(Exception): pass

def attempt(url, authority):
    if url.startswith("postgresql"):
        connect(url, connect_timeout=3).close()
    elif url.startswith("redis"):
        tls = {"ssl_ca_certs": authority} if url.startswith("rediss:") else {}
        with Redis.from_url(url, socket_timeout=3, socket_connect_timeout=3, retry=Retry(NoBackoff(), 0), **tls) as client:
            client.ping()
    else:
        tls = {"ca_certs": authority, "cert_reqs": ssl.CERT_REQUIRED} if url.startswith("amqps:") else False
        with Connection(url, connect_timeout=3, ssl=tls) as connection:
            connection.connect()

asked = json.load(sys.stdin)
for url in asked["urls"]:
    try:
        attempt(url, asked["authority"])
    except (RedisError, AMQPError, DatabaseError, OSError) as error:
        print(json.dumps(f"refused: {type(error).__name__}: {error}"))
    else:
        print(json.dumps("accepted"))
"""


def try_urls(urls: list[str], host: ObservedHost | None = None, authority: str = "") -> dict[str, str]:
    """What a broker says to each of `urls`: `accepted`, or `refused: …`. Dials from `host`, or from this process's machine.

    `authority` is the CA certificate's file there, for `rediss://` and `amqps://`.
    Raises NotObservedError where the attempts could not be made at all.
    """
    asked = json.dumps({"urls": urls, "authority": authority})
    if host is not None:
        output = host.python(_SCRIPT, stdin=asked)
    else:
        command = [sys.executable, "-c", _SCRIPT]
        result = subprocess.run(command, input=asked, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
        if result.returncode != 0:
            raise NotObservedError(f"the attempts ended with {result.returncode}: {result.stderr.strip()[-400:]}")
        output = result.stdout
    return dict(zip(urls, [json.loads(line) for line in output.splitlines()], strict=True))
