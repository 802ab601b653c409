"""The Celery application of the shop: one program, which can be run with any of the pairs in settings/."""

from celery import Celery

# celerylab_probe brings the small tasks with which the course looks at a worker from outside.
app = Celery("shop", include=["shop.tasks", "celerylab_probe.tasks"])
# The name of a module with settings, such as settings.redis_redis. The worker's unit sets it.
app.config_from_envvar("CELERY_CONFIG_MODULE")
