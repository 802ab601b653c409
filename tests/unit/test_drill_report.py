"""What a drill's report makes of accepted tasks and of the ledger."""

import csv
import json
from pathlib import Path

import pytest

from celerylab.drill.drills import drill_of
from celerylab.drill.producer import Sent
from celerylab.drill.report import Report, judge, longest_gap, text, timeline, write
from celerylab.errors import InputError

FAULT = (105.0, 115.0)


def sent(home: str, *moments: float, by: str | None = None) -> list[Sent]:
    return [Sent(f"{home}-{moment:g}", home, by or home, moment) for moment in moments]


@pytest.fixture
def tasks() -> dict[str, tuple[list[Sent], int]]:
    """An application of eu that goes on, and one of us that has to turn to eu's broker after four seconds; three tasks of it nobody took."""
    return {
        "eu": (sent("eu", 100, 104, 108, 112, 116), 0),
        "us": (sent("us", 100, 104) + sent("us", 109, 113, by="eu") + sent("us", 117), 3),
    }


def ends_of(tasks: dict[str, tuple[list[Sent], int]], late: float = 0.5) -> dict[str, list[float]]:
    return {task.key: [task.seconds + late] for found, _ in tasks.values() for task in found}


def judged(tasks: dict[str, tuple[list[Sent], int]], ends: dict[str, list[float]], **stated: float) -> Report:
    return judge("site-loss", "us", tasks, ends, FAULT, stated)


def test_recovery_is_the_first_effect_of_what_was_accepted_after_the_fault_began(tasks: dict[str, tuple[list[Sent], int]]) -> None:
    report = judged(tasks, ends_of(tasks))
    assert {home: found.recovery for home, found in report.applications.items()} == {"eu": 3.5, "us": 4.5}
    assert (report.recovery, report.began, report.healed) == (4.5, 5.0, 15.0)
    us = report.applications["us"]
    assert (us.accepted, us.refused, us.elsewhere, us.publish_gap, us.longest_wait) == (5, 3, 2, 4.0, 0.5)


def test_what_was_accepted_and_has_no_effect_is_lost_and_two_effects_are_one_too_many(tasks: dict[str, tuple[list[Sent], int]]) -> None:
    ends = ends_of(tasks)
    del ends["us-104"]
    ends["eu-108"].append(120.0)
    report = judged(tasks, ends, rpo=0, rto=4)
    assert (report.lost, report.doubled) == (1, 1)
    assert report.missed == ["recovery took 4.5 s, stated are 4 s", "1 accepted tasks had no effect, stated are 0"]
    assert judged(tasks, ends, rpo=1, rto=4.5).missed == []


def test_an_application_that_got_nothing_done_has_not_recovered(tasks: dict[str, tuple[list[Sent], int]]) -> None:
    ends = {key: moments for key, moments in ends_of(tasks).items() if not key.startswith("us") or key in ("us-100", "us-104")}
    report = judged(tasks, ends, rto=1000)
    assert report.recovery is None
    assert report.missed == ["recovery took for ever, stated are 1000 s"]


def test_the_gap_counts_from_the_fault_on_and_to_its_end() -> None:
    assert longest_gap([99, 104, 106, 114], *FAULT) == 8
    assert longest_gap([], *FAULT) == 10


def test_the_report_is_written_as_data_text_and_picture(tasks: dict[str, tuple[list[Sent], int]], tmp_path: Path) -> None:
    ends = ends_of(tasks, late=2.0)
    every = [task for found, _ in tasks.values() for task in found]
    report = judged(tasks, ends)
    write(report, tmp_path, every, ends)
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["applications"]["us"]["elsewhere"] == 2
    assert "| us | 5 | 2 | 3 | 4 s | 6 s | 2 s |" in text(report)
    rows = list(csv.DictReader((tmp_path / "timeline.csv").open(encoding="utf-8")))
    assert (rows[0]["accepted"], rows[0]["done"], rows[0]["waiting"]) == ("2", "0", "2")
    assert (rows[-1]["accepted"], rows[-1]["done"], rows[-1]["waiting"]) == ("10", "10", "0")
    assert timeline(every, {})[-1]["waiting"] == 10
    assert (tmp_path / "timeline.svg").read_text(encoding="utf-8").startswith("<svg")


def test_a_drill_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InputError, match=r"there is no drill site-los \(did you mean site-loss\?\)"):
        drill_of("site-los")
