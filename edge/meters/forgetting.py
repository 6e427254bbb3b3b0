"""When readings leave their home edge: old enough, settled, and their transaction gone before.

The home edge has the only copy of what a meter measured, so nothing leaves unasked: the operator
says for how many hours of ledger time readings are kept. Until then they are what bills and
disputes go back to. The newest reading of a meter always stays: the next one is held against it.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from devices.reading import decode_reading
from edge.ground.spans import Spans
from edge.journal.journal import Journal
from edge.journal.sealing import open_sealed
from tangle.address import Address
from tangle.ranges import ReadingRanges

HOUR_MS: Final = 3_600_000
STEP_READINGS: Final = 50
"""Of one meter, deleted in one commit."""

STEP_METERS: Final = 50
"""Served by one commit: with as many readings each some ten milliseconds."""

STEP_PAUSE_S: Final = 0.02

_log: Final = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Retention:
    """For how long readings stay, and how they are read."""

    kept_hours: int
    """Of ledger time; 0 for all."""

    sealing_key: bytes
    """Opens the readings: how old they are lies under their seals."""


class Forgetting:
    """Lets old readings of one edge node go."""

    def __init__(
        self,
        journal: Journal,
        retention: Retention,
        taken: Callable[[Address], ReadingRanges],
        ledger_ms: Callable[[], int],
    ) -> None:
        """Forget what is in `journal`.

        Args:
            journal: Of the node; used on the loop only.
            retention: What the operator wants.
            taken: Returns the ledger's row of a meter: what is committed to.
            ledger_ms: The ledger's clock.
        """
        self._journal = journal
        self._retention = retention
        self._taken = taken
        self._ledger_ms = ledger_ms

    async def run_once(self) -> int:
        """Delete what may go now, in small steps; return how many readings.

        Raises:
            StorageError: What was deleted before is durable.
        """
        if not self._retention.kept_hours:
            return 0
        oldest_ms = self._ledger_ms() - self._retention.kept_hours * HOUR_MS
        before: dict[Address, int] = {}
        removed = 0
        for device, spans in self._journal.meters().items():
            first, keep = spans[0][0], self._first_to_keep(device, spans, oldest_ms)
            for through in range(first + STEP_READINGS, keep, STEP_READINGS):
                removed += await self._forget({device: through})
            if keep > first:
                before[device] = keep
            if len(before) >= STEP_METERS:
                removed += await self._forget(before)
                before = {}
        removed += await self._forget(before)
        if removed:
            _log.info("readings forgotten", readings=removed)
        return removed

    async def _forget(self, before: dict[Address, int]) -> int:
        removed = self._journal.leaving.forget(before) if before else 0
        await asyncio.sleep(STEP_PAUSE_S)
        return removed

    def _first_to_keep(self, device: Address, spans: Spans, oldest_ms: int) -> int:
        """Return the lowest sequence to stay: recent, unsettled, or with its transaction here."""
        here, newest = self._journal.leaving.oldest_batch_here(device), spans[-1][1]
        for begin, end in spans:
            most = min(end + 1, newest, settled_from(self._taken(device), begin))
            may_go = range(begin, max(begin, most if here is None else min(most, here)))
            keep = begin + bisect_left(
                may_go, oldest_ms, key=lambda at: self._ended_at_ms(device, at)
            )
            if keep <= end:
                return keep
        return newest

    def _ended_at_ms(self, device: Address, sequence: int) -> int:
        (taken,) = self._journal.readings(device, sequence, sequence)
        opened = open_sealed(self._retention.sealing_key, taken)
        return decode_reading(opened.signed).reading.interval_end_ms


def settled_from(taken: ReadingRanges, first: int) -> int:
    """Return the lowest sequence from `first` on that the ledger does not show as committed to."""
    for held in taken.taken:
        if held.first <= first <= held.last:
            return held.last + 1
    return first
