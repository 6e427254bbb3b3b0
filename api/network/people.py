"""The people of a demonstration: who they are, what they agree on, and the battery they share.

A network for real hosts has none of this: its members act for themselves.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from api.settings.layout import BANKER, BATTERY, OWNER, Layout, NetworkFile
from api.settings.toml_text import Section
from devices.sources.battery import Rating
from devices.sources.synthetic import home_of
from edge.ground.key_file import read_public_key
from energy.demo.charter import Charter
from energy.units import DAY_MS, HOUR_MS, MINUTE_MS, PPM
from tangle.address import Address, address_of
from tangle.keys import SigningKey

BATTERY_WH_PER_HOME: Final = 10_000
BATTERY_W_PER_HOME: Final = 3_000
BATTERY_EFFICIENCY_PPM: Final = PPM * 9 // 10
BATTERY_RESERVE_PARTS: Final = 20
"""One part of so many is never given away: reports round, and no report shall find it empty."""

PERIOD_WALL_MS: Final = 6_000
"""A period is settled in up to three milestones: shorter ones would pile up."""

SESSION_PERIODS: Final = 4
"""A session outlives its night: its draws are settled after they happened."""

PATIENCE_WALL_MS: Final = 10_000
"""A meter that was killed is back by then."""

START_HOUR: Final = 22
"""UTC: midnight, where the homes are."""

MIN_PATIENCE_MINUTES: Final = 60
MAX_PATIENCE_MINUTES: Final = 31 * 24 * 60
_PERIODS_MS: Final = (
    15 * MINUTE_MS,
    *(hours * HOUR_MS for hours in (1, 3, 6, 12)),
    *(days * DAY_MS for days in range(1, 32)),
)


@dataclass(frozen=True, slots=True)
class PeopleKeys:
    """Their keys, beside those of wallets and nodes."""

    voter: SigningKey
    banker: SigningKey
    owner: SigningKey
    battery: SigningKey
    roofs: Mapping[str, SigningKey]
    """Of the meters of roofs, by home."""


def summer_ms(now_ms: int) -> int:
    """Return when a demonstration that is made now begins: with a June day of this year.

    Its hours before sunrise pass while processes start and voters vote.
    """
    year = datetime.fromtimestamp(now_ms // 1_000, UTC).year
    return int(datetime(year, 5, 31, START_HOUR, tzinfo=UTC).timestamp()) * 1_000


def homes_with_roofs(homes: tuple[str, ...], seed: int) -> tuple[str, ...]:
    """Return which made-up homes have one that gives power."""
    return tuple(name for at, name in enumerate(homes) if home_of(seed, at).panel.peak_w)


def settlement_period_ms(time_scale: int) -> int:
    """Return how long a settlement period is, so that none waits for the one before."""
    wanted_ms = PERIOD_WALL_MS * time_scale
    return next((one for one in _PERIODS_MS if one >= wanted_ms), _PERIODS_MS[-1])


def patience_minutes(time_scale: int) -> int:
    """Return for how much ledger time a period waits for readings."""
    wanted = PATIENCE_WALL_MS * time_scale // MINUTE_MS
    return min(max(wanted, MIN_PATIENCE_MINUTES), MAX_PATIENCE_MINUTES)


def charter_of(layout: Layout, network: NetworkFile) -> Charter:
    """Return what the voters of a data folder want. Raises `InvalidKeyFileError`."""

    def whose(name: str) -> Address:
        return address_of(read_public_key(layout.person_key_file(name)))

    (battery,) = layout.meters(BATTERY, network)
    unit = address_of(read_public_key(battery.key))
    return charter(unit, whose(OWNER), whose(BANKER), len(network.homes), network.time_scale)


def charter(unit: Address, owner: Address, banker: Address, homes: int, time_scale: int) -> Charter:
    """Return what the voters of so many homes want, where the clock runs at that pace."""
    period_ms, rating = settlement_period_ms(time_scale), battery_rating(homes)
    return Charter(
        unit,
        owner,
        banker,
        rating.capacity_wh,
        rating.efficiency_ppm,
        {"settlement_period": period_ms, "H": SESSION_PERIODS * period_ms},
    )


def battery_rating(homes: int) -> Rating:
    """Return what stands on the plate of the battery that so many homes share."""
    capacity_wh, power_w = BATTERY_WH_PER_HOME * homes, BATTERY_W_PER_HOME * homes
    reserve_wh = capacity_wh // BATTERY_RESERVE_PARTS
    return Rating(capacity_wh, power_w, power_w, BATTERY_EFFICIENCY_PPM, reserve_wh)


def battery_source(homes: int, street: Section) -> Section:
    """Return the section `source` of the battery's meter; kind and homes as `street` says."""
    rating = battery_rating(homes)
    return {
        "capacity_wh": rating.capacity_wh,
        "power_w": rating.charge_w,
        "efficiency_ppm": rating.efficiency_ppm,
        "reserve_wh": rating.reserve_wh,
        **street,
    }
