"""Puts dead payments back into the shop's queue: `python -m shop.replay COUNT`, oldest first; without COUNT all of them."""

import sys

from kombu import Queue

from shop.celery import app

DEAD, ALIVE = "shop.dead", "celery"


def replay(limit=None):
    """Move at most `limit` messages from the dead queue back. Returns how many were moved."""
    moved = 0
    # With confirmed publishing a message is in its new queue before it leaves the old one: a crash in between doubles it, and loses nothing.
    with app.connection_for_write(transport_options={"confirm_publish": True}) as connection:
        dead = Queue(DEAD, channel=connection.default_channel)
        producer = connection.Producer()
        waiting = dead.queue_declare(passive=True).message_count  # those that die while we work are for another day
        while moved < (waiting if limit is None else min(limit, waiting)):
            message = dead.get()
            if message is None:
                break
            producer.publish(
                message.body,
                routing_key=ALIVE,  # through the default exchange, which knows every queue by its name
                headers=_fresh(message.headers),
                content_type=message.content_type,
                content_encoding=message.content_encoding,
                delivery_mode=2,
                **{name: message.properties[name] for name in ("correlation_id", "reply_to") if name in message.properties},
            )
            message.ack()
            moved += 1
    return moved


def _fresh(headers):
    """The task's headers without the record of its death, and with all its retries before it."""
    return {name: value for name, value in headers.items() if "death" not in name} | {"retries": 0}


if __name__ == "__main__":
    print(f"{replay(int(sys.argv[1]) if len(sys.argv) > 1 else None)} replayed")
