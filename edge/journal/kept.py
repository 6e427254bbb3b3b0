"""Proofs that stay when history leaves: of what this node committed to, and of what was reported.

A reading is proven by its batch, and a bill by reports. Their transactions are pruned like all
others; so what proves them is written before: the bytes, and the paths under one milestone, which
is kept once for all that hang on it. Nothing of it is secret: it was on the ledger.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Annotated, Final

import msgspec

from edge.journal.commits import put_meta, set_counter
from edge.journal.records import decode_outcome
from edge.journal.storage import Storage
from edge.journal.sums import verified
from energy.bills.reported import REPORT_EVENTS
from tangle.anchors import TransactionBytes
from tangle.codec import Decoder, encode
from tangle.merkle import MerkleProof
from tangle.outcomes import Applied
from tangle.transaction import Counter, HashField, TransactionId

PREFIX: Final = "kept/"
"""Of the names of the notes here."""

_PROOF: Final = f"{PREFIX}proof/"
_MILESTONE: Final = f"{PREFIX}milestone/"
_THROUGH: Final = "meta/kept_through"
_MAX_SIZE: Final = 8 * 2**20


class KeptProof(msgspec.Struct, frozen=True, array_like=True):
    """That an applied transaction is under a milestone, which is kept beside it."""

    index: Counter
    """Of the milestone."""

    transaction: TransactionBytes
    inclusion: MerkleProof
    applied: MerkleProof


class KeptMilestone(msgspec.Struct, frozen=True, array_like=True):
    """What kept proofs hang on."""

    milestone: TransactionBytes
    """Canonical bytes, signatures included."""

    tx_ids: Annotated[tuple[HashField, ...], msgspec.Meta(max_length=2**17)]
    """What is kept under it: with the last of them it leaves."""


_proofs: Final = Decoder(KeptProof, "kept proof", _MAX_SIZE)
_milestones: Final = Decoder(KeptMilestone, "kept milestone", _MAX_SIZE)


class Kept:
    """The part of one journal that holds proofs for good. Raises as `Journal` does."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def through(self) -> int:
        """Return the last milestone that was looked through for what is to be kept."""
        found = self._storage.table("counters", "WHERE name = ?", (_THROUGH,))
        return int(found[0][1]) if found else 0

    def candidates(self, index: int) -> list[TransactionId]:
        """Return what milestone `index` references of batches formed here, and of reports."""
        reports = " OR ".join(
            f"instr(outcome, CAST('{name}' AS BLOB)) > 0" for name in REPORT_EVENTS
        )
        found = self._storage.table(
            "transactions",
            "WHERE milestone_index = ? AND (tx_id IN (SELECT tx_id FROM reading_batches)"
            f" OR {reports}) ORDER BY position",
            (index,),
        )
        return [TransactionId(row[1]) for row in found]

    def cone(self, index: int) -> tuple[list[TransactionId], list[TransactionId]]:
        """Return the ids that milestone `index` references, in order, and those applied."""
        found = self._storage.table(
            "transactions", "WHERE milestone_index = ? ORDER BY position", (index,)
        )
        with self._storage.reported():
            applied = [
                TransactionId(row[1])
                for row in found
                if row[5] is not None and isinstance(decode_outcome(row[5]), Applied)
            ]
        return [TransactionId(row[1]) for row in found], applied

    def put(
        self,
        through: int,
        milestone: bytes,
        proofs: Mapping[TransactionId, KeptProof],
        notes: Mapping[str, bytes],
    ) -> None:
        """Keep proofs under milestone `through`, and what names them, in one durable commit."""
        with self._storage.transaction() as connection:
            for tx_id, proof in proofs.items():
                put_meta(connection, _proof_name(tx_id), encode(proof))
            for name, value in notes.items():
                put_meta(connection, PREFIX + name, value)
            if proofs:
                ids = tuple(sorted(proofs))
                kept = encode(KeptMilestone(milestone, ids))
                put_meta(connection, _milestone_name(through), kept)
            set_counter(connection, _THROUGH, through)

    def proof(self, tx_id: TransactionId) -> tuple[bytes, KeptProof] | None:
        """Return the milestone of a kept transaction and its proof, `None` if none is kept."""
        found = self._note(_proof_name(tx_id))
        if found is None:
            return None
        with self._storage.reported():
            proof = _proofs.read(found)
            milestone = self._note(_milestone_name(proof.index))
            return None if milestone is None else (_milestones.read(milestone).milestone, proof)

    def notes(self, first: str, after: str) -> list[tuple[str, bytes]]:
        """Return the notes that name kept proofs, from a name on and before another, in order."""
        names = (PREFIX + first, PREFIX + after)
        found = self._storage.table("meta", "WHERE name >= ? AND name < ? ORDER BY name", names)
        return [(name.removeprefix(PREFIX), value) for name, value in found]

    def _note(self, name: str) -> bytes | None:
        found = self._storage.table("meta", "WHERE name = ?", (name,))
        return bytes(found[0][1]) if found else None


def forget_proofs(connection: sqlite3.Connection, tx_ids: Iterable[bytes]) -> None:
    """Delete the kept proofs of transactions, and milestones under which nothing is left.

    Raises:
        MalformedBytesError: A note is not what was written.
    """
    for tx_id in tx_ids:
        value = _taken(connection, _proof_name(TransactionId(tx_id)))
        if value is None:
            continue
        name = _milestone_name(_proofs.read(value).index)
        value = _taken(connection, name)
        if value is None:
            continue
        kept = _milestones.read(value)
        left = tuple(one for one in kept.tx_ids if one != tx_id)
        if left:
            put_meta(connection, name, encode(KeptMilestone(kept.milestone, left)))


def _taken(connection: sqlite3.Connection, name: str) -> bytes | None:
    """Delete a note and return what it said, `None` if there was none."""
    row = connection.execute("SELECT * FROM meta WHERE name = ?", (name,)).fetchone()
    if row is None:
        return None
    connection.execute("DELETE FROM meta WHERE name = ?", (name,))
    return bytes(verified("meta", row)[1])


def _proof_name(tx_id: TransactionId) -> str:
    return f"{_PROOF}{tx_id.hex()}"


def _milestone_name(index: int) -> str:
    return f"{_MILESTONE}{index:016x}"
