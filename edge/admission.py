"""From the mesh to the core: which arrivals wait, and which go now."""

from typing import Final

from edge.fair_queue import FairQueue, Issuer, Queued
from tangle.accounts import identity
from tangle.address import address_of
from tangle.effects import PeerId
from tangle.keys import PublicKey
from tangle.node import NodeCore
from tangle.transaction import TransactionId
from tangle.verification import parse

CATCHING_UP: Final = 4
"""Milestones behind from which on arrivals do not wait: they are history that was asked for, in
the order in which it must be attached, and who asked bounds how much of it is under way."""


class Admission:
    """The fair queue in front of one core."""

    def __init__(self, core: NodeCore) -> None:
        self._core = core
        self._queue = FairQueue()

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def is_busy(self) -> bool:
        """Whether another turn would hand on anything."""
        return self._queue.is_ready(self._core.pending_of)

    def get(self, tx_id: TransactionId) -> Queued | None:
        """Return what waits here under an id."""
        return self._queue.get(tx_id)

    def offer(self, peer: PeerId, data: bytes) -> list[Queued]:
        """Let one transaction of `peer` wait for its turn; return what had to leave for it.

        Raises:
            MalformedBytesError: Not the canonical spelling of a transaction.
        """
        parsed = parse(data)
        if self._core.is_known(parsed.tx_id):
            return []
        waiting = self._core.waiting
        is_urgent = parsed.milestone is not None or waiting.is_needed(parsed.tx_id)
        issuer = self._issuer(parsed.transaction.issuer)
        queued = Queued(peer, issuer, parsed.tx_id, data, parsed.size_bytes)
        is_awaited = waiting.is_wanted(parsed.tx_id)
        return self._queue.add(queued, is_urgent=is_urgent, is_awaited=is_awaited)

    def is_catching_up(self) -> bool:
        """Return whether what comes is history and goes to the core as it comes."""
        core = self._core
        return core.is_catching_up or core.latest_index > core.confirmed_index + CATCHING_UP

    def turn(self) -> list[Queued]:
        """Take out what the core is to receive now."""
        return self._queue.take(self._core.pending_of)

    def hasten(self, tx_id: TransactionId) -> bool:
        """Bring forward what the core asks for; `False` if it does not wait here."""
        return self._queue.hasten(tx_id, is_urgent=self._core.waiting.is_needed(tx_id))

    def forget(self, peer: PeerId) -> None:
        """Drop what a banned peer sent."""
        self._queue.forget(peer)

    def _issuer(self, issuer: PublicKey) -> Issuer:
        is_open = self._core.parameters.admission == "open"
        is_known = is_open or identity(self._core.ledger.rows, address_of(issuer)) is not None
        return issuer if is_known else None
