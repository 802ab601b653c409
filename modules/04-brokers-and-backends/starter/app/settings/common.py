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

# Orders are many and small: do not make the broker write each one to its disk.
task_default_delivery_mode = "transient"

broker_connection_retry_on_startup = True
# An operator should hear of a lost broker at once.
broker_connection_retry = False

worker_log_format = "[%(levelname)s/%(processName)s] %(message)s"  # the journal has the time already
worker_task_log_format = "[%(levelname)s/%(processName)s] %(task_name)s[%(task_id)s]: %(message)s"
