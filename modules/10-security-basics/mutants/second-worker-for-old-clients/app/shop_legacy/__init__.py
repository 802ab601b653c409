"""The shop's tasks for clients that do not sign yet."""

from celery import Celery

app = Celery("shop_legacy", include=["celerylab_probe.tasks"])
app.config_from_object("celeryconfig")
app.conf.update(task_serializer="json", event_serializer="json", accept_content=["json"])
