"""Walks: plain, compiled and interpreted kernel end at the same place with the same seed."""

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tangle import kernels, mirror
from tangle.graph import Graph
from tangle.mirror import Mirror
from tangle.transaction import TransactionId
from tangle.walking import Dice, Walk, WalkEnd
from tangle.weights import CumulativeWeights
from tests.drawing import draw, new_cone, sketch, tx
from tests.tip_selection.tangles import lines_of_random_tangle, milestones, views
from tip_selection.confidence import confidence
from tip_selection.view import View
from tip_selection.weighted_walk import select_weighted_walk

ALPHAS = st.sampled_from([0.0, 0.001, 0.01, 0.3, 2.0, 1e6])
SEEDS = st.integers(0, 2**64 - 1)


def way(
    start: str,
    *,
    alpha: float = 0.1,
    seed: int = 1,
    oldest_root_index: int = -15,
    budget: int = 20_000,
) -> Walk:
    return Walk(tx(start), alpha, seed, oldest_root_index, budget)


def ends(graph: Graph, one: Walk) -> set[WalkEnd]:
    return {made(graph).walk(one) for made in (CumulativeWeights, Mirror)}


@settings(deadline=None)
@given(
    lines=st.builds(
        lines_of_random_tangle, st.randoms(use_true_random=False), steps=st.integers(0, 80)
    ),
    alpha=ALPHAS,
    seed=SEEDS,
    depth=st.integers(0, 20),
    budget=st.sampled_from([0, 1, 7, 30, 20_000]),
    start=st.integers(0, 10**6),
)
def test_the_compiled_walk_ends_where_the_plain_one_does(
    lines: list[str], alpha: float, seed: int, depth: int, budget: int, start: int
) -> None:
    graph = sketch("\n".join(lines))
    index = graph.newest_index
    ids = [vertex.tx_id for vertex in graph.vertices()]
    one = Walk(ids[start % len(ids)], alpha, seed, index - depth, budget)

    assert len(ends(graph, one)) == 1


@settings(deadline=None)
@given(view=views(), seed=SEEDS)
def test_selections_and_confidence_are_the_same_by_either(view: View, seed: int) -> None:
    told = []
    for made in (CumulativeWeights, Mirror):
        own = View(view.graph, made(view.graph), view.confirmed_index, view.parameters)
        selection = select_weighted_walk(own, Random(seed), 2)
        newest = list(view.graph.vertices())[-1].tx_id
        told.append((selection, confidence(own, Random(seed), newest)))

    assert told[0] == told[1]


@given(seed=SEEDS, alpha=ALPHAS)
def test_the_kernels_as_plain_python_do_the_same(seed: int, alpha: float) -> None:
    lines = lines_of_random_tangle(Random(seed), 30)
    whole = sketch("\n".join(lines))
    compiled, plain = Mirror(whole), Mirror(whole)
    compiled.weight(tx("g"))
    one = way("g", alpha=alpha, seed=seed)

    # NumPy warns where 64 bits run over, which is meant here.
    with pytest.MonkeyPatch.context() as patch, np.errstate(over="ignore"):
        for name in ("link", "sweep", "walk", "_bits", "_share", "_turn", "_sort", "_precedes"):
            patch.setattr(kernels, name, getattr(kernels, name).py_func)
        plain_end = plain.walk(one)

    assert plain_end == compiled.walk(one)
    assert (plain._arrays.weights == compiled._arrays.weights).all()


def test_a_taken_out_child_is_no_step_whatever_its_place_in_the_list() -> None:
    for name in "abc":
        graph = sketch("a: g h\nb: g h\nc: g h")
        compiled, interpreted = Mirror(graph), Mirror(graph)
        for each in (compiled, interpreted):
            each.weight(tx("g"))
        graph.drop(tx(name))
        compiled.drop(tx(name))
        interpreted.drop(tx(name))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(kernels, "unlink", kernels.unlink.py_func)  # type: ignore[attr-defined]
            interpreted.weight(tx("g"))

        found = {compiled.walk(way("g", alpha=0.0, seed=seed)).tx_id for seed in range(40)}

        assert found == {tx(one) for one in "abc" if one != name}
        assert compiled.walk(way("g")) == interpreted.walk(way("g"))


def test_many_children_are_turned_to_alike_in_any_order_of_arrival() -> None:
    names = [f"c{number}" for number in range(300)]
    for seed in range(5):
        drawings = []
        for order in (names, Random(seed).sample(names, len(names))):
            graph = sketch("\n".join(f"{name}: g h" for name in order))
            drawings.append(ends(graph, way("g", alpha=0.0, seed=seed)))
        assert drawings[0] == drawings[1]
        assert len(drawings[0]) == 1


