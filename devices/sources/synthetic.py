"""A synthetic home: household load and a PV roof, from a seed, for any slot of ledger time.

Every number comes from (seed, home, slot) by a hash, never from the order of calls, so a meter
that restarts reads the very same registers. The weather of a day is shared by all homes.

Ledger time may run on by years while a network is stopped. What a home used meanwhile comes as
one row (`SyntheticHome.bridge`): a meter that was off invents no slots, its registers just grew.
"""

from dataclasses import dataclass
from hashlib import blake2b
from math import floor, log
from typing import Final

from devices.sources.household import (
    DAY_MS,
    DAYS,
    QUARTER_MS,
    QUARTERS_PER_DAY,
    WHOLE_PPB,
    HouseholdProfile,
    share_ppb,
)
from devices.sources.rows import Position, Registers, SourceRow
from devices.sources.solar import Panel, Site, panel_power_w, sun_at

HOUR_MS: Final = 3_600_000
MIN_DEMAND_KWH: Final = 1_800
MAX_DEMAND_KWH: Final = 5_500
"""A year of one person, and of a large family."""

MIN_PEAK_W: Final = 3_000
MAX_PEAK_W: Final = 10_000
HOMES_PER_BARE_ROOF: Final = 5
"""Every fifth home has no PV."""

MAX_MISSED_SLOTS: Final = 2 * QUARTERS_PER_DAY
"""Read one by one. With quarter hours at 1,800 times the pace of the wall clock: what a meter that
was killed misses in 96 seconds."""

EXACT_SLOTS: Final = 14 * QUARTERS_PER_DAY
"""A longer gap is summed up in steps of `COARSE_SLOTS`: a year takes half a second then."""

COARSE_SLOTS: Final = 4
YEAR_MS: Final = DAYS * DAY_MS
"""What a gap has more than one of, one of them stands for."""

BASE_LOAD: Final = 0.6
"""Part of the load that is always there; the rest comes in bursts of random size."""

MIDDLE_OF_GERMANY: Final = Site(50_000, 10_000, HOUR_MS)
"""Where the load profile is from."""


@dataclass(frozen=True, slots=True)
class Home:
    """What sets one home apart from its neighbours."""

    number: int
    annual_demand_wh: int
    panel: Panel
    """Of peak power 0 for a bare roof."""


@dataclass(frozen=True, slots=True)
class SyntheticHome:
    """A home that can be metered; a `ReadingSource` without end."""

    seed: int
    """0 to 2^64 − 1."""

    home: Home
    profile: HouseholdProfile
    first_slot_ms: int
    """Ledger time at which the registers stand at zero."""

    slot_ms: int = QUARTER_MS
    site: Site = MIDDLE_OF_GERMANY
    is_roof: bool = False
    """Whether this is the meter of its roof alone, behind the one where it meets the grid."""

    def row(self, position: Position) -> SourceRow:
        """Return the next slot: the registers so far and what the slot adds to them."""
        start_ms = self._next_slot_ms(position)
        end_ms = start_ms + self.slot_ms
        added = _net_wh(self, start_ms, end_ms, self.slot_ms)
        return SourceRow(start_ms, end_ms, _sum(position.registers, added), "measured")

    def bridge(self, position: Position, now_ms: int) -> SourceRow | None:
        """Return one row over all slots that have ended, if they are more than a few."""
        start_ms = self._next_slot_ms(position)
        missed = (now_ms - start_ms) // self.slot_ms
        if missed <= MAX_MISSED_SLOTS:
            return None
        end_ms = start_ms + missed * self.slot_ms
        added = gap_wh(self, start_ms, end_ms)
        return SourceRow(start_ms, end_ms, _sum(position.registers, added), "estimated")

    def _next_slot_ms(self, position: Position) -> int:
        return max(self.first_slot_ms, position.interval_end_ms)


def home_of(seed: int, number: int) -> Home:
    """Return home `number` of the community that `seed` stands for."""
    demand, peak, tilt, azimuth = _uniform(seed, "home", number, 0)
    has_roof = number % HOMES_PER_BARE_ROOF != HOMES_PER_BARE_ROOF - 1
    peak_w = MIN_PEAK_W + 100 * floor(peak * (MAX_PEAK_W - MIN_PEAK_W) / 100)
    return Home(
        number=number,
        annual_demand_wh=1_000 * floor(MIN_DEMAND_KWH + demand * (MAX_DEMAND_KWH - MIN_DEMAND_KWH)),
        panel=Panel(
            peak_w=peak_w if has_roof else 0,
            tilt_deg=floor(15 + 30 * tilt),
            azimuth_deg=floor(90 + 180 * azimuth),
        ),
    )


