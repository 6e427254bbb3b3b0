"""A settlement period: exact in every slot, and applied by the ledger as it is."""

from random import Random
from typing import Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy.ctt.rows import CttMeter, meter_key
from energy.governance.acts import RegisterUnit
from energy.powerchain.calls import Connect, OpenSession, Produced
from energy.powerchain.records import UNIT_PREFIX, sessions_at, unit_at
from energy.settlement.records import (
    Home,
    Report,
    SessionTerms,
    SlotBalance,
    UnitTerms,
    call_of,
)
from energy.settlement.regimes import Ctt, Grid, Regime, Storage, regime_of
from energy.settlement.registers import Counted, series_of
from energy.settlement.slots import SLOT_MS
from tangle.codec import encode
from tangle.outcomes import Reason
from tests.energy.settlement.metered import (
    START_MS,
    World,
    device,
    meter,
    period,
    settle,
    storage_terms,
    worlds,
)
from tests.energy.town import WHO, Town, charged, town_with_battery

U1 = WHO["U1"]
STORAGE = Storage(U1)
REGIMES: dict[type, Literal["storage", "ctt", "grid"]] = {
    Storage: "storage",
    Ctt: "ctt",
    Grid: "grid",
}
ALL = (STORAGE, Storage(WHO["U2"]), Ctt(), Grid())


def supplied_wh(one: SlotBalance) -> int:
    return one.pv_wh + one.grid_wh + one.session_wh + one.over_wh + one.tokens_out_wh


def used_wh(one: SlotBalance) -> int:
    return one.load_wh + one.feed_in_wh + one.charge_wh + one.tokens_in_wh


@given(worlds(ALL))
def test_in_every_slot_of_every_home_what_comes_is_what_goes(world: World) -> None:
    settled = world.settle()

    lived = {
        (WHO[name], START_MS + at * SLOT_MS): made
        for name, _, slots in world.homes
        for at, made in enumerate(slots)
    }
    assert {(one.member, one.start_ms) for one in settled.balances} == set(lived)
    for one in settled.balances:
        pv_wh, load_wh = lived[one.member, one.start_ms]
        assert (one.pv_wh, one.load_wh) == (pv_wh, load_wh)
        assert supplied_wh(one) == used_wh(one)
        assert not one.is_substitute


@given(worlds(ALL))
def test_in_every_slot_a_unit_takes_and_gives_what_its_meter_says(world: World) -> None:
    settled = world.settle()

    for one, (charge_wh, discharge_wh) in zip(settled.units, world.unit, strict=True):
        mine = [flow for flow in settled.balances if flow.start_ms == one.start_ms]
        assert one.member_draw_wh == sum(flow.session_wh + flow.over_wh for flow in mine)
        assert one.member_charge_wh == sum(flow.charge_wh for flow in mine)
        assert one.member_charge_wh + one.own_grid_wh == charge_wh
        assert one.member_draw_wh + one.own_feed_in_wh == discharge_wh
        assert one.own_charge_wh <= one.own_grid_wh


@given(worlds(ALL))
def test_no_watt_hour_enters_two_regimes(world: World) -> None:
    for one in world.settle().balances:
        unit_wh = one.session_wh + one.over_wh + one.charge_wh
        tokens_wh = one.tokens_out_wh + one.tokens_in_wh
        grid_wh = one.grid_wh + one.feed_in_wh

        assert unit_wh == 0 or one.regime == STORAGE
        assert tokens_wh == 0 or (one.regime == Ctt() and grid_wh == 0)


@given(worlds(ALL))
def test_reports_hold_all_that_was_shared(world: World) -> None:
    settled = world.settle()

    by_kind = {
        kind: sum(one.energy_wh for one in settled.reports if one.kind == kind)
        for kind in ("produced", "consumed")
    }
    assert by_kind["produced"] == settled.of_unit("member_charge_wh") + settled.of_unit(
        "own_charge_wh"
    )
    assert by_kind["consumed"] == settled.of_unit("member_draw_wh") + settled.of_unit(
        "own_feed_in_wh"
    )
    numbers = [one.number for one in settled.reports if one.kind != "reported"]
    assert numbers == list(range(len(numbers)))


