"""Broker RabbitMQ, results in Redis."""

import os

from kombu import Queue

from settings.common import *  # noqa: F403

broker_url = os.environ["LAB_RABBITMQ_URL"]
# The Redis on store-1.
result_backend = os.environ["LAB_STORE_URL"]
# A queue of its own: a worker of another pair would store the result elsewhere.
task_default_queue = "passing_orders"
task_queues = [Queue("passing_orders", routing_key="passing_orders", durable=False)]
task_default_delivery_mode = "persistent"
