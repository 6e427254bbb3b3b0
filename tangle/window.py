"""The recent tangle: graph, weights and pending bodies, as deep as the rules look back."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from tangle.genesis import Parameters
from tangle.graph import EMPTY, Graph, Vertex
from tangle.keys import PublicKey
from tangle.outcomes import State
from tangle.restored import Restored, StoredVertex
from tangle.transaction import Data, TransactionId, read
from tangle.verification import Verified, parse
from tangle.walking import Walk, WalkEnd
from tangle.weights import CumulativeWeights

_KEPT_MARGIN: Final = 1
"""Milestones kept in the graph beyond `reference_depth`, so that the edge is seen exactly."""


class Weights(Protocol):
    """Exact weights of one graph, told what comes and goes: `CumulativeWeights` says when."""

    def add(self, tx_id: TransactionId) -> None: ...  # noqa: D102
    def forget(self, tx_ids: Iterable[TransactionId]) -> None: ...  # noqa: D102
    def drop(self, tx_id: TransactionId) -> None: ...  # noqa: D102
    def weight(self, tx_id: TransactionId) -> int: ...  # noqa: D102
    def walk(self, way: Walk) -> WalkEnd: ...  # noqa: D102


class Window:
    """What a node remembers of the tangle. Mutable; owned by one `NodeCore`."""

    def __init__(
        self,
        parameters: Parameters,
        entry_points: Iterable[TransactionId],
        restored: Restored,
    ) -> None:
        """Rebuild the window as it was when a node stopped, or as a snapshot gives it."""
        confirmed_index = restored.index
        self._parameters = parameters
        self._kept_depth = parameters.reference_depth + _KEPT_MARGIN
        is_young = confirmed_index <= self._kept_depth
        first = [(tx_id, 0) for tx_id in entry_points] if is_young else []
        self.graph = Graph([*first, *restored.roots])
        self.weights: Weights = CumulativeWeights(self.graph)
        self.bodies: dict[TransactionId, bytes] = {}
        """Every solid transaction that no milestone references yet, milestones included: canonical
        bytes with witness. As values they would take three times the memory."""
        self.issuers: Counter[PublicKey] = Counter()
        """How many of those each key issued; no key has 0."""

        self._keys: dict[PublicKey, PublicKey] = {}
        """Each of these keys once, for all vertices to name."""

        self._expired: set[TransactionId] = set()
        self._restore(restored.recent)
        self._mark_expired(confirmed_index)
        self._drop_hopeless(confirmed_index)

    def weigh_by(self, made: Callable[[Graph], Weights]) -> None:
        """From now on keep weights in another way; the results stay the same."""
        self.weights = made(self.graph)

    def state(self, tx_id: TransactionId) -> State | None:
        """Return the state of a solid transaction; `None` once it is referenced."""
        if self.graph[tx_id].referenced_index is not None:
            return None
        if tx_id in self._expired:
            return State.EXPIRED
        return State.TIP if self.graph.is_tip(tx_id) else State.PENDING

    def attach(self, verified: Verified, now_ms: int) -> None:
        """Add a transaction whose parents are here."""
        tx_id, parents = verified.tx_id, verified.transaction.parents
        vertex = self.graph.attach(tx_id, parents, verified.size_bytes, now_ms)
        self.weights.add(tx_id)
        self._keep(verified, vertex)

    def reference(
        self, milestone: Verified, ordered: Sequence[TransactionId], index: int, now_ms: int
    ) -> list[TransactionId]:
        """Take over an applied milestone and its new cone.

        Returns:
            Pending transactions that fell below max depth by it.
        """
        self.graph.mark_referenced(ordered, index)
        self.graph.attach_milestone(
            milestone.tx_id,
            milestone.transaction.parents,
            milestone.size_bytes,
            now_ms,
            index,
        )
        self.weights.add(milestone.tx_id)
        for tx_id in ordered:
            self._release(tx_id)
        self._keep(milestone, self.graph[milestone.tx_id])
        expired = self._mark_expired(index)
        self._drop_hopeless(index)
        self.weights.forget(self.graph.forget(index - self._kept_depth))
        return expired

    def _mark_expired(self, index: int) -> list[TransactionId]:
        deepest = index - self._parameters.max_depth
        fresh = [
            vertex.tx_id
            for vertex in self.graph.unreferenced()
            if vertex.oldest_root_index < deepest
            and vertex.milestone_index is None
            and vertex.tx_id not in self._expired
        ]
        self._expired.update(fresh)
        return fresh

    def _drop_hopeless(self, index: int) -> None:
        """Drop what makes every later milestone above it invalid (PROTOCOL §5, depth)."""
        deepest = index + 1 - self._parameters.reference_depth
        hopeless = [
            vertex.tx_id
            for vertex in self.graph.unreferenced()
            if vertex.oldest_root_index < deepest and vertex.milestone_index is None
        ]
        for tx_id in reversed(hopeless):  # children first: they reach at least as far back
            self.weights.drop(tx_id)
            self.graph.drop(tx_id)
            self._release(tx_id)

    def _keep(self, verified: Verified, vertex: Vertex) -> None:
        self.bodies[verified.tx_id] = verified.data
        payload, issuer = verified.transaction.payload, verified.transaction.issuer
        issuer = self._keys.setdefault(issuer, issuer)
        is_empty = isinstance(payload, Data) and not payload.data
        vertex.issuer = EMPTY if is_empty else issuer
        self.issuers[issuer] = self.issuers.get(issuer, 0) + 1

    def _release(self, tx_id: TransactionId) -> None:
        issuer = read(self.bodies.pop(tx_id)).transaction.issuer
        self.issuers[issuer] -= 1
        if not self.issuers[issuer]:
            del self.issuers[issuer], self._keys[issuer]
        self._expired.discard(tx_id)

    def _restore(self, recent: Iterable[StoredVertex]) -> None:
        """Put back what is journalled; it was verified before it was."""
        for stored in recent:
            verified = parse(stored.data)
            assert verified.tx_id == stored.tx_id, f"journal: {stored.tx_id.hex()} is changed"
            parents = verified.transaction.parents
            is_pending = stored.referenced_index is None
            if is_pending and any(one not in self.graph for one in parents):
                continue  # expired: what it approves is forgotten
            milestone = verified.milestone
            index = None if milestone is None else milestone.index
            self.graph.restore(stored, parents, verified.size_bytes, index)
            self.weights.add(stored.tx_id)
            if is_pending:
                self._keep(verified, self.graph[stored.tx_id])
