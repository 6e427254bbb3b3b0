from itertools import count as count_from
from itertools import pairwise
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tangle.genesis import Parameters
from tangle.graph import EMPTY
from tangle.transaction import TransactionId
from tests.drawing import SIZE_BYTES, draw, name_of, new_cone, sketch
from tests.tip_selection.tangles import milestones, view_of, views
from tip_selection import cover
from tip_selection.cover import Room
from tip_selection.heaviest_branch import (
    MAX_BRANCHES,
    MAX_RANDOM_BRANCHES,
    cone_room,
    select_heaviest_branch,
)
from tip_selection.view import View


def names(parents: tuple[TransactionId, ...]) -> list[str]:
    return [name_of(tx_id) for tx_id in parents]


def stars(*sizes: int) -> str:
    """Return the drawing of tips `s0`, `s1`, … over separate chains of those sizes."""
    lines = []
    for star, size in enumerate(sizes):
        chain = ["g", *(f"c{star}x{link}" for link in range(size - 1)), f"s{star}"]
        lines += [f"{child}: {parent} h" for parent, child in pairwise(chain)]
    return "\n".join(lines)


def brute_force(view: View, count: int) -> list[TransactionId]:
    """Return the greedy choice by a walk for every tip in every round."""
    covered: set[TransactionId] = set()
    tips = [
        vertex
        for vertex in view.graph.unreferenced()
        if vertex.milestone_index is None
        and not view.is_below_max_depth(vertex)
        and all(view.is_below_max_depth(view.graph[child]) for child in vertex.children)
    ]
    chosen = []
    for _ in range(min(count, len(tips))):
        cones = {
            tip.tx_id: {
                tx_id
                for tx_id in new_cone(view.graph, (tip.tx_id,))
                if view.graph[tx_id].milestone_index is None
            }
            for tip in tips
        }
        best = min(tips, key=lambda tip: (-len(cones[tip.tx_id] - covered), tip.order))
        covered |= cones[best.tx_id]
        chosen.append(best.tx_id)
        tips.remove(best)
    return chosen


@given(view=views(), seed=st.integers(0, 2**32), count=st.integers(1, 7))
def test_the_first_choices_are_those_of_brute_force(view: View, seed: int, count: int) -> None:
    chosen = select_heaviest_branch(view, Random(seed), count)

    greedy = brute_force(view, count - min(MAX_RANDOM_BRANCHES, count - 1))
    assert set(greedy) <= set(chosen)
    assert len(chosen) <= count
    assert list(chosen) == sorted(set(chosen))
    assert all(view.graph[tx_id].milestone_index is None for tx_id in chosen)
    assert not any(view.is_below_max_depth(view.graph[tx_id]) for tx_id in chosen)


@given(view=views(), seed=st.integers(0, 2**32))
def test_blocks_of_any_width_count_the_same(view: View, seed: int) -> None:
    whole = select_heaviest_branch(view, Random(seed))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cover, "BLOCK", 3)

        assert select_heaviest_branch(view, Random(seed)) == whole


@given(view=views(), most=st.integers(1, 30), seed=st.integers(0, 2**32))
def test_a_cone_always_fits_and_something_always_moves(view: View, most: int, seed: int) -> None:
    parameters = Parameters(max_cone_transactions=most, max_cone_bytes=most * SIZE_BYTES)
    tight = View(view.graph, view.weights, view.confirmed_index, parameters)

    chosen = select_heaviest_branch(tight, Random(seed))

    last_id = tight.graph.milestone_id(tight.confirmed_index)
    parents = (*chosen, *([] if last_id is None else [last_id]))
    cone = new_cone(tight.graph, parents)
    assert len(cone) <= most or not chosen
    assert sum(tight.graph[tx_id].size_bytes for tx_id in cone) <= most * SIZE_BYTES or not chosen
    waiting = cover.pending(tight)
    assert chosen or not waiting.ids or cone_room(tight).size_bytes < SIZE_BYTES


def test_nothing_is_chosen_when_nothing_waits() -> None:
    assert select_heaviest_branch(view_of(sketch("")), Random(1)) == ()
    assert select_heaviest_branch(view_of(sketch("a: g h\nM1 @1: a g"), 1), Random(1)) == ()


