"""Settings of the shop's Celery application (lower-case names, see docs.celeryq.dev, "Configuration and defaults")."""

broker_connection_retry_on_startup = True

# A message is acknowledged when its task is done, also where the task's process was killed (by the kernel, for its memory). A worker holds as many
# as it runs: what waits is for whoever is free, and a pod that comes later finds work.
task_acks_late = True
task_reject_on_worker_lost = True
worker_prefetch_multiplier = 1

broker_transport_options = {
    # Longer than the longest task (120 s) and the time that a pod has to stop, or a task that still runs is started a second time.
    "visibility_timeout": 300,
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
    "socket_timeout": 10,  # a connection that says nothing for so long is dead
}

task_serializer = "json"
result_serializer = "json"
accept_content = ["json"]

timezone = "UTC"
result_expires = 3600  # seconds
