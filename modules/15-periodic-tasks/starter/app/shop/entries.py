"""The entries that people add to the schedule while the shop is open. The schedule API (api.py) calls these three: keep their arguments.

A ValueError becomes the answer 400 and a LookupError 404, with their text.
"""

_entries = {}


def listing():
    """All entries that were added: a list of {"name", "task", "schedule", "args"}."""
    return list(_entries.values())


def add(name, task, schedule, args):
    """Add an entry: from now on `task` runs with `args`. `schedule` is {"every": seconds} or {"crontab": "minute hour day month weekday"}."""
    _entries[name] = {"name": name, "task": task, "schedule": schedule, "args": args}


def remove(name):
    """Take an entry out: it does not run any more."""
    del _entries[name]
