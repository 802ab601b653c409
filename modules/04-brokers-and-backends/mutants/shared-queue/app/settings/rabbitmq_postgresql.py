"""Broker RabbitMQ, results in PostgreSQL."""

import os

from settings.common import *  # noqa: F403

broker_url = os.environ["LAB_RABBITMQ_URL"]
# Tables celery_taskmeta and celery_tasksetmeta on store-1; Celery makes them.
result_backend = os.environ["LAB_POSTGRESQL_URL"]
