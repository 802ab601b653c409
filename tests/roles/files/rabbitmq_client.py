"""A client of several RabbitMQ nodes, for tests: goes to another one when its own is gone. It has the Python package amqp beside it.

    rabbitmq_client.py publish HOSTS USER PASSWORD QUEUE COUNT      each number once it is confirmed, and the longest time without one
    rabbitmq_client.py consume HOSTS USER PASSWORD QUEUE COUNT      until every number up to COUNT has come at least once

What came of it is in /tmp/QUEUE.ACTION, and replaced as it goes on. With a COUNT of 0 the file /tmp/QUEUE.count says it, once it is there.
"""

import itertools
import json
import sys
import time
from pathlib import Path

import amqp

ACTION, HOSTS, USER, PASSWORD, QUEUE, COUNT = sys.argv[1:7]
PAUSE = float(sys.argv[7]) if len(sys.argv) > 7 else 0.0
LIMIT = time.monotonic() + 150
GONE = (OSError, amqp.AMQPError, amqp.exceptions.MessageNacked)
ADDRESSES = itertools.cycle(HOSTS.split(","))


def wanted() -> float:
    """How many messages there are to be; unlimited for as long as nobody has said it."""
    file = Path(f"/tmp/{QUEUE}.count")
    return int(COUNT) or (int(file.read_text()) if file.exists() else float("inf"))


def connect() -> amqp.Channel:
    """A channel of the next node that lets us in, with the queue declared."""
    while True:
        try:
            connection = amqp.Connection(
                next(ADDRESSES), USER, PASSWORD, connect_timeout=2, heartbeat=4, read_timeout=4, write_timeout=4, confirm_publish=True
            )
            connection.connect()
            channel = connection.channel()
            channel.queue_declare(QUEUE, durable=True, auto_delete=False)
        except GONE:
            if time.monotonic() > LIMIT:
                raise
            time.sleep(0.2)
        else:
            return channel


def say(**what: object) -> None:
    """Replaces what was said before; whoever reads never finds a half of it."""
    file = Path(f"/tmp/{QUEUE}.{ACTION}.new")
    file.write_text(json.dumps(what))
    file.rename(file.with_suffix(""))


def publish() -> None:
    """A message that was not confirmed is published again: there is none that this process believes in and the broker does not have."""
    channel, number, longest, last = connect(), 0, 0.0, time.monotonic()
    while number < wanted() and time.monotonic() < LIMIT:
        try:
            message = amqp.Message(str(number), delivery_mode=2)
            channel.basic_publish_confirm(message, routing_key=QUEUE, confirm_timeout=4)
        except GONE:
            channel = connect()
            continue
        number, longest, last = number + 1, max(longest, time.monotonic() - last), time.monotonic()
        say(confirmed=number, longest=round(longest, 1), done=False)
        time.sleep(PAUSE)
    say(confirmed=number, longest=round(longest, 1), done=True)


def consume() -> None:
    """Acknowledges each message; one that came again because its acknowledgement was lost counts once."""
    seen: set[int] = set()

    def take(message: amqp.Message) -> None:
        seen.add(int(message.body))
        message.channel.basic_ack(message.delivery_tag)
        say(seen=len(seen), done=False)

    while len(seen) < wanted() and time.monotonic() < LIMIT:
        try:
            channel = connect()
            channel.basic_qos(0, 50, False)
            channel.basic_consume(QUEUE, callback=take)
            while len(seen) < wanted() and time.monotonic() < LIMIT:
                try:
                    channel.connection.drain_events(timeout=1)
                except TimeoutError:
                    channel.connection.heartbeat_tick()
        except GONE:
            time.sleep(0.2)
    say(seen=len(seen), done=True)


{"publish": publish, "consume": consume}[ACTION]()
