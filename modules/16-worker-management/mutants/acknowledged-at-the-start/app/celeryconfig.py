"""Settings of the shop's Celery application (lower-case names, see docs.celeryq.dev, "Configuration and defaults")."""

import os

broker_url = os.environ["LAB_BROKER_URL"]
result_backend = os.environ["LAB_RESULT_URL"]
broker_connection_retry_on_startup = True

# Nothing is to be done twice, so a message is acknowledged when its task begins. Each process holds one message, so that no worker sits on tasks
# that another one could do.
task_acks_late = False
worker_prefetch_multiplier = 1
# RabbitMQ delivers again as soon as the connection is gone. With Redis it takes a time-out, longer than the longest task (10 s), or a task that
# is still running is started a second time; and somebody who looks, each second instead of each hundredth.
if os.environ["LAB_BROKER"] == "redis":
    broker_transport_options = {
        "visibility_timeout": 15,
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
        "unacked_mutex_expire": 5,  # a worker that is killed while it looks keeps the others from looking for so long
    }

worker_max_tasks_per_child = 20  # what a library leaks goes with its process

task_serializer = "json"
result_serializer = "json"
accept_content = ["json"]

timezone = "UTC"
result_expires = 3600  # seconds

worker_log_format = "[%(levelname)s/%(processName)s] %(message)s"  # the journal has the time already
worker_task_log_format = "[%(levelname)s/%(processName)s] %(task_name)s[%(task_id)s]: %(message)s"