def test_every_tip_is_chosen_while_there_are_few() -> None:
    graph = sketch(stars(1, 1, 5, 2, 1, 1, 3))

    chosen = select_heaviest_branch(view_of(graph), Random(1))

    assert names(chosen) == ["s0", "s1", "s2", "s3", "s4", "s5", "s6"]


def test_the_heaviest_are_sure_and_the_rest_is_chance() -> None:
    graph = sketch(stars(1, 9, 1, 8, 1, 7, 1, 6, 1, 1, 1, 1))
    view = view_of(graph)

    choices = [set(names(select_heaviest_branch(view, Random(seed)))) for seed in range(200)]

    assert all(len(chosen) == MAX_BRANCHES for chosen in choices)
    assert set.intersection(*choices) == {"s1", "s3", "s5", "s7"}
    assert set.union(*choices) == {f"s{number}" for number in range(12)}


def test_one_issuer_has_no_more_weight_than_its_turn() -> None:
    graph = sketch(stars(30, 30, 30, 30, 30, 30, 3, 3, 3))
    for vertex in graph.unreferenced():
        name = name_of(vertex.tx_id)
        vertex.issuer = name.encode() if name[1] in "678" else b"heavy"

    choices = [set(names(select_heaviest_branch(view_of(graph), Random(n)))) for n in range(50)]

    # Its turn lies in the first chain; the rest of what it built comes last.
    assert all({"s0", "s6", "s7", "s8"} <= chosen for chosen in choices)
    assert all(len(chosen) == MAX_BRANCHES for chosen in choices)


def test_what_carries_nothing_is_nobodys_turn() -> None:
    graph = sketch(stars(9, 2))
    for vertex in graph.unreferenced():
        vertex.issuer = b"somebody" if name_of(vertex.tx_id) == "s1" else EMPTY

    assert names(select_heaviest_branch(view_of(graph), Random(1), 1)) == ["s1"]


def test_the_random_places_go_to_somebodys_turn_first() -> None:
    graph = sketch(stars(*[1] * 60))
    honest = {f"s{number}" for number in (50, 55, 59)}
    for vertex in graph.unreferenced():
        name = name_of(vertex.tx_id)
        vertex.issuer = name.encode() if name in honest else EMPTY

    choices = [set(names(select_heaviest_branch(view_of(graph), Random(n)))) for n in range(20)]

    assert all(honest <= chosen for chosen in choices)


def test_what_a_chosen_tip_covers_counts_no_more() -> None:
    graph = sketch(f"{stars(9, 3)}\ntwin: c0x7 h\nlone: g h")

    assert names(select_heaviest_branch(view_of(graph), Random(1), 1)) == ["s0"]
    two = [names(select_heaviest_branch(view_of(graph), Random(seed), 5)) for seed in range(9)]
    assert all({"s0", "s1"} <= set(chosen) for chosen in two)


def test_semi_lazy_and_lazy_tips_are_on_offer_until_max_depth() -> None:
    old = f"a: g h\nb: g h\n{milestones(1, 15)}\nmixed: M15 b"
    graph = sketch(old)

    assert names(select_heaviest_branch(view_of(graph, 15), Random(1))) == ["a", "mixed"]

    draw(graph, "M16 @16: M15 M14")

    assert names(select_heaviest_branch(view_of(graph, 16), Random(1))) == []


def test_a_child_below_max_depth_does_not_hide_its_parent() -> None:
    graph = sketch(f"{milestones(1, 16)}\nfresh: M16 M15\nhides: fresh g")

    assert names(select_heaviest_branch(view_of(graph, 16), Random(1))) == ["fresh"]


def test_a_tip_whose_cone_does_not_fit_is_skipped() -> None:
    graph = sketch(stars(30, 8, 8))
    view = view_of(graph, parameters=Parameters(max_cone_transactions=20))

    chosen = [names(select_heaviest_branch(view, Random(seed))) for seed in range(9)]

    # Room for 18: the oldest part of the long chain fits, and no tip beside it.
    assert all(each == ["c0x17"] for each in chosen)


