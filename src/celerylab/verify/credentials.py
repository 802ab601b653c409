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
import json, sys
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

def attempt(url):
    if url.startswith("postgresql"):
        connect(url, connect_timeout=3).close()
    elif url.startswith("redis"):
        with Redis.from_url(url, socket_timeout=3, socket_connect_timeout=3, retry=Retry(NoBackoff(), 0)) as client:
            client.ping()
    else:
        with Connection(url, connect_timeout=3) as connection:
            connection.connect()

for url in json.load(sys.stdin):
    try:
        attempt(url)
    except (RedisError, AMQPError, DatabaseError, OSError) as error:
        print(json.dumps(f"refused: {type(error).__name__}: {error}"))
    else:
        print(json.dumps("accepted"))
"""


def try_urls(urls: list[str], host: ObservedHost | None = None) -> dict[str, str]:
    """What a broker says to each of `urls`: `accepted`, or `refused: …`. Dials from `host`, or from this process's machine.

    Raises NotObservedError where the attempts could not be made at all.
    """
    if host is not None:
        output = host.python(_SCRIPT, stdin=json.dumps(urls))
    else:
        command = [sys.executable, "-c", _SCRIPT]
        result = subprocess.run(command, input=json.dumps(urls), capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
        if result.returncode != 0:
            raise NotObservedError(f"the attempts ended with {result.returncode}: {result.stderr.strip()[-400:]}")
        output = result.stdout
    return dict(zip(urls, [json.loads(line) for line in output.splitlines()], strict=True))
