"""A node's journal: what must survive a kill at any instant. Journalled means verified.

One commit is one durable SQLite transaction: it is there as a whole once `commit` returns, and
not at all if it raises. The ledger's rows start from those of genesis, written at first start.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from edge.commits import write_batch, write_genesis, write_start
from edge.entries import (
    AppliedBatch,
    Batch,
    Counts,
    FormedBatch,
    Review,
    StoredMilestone,
    StoredTransaction,
    TakenReading,
)
from edge.leaping import write_leap
from edge.pruning import delete_pending, delete_referenced
from edge.records import (
    decode_halted,
    decode_outcome,
    decode_review,
    decode_rotation,
    encode_review,
)
from edge.rotations import SELECT_ROTATIONS, names_below
from edge.storage import Storage, Value
from tangle.accounts import READINGS_PREFIX, decode_reading_ranges, genesis_rows
from tangle.address import Address
from tangle.anchors import Rotation
from tangle.effects import Halted
from tangle.errors import ForeignStoreError, MalformedBytesError
from tangle.genesis import Genesis, entry_points
from tangle.keys import PublicKey
from tangle.outcomes import Applied
from tangle.ranges import ReadingRanges
from tangle.restored import Restored, StoredVertex
from tangle.snapshot import Start
from tangle.transaction import ReadingBatch, TransactionId, decode
from tangle.verification import parse

_TRANSACTION: Final = (
    "SELECT t.tx_id, b.data, t.attached_at_ms, t.milestone_index, t.position, t.outcome"
    " FROM transactions t JOIN bodies b USING (number) "
)
_MILESTONE: Final = "SELECT milestone_index, tx_id, timestamp_ms, state_root FROM milestones "
_FORMED: Final = (
    "SELECT r.tx_id, r.device, r.first_sequence, r.last_sequence, r.issuer_sequence"
    " FROM reading_batches r "
)


PRUNED_THROUGH: Final = "pruned_through"
"""Counter: last milestone whose cone is not here, since it was pruned or never fetched."""


class Journal:
    """The journal in one node's data folder, held by this process alone.

    Every method raises `StorageError` when the disk is full, read-only or failing, and
    `DamagedStoreError` when the stored bytes are not what was written.
    """

    def __init__(self, folder: Path, network: bytes) -> None:
        """Open or create the journal in `folder`; see `Storage` for what it refuses."""
        self._storage = Storage(folder, network)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and let others have the folder. May be called twice."""
        self._storage.close()

    @property
    def path(self) -> Path:
        """The file, for messages to people."""
        return self._storage.path

    def commit(self, batch: Batch) -> None:
        """Write all of `batch` durably, or raise and write nothing of it.

        A batch that contradicts the journal (a milestone out of turn, a mark for a transaction
        that is not here, a gap between readings) is a bug.
        """
        with self._storage.transaction() as connection:
            write_batch(connection, batch)

    def next_epoch(self, now_ms: int) -> int:
        """Return a number above all it ever returned, and not below `now_ms`. Durable.

        A node numbers its frames from there: peers take the frames of a start for newer than
        those of the one before, even if the clock was set back in between.
        """
        with self._storage.transaction() as connection:
            found = connection.execute("SELECT value FROM counters WHERE name = 'epoch'").fetchone()
            epoch = now_ms if found is None else max(now_ms, int(found[0]) + 1)
            connection.execute("INSERT OR REPLACE INTO counters VALUES ('epoch', ?)", (epoch,))
        return epoch

    def restore(self, genesis: Genesis, reference_depth: int) -> Restored | None:
        """Return where the node stopped, `None` if it never attached anything nor halted.

        Left out of `recent` are the pending transactions that no valid milestone can reference
        any more: those with a parent referenced more than `reference_depth` milestones ago, or
        a parent left out itself. They stay in the journal.
        """
        self._begin(genesis)
        latest = self.latest_milestone()
        index = 0 if latest is None else latest.index
        since = index - reference_depth
        roots = [] if latest is None else [latest.milestone_id]
        recent, bare = self._recent(since, [*roots, *(entry_points(genesis) if since <= 0 else ())])
        halted = self.halted()
        refused = frozenset(one for review in self.reviews() for one in review.refused)
        if not recent and halted is None and not refused:
            return None
        return Restored(
            index=index,
            milestone_id=entry_points(genesis)[0] if latest is None else latest.milestone_id,
            timestamp_ms=genesis.ledger_start_ms if latest is None else latest.timestamp_ms,
            rows=dict(self._storage.rows("SELECT key, value FROM ledger")),
            recent=tuple(recent),
            halted=halted,
            roots=tuple(bare),
            refused=refused,
        )

    def start_from(self, genesis: Genesis, start: Start) -> None:
        """Begin with a snapshot instead of genesis; `start` is checked.

        Raises:
            ForeignStoreError: Something is here already: history is never replaced.
        """
        self._begin(genesis)
        counts = self.counts()
        if counts.transactions or counts.milestones:
            raise ForeignStoreError(
                f"{self.path}: it holds {counts.transactions} transactions and "
                f"{counts.milestones} milestones: only an empty journal starts from a snapshot"
            )
        with self._storage.transaction() as connection:
            write_start(connection, start)

    def leap_to(self, genesis: Genesis, start: Start, own: PublicKey) -> None:
        """Go on from a snapshot that is ahead, in place of what is here; `start` is checked.

        In one commit. The transactions of the past leave. Readings stay, and so does what `own`
        issued and the state of the snapshot does not show as referenced.

        Raises:
            ForeignStoreError: The snapshot is not ahead, or this node has halted.
        """
        self._begin(genesis)
        latest = self.latest_milestone()
        index = 0 if latest is None else latest.index
        if start.index <= index or self.halted() is not None:
            raise ForeignStoreError(
                f"{self.path}: it has applied milestone {index}, the snapshot is of {start.index}: "
                "only one that is ahead may take its place, and none that of a halted node"
            )
        with self._storage.transaction() as connection:
            write_leap(connection, start, own)

    def halted(self) -> Halted | None:
        """Return why confirmation stopped, `None` if it did not."""
        found = self._storage.row("SELECT value FROM meta WHERE name = 'halted'")
        with self._storage.reported():
            return None if found is None else decode_halted(found[0])

    def reviews(self) -> list[Review]:
        """Return the halts that were lifted, oldest first."""
        found = self._storage.rows(
            "SELECT value FROM meta WHERE name LIKE 'review/%' ORDER BY name"
        )
        with self._storage.reported():
            return [decode_review(value) for (value,) in found]

    def lift_halt(self, refused: frozenset[TransactionId], now_ms: int) -> None:
        """Let the node confirm again from its next start on. Durable; the evidence is kept.

        Args:
            refused: Milestones of the evidence that are never to be considered again.
            now_ms: Wall clock.
        """
        halted = self.halted()
        assert halted is not None, "the node has not halted"
        name = f"review/{len(self.reviews()):08}"
        review = encode_review(Review(halted, refused, now_ms))
        with self._storage.transaction() as connection:
            connection.execute("INSERT INTO meta VALUES (?, ?)", (name, review))
            connection.execute("DELETE FROM meta WHERE name = 'halted'")

    def transaction(self, tx_id: TransactionId) -> StoredTransaction | None:
        """Return a journalled transaction and what became of it, `None` if it is not here."""
        found = self._transactions("WHERE t.tx_id = ?", (tx_id,))
        return found[0] if found else None

    def is_known(self, tx_id: TransactionId) -> tuple[bool, int | None]:
        """Return whether an id was ever attached here, and which milestone references it.

        Knows the ids that a snapshot left without bodies too.
        """
        found = self._storage.row(
            "SELECT milestone_index FROM transactions WHERE tx_id = ?", (tx_id,)
        )
        return (False, None) if found is None else (True, found[0])

    def referenced_by(self, index: int) -> list[StoredTransaction]:
        """Return what milestone `index` references, in white-flag order."""
        return self._transactions("WHERE t.milestone_index = ? ORDER BY t.position", (index,))

    def cone(self, index: int, first: int, most: int) -> list[bytes]:
        """Return up to `most` transactions of a milestone's cone, in white-flag order.

        Args:
            index: Of an applied milestone.
            first: Place in the order to begin at, from 0.
            most: How many at most.
        """
        found = self._storage.rows(
            "SELECT b.data FROM transactions t JOIN bodies b USING (number)"
            " WHERE t.milestone_index = ? AND t.position >= ? ORDER BY t.position LIMIT ?",
            (index, first, most),
        )
        return [data for (data,) in found]

    def milestone_bytes(self, index: int) -> bytes | None:
        """Return an applied milestone with its signatures, `None` if it is not here."""
        found = self._storage.row(
            "SELECT b.data FROM milestones m JOIN transactions t USING (tx_id)"
            " JOIN bodies b USING (number) WHERE m.milestone_index = ?",
            (index,),
        )
        return None if found is None else bytes(found[0])

    def oldest_cone(self) -> int:
        """Return the smallest milestone index whose cone is all here, applied or to come."""
        return self.counter(PRUNED_THROUGH) + 1

    def used_bytes(self) -> int:
        """Return how much of the file is in use; what was deleted is used again."""
        (pages,), (free,), (size,) = (
            self._storage.rows(f"PRAGMA {name}")[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (int(pages) - int(free)) * int(size)

    def set_counter(self, name: str, value: int) -> None:
        """Set a counter durably."""
        self.commit(Batch(counters={name: value}))

    def prune(self, through: int, most: int) -> int:
        """Delete up to `most` transactions that milestones up to `through` reference; durable.

        Returns:
            How many; 0 once nothing is left. Readings and rows stay.
        """
        with self._storage.transaction() as connection:
            return delete_referenced(connection, through, most)

    def pending(self, after: int, most: int) -> list[tuple[int, TransactionId, bytes]]:
        """Return number, id and bytes of what no milestone references, by number from `after`."""
        found = self._storage.rows(
            "SELECT t.number, t.tx_id, b.data FROM transactions t JOIN bodies b USING (number)"
            " WHERE t.milestone_index IS NULL AND t.number > ? ORDER BY t.number LIMIT ?",
            (after, most),
        )
        return [(number, TransactionId(tx_id), data) for number, tx_id, data in found]

    def drop_pending(self, numbers: Sequence[int]) -> int:
        """Delete transactions that no milestone references, durably; return how many."""
        if not numbers:
            return 0
        with self._storage.transaction() as connection:
            return delete_pending(connection, numbers)

    def committed_ranges(self) -> dict[Address, ReadingRanges]:
        """Return the readings that the ledger's rows count as applied, by device."""
        found = self._storage.rows(
            "SELECT key, value FROM ledger WHERE key >= ?1 AND key < ?2",
            (READINGS_PREFIX, READINGS_PREFIX[:-1] + b"0"),
        )
        with self._storage.reported():
            return {
                Address(key.removeprefix(READINGS_PREFIX)): decode_reading_ranges(value)
                for key, value in found
            }

    def own_unreferenced(self, issuer: PublicKey) -> list[StoredTransaction]:
        """Return what `issuer` issued and no milestone references, in order of attachment."""
        pending = self._transactions("WHERE t.milestone_index IS NULL ORDER BY t.number", ())
        with self._storage.reported():
            return [each for each in pending if decode(each.data).transaction.issuer == issuer]

    def milestone(self, index: int) -> StoredMilestone | None:
        """Return applied milestone `index`, `None` for index 0 and for those not applied here."""
        found = self._storage.row(_MILESTONE + "WHERE milestone_index = ?", (index,))
        return None if found is None else StoredMilestone(*found)

    def latest_milestone(self) -> StoredMilestone | None:
        """Return the last applied milestone, `None` before the first."""
        found = self._storage.row(_MILESTONE + "ORDER BY milestone_index DESC LIMIT 1")
        return None if found is None else StoredMilestone(*found)

    def rotations(self, below: int) -> tuple[Rotation, ...]:
        """Return the changes of the coordinator keys by milestones before `below`, in order."""
        found = self._storage.rows(SELECT_ROTATIONS, names_below(below))
        with self._storage.reported():
            return tuple(decode_rotation(value) for (value,) in found)

    def counts(self) -> Counts:
        """Return how much is here."""
        names = ("transactions", "milestones", "readings")
        held = dict(self._storage.rows("SELECT name, value FROM counters"))
        transactions, milestones, readings = (int(held.get(name, 0)) for name in names)
        pending = self._storage.rows(
            "SELECT count(*) FROM transactions WHERE milestone_index IS NULL"
        )[0][0]
        return Counts(transactions, int(pending), milestones, readings)

    def counter(self, name: str) -> int:
        """Return a counter as last committed, 0 if it never was."""
        found = self._storage.row("SELECT value FROM counters WHERE name = ?", (f"meta/{name}",))
        return 0 if found is None else int(found[0])

    def meters(self) -> dict[Address, tuple[int, int]]:
        """Return the first and last journalled sequence by device; none is missing between."""
        found = self._storage.rows("SELECT device, first_sequence, last_sequence FROM meters")
        return {device: (first, last) for device, first, last in found}

    def readings(self, device: Address, first: int, last: int) -> list[TakenReading]:
        """Return the journalled readings from `first` to `last`, inclusive, in order."""
        found = self._storage.rows(
            "SELECT device, sequence, sealed FROM readings"
            " WHERE device = ? AND sequence BETWEEN ? AND ? ORDER BY sequence",
            (device, first, last),
        )
        return [TakenReading(*row) for row in found]

    def unreferenced_batches(self) -> list[FormedBatch]:
        """Return the reading batches formed here that no milestone references."""
        found = self._storage.rows(
            _FORMED + "JOIN transactions t ON t.tx_id = r.tx_id"
            " WHERE t.milestone_index IS NULL ORDER BY t.number"
        )
        return [FormedBatch(*row) for row in found]

    def batches_holding(self, device: Address, sequence: int) -> list[FormedBatch]:
        """Return the reading batches formed here that commit to one reading, all attempts."""
        found = self._storage.rows(
            _FORMED + "WHERE r.device = ?1 AND r.first_sequence <= ?2 AND r.last_sequence >= ?2"
            " ORDER BY r.issuer_sequence, r.tx_id",
            (device, sequence),
        )
        return [FormedBatch(*row) for row in found]

    def confirmed_readings(self) -> dict[Address, list[AppliedBatch]]:
        """Return every applied reading batch by device, in the ledger's order, whoever issued it.

        Read from the transactions and their outcomes, not from the ledger's rows, so that one
        is evidence for the other. Decodes the whole journal.
        """
        applied: dict[Address, list[AppliedBatch]] = defaultdict(list)
        referenced = self._storage.rows(
            "SELECT t.tx_id, b.data, t.outcome FROM transactions t JOIN bodies b USING (number)"
            " WHERE t.milestone_index IS NOT NULL ORDER BY t.milestone_index, t.position"
        )
        with self._storage.reported():
            for tx_id, data, outcome in referenced:
                payload = decode(data).transaction.payload
                if isinstance(payload, ReadingBatch) and isinstance(
                    decode_outcome(outcome), Applied
                ):
                    applied[Address(payload.meter)].append(
                        AppliedBatch(
                            tx_id, payload.first_sequence, payload.last_sequence, payload.root
                        )
                    )
        return dict(applied)

    def _transactions(self, rest: str, values: Sequence[Value]) -> list[StoredTransaction]:
        found = self._storage.rows(_TRANSACTION + rest, values)
        with self._storage.reported():
            return [_stored_transaction(row) for row in found]

    def _begin(self, genesis: Genesis) -> None:
        found = self._storage.row("SELECT value FROM meta WHERE name = 'genesis'")
        first = entry_points(genesis)[0]
        if found is None:
            with self._storage.transaction() as connection:
                write_genesis(connection, first, genesis_rows(genesis))
        elif found[0] != first:
            raise ForeignStoreError(
                f"{self.path}: a journal of genesis {found[0].hex()}, not of {first.hex()}"
            )

    def _recent(
        self, since: int, roots: Iterable[TransactionId]
    ) -> tuple[list[StoredVertex], list[tuple[TransactionId, int]]]:
        """Return what the graph is made of again: vertices, and roots known by their ids alone."""
        columns = "SELECT number, tx_id, attached_at_ms, milestone_index FROM transactions"
        found = self._storage.rows(
            f"WITH recent AS ({columns} WHERE milestone_index IS NULL"
            f" UNION ALL {columns} WHERE milestone_index >= ?)"
            " SELECT r.tx_id, b.data, r.attached_at_ms, r.milestone_index"
            " FROM recent r LEFT JOIN bodies b USING (number) ORDER BY number",
            (since,),
        )
        vertices, known = [], set(roots)
        bare = [(TransactionId(tx_id), index) for tx_id, data, _, index in found if data is None]
        with self._storage.reported():
            for row in found:
                if row[1] is None:
                    continue
                vertex = StoredVertex(*row)
                _require_own_bytes(vertex.tx_id, vertex.data)
                is_root = vertex.referenced_index is not None or vertex.tx_id in known
                if not (is_root or known.issuperset(decode(vertex.data).transaction.parents)):
                    continue
                known.add(vertex.tx_id)
                vertices.append(vertex)
        return vertices, bare


def _require_own_bytes(tx_id: TransactionId, data: bytes) -> None:
    """Check that a body is that of its id: SQLite cannot tell. Raises `MalformedBytesError`."""
    if (found := parse(data).tx_id) != tx_id:
        raise MalformedBytesError(f"transaction {tx_id.hex()}: its bytes are {found.hex()}")


def _stored_transaction(row: tuple[Any, ...]) -> StoredTransaction:
    outcome = None if row[5] is None else decode_outcome(row[5])
    tx_id, data, attached_at_ms, index, position, _ = row
    _require_own_bytes(tx_id, data)
    return StoredTransaction(tx_id, data, attached_at_ms, index, position, outcome)