def test_a_walk_is_over_budget_at_the_same_step() -> None:
    chain = sketch("a: g h\nb: a\nc: b\nd: c")
    vertices_and_children = 5 + 4

    assert ends(chain, way("g", budget=vertices_and_children)) == {WalkEnd(tx("d"), 0)}
    assert ends(chain, way("g", budget=vertices_and_children - 1)) == {WalkEnd(None, 0)}


def test_a_mirror_follows_milestones_that_come_after_it() -> None:
    graph = sketch("lazy: g h\na: g h")
    held = Mirror(graph)
    held.walk(way("g"))
    drawn = f"{milestones(1, 16)}\nfresh: M16 M15\nhidden: M16 lazy"
    draw(graph, drawn)
    for line in drawn.splitlines():
        held.add(tx(line.split(":")[0].split("@")[0].strip()))

    for seed in range(20):
        one = way("M15", alpha=0.0, seed=seed, oldest_root_index=1)
        assert held.walk(one) == CumulativeWeights(graph).walk(one)
        assert held.walk(one).tx_id == tx("fresh")


@settings(deadline=None)
@given(rng=st.randoms(use_true_random=False), depth=st.integers(0, 4), seed=SEEDS)
def test_a_mirror_that_is_read_all_along_walks_as_a_new_one(
    rng: Random, depth: int, seed: int
) -> None:
    graph = sketch("")
    held = Mirror(graph)
    for line in lines_of_random_tangle(rng, 40):
        draw(graph, line)
        held.add(tx(line.split(":")[0].partition("@")[0].strip()))
        one = way("g", alpha=0.1, seed=seed, oldest_root_index=graph.newest_index - depth)

        assert held.walk(one) == CumulativeWeights(graph).walk(one)


def test_what_waits_grows_older_with_each_milestone_and_what_is_referenced_does_not() -> None:
    graph = sketch("a: g h\nb: g h")
    held = Mirror(graph)
    ends_before = {held.walk(way("g", alpha=0.0, seed=seed)).tx_id for seed in range(40)}

    for line in ("M1 @1: a h", "M2 @2: M1 h", "late: M2 M1", "M3 @3: M2 h"):
        draw(graph, line)
        held.add(tx(line.split(":")[0].partition("@")[0].strip()))
    ways = [way("g", alpha=0.0, seed=seed, oldest_root_index=1) for seed in range(40)]

    assert ends_before == {tx("a"), tx("b")}
    assert {held.walk(one).tx_id for one in ways} == {tx("M3"), tx("late")}


def test_a_window_that_moves_on_for_long_stays_exact_and_small() -> None:
    rng = Random(4)
    graph = sketch("")
    plain, held = CumulativeWeights(graph), Mirror(graph)
    names, last = [tx("g"), tx("h")], tx("g")

    def attach(name: TransactionId, parents: set[TransactionId], index: int = 0) -> None:
        ordered = tuple(sorted(parents))
        if index:
            cone = new_cone(graph, ordered)
            graph.attach_milestone(name, ordered, 100, 0, index)
            graph.mark_referenced(cone, index)
        else:
            graph.attach(name, ordered, 100, 0)
        for each in (plain, held):
            each.add(name)
        names.append(name)

    for index in range(1, 61):
        for number in range(100):
            attach(tx(f"t{index}.{number}"), set(rng.sample(names[-12:], 2)))
        attach(tx(f"M{index}"), {last, *graph.tips}, index)
        last = tx(f"M{index}")
        gone = graph.forget(index - 5)
        plain.forget(gone)
        held.forget(gone)
        for seed in range(3):
            start = graph.referenced_at(max(0, index - 4))[0]
            one = Walk(start, 0.05, seed, index - 15, 20_000)
            assert plain.walk(one) == held.walk(one)

    assert all(plain.weight(one.tx_id) == held.weight(one.tx_id) for one in graph.vertices())
    assert held._count < 4 * mirror.MIN_ROOM < 6_000


def test_draws_are_those_of_the_published_generator() -> None:
    # The first outputs of SplitMix64 from seed 1234567, as its reference implementation gives them.
    outputs = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    dice = Dice(1234567)

    assert [dice.share() for _ in outputs] == [(one >> 11) / 2**53 for one in outputs]


def test_draws_are_even() -> None:
    dice = Dice(7)
    counts = [0] * 10
    for _ in range(20_000):
        counts[math.floor(10 * dice.share())] += 1

    # 2,000 expected each, deviation 42: chi square with 9 degrees stays below 27.9 in 999 of 1,000.
    assert sum((count - 2_000) ** 2 / 2_000 for count in counts) < 27.9
