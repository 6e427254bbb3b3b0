import random
from collections.abc import Callable

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tangle.graph import Graph
from tangle.mirror import Mirror
from tangle.transaction import TransactionId
from tangle.weights import SWEEP_SIZE, CumulativeWeights
from tests.drawing import draw, name_of, sketch, tx

Made = type[CumulativeWeights] | type[Mirror]

both = pytest.mark.parametrize("made", [CumulativeWeights, Mirror])
"""What is asked of the plain weights is asked of their compiled twin."""


def in_networkx(graph: Graph) -> "nx.DiGraph[TransactionId]":
    """The graph of what is present, edges from parent to child."""
    model: nx.DiGraph[TransactionId] = nx.DiGraph()
    for vertex in graph.vertices():
        model.add_node(vertex.tx_id)
        model.add_edges_from((parent, vertex.tx_id) for parent in vertex.parents if parent in graph)
    return model


def expected_weights(graph: Graph) -> dict[TransactionId, int]:
    model = in_networkx(graph)
    return {tx_id: len(nx.descendants(model, tx_id)) + 1 for tx_id in model}


def all_weights(weights: CumulativeWeights | Mirror, graph: Graph) -> dict[TransactionId, int]:
    return {vertex.tx_id: weights.weight(vertex.tx_id) for vertex in graph.vertices()}


class Random:
    """A graph with its weights that changes as the draws say."""

    def __init__(self, data: st.DataObject, made: Made) -> None:
        self.graph = sketch("")
        self.weights = made(self.graph)
        self.index = 0
        self._data = data
        self._count = 0

    def attach(self) -> None:
        ids = [vertex.tx_id for vertex in self.graph.vertices()]
        chosen = self._data.draw(st.lists(st.sampled_from(ids), min_size=2, max_size=2))
        self._count += 1
        name = tx(f"t{self._count}")
        self.graph.attach(name, tuple(sorted(set(chosen))), 100, 0)
        self.weights.add(name)

    def drop(self) -> None:
        leaves = [vertex.tx_id for vertex in self.graph.unreferenced() if not vertex.children]
        pending = [tx_id for tx_id in leaves if self.graph[tx_id].milestone_index is None]
        if pending:
            dropped = self._data.draw(st.sampled_from(pending))
            self.graph.drop(dropped)
            self.weights.drop(dropped)

    def attach_again(self) -> None:
        """Drop a transaction and attach the very same one, with no read in between."""
        tips = sorted(self.graph.tips)
        # What stands on something forgotten was dropped for good before that was forgotten.
        tips = [tip for tip in tips if all(one in self.graph for one in self.graph[tip].parents)]
        if tips:
            again = self._data.draw(st.sampled_from(tips))
            parents = self.graph[again].parents
            self.graph.drop(again)
            self.weights.drop(again)
            self.graph.attach(again, parents, 100, 0)
            self.weights.add(again)

    def milestone(self) -> None:
        self.index += 1
        ids = sorted(vertex.tx_id for vertex in self.graph.vertices())
        chosen = self._data.draw(st.lists(st.sampled_from(ids), min_size=1, max_size=2))
        name, parents = tx(f"m{self.index}"), tuple(sorted(set(chosen)))
        self.graph.attach_milestone(name, parents, 100, 0, self.index)
        self.weights.add(name)
        cone = nx.ancestors(in_networkx(self.graph), name)
        pending = [vertex.tx_id for vertex in self.graph.unreferenced()]
        self.graph.mark_referenced([tx_id for tx_id in pending if tx_id in cone], self.index)

    def forget(self) -> None:
        kept = self._data.draw(st.integers(0, 2))
        self.weights.forget(self.graph.forget(max(0, self.index - kept)))

    def read(self) -> None:
        assert all_weights(self.weights, self.graph) == expected_weights(self.graph)


