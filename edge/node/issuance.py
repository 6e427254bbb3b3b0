"""A node's own transactions: numbered without holes, signed, worked, and journalled."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random

from edge.ground.clock import Clock
from edge.journal.entries import FormedBatch
from edge.node.executor import Executor
from edge.node.load import LoadMeter
from tangle.accounts import sequence_window
from tangle.address import address_of
from tangle.codec import encode
from tangle.effects import Confirmed, Effect, Expired
from tangle.errors import NoTipsError, QueueFullError
from tangle.keys import SigningKey
from tangle.outcomes import State
from tangle.sequences import lowest_unused
from tangle.transaction import (
    VERSION,
    IssuerWitness,
    Payload,
    SignedTransaction,
    Transaction,
    TransactionId,
    decode,
    sign,
    transaction_id,
)
from tangle.work import find_nonce, required_bits
from tip_selection.view import View
from tip_selection.weighted_walk import select_weighted_walk

Reserved = Callable[[], frozenset[int]]
"""Numbers kept for issuing a reading batch anew."""

FindNonce = Callable[[TransactionId, int], bytes]
"""The work of a transaction of so many bits; a faster way may take its place."""


class Issuance:
    """Issues with the node's own key. An expired number is used again (PROTOCOL §4)."""

    def __init__(
        self, executor: Executor, key: SigningKey, clock: Clock, rng: Random, load: LoadMeter
    ) -> None:
        self.key = key
        self.address = address_of(key.public)
        self._executor = executor
        self._core = executor.core
        self._clock = clock
        self._rng = rng
        self._load = load
        self._in_flight: set[int] = set()
        self._pending: dict[TransactionId, int] = {}
        self.reserved: Reserved = frozenset
        self.find_nonce: FindNonce = find_nonce
        for stored in executor.journal.own_unreferenced(key.public):
            if self._core.state(stored.tx_id) in (State.TIP, State.PENDING):
                self._pending[stored.tx_id] = decode(stored.data).transaction.sequence
        executor.observe(self._observe)

    @property
    def pending_ids(self) -> tuple[TransactionId, ...]:
        """What this node issued and no milestone references yet, in order."""
        return tuple(self._pending)

    def view(self) -> View:
        """Return the tangle as tip selection sees it now."""
        core = self._core
        load = self._load.load(self._clock.wall_ms())
        return View(core.graph, core.weights, core.confirmed_index, core.parameters, load)

    def select_parents(self) -> tuple[TransactionId, TransactionId]:
        """Return two parents by the weighted walk.

        Raises:
            NoTipsError: There are none, or this node is so far behind that whatever it issued
                would be below max depth everywhere else, perhaps so far that it joins anew.
        """
        if self._executor.holds_back():
            raise NoTipsError("this node may start from a snapshot: it must wait for that")
        behind = self._core.latest_index - self._core.confirmed_index
        if behind > self._core.parameters.max_depth:
            raise NoTipsError(f"this node is {behind} milestones behind: it must catch up first")
        first, second = select_weighted_walk(self.view(), self._rng, 2).parents
        return first, second

    async def work(self, transaction: Transaction) -> bytes:
        """Return a nonce that carries the work of `transaction`, found in another thread."""
        bits = required_bits(len(encode(transaction)), self._core.rules.work_per_byte)
        return await asyncio.to_thread(self.find_nonce, transaction_id(transaction), bits)

    async def issue(
        self,
        payload: Payload,
        *,
        number: int | None = None,
        parents: tuple[TransactionId, TransactionId] | None = None,
        formed: Callable[[TransactionId, int], FormedBatch] | None = None,
    ) -> tuple[TransactionId, int]:
        """Issue `payload`; durable and sent when this returns.

        Args:
            payload: What to issue.
            number: Sequence number to issue anew under; else the lowest unused.
            parents: What to approve; else two by the weighted walk.
            formed: Makes the journal's entry of a reading batch, for the same commit.

        Returns:
            Id and sequence number.

        Raises:
            UnavailableError: No parents, or 1,024 of its own unreferenced already.
            StorageError: Not durable, not sent.
        """
        with self._number(number) as sequence:
            started_ms = self._clock.wall_ms()
            transaction = Transaction(
                VERSION,
                self._core.rules.network,
                tuple(sorted(parents or self.select_parents())),
                self.key.public,
                sequence,
                self._clock.instant().ledger_ms,
                payload,
            )
            nonce = await self.work(transaction)
            witness = IssuerWitness(sign(transaction, self.key), nonce)
            tx_id = transaction_id(transaction)
            now = self._clock.instant()
            effects = self._core.submit(encode(SignedTransaction(transaction, witness)), now)
            self._pending[tx_id] = sequence
            entries = () if formed is None else (formed(tx_id, sequence),)
            self._executor.carry_out(effects, now, formed=entries)
            self._load.issued(self._clock.wall_ms() - started_ms)
        return tx_id, sequence

    @contextmanager
    def _number(self, number: int | None) -> Iterator[int]:
        """Hold a sequence number while its transaction is made; free it if that fails."""
        sequence = self._lowest_unused() if number is None else number
        self._in_flight.add(sequence)
        try:
            yield sequence
        finally:
            self._in_flight.discard(sequence)

    def _lowest_unused(self) -> int:
        window = sequence_window(self._core.ledger.rows, self.address)
        taken = {*self._in_flight, *self._pending.values(), *self.reserved()}
        number = lowest_unused(window, taken)
        if number is None:
            raise QueueFullError(
                f"{len(taken)} own transactions are unreferenced: the window is full"
            )
        return number

    def _observe(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Confirmed():
                    for tx_id, _ in effect.outcomes:
                        self._pending.pop(tx_id, None)
                case Expired(tx_id):
                    self._pending.pop(tx_id, None)
                case _:
                    pass
