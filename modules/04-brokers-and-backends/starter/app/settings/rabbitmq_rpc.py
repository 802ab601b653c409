"""Broker RabbitMQ, results in the caller's own queue."""

import os

from settings.common import *  # noqa: F403

broker_url = os.environ["LAB_RABBITMQ_URL"]
# TODO: results go to Redis for now.
result_backend = os.environ["LAB_RESULT_URL"]
