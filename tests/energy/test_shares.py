"""Parts that add up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy.shares import split

AMOUNTS = st.integers(0, 10**18)
WEIGHTS = st.lists(st.integers(0, 10**12), min_size=1, max_size=20).filter(any)


@pytest.mark.parametrize(
    ("amount", "weights", "parts"),
    [
        pytest.param(9_500_000, (800_000, 200_000), [7_600_000, 1_900_000], id="thesis, B and C"),
        pytest.param(1, (1, 1), [1, 0], id="of equal losses the earlier wins"),
        pytest.param(10, (1, 1, 1), [4, 3, 3], id="thirds"),
        pytest.param(5, (1, 2), [2, 3], id="the larger remainder, not the larger weight"),
        pytest.param(7, (0, 3), [0, 7], id="nothing for nothing"),
        pytest.param(0, (3, 4), [0, 0], id="nothing to split"),
    ],
)
def test_an_amount_is_split_by_the_largest_remainder(
    amount: int, weights: tuple[int, ...], parts: list[int]
) -> None:
    assert split(amount, weights) == parts


@given(AMOUNTS, WEIGHTS)
def test_parts_add_up_and_each_is_within_one_of_its_exact_share(
    amount: int, weights: list[int]
) -> None:
    parts = split(amount, weights)

    assert sum(parts) == amount
    whole = sum(weights)
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part * whole - amount * weight) < whole
