"""The selectors that nodes use have the statistics that *The Tangle* and others published.

Every run has a fixed seed; λh is the rate, for the delay is 1 s. Times are in delays.
"""

import math
from functools import cache
from statistics import fmean

import pytest

from tangle.mirror import Mirror
from tip_selection.laboratory.experiment import Experiment, SelectorName
from tip_selection.laboratory.measures import (
    first_approvals_s,
    honest_numbers,
    left_behind,
    mean_tips,
    mean_weights,
)
from tip_selection.laboratory.record import Record
from tip_selection.laboratory.simulation import Simulation
from tip_selection.laboratory.theory import (
    ADAPTATION_RATE,
    expected_first_approval_s,
    expected_tips,
)

SETTLED_S = 20
"""By then there are as many tips as there will be."""


@cache
def grown(experiment: Experiment) -> Record:
    simulation = Simulation(experiment, Mirror)
    while simulation.advance():
        pass
    return simulation.record()


def uniform(rate: int, transactions: int, parents: int = 2) -> Record:
    return grown(Experiment(transactions, rate, 1.0, SelectorName.UNIFORM, parents=parents, seed=1))


def weighted(alpha: float) -> Record:
    return grown(Experiment(6_000, 10, 1.0, alpha=alpha, seed=1))


@pytest.mark.parametrize("rate", [50, 100, 200])
def test_with_random_tips_there_are_two_for_each_transaction_in_flight(rate: int) -> None:
    tips = mean_tips(uniform(rate, 30_000), SETTLED_S)

    assert tips / rate == pytest.approx(2.00, abs=0.05)


@pytest.mark.parametrize(("parents", "ratio"), [(3, 1.5), (4, 1.333), (8, 1.143)])
def test_with_more_parents_there_are_fewer_tips(parents: int, ratio: float) -> None:
    tips = mean_tips(uniform(50, 10_000, parents), SETTLED_S)

    assert tips / 50 == pytest.approx(ratio, rel=0.04)
    assert expected_tips(50, 1.0, parents) / 50 == pytest.approx(ratio, abs=0.001)


def test_the_first_approval_comes_after_two_delays() -> None:
    record = uniform(100, 30_000)

    ages_s = first_approvals_s(record, SETTLED_S, record.end_s - SETTLED_S)

    assert len(ages_s) > 20_000
    assert fmean(ages_s) == pytest.approx(2.0, rel=0.05)
    assert expected_first_approval_s(1.0, 2) == 2.0


def test_weight_grows_exponentially_until_most_tips_approve() -> None:
    record = uniform(400, 8_000)
    numbers = honest_numbers(record, 8, 11)

    early, late = mean_weights(record, numbers, [5, 8])

    # Of 800 tips some 20 approve by then: far from all, and well after the first few.
    assert late < 0.05 * expected_tips(400, 1.0, 2)
    assert math.log(late / early) / 3 == pytest.approx(ADAPTATION_RATE, rel=0.05)


def test_weight_grows_by_every_arrival_once_all_tips_approve() -> None:
    record = uniform(20, 6_000)
    numbers = honest_numbers(record, SETTLED_S, record.end_s - 80)[::20]

    early, late = mean_weights(record, numbers, [40, 80])

    assert (late - early) / 40 == pytest.approx(20, rel=0.05)


@pytest.mark.parametrize("alpha", [0.0, 0.001, 0.01])
def test_a_gentle_weighted_walk_leaves_nothing_behind(alpha: float) -> None:
    record = weighted(alpha)

    assert [number for number in left_behind(record, 20) if number > 2] == []
    assert record.samples[-1].left_behind == 0
    assert record.fallbacks == 0
    assert mean_tips(record, SETTLED_S) == pytest.approx(20, rel=0.1)


@pytest.mark.parametrize("alpha", [0.05, 0.1])
def test_a_greedy_weighted_walk_leaves_more_and_more_behind(alpha: float) -> None:
    record = weighted(alpha)
    third_s = record.end_s / 3

    at_thirds = [
        max(one.left_behind for one in record.samples if one.at_s <= third_s * part)
        for part in (1, 2, 3)
    ]

    assert 5 < at_thirds[0] < at_thirds[1] < at_thirds[2]


def test_the_unweighted_walk_leaves_nothing_behind_either() -> None:
    record = grown(Experiment(3_000, 10, 1.0, SelectorName.UNWEIGHTED_WALK, seed=1))

    assert left_behind(record, 20) == []


def test_where_nodes_lower_alpha_under_load_nothing_is_left_behind() -> None:
    bounded = grown(Experiment(4_000, 40, 1.0, alpha=0.1, is_bounded=True, seed=1))
    free = grown(Experiment(4_000, 40, 1.0, alpha=0.1, seed=1))

    assert bounded.samples[-1].left_behind == 0
    assert free.samples[-1].left_behind > 50
