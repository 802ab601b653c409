"""Beat's scheduler."""

import json
from datetime import timezone

from celery.schedules import schedule
from redbeat import RedBeatScheduler, RedBeatSchedulerEntry
from redbeat.schedulers import get_redis


class Entry(RedBeatSchedulerEntry):
    """An entry that remembers in UTC when it ran last.

    redbeat writes a time down as it is on the shop's clock. In autumn that clock shows each minute from one to two o'clock twice, and what ran in
    the second hour would be taken for an hour older: due again at once, and again.
    """

    def default_now(self):
        """What is written down as the time of a run."""
        return super().default_now().astimezone(timezone.utc)

    _default_now = default_now  # redbeat calls it so


class Scheduler(RedBeatScheduler):
    """redbeat, with such entries."""

    Entry = Entry

    def setup_schedule(self):
        """The shop's own entries, and those of the API."""
        super().setup_schedule()
        for text in get_redis(self.app).hvals("shop:entries"):
            entry = json.loads(text)
            every = entry["schedule"].get("every", 3600)
            Entry("api:" + entry["name"], entry["task"], schedule(float(every), app=self.app), args=entry["args"], app=self.app).save()
