from collections.abc import Sequence
from dataclasses import replace

import pytest

from api.http.energy_forms import EnergyJson, SettledJson, SettlementJson, TradeJson, UnitJson
from api.processes.figures import Figures, as_json, figures_of, summary

UNIT = UnitJson("tw1u", "tw1o", 100_000, 900_000, 40_000, 10_000, 3, "tw1e", 7)
ENERGY = EnergyJson(
    9, 1_780_272_000_000, 40_000_000, 1, 40_000, 500_000, 25_000, "tw1b", ["tw1v"], {}, [UNIT]
)
HOMES = SettledJson(2_000, 50_000, 30_000, 8_000, 28_000, 20_000, 6_000, 0, 0)
OTHERS = SettledJson(2_000, 10_000, 20_000, 12_000, 2_000, 0, 0, 0, 0)


def told(*periods: SettledJson) -> SettlementJson:
    return SettlementJson(is_shown=True, periods=list(periods))


def trade(index: int, price_ueur: int) -> TradeJson:
    return TradeJson("aa", index, 0, "b", "s", "bb", "cc", 2_000_000, price_ueur, 1)


def figures(
    *settlements: SettlementJson,
    trades: Sequence[TradeJson] = (),
    has_roofs: bool = True,
) -> Figures:
    return figures_of(None, ENERGY, settlements, trades, has_roofs=has_roofs)


def test_energy_of_all_nodes_is_added_and_the_grid_has_the_rest() -> None:
    now = figures(told(HOMES), told(OTHERS))

    assert (now.produced_wh, now.used_wh) == (60_000, 50_000)
    assert (now.charged_wh, now.drawn_wh) == (20_000, 6_000)
    assert now.grid_wh == 8_000 + 12_000 - 6_000
    assert now.feed_in_wh == 28_000 + 2_000 - 20_000
    assert now.self_sufficiency_ppm == 720_000
    assert (now.stored_wh, now.capacity_wh, now.sessions) == (40_000, 100_000, 3)


def test_a_battery_that_charges_from_the_grid_is_no_own_energy() -> None:
    own = replace(HOMES, unit_grid_wh=5_000, unit_feed_in_wh=1_000)

    now = figures(told(own))

    assert (now.charged_wh, now.drawn_wh) == (25_000, 7_000)
    assert (now.grid_wh, now.feed_in_wh) == (8_000 - 6_000 + 5_000, 28_000 - 20_000 + 1_000)


def test_nodes_are_compared_at_the_last_period_that_all_have_settled() -> None:
    ahead = replace(OTHERS, through_ms=3_000, used_wh=90_000)

    now = figures(told(HOMES), told(OTHERS, ahead))

    assert now.settled_through_ms == 2_000
    assert now.used_wh == 50_000
    assert figures(told(HOMES), told(ahead)).settled_through_ms is None


def test_without_meters_on_roofs_nobody_says_what_was_produced() -> None:
    now = figures(told(HOMES), has_roofs=False)

    assert (now.produced_wh, now.used_wh, now.self_sufficiency_ppm) == (None, None, None)
    assert "produced" not in now.line()
    assert "produced" not in summary(now)


def test_trades_and_sessions_are_remembered_from_look_to_look() -> None:
    first = figures(told(HOMES), trades=[trade(8, 200_000), trade(7, 100_000)])
    quiet = replace(UNIT, sessions=1)
    energy = replace(ENERGY, units=[quiet])

    second = figures_of(first, energy, [told(HOMES)], [], has_roofs=True)
    third = figures_of(second, energy, [told(HOMES)], [trade(9, 300_000)], has_roofs=True)

    assert (second.trades, second.traded_uent, second.last_price_ueur) == (2, 4_000_000, 200_000)
    assert (second.sessions, second.most_sessions, second.trade_index) == (1, 3, 8)
    assert (third.trades, third.last_price_ueur, third.trade_index) == (3, 300_000, 9)


def test_the_line_says_it_all() -> None:
    now = figures(told(HOMES), told(OTHERS), trades=[trade(8, 213_000)])

    assert now.line() == (
        "01 Jun 00:00  kWh: produced 60.0, used 50.0 (72 % own), charged 20.0, drawn 6.0,"
        " stored 40.0, grid 14.0, fed in 10.0 · 40.0 ENT, gap 0.500, rate 0.025"
        " · 1 trades at 0.213 EUR · 3 sessions"
    )
    assert as_json(now)["self_sufficiency_ppm"] == 720_000


def test_before_anything_is_settled_the_line_says_so() -> None:
    hidden = SettlementJson(is_shown=False, periods=[])

    for settlements in ((), (told(),), (hidden,)):
        assert "nothing settled yet" in figures(*settlements).line()


@pytest.mark.parametrize("used_wh", [0, -5])
def test_no_share_of_nothing(used_wh: int) -> None:
    now = figures(told(replace(HOMES, used_wh=used_wh)))

    assert now.self_sufficiency_ppm is None
