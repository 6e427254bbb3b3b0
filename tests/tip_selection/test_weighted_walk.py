import math
from collections import Counter
from itertools import pairwise
from random import Random

import networkx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tangle.genesis import Parameters
from tangle.walking import step_odds
from tests.drawing import sketch, tx
from tests.tip_selection.tangles import (
    GivenWeights,
    OracleWeights,
    approvals,
    probabilities,
    view_of,
    views,
)
from tip_selection.unweighted_walk import select_unweighted_walk
from tip_selection.view import Load, View
from tip_selection.walk import draw_tip
from tip_selection.weighted_walk import bias, select_weighted_walk

BRANCHES = """
    heavy: g h
    light: g h
    a: heavy
    b: heavy
    c: a b
    d: light
"""


@pytest.mark.parametrize(
    ("weights", "alpha", "expected"),
    [
        pytest.param([7], 0.5, (1.0,), id="one child"),
        pytest.param([3, 3], 0.5, (0.5, 0.5), id="equal weights"),
        pytest.param([1, 9, 4], 0.0, (1 / 3, 1 / 3, 1 / 3), id="no bias"),
        pytest.param([5, 4], math.log(3), (0.75, 0.25), id="a third for each unit"),
        pytest.param([1, 3, 2], math.log(2), (1 / 7, 4 / 7, 2 / 7), id="powers of two"),
        pytest.param([1, 10**9, 1], 1_000.0, (0.0, 1.0, 0.0), id="never overflows"),
    ],
)
def test_step_probabilities_follow_the_formula(
    weights: list[int], alpha: float, expected: tuple[float, ...]
) -> None:
    assert probabilities(weights, alpha) == pytest.approx(expected, abs=1e-12)


@given(
    st.lists(st.integers(1, 10**6), min_size=1, max_size=8),
    st.floats(0, 10, allow_nan=False),
)
def test_the_heaviest_child_has_odds_of_one_and_odds_order_as_weights_do(
    weights: list[int], alpha: float
) -> None:
    odds = step_odds(weights, alpha)

    assert max(odds) == 1
    by_weight = sorted(zip(weights, odds, strict=True))
    assert all(low[1] <= high[1] + 1e-12 for low, high in pairwise(by_weight))


@given(view=views(), alpha=st.floats(0, 2))
def test_step_probabilities_on_a_tangle_are_those_of_its_future_cones(
    view: View, alpha: float
) -> None:
    cone = approvals(view.graph, tx("g"))
    children = sorted(view.graph[tx("g")].children)
    cones = [1 + len(networkx.descendants(cone, child_id)) for child_id in children]

    weights = [view.weights.weight(child_id) for child_id in children]

    assert weights == cones
    if children:
        odds = [math.exp(alpha * cone_size) / math.exp(alpha * max(cones)) for cone_size in cones]
        expected = [each / sum(odds) for each in odds]
        assert probabilities(weights, alpha) == pytest.approx(expected)


def test_walkers_reach_tips_as_often_as_the_formula_says() -> None:
    graph = sketch(BRANCHES)
    view = view_of(graph, parameters=Parameters(alpha_ppm=400_000))
    heavy, light = probabilities([4, 2], 0.4)
    rng, alpha = Random(11), bias(view)

    ends = Counter(draw_tip(view, rng, alpha, ()).tx_id for _ in range(4_000))

    # Variance of 4,000 draws is below 4,000 / 4, so five deviations are 160.
    assert ends[tx("c")] == pytest.approx(4_000 * heavy, abs=160)
    assert ends[tx("d")] == pytest.approx(4_000 * light, abs=160)
    assert abs(heavy - light) * 4_000 > 1_000


def test_a_large_bias_always_takes_the_heaviest_child() -> None:
    graph = sketch(BRANCHES)
    view = view_of(graph, parameters=Parameters(alpha_ppm=10**9))
    rng, alpha = Random(5), bias(view)

    ends = {draw_tip(view, rng, alpha, ()).tx_id for _ in range(200)}

    assert ends == {tx("c")}


def test_without_bias_the_walk_is_the_unweighted_one() -> None:
    graph = sketch(BRANCHES)
    view = view_of(graph, parameters=Parameters(alpha_ppm=0))
    rng, alpha = Random(5), bias(view)

    weighted = Counter(draw_tip(view, rng, alpha, ()).tx_id for _ in range(4_000))
    unweighted = Counter(draw_tip(view, rng, 0.0, ()).tx_id for _ in range(4_000))

    for tip in (tx("c"), tx("d")):
        assert weighted[tip] == pytest.approx(2_000, abs=160)
        assert unweighted[tip] == pytest.approx(2_000, abs=160)


def test_the_weights_given_decide_and_nothing_else() -> None:
    graph = sketch("a: g h\nb: g h\nc: g h")
    weights = GivenWeights(graph, {tx("a"): 1, tx("b"): 9, tx("c"): 1})
    view = View(graph, weights, 0, Parameters(alpha_ppm=10**9))

    first = {select_weighted_walk(view, Random(seed), 1).parents for seed in range(50)}
    any_of = {select_unweighted_walk(view, Random(seed), 1).parents for seed in range(50)}

    assert first == {(tx("b"),)}
    assert any_of == {(tx("a"),), (tx("b"),), (tx("c"),)}


@pytest.mark.parametrize(
    ("load", "expected"),
    [
        pytest.param(Load(0, 0), 0.01, id="not measured"),
        pytest.param(Load(0, 3), 0.01, id="no arrivals"),
        pytest.param(Load(2, 0.5), 0.01, id="light load keeps the parameter"),
        pytest.param(Load(10, 1), 0.01, id="where both are equal"),
        pytest.param(Load(100, 2), 0.0005, id="heavy load lowers it"),
    ],
)
def test_the_bias_falls_with_the_load(load: Load, expected: float) -> None:
    graph = sketch("")
    view = View(graph, OracleWeights(graph), 0, Parameters(), load)

    assert bias(view) == pytest.approx(expected)