@given(worlds(ALL), st.randoms(use_true_random=False))
def test_the_order_of_homes_and_readings_does_not_matter(world: World, rng: Random) -> None:
    homes = world.all_homes()
    rng.shuffle(homes)

    settled = settle(period(world.slots), homes, (world.terms, world.unit))

    assert settled == world.settle()


@given(worlds())
def test_sessions_are_never_overdrawn_and_nobody_is_over_while_it_lasts(world: World) -> None:
    settled = world.settle()

    left = {
        member: [one.energy_wh for one in held] for member, held in world.terms.sessions.items()
    }
    owner = world.terms.owner
    for slot in range(world.slots):
        start_ms = START_MS + slot * SLOT_MS
        for one in settled.balances:
            if one.start_ms != start_ms:
                continue
            held = world.terms.sessions.get(one.member, ())
            still = [at for at, s in enumerate(held) if start_ms + SLOT_MS < s.expires_at_ms]
            wh = one.session_wh
            for at in still:
                drawn_wh = min(wh, left[one.member][at])
                left[one.member][at] -= drawn_wh
                wh -= drawn_wh
            assert wh == 0
            left_wh = sum(left[one.member][at] for at in still)
            assert not one.over_wh or left_wh == 0 or one.member == owner


@given(worlds())
def test_the_ledger_applies_every_report_and_holds_what_was_settled(world: World) -> None:
    town = _town(world.terms)

    refused = [_apply(town, one) for one in world.settle().reports]

    assert refused == [None] * len(refused)


@given(worlds())
def test_a_repeat_counts_nothing(world: World) -> None:
    town, settled = _town(world.terms), world.settle()
    for one in settled.reports:
        _apply(town, one)
    before = dict(town.rows.scan(b""))

    refused = {_apply(town, one) for one in settled.reports}

    assert refused <= {Reason.DUPLICATE_REPORT, None}  # that all is reported may be said again
    assert dict(town.rows.scan(b"")) == before


def test_without_loss_the_ledger_holds_what_the_battery_holds() -> None:
    town = charged("3 kWh")
    town.now_ms = START_MS
    town.all("C", OpenSession(U1, 600_000))
    (session,) = sessions_at(town.rows, U1, WHO["C"])
    sessions = {WHO["C"]: (SessionTerms(session.energy_wh, session.expires_at_ms),)}
    unit = [(2_000, 0), (0, 1_000)]
    terms = storage_terms(stored_wh=3_000, sessions=sessions)
    homes = [
        Home(WHO["B"], STORAGE, ((meter(2, [(0, 1_500), (400, 0)]),),)),
        Home(WHO["C"], STORAGE, ((meter(3, [(50, 0), (700, 0)]),),)),
    ]

    settled = settle(period(2), homes, (terms, unit), number=1)
    town.now_ms = START_MS + 2 * SLOT_MS
    refused = [_apply(town, one) for one in settled.reports]

    assert settled.of("B") == {"load_wh": -1_100, "grid_wh": 80, "over_wh": 320, "charge_wh": 1_500}
    assert settled.of("C") == {"load_wh": 750, "grid_wh": 70, "session_wh": 600, "over_wh": 80}
    assert settled.of_unit("own_charge_wh") == 500
    assert refused == [None] * 4
    town.expect({"U1.energy": "4 kWh", "C.session.U1": "none"})


def test_a_charge_beyond_capacity_is_fed_in() -> None:
    unit = [(3_000, 0)]
    terms = storage_terms(capacity_wh=1_000, stored_wh=100, efficiency_ppm=900_000)
    home = Home(WHO["B"], STORAGE, ((meter(2, [(0, 3_000)]),),))

    settled = settle(period(1), [home], (terms, unit))

    assert settled.of("B") == {"load_wh": -3_000, "charge_wh": 1_000, "feed_in_wh": 2_000}
    assert settled.of_unit("own_grid_wh") == 2_000
    assert settled.of_unit("own_charge_wh") == 0


