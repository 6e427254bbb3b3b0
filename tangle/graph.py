"""The tangle in memory: solid transactions, who approves whom, and how deep each one reaches.

Holds what is not yet referenced and the recently referenced; what is older is forgotten here and
stays in the journal. Every vertex whose parents are all here (or are entry points) is solid.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from tangle.restored import StoredVertex
from tangle.transaction import TransactionId

EMPTY: Final = b""
"""Stands for the issuer where there is nothing to count: the transaction carries nothing."""


class Vertex(msgspec.Struct, eq=False, gc=False):
    """One solid transaction, or an entry point (which has no parents)."""

    tx_id: TransactionId
    parents: tuple[TransactionId, ...]
    size_bytes: int
    """Of the signed fields."""

    attached_at_ms: int
    """Wall clock of this node."""

    order: int
    """Counts attachments of this node: parents always have the lower number."""

    issuer: bytes | None = None
    """Whose turn it counts for while it is pending; `EMPTY` for nobody's; `None`: not known, so it
    counts for itself."""

    referenced_index: int | None = None
    """Index of the milestone that references it; `None` while pending."""

    milestone_index: int | None = None
    """Its own index, if it is a milestone."""

    youngest_root_index: int = 0
    """Largest milestone index at which its walk to the past ends (TIP-3, YMRSI)."""

    oldest_root_index: int = 0
    """Smallest of them (TIP-3, OMRSI)."""

    children: list[TransactionId] = []
    """In order of attachment."""


class Graph:
    """The solid part of the tangle. Mutable; owned by one `NodeCore`."""

    def __init__(self, entry_points: Iterable[tuple[TransactionId, int]]) -> None:
        """Start from entry points: ids known without their past, with their milestone index."""
        self._vertices: dict[TransactionId, Vertex] = {}
        self._unreferenced: dict[TransactionId, Vertex] = {}
        self._tips: dict[TransactionId, Vertex] = {}
        self._by_index: dict[int, list[TransactionId]] = {}
        self._milestones: dict[int, TransactionId] = {}
        self._attachments = 0
        self.newest_index = 0
        """Of the last milestone whose cone was marked here, or of the youngest entry point."""
        for tx_id, index in entry_points:
            vertex = self._add(tx_id, (), 0, 0)
            vertex.referenced_index = vertex.youngest_root_index = index
            vertex.oldest_root_index = index
            self._by_index.setdefault(index, []).append(tx_id)
            self.newest_index = max(self.newest_index, index)

    def __contains__(self, tx_id: TransactionId) -> bool:
        return tx_id in self._vertices

    def __len__(self) -> int:
        return len(self._vertices)

    def __getitem__(self, tx_id: TransactionId) -> Vertex:
        return self._vertices[tx_id]

    def missing(self, tx_ids: Iterable[TransactionId]) -> list[TransactionId]:
        """Return those of `tx_ids` that are not here, in their order."""
        vertices = self._vertices
        return [tx_id for tx_id in tx_ids if tx_id not in vertices]

    def get(self, tx_id: TransactionId) -> Vertex | None:
        """Return the vertex of `tx_id`, or `None` if it is not solid here or forgotten."""
        return self._vertices.get(tx_id)

    @property
    def tips(self) -> frozenset[TransactionId]:
        """Solid, unreferenced, without children. Milestones are not among them."""
        return frozenset(self._tips)

    def tip_vertices(self) -> Iterable[Vertex]:
        """Return the tips in no order that another node would have."""
        return self._tips.values()

    def is_tip(self, tx_id: TransactionId) -> bool:
        """Return whether `tx_id` is one of the tips."""
        return tx_id in self._tips

    @property
    def tip_count(self) -> int:
        """How many tips there are."""
        return len(self._tips)

    def vertices(self) -> Iterator[Vertex]:
        """Yield everything, entry points included, in order of attachment."""
        return iter(self._vertices.values())

    def unreferenced(self) -> Iterator[Vertex]:
        """Yield what no milestone references yet, parents before children."""
        return iter(self._unreferenced.values())

    @property
    def unreferenced_count(self) -> int:
        """How many vertices no milestone references yet."""
        return len(self._unreferenced)

    def referenced_at(self, index: int) -> tuple[TransactionId, ...]:
        """Return what milestone `index` references, parents before children."""
        return tuple(self._by_index.get(index, ()))

    def referenced_count(self, index: int) -> int:
        """Return how many milestone `index` references, as far as they are kept."""
        return len(self._by_index.get(index, ()))

    def referenced_one(self, index: int, number: int) -> Vertex:
        """Return one of them by its number from 0, parents before children."""
        return self._vertices[self._by_index[index][number]]

    def milestone_id(self, index: int) -> TransactionId | None:
        """Return the id of milestone `index`, if it is attached and not forgotten."""
        return self._milestones.get(index)

    def attach(
        self,
        tx_id: TransactionId,
        parents: tuple[TransactionId, ...],
        size_bytes: int,
        now_ms: int,
    ) -> Vertex:
        """Add a solid transaction. Its parents are here and it is not; anything else is a bug."""
        assert tx_id not in self._vertices, f"attached twice: {tx_id.hex()}"
        above = [self._vertices[parent_id] for parent_id in parents]
        # Their own ids, not equal ones that came with the child: those would stay in memory too.
        own_ids = tuple([parent.tx_id for parent in above])
        vertex = self._add(tx_id, own_ids, size_bytes, now_ms)
        self._unreferenced[tx_id] = vertex
        self._tips[tx_id] = vertex
        for parent in above:
            parent.children.append(tx_id)
            self._tips.pop(parent.tx_id, None)
        _set_roots(vertex, above)
        return vertex

    def attach_milestone(
        self,
        tx_id: TransactionId,
        parents: tuple[TransactionId, ...],
        size_bytes: int,
        now_ms: int,
        index: int,
    ) -> Vertex:
        """Add an applied milestone: a root of index `index`, referenced by the next one."""
        vertex = self.attach(tx_id, parents, size_bytes, now_ms)
        vertex.milestone_index = index
        vertex.youngest_root_index = vertex.oldest_root_index = index
        self._milestones[index] = tx_id
        self._tips.pop(tx_id, None)
        return vertex

    def restore(
        self,
        stored: StoredVertex,
        parents: tuple[TransactionId, ...],
        size_bytes: int,
        milestone_index: int | None,
    ) -> None:
        """Put back what was attached before a restart; parents first, forgotten ones left out."""
        vertex = self._add(stored.tx_id, parents, size_bytes, stored.attached_at_ms)
        vertex.milestone_index = milestone_index
        vertex.referenced_index = stored.referenced_index
        for parent_id in parents:
            if parent_id in self._vertices:
                self._vertices[parent_id].children.append(stored.tx_id)
                self._tips.pop(parent_id, None)
        if milestone_index is not None:
            self._milestones[milestone_index] = stored.tx_id
            vertex.youngest_root_index = vertex.oldest_root_index = milestone_index
        if stored.referenced_index is not None:
            self._by_index.setdefault(stored.referenced_index, []).append(stored.tx_id)
            self.newest_index = max(self.newest_index, stored.referenced_index)
            vertex.youngest_root_index = vertex.oldest_root_index = stored.referenced_index
            return
        self._unreferenced[stored.tx_id] = vertex
        if milestone_index is None:
            self._tips[stored.tx_id] = vertex
            self._set_roots(vertex)

    def mark_referenced(self, ordered: Iterable[TransactionId], index: int) -> None:
        """Record that milestone `index` references `ordered`, its new cone in white-flag order.

        The roots of all that stays pending are computed anew.
        """
        here = self._by_index.setdefault(index, [])
        self.newest_index = index
        for tx_id in ordered:
            vertex = self._unreferenced.pop(tx_id)
            vertex.referenced_index = index
            vertex.issuer = None  # no longer needed, and there are many
            vertex.youngest_root_index = vertex.oldest_root_index = index
            self._tips.pop(tx_id, None)
            here.append(tx_id)
        for vertex in self._unreferenced.values():
            if vertex.milestone_index is None:
                self._set_roots(vertex)

    def forget(self, before_index: int) -> list[TransactionId]:
        """Drop what milestones before `before_index` reference; return the ids."""
        dropped = []
        for index in [index for index in self._by_index if index < before_index]:
            for tx_id in self._by_index.pop(index):
                del self._vertices[tx_id]
                dropped.append(tx_id)
        for index in [index for index in self._milestones if index < before_index]:
            # A milestone is referenced by the next, so its vertex may live one index longer.
            if self._milestones[index] not in self._vertices:
                del self._milestones[index]
        return dropped

    def drop(self, tx_id: TransactionId) -> None:
        """Remove a pending transaction without children (an expired one)."""
        vertex = self._unreferenced.pop(tx_id)
        assert not vertex.children, f"dropped under its children: {tx_id.hex()}"
        del self._vertices[tx_id]
        self._tips.pop(tx_id, None)
        for parent_id in vertex.parents:
            parent = self._vertices.get(parent_id)
            if parent is None:
                continue
            parent.children.remove(tx_id)
            is_pending = parent.referenced_index is None and parent.milestone_index is None
            if is_pending and not parent.children:
                self._tips[parent_id] = parent

    def _add(
        self,
        tx_id: TransactionId,
        parents: tuple[TransactionId, ...],
        size_bytes: int,
        now_ms: int,
    ) -> Vertex:
        vertex = Vertex(tx_id, parents, size_bytes, now_ms, self._attachments)
        self._attachments += 1
        self._vertices[tx_id] = vertex
        return vertex

    def _set_roots(self, vertex: Vertex) -> None:
        above = [self._vertices.get(tx_id) for tx_id in vertex.parents]
        known = [parent for parent in above if parent is not None]
        # A forgotten parent was referenced too long ago: the vertex keeps its old roots then.
        if len(known) == len(above):
            _set_roots(vertex, known)


def _set_roots(vertex: Vertex, above: Sequence[Vertex]) -> None:
    first = above[0]
    youngest, oldest = first.youngest_root_index, first.oldest_root_index
    for parent in above[1:]:
        youngest = max(youngest, parent.youngest_root_index)
        oldest = min(oldest, parent.oldest_root_index)
    vertex.youngest_root_index, vertex.oldest_root_index = youngest, oldest
