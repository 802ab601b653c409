"""The module's workers, by the names of their units, and its longest task."""

LONGEST_SECONDS = 8  # module.yaml, longest_task_seconds
READY_SECONDS = 30  # a worker that was started or lost its broker is ready in a few seconds; a busy machine gets more


def unit(instance: str) -> str:
    """The unit of the worker called `instance`."""
    return f"celery@{instance}.service"


REDIS_WORKERS = [unit("redis_redis"), unit("spare")]
RABBITMQ_WORKERS = [unit("rabbitmq_redis"), unit("rabbitmq_postgresql"), unit("rabbitmq_rpc")]
