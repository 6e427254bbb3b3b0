"""What every source of registers gives: one row per reading, the same after a restart."""

from dataclasses import dataclass
from typing import Protocol

from devices.reading import Quality


@dataclass(frozen=True, slots=True)
class Registers:
    """Both cumulative registers of a meter at one moment, in Wh."""

    import_wh: int
    export_wh: int


ZERO: Registers = Registers(0, 0)
"""Registers of a meter that has measured nothing yet."""


@dataclass(frozen=True, slots=True)
class SourceRow:
    """What a meter reads at the end of one interval."""

    interval_start_ms: int
    """Ledger time, UTC, ms since the Unix epoch."""

    interval_end_ms: int
    registers: Registers
    """At `interval_end_ms`."""

    quality: Quality


@dataclass(frozen=True, slots=True)
class Position:
    """How far a meter has read its source: all that its next row goes on from."""

    rows: int = 0
    """Read so far; also the sequence of the reading made from the next one."""

    interval_end_ms: int = 0
    """Ledger time of the last row; 0 before the first."""

    registers: Registers = ZERO
    """At `interval_end_ms`."""


class ReadingSource(Protocol):
    """Rows that follow from a position alone, so that a restart changes none of them."""

    def row(self, position: Position) -> SourceRow | None:
        """Return the row after `position`; `None` once the source has ended."""
        ...

    def bridge(self, position: Position, now_ms: int) -> SourceRow | None:
        """Return one row from `position` to now, if that is too far to read slot by slot.

        Args:
            position: Where the meter stands.
            now_ms: Ledger time.

        Returns:
            A row that has ended and that `row` can go on from; `None` to read on with `row`.
        """
        ...
