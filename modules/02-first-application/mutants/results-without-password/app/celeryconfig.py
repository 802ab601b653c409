"""Settings of the shop's Celery application (lower-case names, see docs.celeryq.dev, "Configuration and defaults")."""

import os

# The platform writes both URLs, with the generated password, to /etc/celery/celery.env; systemd hands them to the worker.
broker_url = os.environ["LAB_BROKER_URL"]
result_backend = "redis://localhost:6379/1"

# After a reboot the worker may be up before its broker: wait for it instead of ending.
broker_connection_retry_on_startup = True

# JSON only: messages can be read by people and by callers that are not Python.
task_serializer = "json"
result_serializer = "json"
accept_content = ["json"]

timezone = "UTC"
result_expires = 3600  # seconds
worker_concurrency = 2  # processes that run tasks at the same time

worker_log_format = "[%(levelname)s/%(processName)s] %(message)s"  # the journal has the time already
worker_task_log_format = "[%(levelname)s/%(processName)s] %(task_name)s[%(task_id)s]: %(message)s"
