"""Who gets what of one slot."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy.settlement.sharing import Flow, Need, Shared, share_capped, share_slot

SIZES = st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 5_000)), max_size=8)


@pytest.mark.parametrize(
    ("amount", "weights", "caps", "parts"),
    [
        pytest.param(90, (100, 200), (100, 200), [30, 60], id="in proportion"),
        pytest.param(90, (100, 200), (100, 50), [40, 50], id="what a cap keeps back goes on"),
        pytest.param(90, (100, 200, 300), (5, 200, 20), [5, 65, 20], id="one cap after another"),
        pytest.param(90, (30, 30), (30, 30), [30, 30], id="no more than the caps"),
        pytest.param(1, (7, 7), (7, 7), [1, 0], id="of equals the first"),
        pytest.param(5, (0, 3), (0, 3), [0, 3], id="nothing for who needs nothing"),
        pytest.param(5, (), (), [], id="nobody"),
    ],
)
def test_an_amount_is_shared_in_proportion_up_to_caps(
    amount: int, weights: tuple[int, ...], caps: tuple[int, ...], parts: list[int]
) -> None:
    assert share_capped(amount, weights, caps) == parts


@given(st.integers(0, 20_000), SIZES)
def test_shares_reach_the_amount_or_all_caps_and_pass_neither(
    amount: int, sizes: list[tuple[int, int]]
) -> None:
    weights, caps = [max(one) for one in sizes], [min(one) for one in sizes]

    parts = share_capped(amount, weights, caps)

    assert sum(parts) == min(amount, sum(caps))
    assert all(0 <= part <= cap for part, cap in zip(parts, caps, strict=True))


@given(st.integers(1, 20_000), SIZES)
def test_of_two_that_reach_no_cap_who_needs_more_gets_no_less(
    amount: int, sizes: list[tuple[int, int]]
) -> None:
    weights, caps = [max(one) for one in sizes], [min(one) for one in sizes]

    parts = share_capped(amount, weights, caps)

    free = sorted(
        (weight, part)
        for weight, part, cap in zip(weights, parts, caps, strict=True)
        if part < cap - 1
    )
    assert all(low[1] <= high[1] + 1 for low, high in pairwise(free))


def test_discharge_goes_to_sessions_then_to_uncovered_import_then_to_nobody() -> None:
    needs = [Need(1_000, 0, 400), Need(500, 0, 0), Need(0, 900, 50)]

    shared = share_slot(needs, discharge_wh=1_800, charge_wh=1_000)

    assert shared == Shared(
        (Flow(400, 600, 0), Flow(0, 500, 0), Flow(0, 0, 900)), unclaimed_wh=300, spare_charge_wh=100
    )


def test_over_consumption_is_shared_by_uncovered_import() -> None:
    needs = [Need(1_000, 0, 400), Need(300, 0, 0)]

    shared = share_slot(needs, discharge_wh=700, charge_wh=0)

    assert shared.flows == (Flow(400, 200, 0), Flow(0, 100, 0))
