"""Settings of the shop's Celery application (lower-case names, see docs.celeryq.dev, "Configuration and defaults")."""

import os
import socket
from datetime import timedelta

from celery.schedules import crontab

broker_url = os.environ["LAB_BROKER_URL"]
result_backend = os.environ["LAB_RESULT_URL"]
broker_connection_retry_on_startup = True

task_serializer = "json"
result_serializer = "json"
accept_content = ["json"]
result_expires = 3600

worker_concurrency = 4  # processes that run tasks at the same time, on each worker host
worker_log_format = "[%(levelname)s/%(processName)s] %(message)s"  # the journal has the time already
worker_task_log_format = "[%(levelname)s/%(processName)s] %(task_name)s[%(task_id)s]: %(message)s"

timezone = "US/Pacific"  # where the shop is
beat_schedule = {
    # In a shop every five minutes; here every three seconds, so that you can watch. What nobody has run for ten seconds is of no use.
    "till-check": {"task": "tills.check", "schedule": 3.0, "options": {"expires": 10}},
    # Takes four seconds. Two at once would order everything twice: see the lock in tasks.py.
    "stock-sync": {"task": "stock.sync", "schedule": 2.0, "options": {"expires": 10}},
    # Each hour of a day, of which there are 23, 24 or 25: an interval, because a crontab leaves the second 01:00 of an autumn night out.
    "hourly-count": {"task": "stock.count", "schedule": timedelta(hours=1)},
    # By the shop's clock, in summer and in winter: at 06:00; on Sundays at 04:00; on the first of a month at 07:00.
    "daily-report": {"task": "reports.file", "schedule": crontab(hour=6, minute=0), "args": ["daily"]},
    "weekly-cleanup": {"task": "reports.clean_up", "schedule": crontab(day_of_week="sunday", hour=4, minute=0)},
    "monthly-report": {"task": "reports.file", "schedule": crontab(day_of_month="1", hour=7, minute=0), "args": ["monthly"]},
}

# One schedule for both beats and for the API. One beat holds the lock and sends; the other looks every two seconds whether it is still held.
# A beat that is killed leaves the lock behind, so the timeout is how long nothing is sent.
redbeat_redis_url = os.environ["LAB_SCHEDULE_URL"]
redbeat_redis_options = {}
redbeat_key_prefix = f"shop:{socket.gethostname()}:"
redbeat_lock_timeout = 10
beat_max_loop_interval = 2
