"""The arithmetic of the gap: vectors, and what it keeps in whatever order."""

from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy.parameters import SURPLUS, EnergyParameters
from energy.powerchain.gap import (
    CLOSED,
    Gap,
    Part,
    burned,
    burned_in_session,
    energy_for,
    gone,
    minted,
    moved,
    opening_rate,
    rate_of,
)
from energy.units import PPM
from tests.vectors import load

CASES: Final[list[dict[str, Any]]] = load("energy/gap")["cases"]
GAPS: Final = st.integers(-(10**12), 10**12)
ENERGIES: Final = st.integers(0, 10**9)
RULES: Final = st.builds(
    EnergyParameters,
    mint_cap_ppm=st.integers(0, PPM),
    burn_cap_ppm=st.integers(0, PPM),
    cost_ppm=st.integers(1, PPM - 1),
    surplus=st.integers(0, 1),
)


@pytest.mark.parametrize(
    "case", CASES, ids=[f"{at}: {one['rule']}" for at, one in enumerate(CASES)]
)
def test_the_gap_moves_as_the_vectors_say(case: dict[str, Any]) -> None:
    rules = EnergyParameters(
        mint_cap_ppm=case["M"],
        burn_cap_ppm=case["B"],
        cost_ppm=case["C"],
        surplus=SURPLUS.index(case["surplus"]),
    )
    gap, energy_wh = Gap(case["gap_uent"], case["rate_ppm"]), case["energy_wh"]

    after, amount_uent = gap, None
    if case["do"] == "gone":
        after = gone(gap, energy_wh, rules)
    else:
        part = (
            minted(gap, energy_wh, rules)
            if case["do"] == "minted"
            else burned(gap, energy_wh, rules)
            if case["do"] == "burned"
            else burned_in_session(
                gap,
                energy_wh,
                rules,
                rate_ppm=case["session_rate_ppm"],
                spare_uent=case["spare_uent"],
            )
        )
        after, amount_uent = part.gap, part.amount_uent

    assert amount_uent == case["amount_uent"]
    assert after == Gap(case["gap_after_uent"], case["rate_after_ppm"])


def open_gap(gap_uent: int, rules: EnergyParameters) -> Gap:
    return moved(CLOSED, gap_uent, rules.cost_ppm)


@pytest.mark.parametrize(
    ("gap_uent", "step_wh", "closing_wh"),
    [
        pytest.param(700_000, 1_000, 20_000, id="D0 = 0.7 at C = 0.05: 20 kWh, no tail"),
        pytest.param(700_000, 1, 20_000, id="by single watt-hours"),
        pytest.param(19_000_000, 1_000, 38_000, id="D0 = 19, rate 0.95, cap 0.5: 38 kWh"),
        pytest.param(-700_000, 1_000, 20_000, id="a surplus closes as well"),
        pytest.param(-19_000_000, 500, 38_000, id="a capped surplus closes as well"),
    ],
)
@pytest.mark.parametrize("act", [minted, burned])
def test_the_gap_closes_linearly_at_its_exact_point(
    act: Callable[[Gap, int, EnergyParameters], Part], gap_uent: int, step_wh: int, closing_wh: int
) -> None:
    rules = EnergyParameters()
    gap = open_gap(gap_uent, rules)
    opened = gap
    passed_wh = 0

    while gap != CLOSED:
        before = gap
        gap = act(gap, step_wh, rules).gap
        passed_wh += step_wh
        assert gap.rate_ppm in (opened.rate_ppm, 0)
        assert abs(gap.gap_uent) < abs(before.gap_uent)

    assert passed_wh == closing_wh
    whole = act(opened, closing_wh, rules)
    assert whole.gap == CLOSED
    assert act(opened, closing_wh + 5_000, rules).cost_uent == whole.cost_uent


@given(GAPS, ENERGIES, RULES)
def test_paid_steps_never_widen_the_gap_nor_turn_it(
    gap_uent: int, energy_wh: int, rules: EnergyParameters
) -> None:
    gap = open_gap(gap_uent, rules)

    for part in (minted(gap, energy_wh, rules), burned(gap, energy_wh, rules)):
        assert abs(part.gap.gap_uent) <= abs(gap_uent)
        assert part.gap.gap_uent * gap_uent >= 0
        assert (part.gap.rate_ppm == 0) == (part.gap.gap_uent == 0)
        assert 0 <= part.amount_uent <= 2_000 * energy_wh
        assert part.gap.gap_uent == gap_uent - part.cost_uent


@given(GAPS, st.integers(1, 10**9), st.integers(1, 10**6))
def test_a_step_that_should_close_the_gap_does(
    gap_uent: int, energy_wh: int, cost_ppm: int
) -> None:
    rules = EnergyParameters(cost_ppm=min(cost_ppm, PPM - 1))
    gap = open_gap(gap_uent, rules)

    if gap_uent:
        assert abs(minted(gap, energy_wh, rules).gap.gap_uent) < abs(gap_uent)
        assert abs(burned(gap, energy_wh, rules).gap.gap_uent) < abs(gap_uent)


@given(GAPS, st.integers(0, 10**13), RULES)
def test_a_session_pays_for_all_its_energy_however_it_is_drawn(
    gap_uent: int, amount_uent: int, rules: EnergyParameters
) -> None:
    gap = open_gap(gap_uent, rules)
    rate_ppm = opening_rate(gap, rules)
    left_wh, left_uent = energy_for(amount_uent, rate_ppm), amount_uent

    for divisor in (7, 3, 2, 1):
        drawn_wh = left_wh // divisor
        spare_uent = left_uent - 1_000 * left_wh
        part = burned_in_session(gap, drawn_wh, rules, rate_ppm=rate_ppm, spare_uent=spare_uent)
        left_wh, left_uent, gap = left_wh - drawn_wh, left_uent - part.amount_uent, part.gap
        assert left_uent >= 1_000 * left_wh

    assert left_wh == 0


@given(GAPS, st.integers(1, PPM - 1))
def test_only_a_closed_gap_has_no_rate(gap_uent: int, cost_ppm: int) -> None:
    assert (rate_of(gap_uent, cost_ppm) == 0) == (gap_uent == 0)
