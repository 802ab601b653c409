"""A plot of a few curves over time, with a scale on either side, as SVG."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import Literal
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 760, 360
LEFT, RIGHT, TOP, BOTTOM = 56, 56, 64, 44
COLOURS = ("#8a6d3b", "#2f7d4f", "#b04a4a", "#2c5f8a")
STEPS = 5


@dataclass(frozen=True)
class Curve:
    """`values` at `times`, measured on the scale of its `side`. It keeps a value until the next one."""

    name: str
    times: Sequence[float]
    values: Sequence[float]
    side: Literal["left", "right"]


def plot(title: str, below: str, sides: tuple[str, str], curves: Sequence[Curve]) -> str:
    """The picture. `below` names what runs to the right, `sides` what the left and the right scale measure."""
    end = max(curve.times[-1] for curve in curves) or 1
    tops = {side: _round_up(max((max(curve.values) for curve in curves if curve.side == side), default=1)) for side in ("left", "right")}
    inner_width, inner_height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def x(time: float) -> float:
        return LEFT + inner_width * time / end

    def y(value: float, side: str) -> float:
        return TOP + inner_height * (1 - value / tops[side])

    parts = [f'<text x="{LEFT}" y="22" font-size="15">{escape(title)}</text>']
    for step in range(STEPS + 1):
        height = TOP + inner_height * step / STEPS
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{height:.1f}" y2="{height:.1f}" stroke="#ddd"/>')
        for side, place, anchor in (("left", LEFT - 6, "end"), ("right", WIDTH - RIGHT + 6, "start")):
            parts.append(_text(place, height + 4, f"{tops[side] * (1 - step / STEPS):g}", anchor))
        parts.append(_text(x(end * step / STEPS), HEIGHT - BOTTOM + 16, f"{end * step / STEPS:.0f}", "middle"))
    parts.append(_text(WIDTH / 2, HEIGHT - 8, below, "middle"))
    parts.append(_text(LEFT, TOP - 8, sides[0], "middle"))
    parts.append(_text(WIDTH - RIGHT, TOP - 8, sides[1], "middle"))
    for index, curve in enumerate(curves):
        points = [f"{x(curve.times[0]):.1f},{y(curve.values[0], curve.side):.1f}"]
        for time, before, value in zip(curve.times[1:], curve.values, curve.values[1:], strict=False):
            points += [f"{x(time):.1f},{y(before, curve.side):.1f}", f"{x(time):.1f},{y(value, curve.side):.1f}"]
        colour, place = COLOURS[index % len(COLOURS)], LEFT + 40 + index * 150
        parts.append(f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<line x1="{place}" x2="{place + 18}" y1="38" y2="38" stroke="{colour}" stroke-width="3"/>')
        parts.append(_text(place + 24, 42, curve.name, "start"))
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>\n{body}\n</svg>\n'
    )


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _round_up(value: float) -> float:
    """The next number that STEPS equal steps lead to, each of them whole or half."""
    steps: Iterable[float] = chain([0.5], (digit * 10**power for power in count() for digit in (1, 2, 5)))
    return next(step for step in steps if step * STEPS >= value) * STEPS
