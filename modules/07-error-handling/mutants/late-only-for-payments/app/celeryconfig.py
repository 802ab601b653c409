"""Settings of the shop's Celery application (lower-case names, see docs.celeryq.dev, "Configuration and defaults")."""

import os

broker_url = os.environ["LAB_BROKER_URL"]
result_backend = os.environ["LAB_RESULT_URL"]
broker_connection_retry_on_startup = True

# The web shop sends to this queue, and support looks for lost payments in shop.dead: keep the names.
task_default_queue = "shop"

# A message is acknowledged when its task is done, so a worker that is killed loses none: what is not finished is delivered again.
task_reject_on_worker_lost = True
# But a task that kills its process each time must end: this counts those deaths as retries, up to the task's max_retries (3 by default).
task_retry_on_worker_lost = True
task_annotations = {"*": {"default_retry_delay": 1}}  # seconds before such a retry; Celery's own default is three minutes
# A task that ends in failure is rejected instead of acknowledged. RabbitMQ then moves its message to shop.dead.
task_acks_on_failure = False

task_serializer = "json"
result_serializer = "json"
accept_content = ["json"]

timezone = "UTC"
result_expires = 3600  # seconds
worker_concurrency = 2  # processes that run tasks at the same time

worker_log_format = "[%(levelname)s/%(processName)s] %(message)s"  # the journal has the time already
worker_task_log_format = "[%(levelname)s/%(processName)s] %(task_name)s[%(task_id)s]: %(message)s"
