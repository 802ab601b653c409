"""Beat's scheduler."""

from datetime import timezone

from redbeat import RedBeatScheduler, RedBeatSchedulerEntry


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
