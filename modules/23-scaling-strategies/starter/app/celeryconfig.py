"""Settings of the shop's Celery application (lower-case names, see docs.celeryq.dev, "Configuration and defaults")."""

broker_connection_retry_on_startup = True

# Trips to the broker cost time, so a worker fetches a good supply.
worker_prefetch_multiplier = 64

task_serializer = "json"
result_serializer = "json"
accept_content = ["json"]

timezone = "UTC"
result_expires = 3600  # seconds
