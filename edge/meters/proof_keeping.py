"""What a home node keeps of the ledger's history for good: proofs of batches and of reports.

It looks at each milestone once, soon after it was applied, and in any case before its cone is
pruned. A reading can be proven, and a bill computed anew, as long as the readings are here.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from edge.journal.journal import Journal
from edge.journal.kept import KeptProof
from energy.bills.reported import AppliedReport, Reported, reported_by
from tangle.accounts import identity
from tangle.address import Address
from tangle.codec import Decoder, encode
from tangle.errors import DamagedStoreError
from tangle.merkle import prove_inclusion
from tangle.node import NodeCore
from tangle.outcomes import Applied
from tangle.transaction import (
    MAX_INTEGER,
    Operation,
    ReadingBatch,
    Transaction,
    TransactionId,
    decode,
)

STEP_MILESTONES: Final = 50
STEP_PAUSE_S: Final = 0.02
MAX_LAG: Final = 100
"""Milestones without anything to keep before it is written down that they were looked at."""

_BEGAN: Final = "began"
_HEX: Final = 16
_MAX_NOTE_SIZE: Final = 512


_reports: Final = Decoder(AppliedReport, "kept report", _MAX_NOTE_SIZE)
_moments: Final = Decoder(int, "moment", _MAX_NOTE_SIZE)


class ProofKeeper:
    """Keeps the proofs of one home node. Used on the loop only."""

    def __init__(self, journal: Journal, members: Callable[[], frozenset[Address]]) -> None:
        """Keep what stands in `journal`.

        Args:
            journal: Of the node.
            members: Returns whose meters are homed here: reports of others are for their homes.
        """
        self._journal = journal
        self._members = members
        self._looked_at = journal.kept.through()
        self._notes: dict[str, bytes] = {}

    async def run_through(self, index: int) -> None:
        """Look through all milestones up to `index`, in small steps. Raises `StorageError`."""
        has_more = self.step(index)
        while has_more:
            await asyncio.sleep(STEP_PAUSE_S)
            has_more = self.step(index)

    def step(self, index: int, most: int = STEP_MILESTONES) -> bool:
        """Look through some milestones up to `index`; return whether there are more."""
        first = max(self._looked_at + 1, self._journal.oldest_cone())
        if first > self._looked_at + 1 or first == 1:
            self._notes[_BEGAN] = self._began(first)
        last = min(index, first + most - 1)
        for at in range(first, last + 1):
            self._look_through(at)
        if self._journal.kept.through() < last < index:
            # another keeper goes on from here, and not from where this one began
            self._journal.kept.put(last, b"", {}, {})
        return last < index

    def _look_through(self, index: int) -> None:
        kept, members = self._journal.kept, self._members()
        wanted: dict[TransactionId, bytes] = {}
        notes = dict(self._notes)
        for tx_id in kept.candidates(index):
            stored = self._journal.transaction(tx_id)
            if stored is None or not isinstance(stored.outcome, Applied):
                continue
            transaction = decode(stored.data).transaction
            if isinstance(transaction.payload, ReadingBatch):
                wanted[tx_id] = stored.data
                continue
            found = self._report(index, transaction, tx_id, stored.outcome)
            if found is not None and found.member in members:
                wanted[tx_id] = stored.data
                name = f"{_name(found.member, found.report.at_ms)}/{tx_id.hex()}"
                notes[name] = encode(found.report)
        if wanted:
            self._keep(index, wanted, notes)
        elif notes or index - kept.through() >= MAX_LAG:
            kept.put(index, b"", {}, notes)
        self._looked_at = index
        self._notes.clear()

    def _keep(
        self, index: int, wanted: dict[TransactionId, bytes], notes: dict[str, bytes]
    ) -> None:
        milestone = self._journal.milestone_bytes(index)
        if milestone is None:
            raise DamagedStoreError(f"milestone {index}: it was applied, and is not here")
        ids, applied = self._journal.kept.cone(index)
        proofs = {
            tx_id: KeptProof(
                index,
                data,
                prove_inclusion(ids, ids.index(tx_id)),
                prove_inclusion(applied, applied.index(tx_id)),
            )
            for tx_id, data in wanted.items()
        }
        self._journal.kept.put(index, milestone, proofs, notes)

    def _report(
        self, index: int, transaction: Transaction, tx_id: TransactionId, outcome: Applied
    ) -> Reported | None:
        if not isinstance(transaction.payload, Operation):
            return None
        milestone = self._journal.milestone(index)
        assert milestone is not None, f"milestone {index} references what is kept"
        at_ms = milestone.timestamp_ms
        return reported_by(transaction.payload, outcome.events, at_ms, tx_id)

    def _began(self, first: int) -> bytes:
        """Return from when on nothing is missed, if `first` is the first milestone looked at."""
        before = self._journal.milestone(first - 1)
        at_ms = self._journal.milestone(first)
        if first == 1 or at_ms is None:
            return encode(0)
        return encode(at_ms.timestamp_ms if before is None else before.timestamp_ms)


def kept_reports(
    journal: Journal, member: Address, from_ms: int, to_ms: int
) -> list[AppliedReport]:
    """Return the reports about a member after a moment and up to another, in order of time.

    An interval that ends at midnight is of the day before it.
    """
    names = (_name(member, from_ms + 1), _name(member, to_ms + 1))
    return [_reports.read(value) for _, value in journal.kept.notes(*names)]


def kept_from_ms(journal: Journal) -> int:
    """Return the ledger time from which on no report is missing here."""
    found = journal.kept.notes(_BEGAN, _BEGAN + "~")
    return _moments.read(found[0][1]) if found else MAX_INTEGER


def _name(member: Address, at_ms: int) -> str:
    return f"report/{member.hex()}/{at_ms:0{_HEX}x}"


def proof_keeper(core: NodeCore, journal: Journal) -> ProofKeeper:
    """Return what keeps the proofs of a home node: for the owners of the meters homed here."""

    def members() -> frozenset[Address]:
        found = (identity(core.ledger.rows, device) for device in journal.meters())
        return frozenset(Address(one.owner) for one in found if one is not None)

    return ProofKeeper(journal, members)
