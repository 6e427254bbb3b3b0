"""The window as arrays: exact weights and random walks at the speed of compiled loops.

The graph stays the truth. This follows it: what has come and gone since the last read is taken over
at the next one, all at once. Importing this loads NumPy and Numba.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tangle import kernels
from tangle.graph import Graph, Vertex
from tangle.kernels import NOWHERE, WORDS, Arrays
from tangle.transaction import TransactionId
from tangle.walking import Walk, WalkEnd
from tangle.weights import SWEEP_SIZE

MIN_ROOM: Final = 1_024
"""Places at first; and so many may be empty before the window is moved together."""

REFERENCED: Final = 2**31 - 1
"""Stands for the oldest root of what is referenced: a walk may always pass it."""


class Mirror:
    """Weights of, and walks through, what is present in one graph. Mutable; one `NodeCore`'s own.

    In place of `CumulativeWeights`, with the same results.
    """

    def __init__(self, graph: Graph) -> None:
        """Take up everything that `graph` holds already, entry points included."""
        self._graph = graph
        self._places: dict[TransactionId, int] = {}  # ascending
        self._arrived = {vertex.tx_id: vertex for vertex in graph.vertices()}  # not yet counted
        self._dropped: dict[TransactionId, None] = {}  # still counted
        self._arrays = _empty(MIN_ROOM, MIN_ROOM)
        self._count = self._edges = 1  # place and edge 0 belong to nobody
        self._seen_index = graph.newest_index

    def add(self, tx_id: TransactionId) -> None:
        """Count a transaction that was attached, in the order of attachment."""
        if tx_id in self._dropped:
            self._settle()
        assert tx_id not in self._places, f"counted twice: {tx_id.hex()}"
        assert tx_id not in self._arrived, f"counted twice: {tx_id.hex()}"
        self._arrived[tx_id] = self._graph[tx_id]

    def forget(self, tx_ids: Iterable[TransactionId]) -> None:
        """Leave out what `Graph.forget` dropped: whole past cones, so no other weight changes."""
        for tx_id in tx_ids:
            if self._arrived.pop(tx_id, None) is None:
                del self._places[tx_id]

    def drop(self, tx_id: TransactionId) -> None:
        """Count a transaction no longer that has no children left (an expired one)."""
        is_here = tx_id in self._places or tx_id in self._arrived
        if not is_here or tx_id in self._dropped:
            raise KeyError(tx_id)
        self._dropped[tx_id] = None
        if len(self._dropped) >= SWEEP_SIZE:
            self._settle()  # a node that never asks for a weight must not hold them for ever

    def weight(self, tx_id: TransactionId) -> int:
        """Return the cumulative weight of a transaction that is present: 1 for a tip.

        Raises:
            KeyError: It is not present: never added, forgotten or dropped.
        """
        if self._arrived or self._dropped:
            self._settle()
        return self._arrays.weights.item(self._places[tx_id])

    def walk(self, way: Walk) -> WalkEnd:
        """Walk as `tangle.walking.walk` does: same way, same end."""
        self._settle()
        self._refresh_roots()
        place, left = kernels.walk(
            self._arrays,
            self._places[way.start],
            way.alpha,
            way.oldest_root_index,
            way.budget,
            np.uint64(way.seed),
        )
        return WalkEnd(None if place == NOWHERE else self._tx_id(place), left)

    def _tx_id(self, place: int) -> TransactionId:
        return TransactionId(self._arrays.keys[place].astype(">u8").tobytes())

    def _settle(self) -> None:
        """Take over what came and went since the last read."""
        if self._arrived:
            began = self._count
            self._append(self._arrived.values(), len(self._arrived))
            self._arrived.clear()
            kernels.sweep(self._arrays, np.arange(began, self._count, dtype=np.int32), 1)
        if self._dropped:
            gone = np.array([self._places.pop(tx_id) for tx_id in self._dropped], np.int32)
            self._dropped.clear()
            gone.sort()
            kernels.sweep(self._arrays, gone, -1)
            kernels.unlink(self._arrays, gone)
        if self._count - 1 - len(self._places) > max(MIN_ROOM, len(self._places)):
            self._move_together()

    def _append(self, vertices: Collection[Vertex], count: int) -> None:
        """Give vertices the next places; a parent that is not here is `NOWHERE`."""
        began, ended = self._count, self._count + count
        ids = [vertex.tx_id for vertex in vertices]
        self._places.update(zip(ids, range(began, ended), strict=True))
        place_of = self._places.get
        parents = [place_of(tx_id, NOWHERE) for vertex in vertices for tx_id in vertex.parents]
        self._make_room(count, len(parents))
        arrays = self._arrays
        arrays.keys[began:ended] = np.frombuffer(b"".join(ids), ">u8").reshape(count, WORDS)
        arrays.roots[began:ended] = [
            vertex.oldest_root_index if vertex.referenced_index is None else REFERENCED
            for vertex in vertices
        ]
        arrays.weights[began:ended] = 0
        counts = np.array([len(vertex.parents) for vertex in vertices], np.int32)
        kernels.link(arrays, began, counts, np.array(parents, np.int32))
        self._count = ended
        self._edges += len(parents)

    def _make_room(self, vertices: int, edges: int) -> None:
        room, edge_room = len(self._arrays.weights), len(self._arrays.parents)
        if self._count + vertices <= room and self._edges + edges <= edge_room:
            return
        vertices_wanted, edges_wanted = self._count + vertices, self._edges + edges
        larger = _empty(max(room, 2 * vertices_wanted), max(edge_room, 2 * edges_wanted))
        for name in Arrays._fields:
            held = getattr(self._arrays, name)
            getattr(larger, name)[: len(held)] = held
        self._arrays = larger

    def _refresh_roots(self) -> None:
        """Take over what milestones changed: everything pending has new roots after one."""
        newest = self._graph.newest_index
        if newest == self._seen_index:
            return
        for tx_id in self._referenced(newest):
            if (place := self._places.get(tx_id)) is not None:
                self._arrays.roots[place] = REFERENCED
        pending = list(self._graph.unreferenced())
        places = [self._places[vertex.tx_id] for vertex in pending]
        self._arrays.roots[places] = [vertex.oldest_root_index for vertex in pending]
        self._seen_index = newest

    def _referenced(self, newest: int) -> Iterator[TransactionId]:
        for index in range(self._seen_index + 1, newest + 1):
            yield from self._graph.referenced_at(index)

    def _move_together(self) -> None:
        """Give up the places of what is gone. Needs that nothing is left to be taken over."""
        old, live = self._arrays, np.fromiter(self._places.values(), np.int32, len(self._places))
        ended = len(live) + 1
        moved = np.full(self._count, NOWHERE, np.int32)
        moved[live] = np.arange(1, ended, dtype=np.int32)
        counts = np.diff(old.first_edges[1 : self._count + 1])
        is_kept = np.repeat(moved[1:] != NOWHERE, counts)
        parents = moved[old.parents[1 : self._edges][is_kept]]
        self._arrays = _empty(max(MIN_ROOM, 2 * ended), max(MIN_ROOM, 2 * len(parents)))
        for name in ("keys", "weights", "roots"):
            getattr(self._arrays, name)[1:ended] = getattr(old, name)[live]
        kernels.link(self._arrays, 1, counts[live - 1], parents)
        self._places = dict(zip(self._places, range(1, ended), strict=True))
        self._count, self._edges = ended, len(parents) + 1


def _empty(vertices: int, edges: int) -> Arrays:
    """Return arrays with room for so many."""

    def places(count: int) -> NDArray[np.int32]:
        return np.zeros(count, np.int32)

    first_edges = places(vertices + 1)
    first_edges[1] = 1
    return Arrays(
        np.zeros((vertices, WORDS), np.uint64),
        np.zeros(vertices, np.int64),
        places(vertices),
        np.zeros(vertices, np.uint64),
        first_edges,
        places(vertices),
        places(vertices),
        places(edges),
        places(edges),
        places(edges),
    )
