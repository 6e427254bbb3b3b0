"""What the voters of a demonstration want: a battery, a banker, a pace; later some changes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from energy.demo.sight import Sight
from energy.governance.acts import Act, RegisterUnit, SetBanker, SetParameter
from energy.units import DAY_MS
from tangle.address import Address

SETTLEMENT_PERIOD: Final = "settlement_period"
SHARE: Final = "F"
"""The owner's share is what they change their minds about."""

SHARES_PPM: Final = (200_000, 150_000)
CHANGE_MS: Final = 2 * DAY_MS
"""Ledger time after which they vote again."""


@dataclass(frozen=True, slots=True)
class Charter:
    """What holds once the voters have done their work."""

    unit: Address
    owner: Address
    banker: Address
    capacity_wh: int
    efficiency_ppm: int
    parameters: Mapping[str, int] = field(default_factory=dict)
    """In base units, by the name that votes use."""


def missing_acts(charter: Charter, sight: Sight) -> tuple[Act, ...]:
    """Return what is to be voted on so that the charter holds; nothing once it does."""
    acts: list[Act] = [
        SetParameter(name, value)
        for name, value in charter.parameters.items()
        if sight.parameters.get(name) != value
    ]
    if sight.unit is None:
        acts.append(
            RegisterUnit(charter.unit, charter.owner, charter.capacity_wh, charter.efficiency_ppm)
        )
    if sight.banker is None:
        acts.append(SetBanker(charter.banker))
    return tuple(acts)


def next_change(sight: Sight, now_ms: int) -> tuple[Act, ...]:
    """Return the change that is due by the calendar; nothing once it is made."""
    wanted_ppm = SHARES_PPM[now_ms // CHANGE_MS % len(SHARES_PPM)]
    if sight.parameters.get(SHARE) == wanted_ppm:
        return ()
    return (SetParameter(SHARE, wanted_ppm),)
