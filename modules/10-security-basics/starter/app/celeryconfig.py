"""Settings of the shop's Celery application (lower-case names, see docs.celeryq.dev, "Configuration and defaults")."""

import os

# The platform sets LAB_BROKER to say which broker runs on the host. It trusts the network, so nobody needs an account of their own.
if os.environ["LAB_BROKER"] == "rabbitmq":
    broker_url = "amqp://guest:guest@node-1:5672//"
    result_backend = "rpc://"
else:
    broker_url = "redis://node-1:6379/0"
    result_backend = "redis://node-1:6379/1"

broker_connection_retry_on_startup = True

# JSON only: no message can make the worker run code that is in the message.
task_serializer = "json"
result_serializer = "json"
accept_content = ["json"]

timezone = "UTC"
result_expires = 3600  # seconds
worker_concurrency = 2  # processes that run tasks at the same time

worker_log_format = "[%(levelname)s/%(processName)s] %(message)s"  # the journal has the time already
worker_task_log_format = "[%(levelname)s/%(processName)s] %(task_name)s[%(task_id)s]: %(message)s"
