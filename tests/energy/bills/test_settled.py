from collections.abc import Iterator
from zoneinfo import ZoneInfo

import msgspec

from energy.bills.days import day_starts, stretch
from energy.bills.settled import OnAccounts, day_sums, merged, owner_day_sums
from energy.bills.sums import DaySum, missing_days, verify_sums
from energy.settlement.records import SlotBalance, UnitBalance
from energy.settlement.regimes import Ctt, Grid, Regime, Storage
from energy.settlement.slots import SLOT_MS
from tests.energy.bills.billing import CUSTOMER, ISSUER

ATHENS = ZoneInfo("Europe/Athens")
WEEK = stretch("2026-10-22", "2026-10-28")
STARTS = day_starts(WEEK, ATHENS)
FIRST = WEEK.first_day
UNIT = Storage(ISSUER)


def starts_of(first: str, last: str) -> Iterator[int]:
    starts = day_starts(stretch(first, last), ATHENS)
    yield from range(starts[0], starts[-1], SLOT_MS)


def slot(start_ms: int, regime: Regime, **energy: int) -> SlotBalance:
    zero = SlotBalance(start_ms, CUSTOMER, regime, 0, 0, 0, 0, 0, 0, 0, 0, 0, is_substitute=False)
    return msgspec.structs.replace(zero, **energy)


def week_of(regime: Regime, **energy: int) -> list[SlotBalance]:
    return [slot(at, regime, **energy) for at in starts_of("2026-10-22", "2026-10-28")]


def test_slots_count_for_the_local_day_in_which_they_start() -> None:
    sums = day_sums(week_of(UNIT, session_wh=1), STARTS, FIRST, {})

    assert [one.from_storage_wh for one in sums] == [96, 96, 96, 100, 96, 96, 96]
    assert [one.day for one in sums] == list(WEEK.days)


def test_slots_outside_the_days_are_left_out_and_order_says_nothing() -> None:
    wider = [slot(at, Grid(), grid_wh=at % 7) for at in starts_of("2026-10-20", "2026-10-30")]
    inside = [one for one in wider if STARTS[0] <= one.start_ms < STARTS[-1]]

    sums = day_sums(reversed(wider), STARTS, FIRST, {})

    assert sum(one.from_grid_wh for one in sums) == sum(one.grid_wh for one in inside)
    assert sums == day_sums(inside, STARTS, FIRST, {})


def test_each_flow_of_a_slot_has_its_place_in_the_sums() -> None:
    flows = {
        "pv_wh": 1,
        "load_wh": 2,
        "grid_wh": 4,
        "session_wh": 8,
        "over_wh": 16,
        "feed_in_wh": 32,
        "charge_wh": 64,
    }

    (one,) = day_sums([slot(STARTS[0], UNIT, **flows)], STARTS, FIRST, {})

    assert one == DaySum(
        FIRST,
        "storage",
        from_storage_wh=24,
        from_grid_wh=4,
        charged_wh=64,
        feed_in_wh=32,
        produced_wh=1,
        load_wh=2,
    )


def test_what_the_ledger_found_no_token_for_is_the_grids() -> None:
    slots = [slot(STARTS[0], Ctt(), tokens_out_wh=100, tokens_in_wh=50)]

    (one,) = day_sums(slots, STARTS, FIRST, {FIRST: OnAccounts(uncovered_wh=30, refused_wh=20)})

    assert (one.from_ctt_wh, one.from_grid_wh) == (70, 30)
    assert (one.charged_wh, one.feed_in_wh) == (30, 20)
    verify_sums([one])


def test_a_change_of_regime_within_a_day_makes_two_sums() -> None:
    slots = [
        slot(STARTS[0], UNIT, session_wh=5),
        slot(STARTS[0] + SLOT_MS, Ctt(), tokens_out_wh=7),
    ]

    sums = day_sums(slots, STARTS, FIRST, {FIRST: OnAccounts(uncovered_wh=2)})

    assert [(one.regime, one.from_storage_wh, one.from_ctt_wh) for one in sums] == [
        ("ctt", 0, 5),
        ("storage", 5, 0),
    ]


def test_a_day_with_one_substituted_slot_is_estimated() -> None:
    first, *rest = week_of(Grid(), grid_wh=1)
    guessed = msgspec.structs.replace(first, is_substitute=True)

    sums = day_sums([guessed, *rest], STARTS, FIRST, {})

    assert [one.is_estimated for one in sums] == [True, *[False] * 6]


def test_days_without_a_slot_are_missing_and_not_0() -> None:
    known = [slot(at, Grid()) for at in starts_of("2026-10-22", "2026-10-26")]

    assert missing_days(day_sums(known, STARTS, FIRST, {}), WEEK) == list(WEEK.days)[5:]


def test_what_a_unit_exchanges_with_the_grid_is_its_owners() -> None:
    balances = [
        UnitBalance(at, ISSUER, 1, 2, 3, 4, 5, is_substitute=False)
        for at in starts_of("2026-10-25", "2026-10-25")
    ]

    assert owner_day_sums(balances, STARTS, FIRST) == [
        DaySum(FIRST + 3, "grid", from_grid_wh=400, feed_in_wh=500)
    ]


def test_several_metering_points_of_a_member_are_billed_as_one() -> None:
    own = [DaySum(1, "grid", from_grid_wh=1, load_wh=1, produced_wh=0), DaySum(2, "grid")]
    unit = [DaySum(1, "grid", from_grid_wh=2, feed_in_wh=3, is_estimated=True)]
    other = [DaySum(1, "storage", from_storage_wh=9)]
    more = [DaySum(2, "grid", load_wh=3), DaySum(3, "grid", load_wh=4)]

    sums = merged(own, unit, other, more)

    assert sums == [
        DaySum(1, "grid", from_grid_wh=3, feed_in_wh=3, is_estimated=True),
        DaySum(1, "storage", from_storage_wh=9),
        DaySum(2, "grid"),
        DaySum(3, "grid", load_wh=4),
    ]
    assert merged([DaySum(1, "grid", load_wh=4)], [DaySum(1, "grid", load_wh=5)]) == [
        DaySum(1, "grid", load_wh=9)
    ]
