"""What running workers say of themselves, asked through the broker: never read from files."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from time import monotonic
from typing import Any

from amqp.exceptions import AMQPError
from celery import Celery
from celery.result import AsyncResult
from celery.states import PENDING, READY_STATES
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from celerylab.verify.access import PLAIN, Access
from celerylab.verify.expect import BrokerUnreachableError, NotAsExpectedError, NotObservedError, wait_for
from celerylab.verify.replies import use_replies
from celerylab.verify.stack import Stack

WORKER_UNIT = "celery@default.service"  # the instance that role celery_worker makes by default
CONNECT_SECONDS = 5
_LOST_BACKEND = "reconnect to the Celery result store"
# A worker answers in milliseconds, a stopped one never does, and one that starts just now has missed the question: it is asked again.
ASKED_SECONDS = (0.25, 0.25, 0.5, 1.0)
OTHERS_SECONDS, OTHERS_TIMES = 0.4, 5  # for other workers, at least, and as a multiple of what the first one took
ECHOES, ECHO_SECONDS = 5, 5
BUSY_SECONDS = 0.3  # an echo takes some hundredths of a second; it takes this long where others use the processors


@dataclass(frozen=True)
class Outcome:
    """How a task ended: its state, its result (the exception, for a FAILURE), and the traceback as the backend keeps it."""

    state: str
    result: Any
    traceback: str | None


class WorkerClient:
    """A Celery client of the stack, outside its hosts, with the worker's credentials; `access` says how it speaks to broker and worker.

    Asks the stack's one broker and result store, or the pair of URLs that a module with more of them names.
    """

    def __init__(self, stack: Stack, access: Access = PLAIN, broker_url: str | None = None, result_url: str | None = None) -> None:
        self._stack, self.access = stack, access
        tls = access.authority is not None
        self.app = Celery(
            "celerylab-observer",
            broker=broker_url or stack.broker_url(tls=tls),
            backend=result_url or stack.broker_url(kind="result_url", tls=tls),
            set_as_current=False,
        )
        use_replies(self.app)
        self.app.conf.update(access.settings(stack.broker_name))
        self.app.conf.update(
            broker_connection_timeout=CONNECT_SECONDS,
            broker_connection_retry=False,
            task_publish_retry=False,
            redis_socket_timeout=CONNECT_SECONDS,
            redis_socket_connect_timeout=CONNECT_SECONDS,
        )

    def close(self) -> None:
        """Closes all connections."""
        self.app.close()

    def names(self) -> list[str]:
        """Workers that answer a ping now, sorted."""
        return sorted(self._ask("ping"))

    def registered(self) -> dict[str, list[str]]:
        """Names of the tasks that each worker has registered."""
        return self._ask("registered")

    def declared(self, task: str, attribute: str) -> dict[str, str | None]:
        """What each worker's registered `task` says for an attribute such as `max_retries`, as text; None where it says None.

        A worker that has not registered the task is left out.
        """
        found: dict[str, str | None] = {}
        for worker, lines in self._ask("registered", attribute).items():
            for line in lines:  # such as `payments.charge [max_retries=3]`, and `payments.charge` alone for None
                name, _, attributes = line.partition(" [")
                if name == task:
                    found[worker] = attributes.rstrip("]").partition("=")[2] or None
        return found

    def conf(self) -> dict[str, dict[str, Any]]:
        """Settings in force in each worker, defaults included. They do not show what a command-line option changed: see `stats`."""
        return self._ask("conf", with_defaults=True)

    def stats(self) -> dict[str, dict[str, Any]]:
        """Pool, prefetch count and broker of each worker, command-line options included."""
        return self._ask("stats")

    def active_queues(self) -> dict[str, list[dict[str, Any]]]:
        """Queues that each worker consumes from."""
        return self._ask("active_queues")

    def active(self) -> dict[str, list[dict[str, Any]]]:
        """Tasks that each worker runs now."""
        return self._ask("active")

    def send(self, task: str, *args: Any, **options: Any) -> AsyncResult:
        """Publishes the task called `task`; its result is followed with `outcome`. Raises BrokerUnreachableError."""
        with broker_errors():
            return self.app.send_task(task, args=args, **options)

    def state(self, task: AsyncResult) -> str:
        """The task's state as the backend knows it now. Raises BrokerUnreachableError."""
        with broker_errors():
            return str(self.app.backend.get_task_meta(task.id)["status"])

    def outcome(self, task: AsyncResult, seconds: float, look: str = "") -> Outcome:
        """Waits until the task is done, whatever its state. Fails like `expect` after `seconds`.

        Asks the backend again and again instead of subscribing: a subscription may have died with a broker that a check stopped.
        """
        state = PENDING

        def ended() -> Outcome | None:
            nonlocal state
            with broker_errors():
                meta = self.app.backend.get_task_meta(task.id)
            state = meta["status"]
            return Outcome(state, meta["result"], meta.get("traceback")) if state in READY_STATES else None

        return wait_for(
            ended,
            seconds,
            expected=f"a result within {seconds:g} s",
            observed=lambda: f"task {task.id} is still {state}",
            look=look,
            every=0.05,
        )

    @contextmanager
    def timing(self) -> Iterator[None]:
        """What fails inside the block depends on seconds, so it counts only on a machine that has time for the worker.

        Raises NotObservedError instead where echoes through the same worker are slow as well. A worker that gives no echo is no excuse.
        """
        try:
            yield
        except NotAsExpectedError as failure:
            try:
                seconds = median(self._echo_seconds() for _ in range(ECHOES))
            except (NotAsExpectedError, BrokerUnreachableError):
                raise failure from None
            if seconds > BUSY_SECONDS:
                raise NotObservedError(
                    f"this machine is too busy to measure waits: an echo takes {seconds:.1f} s (before that: {failure.observed})"
                ) from failure
            raise

    def _echo_seconds(self) -> float:
        started = monotonic()
        self.outcome(self.send("celerylab_probe.echo", ""), ECHO_SECONDS)
        return monotonic() - started

    def _ask(self, question: str, *items: str, **arguments: Any) -> dict[str, Any]:
        # A connection of its own each time: one from the pool may have died with a broker that a check stopped.
        with broker_errors(), self.app.connection_for_write(connect_timeout=CONNECT_SECONDS) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=CONNECT_SECONDS)
            drain_events = connection.drain_events
            for seconds in ASKED_SECONDS:
                connection.drain_events = _until_quiet(drain_events)
                inspect = self.app.control.inspect(timeout=seconds, connection=connection)
                answer: dict[str, Any] | None = getattr(inspect, question)(*items, **arguments)
                if answer:
                    return answer
        return {}


def _until_quiet(drain_events: Callable[..., None]) -> Callable[..., None]:
    """`drain_events` for one question: Celery waits for each reply as long as for the first, though the others come right after it."""
    asked, others = monotonic(), 0.0

    def drain(timeout: float) -> None:
        nonlocal others
        drain_events(timeout=others or timeout)
        others = others or max(OTHERS_SECONDS, OTHERS_TIMES * (monotonic() - asked))

    return drain


@contextmanager
def broker_errors() -> Iterator[None]:
    """What a broker's client raises inside the block becomes BrokerUnreachableError: an observation."""
    try:
        yield
    except (OperationalError, RedisError, AMQPError, ConnectionError) as error:
        raise BrokerUnreachableError(f"the broker does not answer: {error}") from None
    except RuntimeError as error:  # how Celery's Redis backend says it once it has given up
        if _LOST_BACKEND not in str(error):
            raise
        raise BrokerUnreachableError("the result store does not answer") from None
