"""From the slots of settlement to the sums of a bill: by local day, each watt-hour once."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar, assert_never

import msgspec

from energy.bills.sums import DaySum
from energy.bills.sums import Regime as RegimeName
from energy.settlement.records import SlotBalance, UnitBalance
from energy.settlement.regimes import Ctt, Grid, Regime, Storage


@dataclass(frozen=True, slots=True)
class OnAccounts:
    """What the ledger answered to a day's reports of energy accounts."""

    uncovered_wh: int = 0
    """Consumed when no token had anything: energy of the grid."""

    refused_wh: int = 0
    """Produced when it fitted on no token: fed in."""


_NOTHING: Final = OnAccounts()

B = TypeVar("B", SlotBalance, UnitBalance)


def day_sums(
    balances: Iterable[SlotBalance],
    starts: Sequence[int],
    first_day: int,
    accounts: Mapping[int, OnAccounts],
) -> list[DaySum]:
    """Return the sums of one member by local day and regime, ascending.

    Args:
        balances: Of one member, in any order; those before and after the days are left out.
        starts: When the days begin, and when the last one ends (`energy.bills.days.day_starts`).
        first_day: Which day begins first.
        accounts: By day, for a member with energy accounts.
    """
    found: dict[tuple[int, RegimeName], list[SlotBalance]] = {}
    for day, slots in _by_day(balances, starts, first_day):
        for slot in slots:
            found.setdefault((day, regime_name(slot.regime)), []).append(slot)
    return [
        _sum_of(day, regime, slots, accounts.get(day, _NOTHING) if regime == "ctt" else _NOTHING)
        for (day, regime), slots in sorted(found.items())
    ]


def owner_day_sums(
    balances: Iterable[UnitBalance], starts: Sequence[int], first_day: int
) -> list[DaySum]:
    """Return what a storage unit exchanged with the grid, billed to its owner. As `day_sums`."""
    return [
        DaySum(
            day,
            "grid",
            from_grid_wh=sum(slot.own_grid_wh for slot in slots),
            feed_in_wh=sum(slot.own_feed_in_wh for slot in slots),
            is_estimated=any(slot.is_substitute for slot in slots),
        )
        for day, slots in _by_day(balances, starts, first_day)
    ]


def merged(*parts: Iterable[DaySum]) -> list[DaySum]:
    """Return sums of several metering points of one member as one: of each day and regime one."""
    found: dict[tuple[int, RegimeName], DaySum] = {}
    for one in (one for part in parts for one in part):
        key = (one.day, one.regime)
        found[key] = _added(found[key], one) if key in found else one
    return [one for _, one in sorted(found.items())]


def regime_name(regime: Regime) -> RegimeName:
    """Return how a bill names a regime."""
    match regime:
        case Storage():
            return "storage"
        case Ctt():
            return "ctt"
        case Grid():
            return "grid"
        case _:
            assert_never(regime)


def _by_day(
    slots: Iterable[B], starts: Sequence[int], first_day: int
) -> Iterable[tuple[int, list[B]]]:
    found: list[list[B]] = [[] for _ in range(len(starts) + 1)]
    for slot in slots:
        found[bisect_right(starts, slot.start_ms)].append(slot)
    return [(day, slots) for day, slots in enumerate(found[1:-1], first_day) if slots]


def _sum_of(
    day: int, regime: RegimeName, slots: Sequence[SlotBalance], accounts: OnAccounts
) -> DaySum:
    return DaySum(
        day,
        regime,
        from_storage_wh=sum([slot.session_wh + slot.over_wh for slot in slots]),
        from_ctt_wh=sum([slot.tokens_out_wh for slot in slots]) - accounts.uncovered_wh,
        from_grid_wh=sum([slot.grid_wh for slot in slots]) + accounts.uncovered_wh,
        charged_wh=sum([slot.charge_wh + slot.tokens_in_wh for slot in slots])
        - accounts.refused_wh,
        feed_in_wh=sum([slot.feed_in_wh for slot in slots]) + accounts.refused_wh,
        is_estimated=any(slot.is_substitute for slot in slots),
        produced_wh=sum([slot.pv_wh for slot in slots]),
        load_wh=sum([slot.load_wh for slot in slots]),
    )


def _added(one: DaySum, other: DaySum) -> DaySum:
    return msgspec.structs.replace(
        one,
        from_storage_wh=one.from_storage_wh + other.from_storage_wh,
        from_ctt_wh=one.from_ctt_wh + other.from_ctt_wh,
        from_grid_wh=one.from_grid_wh + other.from_grid_wh,
        charged_wh=one.charged_wh + other.charged_wh,
        feed_in_wh=one.feed_in_wh + other.feed_in_wh,
        is_estimated=one.is_estimated or other.is_estimated,
        produced_wh=_known(one.produced_wh, other.produced_wh),
        load_wh=_known(one.load_wh, other.load_wh),
    )


def _known(one: int | None, other: int | None) -> int | None:
    """Return the sum of two, unknown if either is."""
    return None if one is None or other is None else one + other