def test_more_than_a_battery_holds_at_once_is_reported_in_rounds() -> None:
    unit = [(900, 0), (0, 900), (900, 0), (0, 900)]
    terms = storage_terms(capacity_wh=1_000)
    home = Home(WHO["B"], STORAGE, ((meter(2, [(0, 900), (900, 0), (0, 900), (900, 0)]),),))

    settled = settle(period(4), [home], (terms, unit))

    def report(stage: int, kind: str, slot: int) -> Report:
        end_ms = START_MS + (slot + 1) * SLOT_MS
        return Report(U1, stage, kind, WHO["B"], 900, end_ms, slot)  # type: ignore[arg-type] # one of its kinds

    assert settled.reports == (
        report(0, "produced", 0),
        report(1, "consumed", 1),
        report(2, "produced", 2),
        report(3, "consumed", 3),
    )


def test_what_was_drawn_before_and_after_an_expiry_is_reported_apart() -> None:
    sessions = {WHO["B"]: (SessionTerms(5_000, START_MS + 2 * SLOT_MS),)}
    unit = [(0, 100), (0, 200)]
    terms = storage_terms(sessions=sessions)
    home = Home(WHO["B"], STORAGE, ((meter(2, [(300, 0), (300, 0)]),),))

    settled = settle(period(2), [home], (terms, unit))

    first, second, last = settled.reports
    assert (last.kind, last.interval_end_ms) == ("reported", START_MS + 2 * SLOT_MS)
    assert (first.energy_wh, first.interval_end_ms) == (100, START_MS + SLOT_MS)
    assert (second.energy_wh, second.interval_end_ms) == (200, START_MS + 2 * SLOT_MS)
    assert settled.of("B") == {"load_wh": 600, "grid_wh": 300, "session_wh": 100, "over_wh": 200}


def test_a_days_sums_find_every_session_of_that_day() -> None:
    town = charged("9 kWh")
    town.now_ms = START_MS
    for amount_uent in (300_000, 400_000):
        town.all("B", OpenSession(U1, amount_uent))
        town.wait(8 * SLOT_MS + 1)
    held = sessions_at(town.rows, U1, WHO["B"])
    sessions = {
        WHO["B"]: tuple(
            SessionTerms(one.energy_wh, one.expires_at_ms, one.opened_at_ms) for one in held
        )
    }
    unit = [(0, 0)] * 3 + [(0, 200)] + [(0, 0)] * 6 + [(0, 450)] + [(0, 0)] * 6 + [(0, 50)]
    terms = storage_terms(stored_wh=9_000, sessions=sessions)
    home = Home(WHO["B"], STORAGE, ((meter(2, [(wh, 0) for _, wh in unit]),),))

    settled = settle(period(len(unit)), [home], (terms, unit), number=1)
    town.now_ms = START_MS + 96 * SLOT_MS
    *drawn, reported = settled.reports
    refused = [_apply(town, one) for one in (*reversed(drawn), reported)]

    assert refused == [None] * 4
    assert [one.energy_wh for one in settled.reports] == [200, 450, 50, 0]
    assert settled.of("B") == {"load_wh": 700, "session_wh": 600, "over_wh": 100}
    assert settled.reports[-1].kind == "reported"
    town.expect({"B.session.U1": "none", "gap": "0.1 ENT"})


def test_what_a_unit_really_holds_is_reported_last() -> None:
    unit = [(900, 0)]
    terms = storage_terms(held_wh=850)
    home = Home(WHO["B"], STORAGE, ((meter(2, [(0, 900)]),),))

    settled = settle(period(1), [home], (terms, unit))

    town = town_with_battery()
    town.now_ms = START_MS + SLOT_MS
    assert [one.kind for one in settled.reports] == ["produced", "actual"]
    assert [_apply(town, one) for one in settled.reports] == [None, None]
    town.expect({"U1.energy": "0.85 kWh"})


def test_discharge_that_nobody_needs_is_the_owners() -> None:
    unit = [(0, 1_000)]
    terms = storage_terms(stored_wh=5_000)
    home = Home(WHO["B"], STORAGE, ((meter(2, [(300, 0)]),),))

    settled = settle(period(1), [home], (terms, unit))

    drawn = {(one.member, one.energy_wh) for one in settled.reports}
    assert drawn == {(WHO["B"], 300), (WHO["C"], 700)}
    assert settled.of_unit("own_feed_in_wh") == 700


