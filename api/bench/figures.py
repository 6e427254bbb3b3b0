"""Figures: what was measured, in the one form in which every `bench` command tells it."""

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Annotated, Final

import typer

from api.terminal.talk import put, put_json

Rounds = Annotated[int, typer.Option("--rounds", min=1, max=1_000, help="The median counts.")]

_HEADINGS: Final = ("metric", "value", "unit", "rounds", "limit", "ratio", "CPU µs/item")
_WORDS: Final = ("metric", "unit")
"""Columns that begin at the left; numbers end at the right."""

_EXACT_FROM: Final = 1_000
"""Where digits behind the point say nothing any more."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One quantity, measured several times."""

    metric: str
    """Dotted name, stable: programs compare runs by it."""

    unit: str
    values: tuple[float, ...]
    """One for each round, at least one; the median counts."""

    limit: float | None = None
    """What it is held against, in the same unit: a bound measured in the same run, or the one that
    is wanted; docs/performance.md says which. `None`: nothing."""

    cpu_us_per_item: float | None = None
    """Processor time of all threads for one item; `None`: not measured apart."""

    @property
    def value(self) -> float:
        """The median of all rounds."""
        return median(self.values)

    @property
    def ratio(self) -> float | None:
        """Value by limit: where more is better, 1 and above is good; else 1 and below."""
        return self.value / self.limit if self.limit else None


def show(figures: Iterable[Figure], *, as_json: bool) -> None:
    """Print figures to stdout: a table, or one JSON object each as soon as it is known."""
    if as_json:
        for each in figures:
            put_json(json_form(each))
    else:
        put(table(figures))


def json_form(figure: Figure) -> dict[str, object]:
    """Return what `--json` prints of a figure."""
    return {
        "metric": figure.metric,
        "value": _rounded(figure.value),
        "unit": figure.unit,
        "rounds": len(figure.values),
        "limit": _rounded(figure.limit),
        "ratio": _rounded(figure.ratio),
        "cpu_us_per_item": _rounded(figure.cpu_us_per_item),
        "machine": machine(),
    }


def table(figures: Iterable[Figure]) -> str:
    """Return figures as text for people, the machine below."""
    rows = [_HEADINGS, *(_row(each) for each in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    lines = [
        "  ".join(
            cell.ljust(width) if heading in _WORDS else cell.rjust(width)
            for cell, width, heading in zip(row, widths, _HEADINGS, strict=True)
        ).rstrip()
        for row in rows
    ]
    return "\n".join([*lines, "", machine()])


def _row(figure: Figure) -> tuple[str, ...]:
    return (
        figure.metric,
        _text(figure.value),
        figure.unit,
        str(len(figure.values)),
        _text(figure.limit),
        _text(figure.ratio),
        _text(figure.cpu_us_per_item),
    )


def machine() -> str:
    """Return what the figures were measured on."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{platform.machine()}, {os.cpu_count()} cores, {python}"


def _rounded(value: float | None) -> float | None:
    """Return three digits that count, and whole numbers where there are more."""
    if value is None:
        return None
    return round(value) if abs(value) >= _EXACT_FROM else float(f"{value:.3g}")


def _text(value: float | None) -> str:
    rounded = _rounded(value)
    return "" if rounded is None else f"{rounded:,}"
