from random import Random

import pytest

from tangle.graph import EMPTY
from tests.drawing import draw, name_of, sketch, tx
from tests.tip_selection.tangles import milestones, view_of
from tip_selection.checkpoints import MAX_CHECKPOINTS, MAX_WAITING_TIPS, merging_checkpoints
from tip_selection.cover import TURN
from tip_selection.heaviest_branch import select_heaviest_branch


def burst(size: int, parents: str = "g h") -> str:
    return "\n".join(f"t{number}: {parents}" for number in range(size))


@pytest.mark.parametrize(("waiting", "expected"), [(0, 0), (14, 0), (15, 7), (16, 8), (100, 50)])
def test_tips_are_paired_when_more_than_two_milestones_worth_wait(
    waiting: int, expected: int
) -> None:
    view = view_of(sketch(burst(waiting)))

    pairs = merging_checkpoints(view, Random(1))

    assert len(pairs) == expected
    merged = [tx_id for pair in pairs for tx_id in pair]
    assert len(set(merged)) == len(merged)
    assert set(merged) <= view.graph.tips
    assert all(first < second for first, second in pairs)


def test_the_same_seed_merges_the_same_and_another_seed_others() -> None:
    view = view_of(sketch(burst(40)))

    pairs = merging_checkpoints(view, Random(1))

    assert merging_checkpoints(view, Random(1)) == pairs
    assert merging_checkpoints(view, Random(2)) != pairs


def test_one_round_is_bounded() -> None:
    view = view_of(sketch(burst(2 * MAX_CHECKPOINTS + 40)))

    assert len(merging_checkpoints(view, Random(1))) == MAX_CHECKPOINTS


def test_the_most_urgent_tips_are_merged_first_and_with_each_other() -> None:
    old = "\n".join(f"old{number}: g h" for number in range(6))
    graph = sketch(f"{old}\n{milestones(1, 12)}\n{burst(20, 'M12 M11')}")

    pairs = merging_checkpoints(view_of(graph, 12), Random(1))

    assert [name_of(tx_id)[:3] for pair in pairs[:3] for tx_id in pair] == ["old"] * 6
    assert len(pairs) == 13


def test_a_thousand_tips_of_one_issuer_do_not_keep_others_from_being_merged() -> None:
    graph = sketch(f"{burst(300)}\n" + "\n".join(f"own{number}: g h" for number in range(12)))
    for vertex in graph.unreferenced():
        name = name_of(vertex.tx_id)
        vertex.issuer = name.encode() if name.startswith("own") else b"flood"

    first = merging_checkpoints(view_of(graph), Random(1))
    draw(graph, "\n".join(f"p{at}: {name_of(a)} {name_of(b)}" for at, (a, b) in enumerate(first)))
    for at in range(len(first)):
        graph[tx(f"p{at}")].issuer = EMPTY
    second = merging_checkpoints(view_of(graph), Random(1))

    # Twelve of others, and one turn of the flood, until one milestone takes them all.
    assert len(first) == (12 + TURN) // 2
    assert {f"own{number}" for number in range(12)} <= {
        name_of(one) for two in first for one in two
    }
    assert {name_of(one)[0] for two in second for one in two} == {"p"}


def test_the_rest_is_merged_once_one_milestone_takes_every_turn() -> None:
    graph = sketch(burst(300))
    for vertex in graph.unreferenced():
        vertex.issuer = EMPTY

    assert len(merging_checkpoints(view_of(graph), Random(1))) == 150


def test_what_is_below_max_depth_is_not_merged() -> None:
    old = "\n".join(f"old{number}: g h" for number in range(20))
    graph = sketch(f"{old}\n{milestones(1, 16)}\n{burst(10, 'M16 M15')}")

    assert merging_checkpoints(view_of(graph, 16), Random(1)) == []


def test_a_burst_of_hundreds_is_referenced_by_the_next_two_milestones() -> None:
    graph = sketch(burst(700))
    rng = Random(1)
    rounds = 0

    while pairs := merging_checkpoints(view_of(graph), rng):
        names = [f"{name_of(first)} {name_of(second)}" for first, second in pairs]
        draw(graph, "\n".join(f"r{rounds}p{at}: {pair}" for at, pair in enumerate(names)))
        rounds += 1

    assert rounds == 6
    assert graph.tip_count <= MAX_WAITING_TIPS
    for index in (1, 2):
        chosen = select_heaviest_branch(view_of(graph, index - 1), rng)
        before = "g" if index == 1 else "M1"
        draw(graph, f"M{index} @{index}: {before} {' '.join(map(name_of, chosen))}")
    assert graph.tip_count == 0
