"""The entries that people add to the schedule while the shop is open. The schedule API (api.py) calls these three: keep their arguments.

A ValueError becomes the answer 400 and a LookupError 404, with their text.
"""

from celery.schedules import ParseException, crontab, schedule as interval
from redbeat.schedulers import ensure_conf, get_redis

from shop.beat import Entry
from shop.celery import app

TASKS = {"reminders.remind"}  # whoever has the token may run these, and nothing else
OURS = "api:"  # so that no name from outside is one of the shop's own schedule
SHORTEST_SECONDS = 1

PREFIX = ensure_conf(app).key_prefix


def listing():
    """All entries that were added: a list of {"name", "task", "schedule", "args"}."""
    found = []
    for key in sorted(get_redis(app).scan_iter(f"{PREFIX}{OURS}*")):
        try:
            entry = Entry.from_key(key, app=app)
        except KeyError:  # it went while we looked
            continue
        name = entry.name.removeprefix(OURS)
        found.append({"name": name, "task": entry.task, "schedule": say_schedule(entry.schedule), "args": entry.args})
    return found


def add(name, task, schedule, args):
    """Add an entry: from now on `task` runs with `args`. `schedule` is {"every": seconds} or {"crontab": "minute hour day month weekday"}."""
    if task not in TASKS:
        raise ValueError(f"task: write one of {', '.join(sorted(TASKS))}, not {task}")
    Entry(OURS + name, task, read_schedule(schedule), args=args, app=app).save()


def remove(name):
    """Take an entry out: it does not run any more."""
    try:
        entry = Entry.from_key(PREFIX + OURS + name, app=app)
    except KeyError:
        raise LookupError(f"entry {name}") from None
    entry.delete()


def read_schedule(said):
    """The schedule that a request asks for. Raises ValueError: nothing that does not parse may get to beat."""
    match said:
        case {"every": (int() | float()) as seconds, **rest} if not rest and seconds >= SHORTEST_SECONDS:
            return interval(float(seconds), app=app)
        case {"crontab": str() as text, **rest} if not rest:
            try:
                return crontab.from_string(" ".join(text.split()))
            except (ValueError, ParseException) as error:
                raise ValueError(f"crontab: {text!r} is none, such as '30 8 * * 1-5': {error}") from error
    raise ValueError(f'schedule: write {{"every": seconds}}, at least {SHORTEST_SECONDS}, or {{"crontab": "30 8 * * 1-5"}}')


def say_schedule(found):
    """A schedule as a request says it."""
    if isinstance(found, crontab):
        fields = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
        return {"crontab": " ".join(str(getattr(found, f"_orig_{field}")) for field in fields)}
    return {"every": found.seconds}
