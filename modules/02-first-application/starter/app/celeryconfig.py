"""Settings of the shop's Celery application (lower-case names, see docs.celeryq.dev, "Configuration and defaults")."""

import os

# The platform sets LAB_BROKER to say which broker runs on the host. It listens on its usual port.
if os.environ.get("LAB_BROKER") == "rabbitmq":
    broker_url = "amqp://guest:guest@localhost:5672//"
    result_backend = "rpc://"
else:
    broker_url = "redis://localhost:6379/0"
    result_backend = "redis://localhost:6379/1"

# A typo in a host name should be an error at once, not a worker that looks busy.
broker_connection_retry_on_startup = False

# JSON only: messages can be read by people and by callers that are not Python.
task_serializer = "json"
result_serializer = "json"
accept_content = ["json"]

timezone = "UTC"
result_expires = 3600  # seconds
worker_concurrency = 2  # processes that run tasks at the same time

worker_log_format = "[%(levelname)s/%(processName)s] %(message)s"  # the journal has the time already
worker_task_log_format = "[%(levelname)s/%(processName)s] %(task_name)s[%(task_id)s]: %(message)s"
