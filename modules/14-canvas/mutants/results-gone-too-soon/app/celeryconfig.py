"""Settings of the shop's Celery application (lower-case names, see docs.celeryq.dev, "Configuration and defaults")."""

import os

broker_url = os.environ["LAB_BROKER_URL"]
result_backend = os.environ["LAB_RESULT_URL"]
broker_connection_retry_on_startup = True

# A message is acknowledged when its task is done, so the messages of a killed worker are still there. Redis gives them to another one when they
# are older than the visibility timeout, which must be longer than any task (8 s, see branches.TIMEOUT_SECONDS); it looks for them each second.
task_acks_late = True
broker_transport_options = {"visibility_timeout": 12, "unacked_restore_interval": 1, "unacked_restore_throttle": 1}
worker_prefetch_multiplier = 1  # with late acknowledgement: a worker takes no more than it has processes

task_serializer = "json"
result_serializer = "json"
accept_content = ["json"]

timezone = "UTC"
# Seconds. Results, and what a chord keeps while it counts: longer than a whole workflow with a killed worker, and not for ever.
result_expires = 8
worker_concurrency = 4  # processes that run tasks at the same time, on each worker host

worker_log_format = "[%(levelname)s/%(processName)s] %(message)s"  # the journal has the time already
worker_task_log_format = "[%(levelname)s/%(processName)s] %(task_name)s[%(task_id)s]: %(message)s"
