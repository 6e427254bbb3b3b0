"""What a home node keeps of the ledger's history for good: proofs of batches and of reports.

It looks at each milestone once, soon after it was applied, and in any case before its cone is
pruned. A reading can be proven, and a bill computed anew, as long as the readings are here.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Literal

import msgspec

from edge.journal.journal import Journal
from edge.journal.kept import REPORT_EVENTS, KeptProof
from energy.powerchain.calls import NAME as ENERGY
from energy.powerchain.calls import Consumed, Produced
from energy.powerchain.calls import decoder as energy_decoder
from tangle.accounts import identity
from tangle.address import Address
from tangle.codec import Decoder, encode
from tangle.errors import DamagedStoreError
from tangle.merkle import prove_inclusion
from tangle.node import NodeCore
from tangle.outcomes import Applied
from tangle.transaction import (
    Counter,
    HashField,
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

_HEX: Final = 16
_MAX_NOTE_SIZE: Final = 512


class KeptReport(msgspec.Struct, frozen=True, array_like=True):
    """One applied report, and what the ledger answered to it."""

    tx_id: HashField
    kind: Literal["produced", "consumed", "recharged", "consumed_ctt"]
    energy_wh: Counter
    """Reported by a unit; or that energy accounts took or gave."""

    at_ms: Counter
    """Ledger time: end of the interval of a unit's report; of accounts, their milestone."""

    rest_wh: Counter = 0
    """That fitted on no account, or that none covered."""


_reports: Final = Decoder(KeptReport, "kept report", _MAX_NOTE_SIZE)


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

    async def run_through(self, index: int) -> None:
        """Look through all milestones up to `index`, in small steps. Raises `StorageError`."""
        has_more = self.step(index)
        while has_more:
            await asyncio.sleep(STEP_PAUSE_S)
            has_more = self.step(index)

    def step(self, index: int, most: int = STEP_MILESTONES) -> bool:
        """Look through some milestones up to `index`; return whether there are more."""
        first = max(self._looked_at + 1, self._journal.oldest_cone())
        last = min(index, first + most - 1)
        for at in range(first, last + 1):
            self._look_through(at)
        return last < index

    def _look_through(self, index: int) -> None:
        kept, members = self._journal.kept, self._members()
        wanted: dict[TransactionId, bytes] = {}
        notes: dict[str, bytes] = {}
        for tx_id in kept.candidates(index):
            stored = self._journal.transaction(tx_id)
            if stored is None or not isinstance(stored.outcome, Applied):
                continue
            transaction = decode(stored.data).transaction
            if isinstance(transaction.payload, ReadingBatch):
                wanted[tx_id] = stored.data
                continue
            found = self._report(index, transaction, tx_id, stored.outcome)
            if found is not None and found[0] in members:
                wanted[tx_id] = stored.data
                name = f"{_name(found[0], found[1].at_ms)}/{tx_id.hex()}"
                notes[name] = encode(found[1])
        if wanted:
            self._keep(index, wanted, notes)
        elif index - kept.through() >= MAX_LAG:
            kept.put(index, b"", {}, {})
        self._looked_at = index

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
    ) -> tuple[Address, KeptReport] | None:
        """Return a report and whose it is, `None` for what is no report."""
        payload = transaction.payload
        event = next((one for one in outcome.events if one.name in REPORT_EVENTS), None)
        if not isinstance(payload, Operation) or event is None:
            return None
        milestone = self._journal.milestone(index)
        assert milestone is not None, f"milestone {index} references what is kept"
        fields, at_ms = dict(event.fields), milestone.timestamp_ms
        if payload.contract == ENERGY:
            call = energy_decoder.decode(payload.call)
            assert isinstance(call, Produced | Consumed), f"{event.name} of no report"
            kind: Literal["produced", "consumed"] = (
                "produced" if isinstance(call, Produced) else "consumed"
            )
            end_ms = at_ms if call.interval_end_ms is None else call.interval_end_ms
            return Address(call.member), KeptReport(tx_id, kind, call.energy_wh, end_ms)
        prosumer, energy_wh = Address(_bytes(fields["prosumer"])), int(fields["energy_wh"])
        if event.name == "ctt.recharged":
            rest_wh = int(fields["refused_wh"])
            return prosumer, KeptReport(tx_id, "recharged", energy_wh, at_ms, rest_wh)
        rest_wh = int(fields["uncovered_wh"])
        return prosumer, KeptReport(tx_id, "consumed_ctt", energy_wh, at_ms, rest_wh)


def kept_reports(journal: Journal, member: Address, from_ms: int, to_ms: int) -> list[KeptReport]:
    """Return the reports about a member after a moment and up to another, in order of time.

    An interval that ends at midnight is of the day before it.
    """
    names = (_name(member, from_ms + 1), _name(member, to_ms + 1))
    return [_reports.read(value) for _, value in journal.kept.notes(*names)]


def _name(member: Address, at_ms: int) -> str:
    return f"report/{member.hex()}/{at_ms:0{_HEX}x}"


def _bytes(value: str | int | bytes) -> bytes:
    assert isinstance(value, bytes), f"an address is bytes, not {value!r}"
    return value


def proof_keeper(core: NodeCore, journal: Journal) -> ProofKeeper:
    """Return what keeps the proofs of a home node: for the owners of the meters homed here."""

    def members() -> frozenset[Address]:
        found = (identity(core.ledger.rows, device) for device in journal.meters())
        return frozenset(Address(one.owner) for one in found if one is not None)

    return ProofKeeper(journal, members)
