"""scripts/bench: its table, its targets, and the load it sends through a real worker."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery
from celery.contrib.testing.worker import start_worker

from celerylab.bench.headroom import tasks_a_second
from celerylab.bench.measuring import Figure, report
from celerylab.errors import CelerylabError

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def app() -> Iterator[Celery]:
    """An application with a worker in this process."""
    app = Celery("load", broker="memory://", backend="cache+memory://", set_as_current=False)

    @app.task(name="same")
    def same(number: int) -> int:
        return number

    @app.task(name="third_fails")
    def third_fails(number: int) -> int:
        return number // (number - 2)

    with start_worker(app, perform_ping_check=False):
        yield app


def test_a_load_is_counted_until_its_last_result(app: Celery) -> None:
    assert 1 < tasks_a_second(app, "same", 50, 30) < 100_000


def test_a_load_with_a_failure_gives_no_figure(app: Celery) -> None:
    with pytest.raises(CelerylabError, match="a task of the load ended as FAILURE"):
        tasks_a_second(app, "third_fails", 5, 30)


def test_a_load_that_does_not_end_says_how_much_is_missing(app: Celery) -> None:
    with pytest.raises(CelerylabError, match=r"3 of 3 tasks have no result after 0\.2 s"):
        tasks_a_second(app, "nobody_has_this", 3, 0.2)


@pytest.mark.parametrize(
    ("figure", "missed"),
    [
        (Figure("a", 5, values=[4, 6, 5]), False),
        (Figure("a", 5, values=[6, 6, 1]), True),
        (Figure("a", 0.7, at_least=True, values=[0.7]), False),
        (Figure("a", 0.7, at_least=True, values=[0.69]), True),
        (Figure("a", values=[1000]), False),
    ],
)
def test_a_target_is_missed_on_its_own_side(figure: Figure, missed: bool) -> None:
    assert figure.missed is missed


def test_the_table_has_every_figure_with_its_target(tmp_path: Path) -> None:
    figures = [
        Figure("up", 30, values=[31.26, 29.0, 30.0]),
        Figure("ratio", 0.7, at_least=True, values=[0.712]),
        Figure("day", values=[1234.5]),
    ]
    table = report(figures, tmp_path / "figures.json", {"processors": 2}).splitlines()
    assert [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]] == [
        ["up", "30.0", "29.0", "31.3", "30"],
        ["ratio", "0.71", "0.71", "0.71", "at least 0.7"],
        ["day", "1234", "1234", "1234", ""],
    ]
    assert json.loads((tmp_path / "figures.json").read_text())["figures"][0]["median"] == 30.0
