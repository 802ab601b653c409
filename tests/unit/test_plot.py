"""Curves as SVG."""

from xml.etree import ElementTree

import pytest

from celerylab.plot import Curve, plot

pytestmark = pytest.mark.unit
SVG = "{http://www.w3.org/2000/svg}"


def test_each_curve_is_drawn_on_its_own_scale_and_keeps_a_value_until_the_next() -> None:
    curves = [Curve("waiting <tasks>", [0, 5, 10], [300, 100, 0], "left"), Curve("workers", [0, 10], [1, 4], "right")]
    drawn = ElementTree.fromstring(plot("a title", "seconds", ("tasks", "workers"), curves))  # noqa: S314 (our own)
    lines = [line.get("points", "").split() for line in drawn.iter(f"{SVG}polyline")]
    assert [len(points) for points in lines] == [5, 3]
    left, right = ([float(point.split(",")[1]) for point in points] for points in lines)
    assert left == sorted(left)  # what falls goes down, which is more in SVG
    assert right == sorted(right, reverse=True)
    assert lines[0][0].split(",")[0] == lines[1][0].split(",")[0]
    assert "waiting <tasks>" in [text.text for text in drawn.iter(f"{SVG}text")]
