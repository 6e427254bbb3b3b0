"""From the mesh to the core: which arrivals wait, and which go now."""

from collections.abc import Iterable
from itertools import islice
from typing import Final

from edge.node.fair_queue import TURN_BYTES, FairQueue, FlowKey, Issuer, Queued
from tangle.accounts import is_registered
from tangle.address import address_of
from tangle.effects import PeerId
from tangle.keys import PublicKey
from tangle.node import NodeCore
from tangle.transaction import Milestone, TransactionId
from tangle.verification import Verified
from tangle.waiting import Arrival

CATCHING_UP: Final = 4
"""Milestones behind from which on arrivals do not wait: they are history that was asked for, in
the order in which it must be attached, and who asked bounds how much of it is under way."""


MAX_SPONSORS: Final = 16
"""Of those who wait for the same transaction, so many are asked to give up a turn for it."""


class Admission:
    """The fair queue in front of one core."""

    def __init__(self, core: NodeCore) -> None:
        self._core = core
        self._is_open = core.parameters.admission == "open"
        self._queue = FairQueue()
        self._sponsored: dict[TransactionId, FlowKey] = {}
        """What came in at the expense of others, and still waits for its own parents: these go
        on their expense too."""

        self._under_check: dict[TransactionId, Queued] = {}
        """Out of the queue, not in the core yet: as much as `edge.node.checking` has room for."""

        self._checked_of: dict[PublicKey, int] = {}
        """How many of these each issuer has."""

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def checking_count(self) -> int:
        """How many are being checked."""
        return len(self._under_check)

    @property
    def is_busy(self) -> bool:
        """Whether another turn would hand on anything."""
        return self._queue.is_ready(self._pending_of)

    def get(self, tx_id: TransactionId) -> Queued | None:
        """Return what waits here under an id, or is being checked."""
        return self._queue.get(tx_id) or self._under_check.get(tx_id)

    def offer(self, peer: PeerId, parsed: Verified) -> list[Queued]:
        """Let one transaction of `peer` wait for its turn; return what had to leave for it."""
        tx_id = parsed.tx_id
        under_check = self._under_check.get(tx_id)
        if under_check is not None and under_check.data == parsed.data:
            return []
        if self._core.is_known(tx_id):
            return []
        transaction, waiting = parsed.transaction, self._core.waiting
        queued = Queued(peer, self._issuer(transaction.issuer), parsed)
        if waiting.is_wanted(tx_id):
            is_urgent, sponsor = waiting.is_needed(tx_id), self._sponsor(tx_id, queued.flow)
        else:
            is_urgent, sponsor = False, None
        is_urgent = is_urgent or isinstance(transaction.payload, Milestone)
        return self._queue.add(queued, is_urgent=is_urgent, sponsor=sponsor)

    def begin_check(self, batch: Iterable[Queued]) -> None:
        """Note what is being checked: it is not offered again, and counts for the quotas."""
        for queued in batch:
            self._under_check[queued.tx_id] = queued
            if queued.issuer is not None:
                self._checked_of[queued.issuer] = self._checked_of.get(queued.issuer, 0) + 1

    def end_check(self, batch: Iterable[Queued]) -> None:
        """Note that the verdicts are there.

        One id may be checked twice at a time, with two signatures: one of them ends before the
        other.
        """
        for queued in batch:
            if self._under_check.get(queued.tx_id) is queued:
                del self._under_check[queued.tx_id]
            if queued.issuer is not None:
                left = self._checked_of[queued.issuer] - 1
                self._checked_of[queued.issuer] = left
                if not left:
                    del self._checked_of[queued.issuer]  # nobody who once issued is remembered

    def forget_checks(self) -> None:
        """Note that no verdicts will come any more."""
        self._under_check.clear()
        self._checked_of.clear()

    def is_catching_up(self) -> bool:
        """Return whether what comes is history and goes to the core as it comes."""
        core = self._core
        return core.is_catching_up or core.latest_index > core.confirmed_index + CATCHING_UP

    def turn(self, budget_bytes: int = TURN_BYTES) -> list[Queued]:
        """Take out what the core is to receive now."""
        waiting = self._core.waiting
        self._sponsored = {one: by for one, by in self._sponsored.items() if one in waiting}
        taken = self._queue.take(self._pending_of, budget_bytes)
        self._sponsored |= {one.tx_id: one.sponsor for one in taken if one.sponsor is not None}
        return taken

    def hasten(self, tx_id: TransactionId) -> bool:
        """Bring forward what the core asks for; `False` if it does not wait here.

        What only a heartbeat names stays where it is: it will have its turn.
        """
        queued = self._queue.get(tx_id)
        if queued is None:
            return tx_id in self._under_check
        if self._core.waiting.is_needed(tx_id):
            return self._queue.prefer(tx_id)
        sponsor = self._sponsor(tx_id, queued.flow)
        return sponsor is None or self._queue.hasten(tx_id, sponsor)

    def forget(self, peer: PeerId) -> None:
        """Drop what a banned peer sent."""
        self._queue.forget(peer)

    def _pending_of(self, issuer: PublicKey) -> int:
        return self._core.pending_of(issuer) + self._checked_of.get(issuer, 0)

    def _sponsor(self, tx_id: TransactionId, own: FlowKey) -> FlowKey | None:
        """Return at whose expense `tx_id` goes: of all that wait for it, who has least waiting.

        So an issuer that floods delays nobody who built upon it; `None` if nothing waits for it.
        """
        arrivals = list(islice(self._core.waiting.waiting_for(tx_id), MAX_SPONSORS))
        if not arrivals:
            return None
        flows = [own, *map(self._flow_of, arrivals)]
        return min(flows, key=self._queue.size_bytes)

    def _flow_of(self, arrival: Arrival) -> FlowKey:
        """Return at whose expense something came in, which waits for its parents now."""
        verified = arrival.verified
        own = arrival.sender, self._issuer(verified.transaction.issuer)
        return self._sponsored.get(verified.tx_id, own)

    def _issuer(self, issuer: PublicKey) -> Issuer:
        is_known = self._is_open or is_registered(self._core.ledger.rows, address_of(issuer))
        return issuer if is_known else None
