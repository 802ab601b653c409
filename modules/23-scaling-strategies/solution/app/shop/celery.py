"""The Celery application of the shop. Kubernetes gives the URLs as CELERY_BROKER_URL and CELERY_RESULT_BACKEND, which Celery reads by itself."""

from celery import Celery

from shop.heart import BEAT, Heart

# celerylab_probe brings the small tasks with which the course looks at a worker from outside; drill is for practising bad days.
app = Celery("shop", include=["shop.tasks", "shop.drill", "celerylab_probe.tasks"])
app.config_from_object("celeryconfig")
if BEAT.parent.is_dir():  # the pod has a place for it
    app.steps["consumer"].add(Heart)
