"""What all pairs share."""

task_serializer = "json"
result_serializer = "json"
accept_content = ["json"]
timezone = "UTC"
result_expires = 3600  # seconds

# A message is acknowledged after its task is done, so that a task whose worker dies is not lost with it.
task_acks_late = True
worker_prefetch_multiplier = 1
worker_concurrency = 1

# Queues on RabbitMQ are quorum queues; Redis has no such thing and ignores it.
task_default_queue_type = "quorum"

# Messages are persistent and queues durable: Celery's defaults.

# A broker that is away is waited for, at the start and later.
broker_connection_retry_on_startup = True
broker_connection_retry = True

worker_log_format = "[%(levelname)s/%(processName)s] %(message)s"  # the journal has the time already
worker_task_log_format = "[%(levelname)s/%(processName)s] %(task_name)s[%(task_id)s]: %(message)s"
