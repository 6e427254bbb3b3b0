"""A plot of a soak as SVG: plain lines, readable on any background. Pure."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

WIDTH: Final = 860
HEIGHT: Final = 300
LEFT, RIGHT, TOP, BOTTOM = 60, 200, 30, 40
COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#888888")
"""Told apart with any colour vision (Okabe and Ito)."""

MAX_POINTS: Final = 300

Line = Sequence[tuple[float, float]]


def plot(title: str, unit: str, lines: Mapping[str, Line]) -> str:
    """Return an SVG of `lines`: hours to the right, `unit` upwards from zero.

    Args:
        title: Above it.
        unit: Of the values.
        lines: Points (hours, value), ascending, by name.
    """
    ends = [line[-1][0] for line in lines.values() if line]
    most_h = max(ends, default=0.0) or 1.0
    most = _rounded_up(max((value for line in lines.values() for _, value in line), default=0.0))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="18" font-size="14">{escape(title)}</text>',
    ]
    for step in range(5):
        value = most * step / 4
        y = _y(value, most)
        parts += [
            f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#dddddd"/>',
            f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>',
        ]
    for step in range(7):
        hours = most_h * step / 6
        x = _x(hours, most_h)
        place = f'x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle"'
        parts.append(f"<text {place}>{hours:.0f} h</text>")
    parts.append(f'<text x="{LEFT - 6}" y="{TOP - 6}" text-anchor="end">{escape(unit)}</text>')
    for at, (name, line) in enumerate(lines.items()):
        colour = COLOURS[at % len(COLOURS)]
        every = max(1, len(line) // MAX_POINTS)
        points = " ".join(
            f"{_x(hours, most_h):.1f},{_y(value, most):.1f}" for hours, value in line[::every]
        )
        y = TOP + 16 * at
        parts += [
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>',
            f'<path d="M{WIDTH - RIGHT + 12} {y}h18" stroke="{colour}" stroke-width="3"/>',
            f'<text x="{WIDTH - RIGHT + 36}" y="{y + 4}">{escape(name)}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])


def _x(hours: float, most_h: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * hours / most_h


def _y(value: float, most: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / most


def _rounded_up(value: float) -> float:
    """Return the next round number, so that the lines of the scale are round too."""
    step = 1.0
    while step * 10 < value:
        step *= 10
    return next(
        (step * factor for factor in (1, 2, 4, 6, 8, 10) if step * factor >= value), step * 10
    )
