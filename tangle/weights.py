"""Exact cumulative weights, brought up to date by sweeps over many transactions at once.

The cumulative weight of a transaction is its own weight, 1, plus one for each transaction in its
future cone (*The Tangle*, section 2): what a random walk follows. Counting anew at each arrival
would visit the whole window each time. Instead arrivals are collected, and the next read carries
all of them backwards at once: a vertex holds one bit for each of them that is in its future cone,
so that one pass in reverse order of attachment serves thousands.
"""

from collections.abc import Iterable
from itertools import islice
from typing import Final

from tangle.graph import Graph, Vertex
from tangle.transaction import TransactionId
from tangle.walking import Walk, WalkEnd, walk

SWEEP_SIZE: Final = 4_096
"""Transactions per sweep: bounds a mask to 512 bytes, and so all masks of a sweep together."""


class CumulativeWeights:
    """The weights of what is present in one graph. Mutable; owned by one `NodeCore`.

    Exact under any interleaving of calls. `add` is called right after the graph attached;
    `forget` and `drop` right before or after it did the same.
    """

    def __init__(self, graph: Graph) -> None:
        """Take up everything that `graph` holds already, entry points included."""
        self._graph = graph
        self._vertices: dict[TransactionId, Vertex] = {}  # in order of attachment
        self._weights: dict[TransactionId, int] = {}
        self._arrived: dict[TransactionId, Vertex] = {}  # not yet counted
        self._dropped: dict[TransactionId, Vertex] = {}  # still counted
        for vertex in graph.vertices():
            self._take_up(vertex)

    def add(self, tx_id: TransactionId) -> None:
        """Count a transaction that was attached, in the order of attachment."""
        if tx_id in self._dropped:
            self._settle()
        self._take_up(self._graph[tx_id])

    def forget(self, tx_ids: Iterable[TransactionId]) -> None:
        """Leave out what `Graph.forget` dropped: whole past cones, so no other weight changes."""
        for tx_id in tx_ids:
            del self._vertices[tx_id], self._weights[tx_id]
            self._arrived.pop(tx_id, None)

    def drop(self, tx_id: TransactionId) -> None:
        """Count a transaction no longer that has no children left (an expired one)."""
        if tx_id not in self._vertices or tx_id in self._dropped:
            raise KeyError(tx_id)
        if self._arrived.pop(tx_id, None) is not None:
            # What was above it arrived later and was dropped earlier: nothing has been counted.
            del self._vertices[tx_id], self._weights[tx_id]
        else:
            # It stays as a way for what was dropped above it, until that is subtracted.
            self._dropped[tx_id] = self._vertices[tx_id]
            if len(self._dropped) >= SWEEP_SIZE:
                self._settle()  # a node that never asks for a weight must not hold them for ever

    def weight(self, tx_id: TransactionId) -> int:
        """Return the cumulative weight of a transaction that is present: 1 for a tip.

        Raises:
            KeyError: It is not present: never added, forgotten or dropped.
        """
        if self._arrived or self._dropped:
            self._settle()
        return self._weights[tx_id]

    def walk(self, way: Walk) -> WalkEnd:
        """Walk through the graph by these weights, as `tangle.walking.walk` says."""
        return walk(self._graph, self.weight, way)

    def _take_up(self, vertex: Vertex) -> None:
        assert vertex.tx_id not in self._vertices, f"counted twice: {vertex.tx_id.hex()}"
        self._vertices[vertex.tx_id] = self._arrived[vertex.tx_id] = vertex
        self._weights[vertex.tx_id] = 0

    def _settle(self) -> None:
        """Add what arrived and subtract what was dropped since the last read."""
        for changed, sign in ((self._arrived, 1), (self._dropped, -1)):
            pending = iter(changed)
            while chunk := tuple(islice(pending, SWEEP_SIZE)):
                self._sweep(chunk, sign)
        for tx_id in self._dropped:
            del self._vertices[tx_id], self._weights[tx_id]
        self._arrived.clear()
        self._dropped.clear()

    def _sweep(self, changed: tuple[TransactionId, ...], sign: int) -> None:
        """Add `sign` for each of `changed` to its own weight and to those of its past cone."""
        masks = {tx_id: 1 << bit for bit, tx_id in enumerate(changed)}
        for tx_id, vertex in reversed(self._vertices.items()):
            mask = masks.pop(tx_id, 0)
            if not mask:
                continue
            self._weights[tx_id] += sign * mask.bit_count()
            for parent_id in vertex.parents:  # the mask of a forgotten one is never looked at
                masks[parent_id] = masks.get(parent_id, 0) | mask
