"""Settings of the shop's Celery application (lower-case names, see docs.celeryq.dev, "Configuration and defaults")."""

import os

from kombu import Exchange, Queue

broker_url = os.environ["LAB_BROKER_URL"]
result_backend = os.environ["LAB_RESULT_URL"]
broker_connection_retry_on_startup = True

# The web shop sends to this queue, and support looks for lost payments in shop.dead: keep the names.
task_default_queue = "shop"

# A quorum queue counts how often it has delivered a message: what kills its process, or its whole worker, is dead after three more attempts.
# Retries with a countdown wait in RabbitMQ ("native delayed delivery"), which takes a topic exchange.
task_queues = [
    Queue(
        "shop",
        Exchange("shop.topic", type="topic"),
        routing_key="shop",
        queue_arguments={
            "x-queue-type": "quorum",
            "x-delivery-limit": 3,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": "shop.dead",
        },
    )
]
task_default_exchange = "shop.topic"
task_default_exchange_type = "topic"
task_default_routing_key = "shop"
task_acks_late = True
task_reject_on_worker_lost = True
# The name before 5.7, for failures and time limits in one. A task that raised is rejected; RabbitMQ moves its message.
task_acks_on_failure_or_timeout = False

task_serializer = "json"
result_serializer = "json"
accept_content = ["json"]

timezone = "UTC"
result_expires = 3600  # seconds
worker_concurrency = 2  # processes that run tasks at the same time

worker_log_format = "[%(levelname)s/%(processName)s] %(message)s"  # the journal has the time already
worker_task_log_format = "[%(levelname)s/%(processName)s] %(task_name)s[%(task_id)s]: %(message)s"
