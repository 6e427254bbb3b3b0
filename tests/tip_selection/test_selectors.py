"""What every selector promises, whatever the tangle."""

from collections import Counter
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tangle.errors import NoTipsError
from tangle.transaction import TransactionId
from tests.drawing import draw, name_of, sketch, tx
from tests.tip_selection.tangles import lines_of_random_tangle, milestones, view_of, views
from tip_selection.pool import candidates
from tip_selection.selection import Selection, Selector
from tip_selection.uniform import select_uniform
from tip_selection.unweighted_walk import select_unweighted_walk
from tip_selection.view import View
from tip_selection.weighted_walk import select_weighted_walk

SELECTORS = pytest.mark.parametrize(
    "select",
    [
        pytest.param(select_uniform, id="uniform"),
        pytest.param(select_unweighted_walk, id="unweighted walk"),
        pytest.param(select_weighted_walk, id="weighted walk"),
    ],
)


def names(selection: Selection) -> list[str]:
    return [name_of(tx_id) for tx_id in selection.parents]


def effective_tips(view: View) -> set[TransactionId]:
    """Return tips, and what nothing above max depth approves."""
    return {
        vertex.tx_id
        for vertex in view.graph.unreferenced()
        if all(view.is_below_max_depth(view.graph[child_id]) for child_id in vertex.children)
    }


@SELECTORS
@given(view=views(), seed=st.integers(0, 2**32))
def test_two_parents_are_distinct_solid_and_not_below_max_depth(
    select: Selector, view: View, seed: int
) -> None:
    parents = select(view, Random(seed), 2).parents

    assert len(parents) == 2
    assert parents[0] < parents[1]
    assert all(tx_id in view.graph for tx_id in parents)
    assert not any(view.is_below_max_depth(view.graph[tx_id]) for tx_id in parents)


@SELECTORS
@given(view=views(), seed=st.integers(0, 2**32), count=st.integers(1, 9))
def test_any_number_is_distinct_ascending_and_tips_as_far_as_there_are_any(
    select: Selector, view: View, seed: int, count: int
) -> None:
    parents = select(view, Random(seed), count).parents

    assert min(count, 2) <= len(parents) <= count
    assert all(low < high for low, high in pairwise(parents))
    others = [tx_id for tx_id in parents if tx_id not in effective_tips(view)]
    assert not others or len(parents) <= 2
    waiting = candidates(view)
    assert len([tx_id for tx_id in parents if tx_id in waiting]) >= min(count, len(waiting)) - 1
    for tx_id in set(parents) & view.graph.tips:
        assert tx_id in waiting


@SELECTORS
@given(view=views(), seed=st.integers(0, 2**32))
def test_the_same_seed_chooses_the_same(select: Selector, view: View, seed: int) -> None:
    assert select(view, Random(seed), 2) == select(view, Random(seed), 2)


@SELECTORS
@given(seed=st.integers(0, 2**32))
def test_the_order_of_arrival_does_not_change_the_choice(select: Selector, seed: int) -> None:
    rng = Random(seed)
    lines = lines_of_random_tangle(rng, steps=30)
    index = sum("@" in line for line in lines)
    known = ["g", "h", *(line.split()[0].rstrip(":") for line in lines)]
    late = [f"l{number}: {' '.join(rng.sample(known[-6:], 2))}" for number in range(6)]
    one, other = sketch("\n".join(lines)), sketch("\n".join(lines))

    draw(one, "\n".join(late))
    draw(other, "\n".join(reversed(late)))

    first = select(view_of(one, index), Random(seed), 2)
    assert first == select(view_of(other, index), Random(seed), 2)


@SELECTORS
def test_at_genesis_the_parents_are_the_entry_points(select: Selector) -> None:
    selection = select(view_of(sketch("")), Random(1), 2)

    assert selection == Selection((tx("g"), tx("h")))


@SELECTORS
def test_the_first_transaction_gets_the_first_entry_point_beside_it(select: Selector) -> None:
    selection = select(view_of(sketch("a: g h")), Random(1), 2)

    assert names(selection) == ["a", "g"]