def test_what_two_tips_share_needs_room_once() -> None:
    graph = sketch(f"{stars(11)}\ntwin: c0x9 h")
    view = view_of(graph, parameters=Parameters(max_cone_transactions=15))

    assert names(select_heaviest_branch(view, Random(1))) == ["s0", "twin"]


def test_bytes_bound_the_cone_as_well() -> None:
    graph = sketch(stars(4, 5))
    view = view_of(graph, parameters=Parameters(max_cone_bytes=6 * SIZE_BYTES))

    chosen = select_heaviest_branch(view, Random(1))

    assert names(chosen) == ["s1"]


def test_the_previous_milestone_takes_its_place_in_the_cone() -> None:
    before = view_of(sketch("a: g h"), parameters=Parameters(max_cone_transactions=10))
    after = view_of(sketch("a: g h\nM1 @1: a g"), 1, before.parameters)

    limit = before.parameters.max_cone_bytes * 90 // 100
    assert cone_room(before) == Room(9, limit)
    assert cone_room(after) == Room(8, limit - SIZE_BYTES)


def test_a_milestone_that_is_an_entry_point_needs_no_room() -> None:
    graph = sketch("a: M7 g", entry_points={"g": 6, "M7": 7})

    assert cone_room(view_of(graph, 7)).transactions == 45_000
    assert names(select_heaviest_branch(view_of(graph, 7), Random(1))) == ["a"]


def test_with_room_for_nothing_nothing_is_chosen() -> None:
    view = view_of(sketch("a: g h"), parameters=Parameters(max_cone_transactions=1))

    assert select_heaviest_branch(view, Random(1)) == ()


def test_when_the_work_runs_out_the_oldest_part_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = sketch(stars(30, 30, 30))
    for vertex in graph.unreferenced():
        vertex.size_bytes = 1_000
    view = view_of(graph, parameters=Parameters(max_cone_bytes=20_000))
    monkeypatch.setattr(cover, "FIT_BUDGET", 19)

    chosen = select_heaviest_branch(view, Random(1))

    assert names(chosen) == ["c0x17"]


def test_checking_what_fits_ends_with_its_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = sketch(stars(10, 9, 8, 7))
    monkeypatch.setattr(cover, "FIT_BUDGET", 12)

    assert names(select_heaviest_branch(view_of(graph), Random(1))) == ["s0", "s1"]


def test_one_block_is_counted_however_small_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cover, "SWEEP_BUDGET", 1)

    assert names(select_heaviest_branch(view_of(sketch(stars(3, 9))), Random(1), 1)) == ["s1"]


def test_beyond_the_sweep_budget_the_oldest_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = sketch(stars(12, 30))
    monkeypatch.setattr(cover, "BLOCK", 11)
    monkeypatch.setattr(cover, "SWEEP_BUDGET", 50)

    assert names(select_heaviest_branch(view_of(graph), Random(1), 1)) == ["s0"]


def test_a_burst_beyond_the_largest_cone_is_worked_off() -> None:
    graph = sketch("\n".join(f"t{number}: g h" for number in range(60)))
    parameters = Parameters(max_cone_transactions=12)

    for index in count_from(1):
        view = view_of(graph, index - 1, parameters)
        chosen = select_heaviest_branch(view, Random(index))
        if not chosen:
            break
        before = f"M{index - 1}" if index > 1 else "g"
        draw(graph, f"M{index} @{index}: {before} {' '.join(names(chosen))}")

    assert index == 10
    assert graph.tip_count == 0


@given(view=views())
def test_the_weights_are_the_sizes_of_the_cones(view: View) -> None:
    waiting = cover.pending(view)
    assume(waiting.ids)

    weights = cover.Cover(waiting, cone_room(view)).weights(range(len(waiting.ids)))

    for number, tx_id in enumerate(waiting.ids):
        cone = [
            each
            for each in new_cone(view.graph, (tx_id,))
            if view.graph[each].milestone_index is None
        ]
        assert weights[number].total == len(cone)
