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


class ReadingSource(Protocol):
    """Registers by number: reading n of a meter is row n, however often it restarts."""

    def row(self, number: int, before: Registers) -> SourceRow | None:
        """Return row `number`, from 0; `None` once the source has ended.

        Args:
            number: Also the sequence of the reading made from it.
            before: Registers after row `number` − 1; `ZERO` for row 0.
        """
        ...
