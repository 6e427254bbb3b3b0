"""A node's journal: what must survive a kill at any instant. Journalled means verified.

One commit is one durable SQLite transaction: it is there as a whole once `commit` returns, and
not at all if it raises. The ledger's rows start from those of genesis, written at first start.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from edge.ground.spans import Spans
from edge.journal import halts
from edge.journal.commits import put_meta, set_counter, write_batch, write_genesis, write_start
from edge.journal.endings import read_ended
from edge.journal.entries import (
    AppliedBatch,
    Batch,
    Counts,
    FormedBatch,
    Review,
    StoredMilestone,
    StoredTransaction,
    TakenReading,
)
from edge.journal.history import History
from edge.journal.kept import Kept
from edge.journal.leaping import write_leap
from edge.journal.leaving import Leaving
from edge.journal.pruning import delete_pending, delete_referenced
from edge.journal.records import decode_outcome, decode_rotation
from edge.journal.rotations import names_below
from edge.journal.settled import Settled
from edge.journal.storage import Storage, Value
from edge.journal.sums import Row, verified
from tangle.accounts import READINGS_PREFIX, decode_reading_ranges, genesis_rows
from tangle.address import Address
from tangle.anchors import Rotation
from tangle.effects import Halted
from tangle.errors import DamagedStoreError, ForeignStoreError, MalformedBytesError
from tangle.genesis import Genesis, entry_points
from tangle.keys import PublicKey, SigningKey
from tangle.outcomes import Applied
from tangle.ranges import ReadingRanges
from tangle.restored import Restored, StoredVertex
from tangle.snapshot import Start
from tangle.transaction import ReadingBatch, TransactionId, decode

_TRANSACTION: Final = (
    "SELECT t.*, b.* FROM transactions t LEFT JOIN bodies b ON b.number = t.number "
)
_WIDTH: Final = 7
"""Columns of `transactions`, in what `_TRANSACTION` finds."""

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
        self.leaving = Leaving(self._storage)
        self.history = History(self._storage)
        self.kept = Kept(self._storage)

    def settled(self, key: SigningKey) -> Settled:
        """Return the settlements in this journal, sealed with the node's `key`."""
        return Settled(self._storage, key)

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

    def on_damage(self, told: Callable[[DamagedStoreError], None]) -> None:
        """Have `told` hear of damage when it is met, in whatever thread that is."""
        self._storage.on_damage = told

    def verify(self) -> None:
        """Read the whole journal and raise `DamagedStoreError` if it is not what was written.

        Left out are the ledger's rows: `restore` verifies each, and a node holds their root
        against its last milestone, so that none is missing.
        """
        with self._storage.reported():
            for _ in self._storage.sweep(frozenset({"ledger"})):
                pass

    @property
    def path(self) -> Path:
        """The file, for messages to people."""
        return self._storage.path

    def commit(self, batch: Batch, *, is_synced: bool = True) -> None:
        """Write all of `batch` durably, or raise and write nothing of it.

        With `is_synced` false a power cut may take it back; see `Storage.transaction`.

        A batch that contradicts the journal (a milestone out of turn, a mark for a transaction
        that is not here, a gap between readings) is a bug.
        """
        with self._storage.transaction(is_synced=is_synced) as connection:
            write_batch(connection, batch)

    def next_epoch(self, now_ms: int) -> int:
        """Return a number above all it ever returned, and not below `now_ms`. Durable.

        A node numbers its frames from there: peers take the frames of a start for newer than
        those of the one before, even if the clock was set back in between.
        """
        with self._storage.transaction() as connection:
            found = self._storage.table("counters", "WHERE name = 'epoch'")
            epoch = int(max([now_ms, *(value + 1 for _, value in found)]))
            set_counter(connection, "epoch", epoch)
        return epoch

    def restore(self, genesis: Genesis, reference_depth: int) -> Restored | None:
        """Return where the node stopped, `None` if it never attached anything nor halted.

        Left out of `recent` are the pending transactions that no valid milestone can reference
        any more: those with a parent referenced more than `reference_depth` milestones ago, or
        a parent left out itself. They stay in the journal.
        """
        self.begin(genesis)
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
            rows=dict(self._storage.table("ledger")),
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
        self.begin(genesis)
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
        self.begin(genesis)
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
        return halts.halted(self._storage)

    def reviews(self) -> list[Review]:
        """Return the halts that were lifted, oldest first."""
        return halts.reviews(self._storage)

    def lift_halt(self, refused: frozenset[TransactionId], now_ms: int) -> None:
        """Let the node confirm again from its next start on: see `edge.journal.halts`."""
        halts.lift_halt(self._storage, refused, now_ms)

    def transaction(self, tx_id: TransactionId) -> StoredTransaction | None:
        """Return a journalled transaction and what became of it, `None` if it is not here."""
        found = self._transactions("WHERE t.tx_id = ?", (tx_id,))
        return found[0] if found else None

    def is_known(self, tx_id: TransactionId) -> tuple[bool, int | None]:
        """Return whether an id was ever attached here, and which milestone references it.

        Knows the ids that a snapshot left without bodies too.
        """
        found = self._storage.table("transactions", "WHERE tx_id = ?", (tx_id,))
        return (True, found[0][3]) if found else (False, None)

    def referenced_by(self, index: int) -> list[StoredTransaction]:
        """Return what milestone `index` references, in white-flag order."""
        found = self._transactions("WHERE t.milestone_index = ? ORDER BY t.position", (index,))
        self._require_whole(index, 0, found)
        return found

    def cone(self, index: int, first: int, most: int) -> list[bytes]:
        """Return up to `most` transactions of a milestone's cone, in white-flag order.

        Args:
            index: Of an applied milestone.
            first: Place in the order to begin at, from 0.
            most: How many at most.
        """
        found = self._transactions(
            "WHERE t.milestone_index = ? AND t.position >= ? ORDER BY t.position LIMIT ?",
            (index, first, most),
        )
        if len(found) < most:
            self._require_whole(index, first, found)
        return [one.data for one in found]

    def _require_whole(self, index: int, first: int, found: list[StoredTransaction]) -> None:
        """Check that nothing of a cone is missing from place `first` on.

        Raises:
            DamagedStoreError: It is, and it was not pruned.
        """
        milestone = self.milestone(index)
        if milestone is None or index < self.oldest_cone():
            return
        with self._storage.reported():
            places = [one.position for one in found]
            if places != list(range(first, max(first, milestone.referenced))):
                raise MalformedBytesError(
                    f"milestone {index}: {len(found)} of its transactions are here from place"
                    f" {first} on: it references {milestone.referenced}"
                )

    def milestone_bytes(self, index: int) -> bytes | None:
        """Return an applied milestone with its signatures, `None` if it is not here."""
        milestone = self.milestone(index)
        found = None if milestone is None else self.transaction(milestone.milestone_id)
        return None if found is None else found.data

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
        found = self._joined(
            "WHERE t.milestone_index IS NULL AND t.number > ? ORDER BY t.number LIMIT ?",
            (after, most),
        )
        return [(row[0], TransactionId(row[1]), data) for row, data in found if data is not None]

    def drop_pending(self, numbers: Sequence[int]) -> int:
        """Delete transactions that no milestone references, durably; return how many."""
        if not numbers:
            return 0
        with self._storage.transaction() as connection:
            return delete_pending(connection, numbers)

    def committed_ranges(self) -> dict[Address, ReadingRanges]:
        """Return the readings that the ledger's rows count as applied, by device."""
        found = self._storage.table(
            "ledger",
            "WHERE key >= ?1 AND key < ?2",
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
        found = self._storage.table("milestones", "WHERE milestone_index = ?", (index,))
        ended = read_ended(self._storage, index)
        return replace(StoredMilestone(*found[0]), ended=ended) if found else None

    def latest_milestone(self) -> StoredMilestone | None:
        """Return the last applied milestone, `None` before the first."""
        found = self._storage.table("milestones", "ORDER BY milestone_index DESC LIMIT 1")
        return self.milestone(found[0][0]) if found else None

    def rotations(self, below: int) -> tuple[Rotation, ...]:
        """Return the changes of the coordinator keys by milestones before `below`, in order."""
        names = names_below(below)
        found = self._storage.table("meta", "WHERE name >= ? AND name < ? ORDER BY name", names)
        with self._storage.reported():
            return tuple(decode_rotation(value) for _, value in found)

    def counts(self) -> Counts:
        """Return how much is here."""
        names = ("transactions", "milestones", "readings")
        rest = "WHERE name IN (?, ?, ?)"
        held: dict[str, int] = dict(self._storage.table("counters", rest, names))
        transactions, milestones, readings = (held.get(name, 0) for name in names)
        pending = self._storage.rows(
            "SELECT count(*) FROM transactions WHERE milestone_index IS NULL"
        )[0][0]
        return Counts(transactions, int(pending), milestones, readings)

    def counter(self, name: str) -> int:
        """Return a counter as last committed, 0 if it never was."""
        found = self._storage.table("counters", "WHERE name = ?", (f"meta/{name}",))
        return int(found[0][1]) if found else 0

    def meters(self) -> dict[Address, Spans]:
        """Return the journalled sequences by device: a gap between two spans is lost."""
        spans: dict[Address, Spans] = {}
        for device, first, last in self._storage.table("meters", "ORDER BY device, first_sequence"):
            spans[Address(device)] = (*spans.get(Address(device), ()), (first, last))
        return spans

    def readings(self, device: Address, first: int, last: int) -> list[TakenReading]:
        """Return the journalled readings from `first` to `last`, inclusive, in order."""
        found = self._storage.table(
            "readings",
            "WHERE device = ? AND sequence BETWEEN ? AND ? ORDER BY sequence",
            (device, first, last),
        )
        spans = self._storage.table("meters", "WHERE device = ?", (device,))
        wanted = sum(max(0, min(last, end) - max(first, begin) + 1) for _, begin, end in spans)
        with self._storage.reported():
            if len(found) != wanted:
                raise MalformedBytesError(
                    f"meter {device.hex()}: {len(found)} readings from {first} to {last} are here:"
                    f" {wanted} were taken"
                )
        return [TakenReading(*row) for row in found]

    def unreferenced_batches(self) -> list[FormedBatch]:
        """Return the reading batches formed here that no milestone references."""
        found = self._storage.table(
            "reading_batches",
            "JOIN (SELECT tx_id AS pending_id, number FROM transactions"
            " WHERE milestone_index IS NULL) ON tx_id = pending_id ORDER BY number",
        )
        return [FormedBatch(*row) for row in found]

    def batches_holding(self, device: Address, sequence: int) -> list[FormedBatch]:
        """Return the reading batches formed here that commit to one reading, all attempts."""
        found = self._storage.table(
            "reading_batches",
            "WHERE device = ?1 AND first_sequence <= ?2 AND last_sequence >= ?2"
            " ORDER BY issuer_sequence, tx_id",
            (device, sequence),
        )
        return [FormedBatch(*row) for row in found]

    def confirmed_readings(self) -> dict[Address, list[AppliedBatch]]:
        """Return every applied reading batch by device, in the ledger's order, whoever issued it.

        Read from the transactions and their outcomes, not from the ledger's rows, so that one
        is evidence for the other. Decodes the whole journal.
        """
        applied: dict[Address, list[AppliedBatch]] = defaultdict(list)
        for one in self._transactions(
            "WHERE t.milestone_index IS NOT NULL ORDER BY t.milestone_index, t.position", ()
        ):
            payload = decode(one.data).transaction.payload
            if isinstance(payload, ReadingBatch) and isinstance(one.outcome, Applied):
                applied[Address(payload.meter)].append(
                    AppliedBatch(
                        one.tx_id, payload.first_sequence, payload.last_sequence, payload.root
                    )
                )
        return dict(applied)

    def _transactions(self, rest: str, values: Sequence[Value]) -> list[StoredTransaction]:
        """Return what has a body; of what a snapshot left only the id is here."""
        found = self._joined(rest, values)
        with self._storage.reported():
            return [_stored_transaction(row, data) for row, data in found if data is not None]

    def _joined(self, rest: str, values: Sequence[Value]) -> list[tuple[Row, bytes | None]]:
        """Return rows of transactions, verified, and their bodies, if they have one."""
        found = self._storage.rows(_TRANSACTION + rest, values)
        with self._storage.reported():
            joined = [
                (
                    verified("transactions", row[:_WIDTH]),
                    None if row[_WIDTH] is None else verified("bodies", row[_WIDTH:])[1],
                )
                for row in found
            ]
            bare = [row for row, data in joined if data is None]
            oldest = self.oldest_cone() if bare else 0
            for _, tx_id, _, index, *_ in bare:
                if index is None or index >= oldest:
                    raise MalformedBytesError(f"transaction {tx_id.hex()}: its bytes are not here")
            return joined

    def put_notes(self, notes: Iterable[tuple[str, bytes]]) -> None:
        """Write notes that another journal of this node held, by name; durable."""
        with self._storage.transaction() as connection:
            for name, value in notes:
                put_meta(connection, name, value)

    def begin(self, genesis: Genesis) -> None:
        """Write the rows of genesis, unless they are there.

        Raises:
            ForeignStoreError: The journal is of another genesis.
        """
        found = self._storage.table("meta", "WHERE name = 'genesis'")
        first = entry_points(genesis)[0]
        if not found:
            with self._storage.transaction() as connection:
                write_genesis(connection, first, genesis_rows(genesis))
        elif found[0][1] != first:
            raise ForeignStoreError(
                f"{self.path}: a journal of genesis {found[0][1].hex()}, not of {first.hex()}"
            )

    def _recent(
        self, since: int, roots: Iterable[TransactionId]
    ) -> tuple[list[StoredVertex], list[tuple[TransactionId, int]]]:
        """Return what the graph is made of again: vertices, and roots known by their ids alone."""
        numbers = "SELECT number FROM transactions"
        found = self._joined(
            f"WHERE t.number IN ({numbers} WHERE milestone_index IS NULL"
            f" UNION ALL {numbers} WHERE milestone_index >= ?) ORDER BY t.number",
            (since,),
        )
        vertices, known = [], set(roots)
        bare = [(TransactionId(row[1]), row[3]) for row, data in found if data is None]
        with self._storage.reported():
            for row, data in found:
                if data is None:
                    continue
                _, tx_id, attached_at_ms, index, *_ = row
                is_root = index is not None or tx_id in known
                if not (is_root or known.issuperset(decode(data).transaction.parents)):
                    continue
                known.add(tx_id)
                vertices.append(StoredVertex(tx_id, data, attached_at_ms, index))
        return vertices, bare


def _stored_transaction(row: Row, data: bytes) -> StoredTransaction:
    _, tx_id, attached_at_ms, index, position, outcome = row
    decoded = None if outcome is None else decode_outcome(outcome)
    return StoredTransaction(tx_id, data, attached_at_ms, index, position, decoded)