@pytest.mark.parametrize("split_at", range(1, 6))
def test_periods_after_each_other_come_to_the_same_sums(split_at: int) -> None:
    flows = [(0, 900), (700, 0), (0, 300), (100, 0), (250, 0), (0, 40)]
    home = Home(WHO["B"], Grid(), ((meter(2, flows),),))

    def sums(*parts: tuple[int, int]) -> tuple[int, int]:
        counted: Counted = {}
        grid_wh = feed_in_wh = 0
        for first, last in parts:
            one = period(last - first, START_MS + first * SLOT_MS)
            settled = settle(one, [home], counted=counted)
            counted = settled.counted
            grid_wh += settled.of("B").get("grid_wh", 0)
            feed_in_wh += settled.of("B").get("feed_in_wh", 0)
        return grid_wh, feed_in_wh

    assert sums((0, split_at), (split_at, 6)) == sums((0, 6)) == (1_050, 1_240)


def test_a_meter_replaced_between_two_periods_goes_on() -> None:
    old = meter(2, [(100, 0)])
    new = series_of(device(3), meter(3, [(0, 0), (250, 0)]).readings[1:])
    first = settle(period(1), [Home(WHO["B"], Grid(), ((old,),))])

    second = settle(
        period(1, START_MS + SLOT_MS),
        [Home(WHO["B"], Grid(), ((old, new),))],
        counted=first.counted,
    )

    assert second.of("B") == {"load_wh": 250, "grid_wh": 250}
    assert set(second.counted) == {device(2), device(3)}


def test_the_ledger_says_which_regime_a_meter_has() -> None:
    town = town_with_battery()
    town.all("B", Connect(U1, WHO["A"]))
    confirmed = town_with_battery()
    confirmed.all("B", Connect(U1, WHO["A"]))
    confirmed.rows.apply({meter_key(WHO["R1"]): encode(CttMeter(WHO["B"], 0))})

    assert regime_of(town.rows, WHO["R1"], WHO["B"], [U1], 0) == STORAGE
    assert regime_of(town.rows, WHO["R1"], WHO["B"], [], 0) == Grid()
    assert regime_of(town.rows, WHO["R1"], WHO["D"], [U1], 0) == Grid()
    assert regime_of(confirmed.rows, WHO["R1"], WHO["B"], [U1], 0) == Ctt()


@pytest.mark.parametrize(("first", "second"), [("U1", "U2"), ("U2", "U1")])
def test_who_joins_another_unit_leaves_what_was_drawn_at_the_one_before(
    first: str, second: str
) -> None:
    town = town_with_battery()
    town.all("A", RegisterUnit(WHO["U2"], WHO["C"], 1_000))
    units = [WHO["U1"], WHO["U2"]]
    town.all("B", Connect(WHO[first], WHO["A"]))
    joined_ms = town.now_ms
    town.wait(5 * SLOT_MS)
    town.all("B", Connect(WHO[second], WHO["A"]))
    town.wait(SLOT_MS)
    town.all("B", Connect(WHO[first], WHO["A"], 1_000))  # a limit is no move

    def regime(start_ms: int) -> Regime:
        return regime_of(town.rows, WHO["R1"], WHO["B"], units, start_ms)

    assert regime(joined_ms - 1) == Storage(WHO[first])
    assert regime(joined_ms + 5 * SLOT_MS - 1) == Storage(WHO[first])
    assert regime(joined_ms + 5 * SLOT_MS) == Storage(WHO[second])


def _town(terms: UnitTerms) -> Town:
    """Return a ledger where the unit holds what the terms say, without any session."""
    town = town_with_battery(f"{terms.capacity_wh} Wh")
    if terms.stored_wh:
        town.all("U1", Produced(WHO["F"], terms.stored_wh, 1_000))
    row = unit_at(town.rows, U1)
    assert row is not None
    lossy = msgspec.structs.replace(row, efficiency_ppm=terms.efficiency_ppm)
    town.rows.apply({UNIT_PREFIX + U1: encode(lossy)})
    town.now_ms = START_MS + 100 * SLOT_MS
    return town


def _apply(town: Town, report: Report) -> Reason | None:
    return town.do("U1", call_of(report))
