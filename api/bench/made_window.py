"""A window as a busy node holds it, made from a seed: the load of walks and weights."""

from collections import deque
from hashlib import blake2b
from random import Random
from typing import Final

from tangle.cones import new_cone
from tangle.genesis import Parameters
from tangle.graph import Graph
from tangle.hashing import HASH_SIZE
from tangle.transaction import MAX_MILESTONE_PARENTS, TransactionId

IN_FLIGHT: Final = 20
"""Transactions that are issued before one is seen: λh of *The Tangle*."""

SIZE_BYTES: Final = 250


class MadeWindow:
    """A graph of so many transactions over as many milestones as a node keeps; it can grow."""

    def __init__(self, transactions: int, seed: int) -> None:
        self._rng = Random(seed)
        self._issued = 0
        genesis = [self._next_id(), self._next_id()]
        self.graph = Graph([(tx_id, 0) for tx_id in genesis])
        self._seen = dict.fromkeys(genesis)  # tips as an issuer sees them
        self._in_flight: deque[tuple[TransactionId, tuple[TransactionId, ...]]] = deque()
        self._milestone_id, self.index = genesis[0], 0
        milestones = Parameters().reference_depth + 1
        for count in range(transactions):
            self.attach()
            if (count + 1) * milestones // transactions > self.index:
                self._confirm()

    def attach(self) -> TransactionId:
        """Attach one more over two tips that were seen `IN_FLIGHT` transactions ago."""
        tx_id = self._next_id()
        options = list(self._seen)
        if len(options) < 2:
            options.append(self._milestone_id)
        parents = tuple(sorted(self._rng.sample(options, 2)))
        self.graph.attach(tx_id, parents, SIZE_BYTES, 0)
        self._in_flight.append((tx_id, parents))
        if len(self._in_flight) > IN_FLIGHT:
            seen, approved = self._in_flight.popleft()
            for parent in approved:
                self._seen.pop(parent, None)
            self._seen[seen] = None
        return tx_id

    def _confirm(self) -> None:
        self.index += 1
        tips = sorted(self.graph.tips)[: MAX_MILESTONE_PARENTS - 1]
        parents = tuple(sorted({self._milestone_id, *tips}))
        cone = new_cone(self.graph, parents, self.index - 1)
        self.graph.mark_referenced(cone.order, self.index)
        self._milestone_id = self._next_id()
        self.graph.attach_milestone(self._milestone_id, parents, SIZE_BYTES, 0, self.index)

    def _next_id(self) -> TransactionId:
        self._issued += 1
        number = self._issued.to_bytes(8, "big")
        return TransactionId(blake2b(number, digest_size=HASH_SIZE).digest())
