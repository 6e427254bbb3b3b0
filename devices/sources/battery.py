"""A community battery that follows its street: charges what is left over, gives what is missing.

What it holds follows from its registers alone (charged · efficiency − given), so a controller that
restarts goes on from the last row and reads the very same registers. For the same reason it has no
standing loss: that would depend on how long it stood empty, which registers do not tell.
"""

from dataclasses import dataclass
from typing import Final

from devices.sources.household import QUARTER_MS
from devices.sources.rows import Position, Registers, SourceRow
from devices.sources.street import Street
from devices.sources.synthetic import HOUR_MS, MAX_MISSED_SLOTS

PPM: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Rating:
    """What stands on a battery's plate."""

    capacity_wh: int
    charge_w: int
    """At most, taken from the street."""

    discharge_w: int
    """At most, given to it."""

    efficiency_ppm: int = PPM
    """Of a charge, what is stored: the loss of the whole round trip, as the ledger books it."""

    reserve_wh: int = 0
    """Never given away: it covers what the ledger rounds off, so that no report finds it empty."""


@dataclass(frozen=True, slots=True)
class Battery:
    """A `ReadingSource`: import is charge, export is discharge. It ends when its street does."""

    street: Street
    rating: Rating
    first_slot_ms: int
    """Ledger time at which it stands empty, its registers at zero."""

    slot_ms: int = QUARTER_MS
    is_replayed: bool = False
    """Whether each slot is read, however late; else it rests while its controller is off."""

    def row(self, position: Position) -> SourceRow | None:
        """Return the next slot: charge or discharge, as far as power and capacity go."""
        start_ms = self._next_slot_ms(position)
        end_ms = start_ms + self.slot_ms
        net_wh = self.street.net_wh(start_ms, end_ms)
        if net_wh is None:
            return None
        after = followed(self.rating, position.registers, net_wh, self.slot_ms)
        return SourceRow(start_ms, end_ms, after, "measured")

    def bridge(self, position: Position, now_ms: int) -> SourceRow | None:
        """Return one row in which nothing happened, for a controller that was off for long."""
        start_ms = self._next_slot_ms(position)
        missed = (now_ms - start_ms) // self.slot_ms
        if self.is_replayed or missed <= MAX_MISSED_SLOTS:
            return None
        end_ms = start_ms + missed * self.slot_ms
        return SourceRow(start_ms, end_ms, position.registers, "measured")

    def _next_slot_ms(self, position: Position) -> int:
        return max(self.first_slot_ms, position.interval_end_ms)


def stored_wh(rating: Rating, registers: Registers) -> int:
    """Return what a battery holds whose registers say that: whole Wh, rounded down."""
    return registers.import_wh * rating.efficiency_ppm // PPM - registers.export_wh


def followed(rating: Rating, registers: Registers, net_wh: int, slot_ms: int) -> Registers:
    """Return the registers after a slot in which the street took `net_wh`, or gave it if below 0.

    It charges at most what the street leaves over, so that it never draws from the grid, and gives
    at most what the street lacks, so that it never feeds in.
    """
    if net_wh < 0:
        # as much import as surely fits: its floor(import · efficiency) − export ≤ capacity
        full_wh = (rating.capacity_wh + registers.export_wh) * PPM // rating.efficiency_ppm
        room_wh = max(0, full_wh - registers.import_wh)
        charge_wh = min(-net_wh, rating.charge_w * slot_ms // HOUR_MS, room_wh)
        return Registers(registers.import_wh + charge_wh, registers.export_wh)
    held_wh = max(0, stored_wh(rating, registers) - rating.reserve_wh)
    discharge_wh = min(net_wh, rating.discharge_w * slot_ms // HOUR_MS, held_wh)
    return Registers(registers.import_wh, registers.export_wh + discharge_wh)