@SELECTORS
def test_with_no_tips_the_parents_are_the_last_two_milestones(select: Selector) -> None:
    graph = sketch("a: g h\nM1 @1: a g\nb: M1 a\nM2 @2: M1 b")

    assert names(select(view_of(graph, 2), Random(1), 2)) == ["M1", "M2"]


@SELECTORS
def test_after_the_first_milestone_the_entry_point_is_the_one_before(select: Selector) -> None:
    graph = sketch("a: g h\nM1 @1: a g")

    assert names(select(view_of(graph, 1), Random(1), 2)) == ["M1", "g"]


@SELECTORS
@pytest.mark.parametrize("seed", range(20))
def test_with_one_tip_the_other_parent_is_the_last_milestone(select: Selector, seed: int) -> None:
    graph = sketch("a: g h\nM1 @1: a g\nb: a h")

    assert names(select(view_of(graph, 1), Random(seed), 2)) == ["M1", "b"]


@SELECTORS
def test_with_one_tip_and_no_milestone_at_hand_the_other_is_its_own_parent(
    select: Selector,
) -> None:
    graph = sketch("b: f e", entry_points={"e": 6, "f": 7})

    assert names(select(view_of(graph, 7), Random(1), 2)) == ["b", "f"]


@SELECTORS
def test_a_parent_that_is_forgotten_stands_in_for_nothing(select: Selector) -> None:
    graph = sketch("b: e f", entry_points={"e": 6, "f": 7})

    graph.forget(before_index=7)

    assert names(select(view_of(graph, 7), Random(1), 2)) == ["b", "f"]


@SELECTORS
def test_after_a_snapshot_the_parents_are_what_was_referenced_last(select: Selector) -> None:
    graph = sketch("", entry_points={"d": 5, "e": 6, "f": 7})

    assert names(select(view_of(graph, 7), Random(1), 2)) == ["e", "f"]


@SELECTORS
def test_lazy_tips_are_passed_over_for_milestones(select: Selector) -> None:
    graph = sketch(f"old: g h\nalso: g h\n{milestones(1, 16)}")

    assert names(select(view_of(graph, 16), Random(1), 2)) == ["M15", "M16"]


@SELECTORS
@pytest.mark.parametrize("seed", range(5))
def test_beside_the_last_milestone_comes_the_one_before_not_what_it_references(
    select: Selector, seed: int
) -> None:
    graph = sketch(f"old: g h\n{milestones(1, 15)}\nA: M15 M14\nM16 @16: A M15")

    assert names(select(view_of(graph, 16), Random(seed), 2)) == ["M15", "M16"]


@SELECTORS
def test_semi_lazy_tips_are_chosen_for_want_of_others(select: Selector) -> None:
    graph = sketch(f"old: g h\n{milestones(1, 14)}\nmixed: M14 old\nalso: M14 old")

    assert names(select(view_of(graph, 14), Random(1), 2)) == ["also", "mixed"]


@SELECTORS
def test_semi_lazy_tips_are_left_alone_when_there_is_a_better_one(select: Selector) -> None:
    graph = sketch(f"old: g h\n{milestones(1, 14)}\nmixed: M14 old\nfresh: M13 M14")

    assert names(select(view_of(graph, 14), Random(1), 2)) == ["M14", "fresh"]


@SELECTORS
def test_a_node_that_holds_too_little_says_so(select: Selector) -> None:
    graph = sketch("", entry_points={"e": 1, "f": 40})

    with pytest.raises(NoTipsError, match="1 of 2 parents at milestone 40"):
        select(view_of(graph, 40), Random(1), 2)


@SELECTORS
def test_one_parent_is_found_when_one_is_asked_for(select: Selector) -> None:
    graph = sketch("a: g h\nM1 @1: a g\nb: a M1\nc: a M1")

    chosen = {names(select(view_of(graph, 1), Random(seed), 1))[0] for seed in range(40)}

    assert chosen == {"b", "c"}


def test_uniform_choice_favours_no_tip() -> None:
    graph = sketch("\n".join(f"t{number}: g h" for number in range(8)))
    view, rng = view_of(graph), Random(7)

    counts = Counter(tx_id for _ in range(4_000) for tx_id in select_uniform(view, rng, 2).parents)

    assert len(counts) == 8
    assert all(880 <= count <= 1_120 for count in counts.values())
