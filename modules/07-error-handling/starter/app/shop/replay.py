"""Puts dead payments back into the shop's queue: `python -m shop.replay COUNT`, oldest first; without COUNT all of them."""

import sys

from shop.celery import app

DEAD, ALIVE = "shop.dead", "shop"


def replay(count):
    """Move at most `count` messages from the dead queue back. Returns how many were moved."""
    moved = 0
    with app.connection_for_write() as connection:
        dead = connection.SimpleQueue(DEAD)
        producer = connection.Producer()
        while moved < count:
            message = dead.get(block=False)
            producer.publish(message.payload, routing_key=ALIVE)
            moved += 1
    return moved


if __name__ == "__main__":
    print(f"{replay(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)} replayed")