def first_slot_ms(ledger_start_ms: int, slot_ms: int = QUARTER_MS) -> int:
    """Return the start of the first whole slot from `ledger_start_ms` on."""
    return -(-ledger_start_ms // slot_ms) * slot_ms


def gap_wh(source: SyntheticHome, start_ms: int, end_ms: int) -> Registers:
    """Return what a gap adds to the registers: work for two years at most, however long it is.

    Args:
        source: The home.
        start_ms: Ledger time, start of a slot.
        end_ms: Ledger time, end of a slot.

    Returns:
        The very sum of the slots up to `EXACT_SLOTS`, above that within a few per cent of it.
    """
    if end_ms - start_ms <= EXACT_SLOTS * source.slot_ms:
        return _net_wh(source, start_ms, end_ms, source.slot_ms)
    # a load that comes in bursts nets against the sun in coarse steps much as in fine ones
    step_ms = COARSE_SLOTS * source.slot_ms
    years, rest_ms = divmod(end_ms - start_ms, YEAR_MS)
    rest = _net_wh(source, end_ms - rest_ms, end_ms, step_ms)
    if not years:
        return rest
    year = _net_wh(source, start_ms, start_ms + YEAR_MS, step_ms)
    return _sum(rest, Registers(years * year.import_wh, years * year.export_wh))


def load_wh(source: SyntheticHome, start_ms: int, end_ms: int) -> int:
    """Return what the household uses in one slot of UTC time."""
    home, offset_ms = source.home, source.site.utc_offset_ms
    local_start_ms = start_ms + offset_ms
    share = share_ppb(source.profile, local_start_ms, end_ms + offset_ms)
    at_home, *_ = _uniform(source.seed, "day", home.number, local_start_ms // DAY_MS)
    burst, rounding, *_ = _uniform(source.seed, "load", home.number, start_ms)
    day_factor = 0.85 + 0.3 * at_home
    slot_factor = BASE_LOAD - (1 - BASE_LOAD) * log(1 - burst)  # exponential: 1 on average
    # rounding at random, not to the nearest, so that a year's small slots add up to its demand
    return floor(home.annual_demand_wh * share / WHOLE_PPB * day_factor * slot_factor + rounding)


def pv_wh(source: SyntheticHome, start_ms: int, end_ms: int) -> int:
    """Return what the roof gives in one slot of UTC time; 0 while the sun is down."""
    panel = source.home.panel
    if panel.peak_w == 0:
        return 0
    sun = sun_at((start_ms + end_ms) // 2, source.site)
    weather = _clear_sky_index(source.seed, start_ms // DAY_MS)
    flicker, rounding, *_ = _uniform(source.seed, "pv", source.home.number, start_ms)
    # neither a blue nor a grey sky changes within a day; broken clouds do
    index = weather * (1 + 3 * weather * (1 - weather) * (flicker - 0.5))
    power_w = panel_power_w(panel, sun, index)
    return floor(power_w * (end_ms - start_ms) / HOUR_MS + rounding)


def _net_wh(source: SyntheticHome, start_ms: int, end_ms: int, step_ms: int) -> Registers:
    """Return what an interval adds to the registers, netted in steps; the last may be shorter."""
    import_wh = export_wh = 0
    for at_ms in range(start_ms, end_ms, step_ms):
        until_ms = min(at_ms + step_ms, end_ms)
        used_wh = 0 if source.is_roof else load_wh(source, at_ms, until_ms)
        net_wh = used_wh - pv_wh(source, at_ms, until_ms)
        import_wh += max(net_wh, 0)
        export_wh += max(-net_wh, 0)
    return Registers(import_wh, export_wh)


def _sum(registers: Registers, added: Registers) -> Registers:
    return Registers(registers.import_wh + added.import_wh, registers.export_wh + added.export_wh)


def _clear_sky_index(seed: int, day: int) -> float:
    """Return how much of a cloudless day's light reaches the ground: 0.12 to 1."""
    kind, within, *_ = _uniform(seed, "weather", 0, day)
    if kind < 0.3:
        return 0.9 + 0.1 * within
    if kind < 0.7:
        return 0.45 + 0.45 * within
    return 0.12 + 0.33 * within


def _uniform(seed: int, kind: str, home: int, number: int) -> tuple[float, float, float, float]:
    """Return four numbers in [0, 1) that depend on the arguments alone."""
    message = b"".join(part.to_bytes(8, "big") for part in (seed, home, number))
    hashed = blake2b(message, digest_size=32, person=kind.encode("ascii")).digest()
    first, second, third, fourth = (
        (int.from_bytes(hashed[at : at + 8], "big") >> 11) / 2**53 for at in range(0, 32, 8)
    )
    return first, second, third, fourth
