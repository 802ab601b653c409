"""The shop's workflows. Each function starts one and returns its result. The office calls these four: keep their names and arguments.

A group that is piped into a task is a chord: `group | task`.
"""

from celery import chain, group

from shop import books, reports, tasks


def figures(name):
    """One branch: its row."""
    return chain(tasks.fetch.s(name), tasks.add_up.s()).apply_async()


def collect(names):
    """Many branches: a list of their rows, in the order of `names`."""
    return group(chain(tasks.fetch.s(name), tasks.add_up.s()) for name in names).apply_async()


def report(day, names):
    """The report of a day: {"day", "rows", "errors", "cents"}, also handed to the head office."""
    return (group(tasks.row.s(name) for name in names) | reports.publish.s(day)).apply_async()


def close(day, names):
    """The books of a day, closed: {"day", "branches", "cents"}. All branches or none, and an alarm for none."""
    body = books.close.s(day)
    body.link_error(books.alarm.s(day=day))
    return (group(chain(tasks.fetch.s(name), tasks.add_up.s()) for name in names) | body).apply_async()
