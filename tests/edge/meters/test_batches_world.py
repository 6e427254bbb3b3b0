"""Every reading is committed to exactly once, whatever happens to the batches on their way."""

import random
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from edge.journal.entries import FormedBatch
from edge.meters.batches import (
    MAX_BATCH,
    RETRY_MS,
    Batcher,
    BatchToIssue,
)
from tangle.address import Address
from tangle.hashing import digest
from tangle.outcomes import Applied, Ignored, Outcome, Reason
from tangle.ranges import ReadingRanges, take
from tangle.sequences import SequenceWindow, lowest_unused, use
from tangle.transaction import TransactionId
from tests.edge.making import DEVICE, OTHER_DEVICE

INTERVAL_MS = 1_000
NONE_TAKEN = ReadingRanges()
TX = TransactionId(bytes(32))
TX_2 = TransactionId(bytes([2]) * 32)


@dataclass
class Issued:
    """One transaction of the node in the model."""

    formed: FormedBatch
    is_expired: bool = False


class World:
    """A node with its batcher, and a ledger that keeps the real rules of numbers and ranges."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.now_ms = 0
        self.devices = (DEVICE, OTHER_DEVICE)
        self.journalled = dict.fromkeys(self.devices, 0)
        self.taken = dict.fromkeys(self.devices, NONE_TAKEN)
        self.window = SequenceWindow()
        self.live: dict[TransactionId, Issued] = {}
        self.applied: list[tuple[Address, int, int]] = []
        self.is_registered = True
        self.is_known = True
        self.in_work: list[BatchToIssue] = []
        self.batcher = Batcher(INTERVAL_MS)
        self.count = 0

    def journal(self) -> None:
        device = self.rng.choice(self.devices)
        for _ in range(self.rng.choice((1, 3, 300))):
            self.batcher.journalled(device, self.journalled[device], self.now_ms)
            self.journalled[device] += 1

    def pass_time(self) -> None:
        self.now_ms += self.rng.choice((1, INTERVAL_MS, RETRY_MS))

    def begin(self) -> None:
        self.in_work += self.batcher.due(self.now_ms)

    def finish(self) -> None:
        self.rng.shuffle(self.in_work)
        while self.in_work and self.rng.random() < 0.8:
            batch = self.in_work.pop()
            number = batch.issuer_sequence
            if number is None:
                number = lowest_unused(self.window, self.batcher.reserved_numbers)
            if number is None or self.rng.random() < 0.2:
                self.batcher.not_issued(batch, self.now_ms)
                continue
            self.count += 1
            tx_id = TransactionId(digest(b"%d" % self.count))
            self.live[tx_id] = Issued(
                FormedBatch(tx_id, batch.device, batch.first_sequence, batch.last_sequence, number)
            )
            self.batcher.issued(batch, tx_id, number)

    def milestone(self) -> None:
        ordered = self.rng.sample(list(self.live), self.rng.randint(0, len(self.live)))
        outcomes = [(tx_id, self._apply(self.live[tx_id].formed)) for tx_id in ordered]
        for tx_id, outcome in outcomes:
            device = self.live.pop(tx_id).formed.device
            self.batcher.resolved(tx_id, outcome, self.taken[device], self.now_ms)

    def _apply(self, formed: FormedBatch) -> Outcome:
        if not self.is_known:
            return Ignored(Reason.ISSUER_UNKNOWN)
        window = use(self.window, formed.issuer_sequence)
        if isinstance(window, Reason):
            return Ignored(window)
        self.window = window
        if not self.is_registered:
            return Ignored(Reason.NOT_ALLOWED)
        return self._take(formed.device, formed.first_sequence, formed.last_sequence)

    def _take(self, device: Address, first: int, last: int) -> Outcome:
        taken = take(self.taken[device], first, last)
        if isinstance(taken, Reason):
            return Ignored(taken)
        self.taken[device] = taken
        self.applied.append((device, first, last))
        return Applied()

    def commit_elsewhere(self) -> None:
        device = self.rng.choice(self.devices)
        if self.journalled[device]:
            first = self.rng.randrange(self.journalled[device])
            self._take(device, first, min(first + 2, self.journalled[device] - 1))

    def expire(self) -> None:
        for tx_id in self.rng.sample(list(self.live), len(self.live) // 2):
            self.live[tx_id].is_expired = True
            self.batcher.expired(tx_id, self.now_ms)

    def change_registration(self) -> None:
        self.is_registered = not self.is_registered

    def change_identity(self) -> None:
        self.is_known = not self.is_known

    def restart(self) -> None:
        self.in_work = []
        self.batcher = Batcher(INTERVAL_MS)
        for device, count in self.journalled.items():
            if count:
                self.batcher.restore_device(
                    device, ((0, count - 1),), self.taken[device], self.now_ms
                )
        for each in self.live.values():
            self.batcher.restore_batch(each.formed)
        for tx_id, each in self.live.items():
            if each.is_expired:
                self.batcher.expired(tx_id, self.now_ms)

    def step(self) -> None:
        acts = (
            (self.journal, 4),
            (self.pass_time, 4),
            (self.begin, 4),
            (self.finish, 4),
            (self.milestone, 3),
            (self.expire, 1),
            (self.commit_elsewhere, 1),
            (self.change_registration, 1),
            (self.change_identity, 1),
            (self.restart, 1),
        )
        act = self.rng.choices([act for act, _ in acts], [weight for _, weight in acts])[0]
        act()

    def settle_all(self) -> None:
        self.is_registered = self.is_known = True
        for _ in range(200):
            self.pass_time()
            self.begin()
            self.finish()
            self.milestone()
            if self.batcher.unsettled_count == 0:
                return
        raise AssertionError(f"{self.batcher.unsettled_count} readings are never committed to")

    def overlapping(self) -> list[tuple[FormedBatch, FormedBatch]]:
        """Return pairs of transactions that could both be applied, and hold one reading."""
        able = [
            each.formed
            for each in self.live.values()
            if not each.is_expired
            and not isinstance(use(self.window, each.formed.issuer_sequence), Reason)
            and not isinstance(
                take(
                    self.taken[each.formed.device],
                    each.formed.first_sequence,
                    each.formed.last_sequence,
                ),
                Reason,
            )
        ]
        return [
            (one, other)
            for one in able
            for other in able
            if one.issuer_sequence < other.issuer_sequence
            and one.device == other.device
            and one.first_sequence <= other.last_sequence
            and other.first_sequence <= one.last_sequence
        ]


@given(st.integers(0, 2**32), st.integers(0, 80))
def test_every_reading_is_in_exactly_one_applied_batch_whatever_happens(
    seed: int, steps: int
) -> None:
    world = World(random.Random(seed))

    for _ in range(steps):
        world.step()
        assert world.overlapping() == []
    world.settle_all()

    for device, count in world.journalled.items():
        sequences = [
            sequence
            for where, first, last in world.applied
            if where == device
            for sequence in range(first, last + 1)
        ]
        assert sorted(sequences) == list(range(count))
    assert all(last - first < MAX_BATCH for _, first, last in world.applied)
