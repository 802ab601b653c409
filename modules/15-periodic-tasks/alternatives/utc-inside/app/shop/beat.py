"""Beat's scheduler: the application runs on UTC, and a crontab is read by the shop's clock."""

from zoneinfo import ZoneInfo

from celery.schedules import crontab
from redbeat import RedBeatScheduler, RedBeatSchedulerEntry

SHOP = ZoneInfo("US/Pacific")


class Entry(RedBeatSchedulerEntry):
    """An entry whose crontab, where it has one, means the shop's time. All that is stored is UTC."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if isinstance(self.schedule, crontab):
            self.schedule.tz = SHOP


class Scheduler(RedBeatScheduler):
    """redbeat, with such entries."""

    Entry = Entry
