"""Broker RabbitMQ, results in the caller's own queue."""

import os

from settings.common import *  # noqa: F403

broker_url = os.environ["LAB_RABBITMQ_URL"]
# A message to the queue of the client that sent the task; nobody else can read it.
result_backend = "rpc://"
# A queue of its own: a worker of another pair would store the result elsewhere.
task_default_queue = "rabbitmq_rpc"
