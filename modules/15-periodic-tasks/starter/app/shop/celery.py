"""The Celery application of the shop."""

from celery import Celery

# celerylab_probe brings the small tasks with which the course looks at a worker from outside.
app = Celery("shop", include=["shop.tasks", "celerylab_probe.tasks"])
app.config_from_object("celeryconfig")
