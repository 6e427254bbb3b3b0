from random import Random

import pytest

from tangle.genesis import Parameters
from tests.drawing import sketch, tx
from tests.tip_selection.tangles import milestones, probabilities, view_of
from tip_selection.confidence import confidence

FORK = """
    heavy: g h
    light: g h
    a: heavy
    b: heavy
    c: a b
"""


def test_what_every_tip_approves_is_certain() -> None:
    graph = sketch("a: g h\nb: a\nc: a\nd: b c\ne: c")

    assert confidence(view_of(graph), Random(1), tx("a")) == 100


def test_a_side_branch_has_the_share_of_the_walks_that_turn_there() -> None:
    view = view_of(sketch(FORK), parameters=Parameters(alpha_ppm=400_000))
    heavy, light = probabilities([4, 1], 0.4)

    assert confidence(view, Random(1), tx("a")) == pytest.approx(100 * heavy, abs=15)
    assert confidence(view, Random(1), tx("light")) == pytest.approx(100 * light, abs=15)


def test_the_shares_of_both_branches_make_up_all_walks() -> None:
    view = view_of(sketch(FORK))

    shares = [confidence(view, Random(3), tx(name)) for name in ("heavy", "light")]

    assert sum(shares) == 100
    assert min(shares) > 0


def test_what_only_lazy_tips_approve_has_none() -> None:
    graph = sketch(f"a: g h\n{milestones(1, 16)}\nb: M16 M15\nc: M16 M15")

    assert confidence(view_of(graph, 16), Random(1), tx("a")) == 0


def test_with_nothing_to_offer_there_is_none() -> None:
    graph = sketch("a: c d", entry_points={"c": 1, "d": 1})

    assert confidence(view_of(graph, 30), Random(1), tx("a")) == 0


def test_what_a_milestone_references_is_certain() -> None:
    graph = sketch("a: g h\nM1 @1: a g\nb: g h")

    assert confidence(view_of(graph, 1), Random(1), tx("a")) == 100
