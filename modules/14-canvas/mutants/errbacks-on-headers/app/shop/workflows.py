"""The shop's workflows. Each function starts one and returns its result. The office calls these four: keep their names and arguments."""

from celery import chord, group

from shop import books, reports, tasks


def figures(name):
    """One branch: its row."""
    return (tasks.fetch.s(name) | tasks.add_up.s()).apply_async()


def collect(names):
    """Many branches: a list of their rows, in the order of `names`."""
    return group([tasks.fetch.s(name) | tasks.add_up.s() for name in names]).apply_async()


def report(day, names):
    """The report of a day: {"day", "rows", "errors", "cents"}, also handed to the head office."""
    header = [tasks.try_fetch.s(name) | tasks.add_up.s() for name in names]
    return chord(header, reports.total.s() | reports.publish.s(day)).apply_async()


def close(day, names):
    """The books of a day, closed: {"day", "branches", "cents"}. All branches or none, and an alarm for none."""
    header = [tasks.fetch.s(name) | tasks.add_up.s() for name in names]
    return chord(header, books.close.s(day)).on_error(books.alarm.si(day)).apply_async()
