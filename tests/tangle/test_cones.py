"""Past cones and their order: TIP-2's worked diagram, and properties of any tangle."""

from collections.abc import Mapping
from random import Random

import networkx as nx
from hypothesis import given
from hypothesis import strategies as st

from tangle.cones import future_cone, new_cone, past_cone
from tangle.graph import Graph
from tangle.transaction import TransactionId
from tests.drawing import name_of, sketch, tx
from tests.vectors import load

SIZE_BYTES = 200


def _diagram() -> Graph:
    parents: Mapping[str, list[str]] = load("white_flag")["parents"]
    roots = sorted({one for pair in parents.values() for one in pair} - set(parents))
    return _attached(roots, parents)


def _attached(roots: list[str], parents: Mapping[str, list[str]]) -> Graph:
    """Draw the diagram with its roots as pending transactions, as TIP-2 lists them too."""
    graph = Graph([(tx("genesis"), 0)])
    for root in roots:
        graph.attach(tx(root), (tx("genesis"),), SIZE_BYTES, 0)
    for child, (first, second) in parents.items():
        graph.attach(tx(child), (tx(first), tx(second)), SIZE_BYTES, 0)
    return graph


def _order(graph: Graph, name: str) -> list[str]:
    return [name_of(one) for one in new_cone(graph, (tx(name),), 0).order]


def test_the_order_is_that_of_the_published_diagram() -> None:
    vectors = load("white_flag")
    first, second, third = vectors["walks"]
    graph = _diagram()

    assert _order(graph, first["from"]) == first["order"]
    graph.mark_referenced([tx(name) for name in first["order"]], 1)
    assert _order(graph, second["then_from"]) == second["order"]
    graph.mark_referenced([tx(name) for name in second["order"]], 2)
    for name, order in third["then_one_of"].items():
        assert _order(graph, name) == order


def test_of_the_published_conflict_the_first_in_order_wins() -> None:
    vectors = load("white_flag")
    graph = _diagram()
    conflict = vectors["conflict"]

    order = _order(graph, "V")

    assert min(conflict["spend_the_same"], key=order.index) == conflict["applied"]


@st.composite
def tangles(draw: st.DrawFn) -> dict[str, tuple[str, str]]:
    """Parents by name, in order of attachment."""
    names, parents = ["g", "h"], {}
    for number in range(draw(st.integers(1, 30))):
        first, second = draw(st.permutations(names[-8:]))[:2]
        parents[f"t{number}"] = (first, second)
        names.append(f"t{number}")
    return parents


def _grown(parents: dict[str, tuple[str, str]], order: list[str]) -> Graph:
    graph = Graph([(tx("g"), 0), (tx("h"), 0)])
    waiting = list(order)
    while waiting:
        name = next(one for one in waiting if all(tx(p) in graph for p in parents[one]))
        waiting.remove(name)
        graph.attach(tx(name), tuple(sorted(map(tx, parents[name]))), SIZE_BYTES, 0)
    return graph


@given(tangles(), st.randoms(use_true_random=False))
def test_the_order_does_not_depend_on_the_order_of_arrival(
    parents: dict[str, tuple[str, str]], rng: Random
) -> None:
    names = list(parents)
    first, second = _grown(parents, names), _grown(parents, rng.sample(names, len(names)))
    tips = sorted(first.tips)[:7]

    cone, again = new_cone(first, tips, 0), new_cone(second, tips, 0)

    assert cone == again
    assert cone.size_bytes == SIZE_BYTES * len(cone.order)
    seen: set[TransactionId] = {tx("g"), tx("h")}
    for one in cone.order:
        assert seen.issuperset(first[one].parents)
        seen.add(one)


@given(tangles())
def test_cones_are_the_ancestors_and_descendants(parents: dict[str, tuple[str, str]]) -> None:
    graph = _grown(parents, list(parents))
    oracle = nx.DiGraph([(child, one) for child, pair in parents.items() for one in pair])

    for name in parents:
        pending = {tx(one) for one in nx.descendants(oracle, name)} - {tx("g"), tx("h")}
        assert past_cone(graph, tx(name)) == pending | {tx(name)}
        after = {tx(one) for one in nx.ancestors(oracle, name)}
        assert future_cone(graph, tx(name)) == after | {tx(name)}


def test_the_oldest_parent_counts_the_milestones_own_parents_too() -> None:
    graph = sketch("""
        a: g h
        M1 @1: a g
        b: M1 a
        M2 @2: b M1
        c: b M2
    """)

    assert new_cone(graph, (tx("c"),), 2).oldest_parent_index == 2
    assert new_cone(graph, (tx("M2"), tx("a")), 2).oldest_parent_index == 1
    assert new_cone(graph, (tx("M2"), tx("forgotten")), 2).oldest_parent_index is None


def test_a_long_chain_is_walked_without_recursion() -> None:
    graph = Graph([(tx("g"), 0), (tx("h"), 0)])
    last = tx("g")
    for number in range(20_000):
        tx_id = TransactionId(number.to_bytes(32, "big"))
        graph.attach(tx_id, (last, tx("h")), SIZE_BYTES, 0)
        last = tx_id

    assert len(new_cone(graph, (last,), 0).order) == 20_000
