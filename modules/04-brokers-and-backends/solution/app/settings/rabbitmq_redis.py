"""Broker RabbitMQ, results in Redis."""

import os

from settings.common import *  # noqa: F403

broker_url = os.environ["LAB_RABBITMQ_URL"]
# The Redis on store-1.
result_backend = os.environ["LAB_STORE_URL"]
# A queue of its own: a worker of another pair would store the result elsewhere.
task_default_queue = "rabbitmq_redis"
