"""What the homes of one street take and give together, slot by slot.

A battery's controller reads the power at the point where the street meets the grid. A simulated one
has no such meter, but its homes are made up or recorded, so it computes what that meter would say
from the very sources that the homes' own meters read.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter
from typing import Protocol

from devices.sources.recorded import Recording
from devices.sources.rows import SourceRow
from devices.sources.synthetic import SyntheticHome, load_wh, pv_wh

_interval_end_ms = attrgetter("interval_end_ms")


class Street(Protocol):
    """The homes behind one connection to the grid."""

    def net_wh(self, start_ms: int, end_ms: int) -> int | None:
        """Return what the street takes in an interval, below 0 what it gives; `None` after its end.

        The interval is half open, in ledger time.
        """
        ...


@dataclass(frozen=True, slots=True)
class SyntheticStreet:
    """Homes made up from a seed; a `Street` without end."""

    homes: tuple[SyntheticHome, ...]

    def net_wh(self, start_ms: int, end_ms: int) -> int:
        """Return what all homes use, less what their roofs give."""
        return sum(
            load_wh(home, start_ms, end_ms) - pv_wh(home, start_ms, end_ms) for home in self.homes
        )


@dataclass(frozen=True, slots=True)
class RecordedStreet:
    """Homes that were recorded; a `Street` that ends with the last recording."""

    recordings: tuple[Recording, ...]

    def net_wh(self, start_ms: int, end_ms: int) -> int | None:
        """Return what all registers say; a recording that has not begun or is over adds nothing."""
        if end_ms > max(one.rows[-1].interval_end_ms for one in self.recordings):
            return None
        return sum(
            after - before
            for one in self.recordings
            for before, after in pairwise(_net_at(one.rows, at) for at in (start_ms, end_ms))
        )


def _net_at(rows: Sequence[SourceRow], moment_ms: int) -> int:
    """Return import less export of a recording so far, interpolated between two rows."""
    at = bisect_left(rows, moment_ms, key=_interval_end_ms)
    if at == 0:
        return _net(rows[0])
    if at == len(rows):
        return _net(rows[-1])
    before, after = rows[at - 1], rows[at]
    length_ms = after.interval_end_ms - before.interval_end_ms
    elapsed_ms = moment_ms - before.interval_end_ms
    return _net(before) + (_net(after) - _net(before)) * elapsed_ms // length_ms


def _net(row: SourceRow) -> int:
    return row.registers.import_wh - row.registers.export_wh
