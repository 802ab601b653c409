"""Broker RabbitMQ, results in Redis."""

import os

from settings.common import *  # noqa: F403

broker_url = os.environ["LAB_RABBITMQ_URL"]
# Redis on node-1, which has room enough.
result_backend = os.environ["LAB_RESULT_URL"]