STEPS: list[Callable[[Random], None]] = [
    *[Random.attach] * 5,
    *[Random.drop] * 3,
    Random.attach_again,
    Random.milestone,
    Random.forget,
    Random.read,
]


@both
@settings(deadline=None)
@given(steps=st.lists(st.sampled_from(STEPS), max_size=60), data=st.data())
def test_weights_equal_networkx_whatever_happens_between_two_reads(
    made: Made, steps: list[Callable[[Random], None]], data: st.DataObject
) -> None:
    tangle = Random(data, made)

    for step in [*steps, Random.read]:
        step(tangle)


@both
def test_a_transaction_weighs_its_future_cone_and_itself(made: Made) -> None:
    graph = sketch("""
        a: g h
        b: a h
        c: a b
        d: g h
    """)

    weights = made(graph)

    drawn = {name: weights.weight(tx(name)) for name in "ghabcd"}
    assert drawn == {"g": 5, "h": 5, "a": 3, "b": 2, "c": 1, "d": 1}


@both
def test_more_than_one_sweep_counts_each_transaction_once(made: Made) -> None:
    rng = random.Random(7)
    graph = sketch("")
    weights = made(graph)
    ids = [tx("g"), tx("h")]
    for number in range(2 * SWEEP_SIZE + 100):
        parents = tuple(sorted(rng.sample(ids[-20:], 2)))
        ids.append(tx(f"t{number}"))
        graph.attach(ids[-1], parents, 100, 0)
        weights.add(ids[-1])
    model = in_networkx(graph)

    for tx_id in [*ids[:5], *rng.sample(ids, 10)]:
        assert weights.weight(tx_id) == len(nx.descendants(model, tx_id)) + 1


@both
def test_a_burst_that_expires_between_two_reads_is_subtracted_through_itself(made: Made) -> None:
    graph = sketch("a: g h")
    draw(graph, "\n".join(f"b{n}: {f'b{n - 1}' if n else 'a'} h" for n in range(5_000)))
    weights = made(graph)
    assert weights.weight(tx("a")) == 5_001

    for number in reversed(range(5_000)):
        graph.drop(tx(f"b{number}"))
        weights.drop(tx(f"b{number}"))

    assert weights.weight(tx("a")) == 1
    assert weights.weight(tx("h")) == 2


@both
def test_nothing_piles_up_while_nobody_asks_for_a_weight(made: Made) -> None:
    count = SWEEP_SIZE + 10
    graph = sketch("")
    draw(graph, "\n".join(f"b{number}: g h" for number in range(count)))
    weights = made(graph)
    assert weights.weight(tx("g")) == count + 1

    for number in range(count):
        graph.drop(tx(f"b{number}"))
        weights.drop(tx(f"b{number}"))
    draw(graph, "a: g h\nM1 @1: a g\nb: M1 a\nM2 @2: M1 b")
    for name in ("a", "M1", "b", "M2"):
        weights.add(tx(name))
    weights.forget(graph.forget(2))

    assert len(weights._dropped) == 10
    assert [name_of(tx_id) for tx_id in weights._arrived] == ["M1", "b", "M2"]
    assert all_weights(weights, graph) == expected_weights(graph)
    assert not weights._dropped


@both
@pytest.mark.parametrize("read_before", ["", "a"])
def test_what_is_gone_has_no_weight(made: Made, read_before: str) -> None:
    graph = sketch("a: g h")
    weights = made(graph)
    for name in read_before:
        weights.weight(tx(name))

    graph.drop(tx("a"))
    weights.drop(tx("a"))

    with pytest.raises(KeyError):
        weights.drop(tx("a"))
    with pytest.raises(KeyError):
        weights.weight(tx("a"))
    assert weights.weight(tx("g")) == 1
    with pytest.raises(KeyError):
        weights.weight(tx("never"))


@both
def test_counting_twice_is_a_bug(made: Made) -> None:
    graph = sketch("a: g h")
    weights = made(graph)

    with pytest.raises(AssertionError):
        weights.add(tx("a"))
