"""Whether a soak is passed: what grew, from its samples. Pure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from scripts.soak.samples import Sample

WARM_H: Final = 1.0
"""Simulated hours after which memory must not grow."""

WINDOW_H: Final = 1.0
"""Simulated hours over which a median is taken: one sample says little."""

MIB: Final = 2**20
JOURNAL: Final = "journal"
METERS: Final = "meters"
FILES: Final = "open files"

Value = Callable[[Sample], float]


@dataclass(frozen=True, slots=True)
class Growth:
    """One quantity after the first hour and at the end."""

    name: str
    early: float | None
    """`None` if the run ended before that."""

    late: float
    most: float
    limit_percent: float | None
    """What it may grow by; `None` for what is only shown."""

    @property
    def percent(self) -> float | None:
        """By how much it grew; `None` where there is nothing to compare with."""
        return 100 * (self.late / self.early - 1) if self.early else None

    @property
    def holds(self) -> bool:
        """Whether it grew no more than it may."""
        if self.limit_percent is None:
            return True
        return self.percent is not None and self.percent < self.limit_percent


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a soak must keep to."""

    memory_percent: float
    disk_percent: float
    disk_from_h: float
    """Simulated hours after which pruning has everything to do that it ever will."""


def growths(samples: Sequence[Sample], bounds: Bounds) -> list[Growth]:
    """Return what is judged and shown, memory first.

    Args:
        samples: In order of time, all processes in each.
        bounds: What is allowed.
    """
    if not samples:
        return []
    last, warm = samples[-1], (WARM_H, bounds.memory_percent)
    found = [_growth(f"{name} RSS", samples, _rss(name), warm) for name in last.processes]
    found.append(_growth("all together, PSS", samples, _pss, warm))
    if last.held_bytes is not None:
        found.append(_growth("the group, without cache", samples, _held, warm))
    for name in last.disk:
        limit = bounds.disk_percent if name.endswith((JOURNAL, METERS)) else None
        found.append(_growth(name, samples, _disk(name), (bounds.disk_from_h, limit)))
    for name in last.processes:
        found.append(_growth(f"{name} {FILES}", samples, _files(name), (WARM_H, None)))  # noqa: PERF401 — a row each
    return found


def shown(growth: Growth) -> tuple[str, ...]:
    """Return one row of the table: after the first hour, at the end, the most, growth, limit."""
    is_count = growth.name.endswith(FILES)
    numbers = [
        "–" if value is None else f"{value:.0f}" if is_count else f"{value / MIB:.1f} MiB"
        for value in (growth.early, growth.late, growth.most)
    ]
    percent = "–" if growth.percent is None else f"{growth.percent:+.1f} %"
    limit = "" if growth.limit_percent is None else f"< {growth.limit_percent:g} %"
    return (growth.name, *numbers, percent, limit)


def table(found: Iterable[Growth]) -> str:
    """Return the growths as a table in Markdown."""
    rows = [
        ("", "early", "end", "most", "growth", "allowed"),
        ("---", "---:", "---:", "---:", "---:", "---:"),
        *map(shown, found),
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _pss(sample: Sample) -> float:
    return sum(one.pss_bytes for one in sample.processes.values())


def _held(sample: Sample) -> float:
    return sample.held_bytes or 0


def _rss(name: str) -> Value:
    return lambda sample: sample.processes[name].rss_bytes


def _files(name: str) -> Value:
    return lambda sample: sample.processes[name].files


def _disk(name: str) -> Value:
    return lambda sample: sample.disk[name]


def _growth(
    name: str, samples: Sequence[Sample], value: Value, judged: tuple[float, float | None]
) -> Growth:
    """Return one quantity: medians of a window from an hour on and of the last one."""
    from_h, limit = judged
    end_h = samples[-1].hours
    early = [value(one) for one in samples if from_h <= one.hours < from_h + WINDOW_H]
    late = [value(one) for one in samples if one.hours >= end_h - WINDOW_H]
    most = max((value(one) for one in samples if one.hours >= from_h), default=0.0)
    return Growth(name, median(early) if early else None, median(late), most, limit)
