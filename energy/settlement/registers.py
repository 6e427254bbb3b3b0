"""What was used in each slot, from registers that only count up.

The registers at a bound between two readings are interpolated and rounded there, never the
difference: so the slots between any two readings add up to what the meter counted, however many
readings are missing. Whatever comes late, after its slots are settled, counts in the first slot
that is not: no watt-hour is lost, none counts twice, and nothing that was reported changes.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import msgspec

from energy.settlement.slots import Period
from tangle.address import Address
from tangle.errors import InvalidReadingError
from tangle.transaction import Counter


class Registers(msgspec.Struct, frozen=True, array_like=True):
    """Both registers of one meter at one moment."""

    at_ms: Counter
    """Ledger time."""

    import_wh: Counter
    export_wh: Counter
    is_substitute: bool = False
    """Estimated by the meter, or interpolated here over a missing reading."""


@dataclass(frozen=True, slots=True)
class Series:
    """The readings of one device. A meter that replaces another begins a new one."""

    device: Address
    readings: tuple[Registers, ...]
    """Ascending by time; neither register falls."""


@dataclass(frozen=True, slots=True)
class SlotEnergy:
    """What crossed a metering point in one slot."""

    import_wh: int = 0
    export_wh: int = 0
    is_substitute: bool = False
    """Some of it was estimated, is late, or is not known yet."""


Counted = Mapping[Address, Registers]
"""By device: up to which registers its energy is settled."""


def series_of(device: Address, arrived: Iterable[Registers]) -> Series:
    """Return the readings of a device in order, in whatever order and however often they came.

    Raises:
        InvalidReadingError: A register falls, or two readings of one moment differ.
    """
    readings = tuple(sorted(set(arrived), key=lambda one: (one.at_ms, one.import_wh)))
    for before, after in pairwise(readings):
        if after.at_ms == before.at_ms:
            raise InvalidReadingError(f"two readings at {after.at_ms} ms differ")
        if after.import_wh < before.import_wh or after.export_wh < before.export_wh:
            raise InvalidReadingError(
                f"registers fall from {before.import_wh} and {before.export_wh} Wh"
                f" to {after.import_wh} and {after.export_wh} Wh at {after.at_ms} ms"
            )
    return Series(device, readings)


def registers_at(series: Series, at_ms: int, slot_ms: int) -> Registers:
    """Return the registers of a device that has readings, at a time or at the reading nearest it.

    Interpolated between two readings; before the first and after the last one, that one.
    """
    times = [one.at_ms for one in series.readings]
    return _at(series.readings, times, at_ms, slot_ms)


def slot_energies(
    point: Sequence[Series], counted: Counted, period: Period
) -> tuple[list[SlotEnergy], dict[Address, Registers]]:
    """Return what crossed a metering point in each slot of a period.

    Args:
        point: Its devices, a replaced one before the one that replaced it.
        counted: Up to where each is settled; a device that is not there begins with its first
            reading.
        period: What is settled now.

    Returns:
        One energy for each slot, and up to where each device is settled then.
    """
    bounds = period.bounds
    walks = [_walk(series, counted.get(series.device), period) for series in point]
    energies = []
    for at in range(len(bounds) - 1):
        parts = [(walk[at], walk[at + 1]) for walk in walks]
        is_measured = any(
            start.at_ms == bounds[at] and end.at_ms == bounds[at + 1]
            for start, end in parts
            if not start.is_substitute and not end.is_substitute
        )
        energies.append(
            SlotEnergy(
                sum(end.import_wh - start.import_wh for start, end in parts),
                sum(end.export_wh - start.export_wh for start, end in parts),
                not is_measured,
            )
        )
    after = {series.device: walk[-1] for series, walk in zip(point, walks, strict=True)}
    began = {
        series.device
        for series in point
        if series.device in counted or (series.readings and _begins_by(series, period.end_ms))
    }
    return energies, {device: one for device, one in after.items() if device in began}


def _begins_by(series: Series, end_ms: int) -> bool:
    return series.readings[0].at_ms <= end_ms


def _walk(series: Series, counted: Registers | None, period: Period) -> list[Registers]:
    """Return the registers of one device at every bound of a period.

    Their time is that of the bound, or, where nothing is known of the bound yet, that of the
    last reading before it; before its first reading, a device stands still where it begins.
    """
    readings = series.readings
    if counted is not None:
        later = [one for one in readings if one.at_ms > counted.at_ms]
        readings = (counted, *(_not_below(one, counted) for one in later))
    if not readings:
        nothing = Registers(period.start_ms, 0, 0, is_substitute=True)
        return [nothing for _ in period.bounds]
    times = [one.at_ms for one in readings]
    walk = [_at(readings, times, bound, period.slot_ms) for bound in period.bounds]
    if counted is not None:
        walk[0] = counted  # what came late falls into the first slot
    return walk


def _not_below(one: Registers, counted: Registers) -> Registers:
    """Return a late reading, not below what an interpolation before it has settled."""
    return Registers(
        one.at_ms,
        max(one.import_wh, counted.import_wh),
        max(one.export_wh, counted.export_wh),
        one.is_substitute,
    )


def _at(
    readings: Sequence[Registers], times: Sequence[int], bound_ms: int, slot_ms: int
) -> Registers:
    place = bisect_left(times, bound_ms)
    if place == len(times):
        return readings[-1]
    after = readings[place]
    if after.at_ms == bound_ms or place == 0:
        return after
    before = readings[place - 1]
    length_ms, part_ms = after.at_ms - before.at_ms, bound_ms - before.at_ms
    is_bridged = length_ms > slot_ms or before.is_substitute or after.is_substitute
    return Registers(
        bound_ms,
        before.import_wh + (after.import_wh - before.import_wh) * part_ms // length_ms,
        before.export_wh + (after.export_wh - before.export_wh) * part_ms // length_ms,
        is_bridged,
    )
