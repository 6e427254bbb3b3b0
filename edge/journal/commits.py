"""How a batch is written into the journal's tables. Called within one SQLite transaction.

What contradicts the journal is a bug, and the assertion rolls the whole batch back.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from edge.journal.endings import write_ended
from edge.journal.entries import Arrival, Batch, FormedBatch, TakenReading
from edge.journal.records import encode_halted, encode_outcome
from edge.journal.rotations import rotation_index, write_rotation
from edge.journal.schema import count_in
from edge.journal.sums import Row, all_summed, summed, verified
from tangle.effects import Confirmed
from tangle.outcomes import NoValue
from tangle.snapshot import Start
from tangle.transaction import TransactionId

_SET_COUNTER: Final = (
    "INSERT INTO counters VALUES (?, ?, ?)"
    " ON CONFLICT (name) DO UPDATE SET value = excluded.value, sum = excluded.sum"
)
_SET_META: Final = (
    "INSERT INTO meta VALUES (?, ?, ?)"
    " ON CONFLICT (name) DO UPDATE SET value = excluded.value, sum = excluded.sum"
)
_SET_ROW: Final = (
    "INSERT INTO ledger VALUES (?, ?, ?)"
    " ON CONFLICT (key) DO UPDATE SET value = excluded.value, sum = excluded.sum"
)


def write_batch(connection: sqlite3.Connection, batch: Batch) -> None:
    """Write all of `batch`: what arrived before what is said of it."""
    _write_arrivals(connection, batch.arrivals)
    for confirmed in batch.confirmed:
        _write_confirmed(connection, confirmed)
    if batch.halted is not None:
        put_meta(connection, "halted", encode_halted(batch.halted))
    _write_readings(connection, batch.readings)
    _write_formed(connection, batch.formed)
    for name, value in batch.counters.items():
        set_counter(connection, f"meta/{name}", value)


def set_counter(connection: sqlite3.Connection, name: str, value: int) -> None:
    """Set a counter, whatever it was."""
    connection.execute(_SET_COUNTER, summed("counters", name, value))


def add_to_counter(connection: sqlite3.Connection, name: str, change: int) -> None:
    """Add to a counter. Raises `MalformedBytesError`."""
    found = connection.execute("SELECT * FROM counters WHERE name = ?", (name,)).fetchone()
    value = 0 if found is None else verified("counters", found)[1]
    set_counter(connection, name, value + change)


def write_genesis(
    connection: sqlite3.Connection, first: bytes, rows: Mapping[bytes, bytes]
) -> None:
    """Write the rows that the ledger starts from, once.

    Args:
        connection: Within a transaction, on a journal without milestones.
        first: Hash of the genesis.
        rows: The state at index 0.
    """
    _insert(connection, "ledger", rows.items())
    put_meta(connection, "genesis", first)


def write_start(connection: sqlite3.Connection, start: Start) -> None:
    """Write what a node begins with that starts from a snapshot, in place of genesis' rows.

    Ids without bytes are transactions without a body. The last milestone is pending, the others
    are referenced by the one after each.

    Args:
        connection: Within a transaction, on a journal with genesis and without transactions.
        start: Checked.
    """
    connection.execute("DELETE FROM ledger")
    _insert(connection, "ledger", start.rows.items())
    bodies = {one.tx_id: one.data for one in start.milestones}
    for one, ids in zip(start.milestones, start.cones, strict=True):
        milestone = one.milestone
        assert milestone is not None, one.tx_id.hex()
        for position, tx_id in enumerate(ids):
            place = (tx_id, milestone.index, position)
            _write_known(connection, place, bodies.get(tx_id))
        row = (one.tx_id, milestone.timestamp_ms, milestone.state_root, len(ids))
        _insert(connection, "milestones", [(milestone.index, *row)])
    _write_known(connection, (start.milestone_id, None, None), bodies[start.milestone_id])
    for rotation in start.rotations:
        write_rotation(connection, rotation_index(rotation), rotation)
    add_to_counter(connection, "transactions", len(start.milestones))
    add_to_counter(connection, "milestones", len(start.milestones))
    add_to_counter(connection, "meta/pruned_through", start.index)


def _write_known(
    connection: sqlite3.Connection,
    place: tuple[TransactionId, int | None, int | None],
    data: bytes | None,
) -> None:
    outcome = encode_outcome(NoValue()) if data is not None and place[1] is not None else None
    tx_id, index, position = place
    number = _next_number(connection)
    _insert(connection, "transactions", [(number, tx_id, 0, index, position, outcome)])
    if data is not None:
        _insert(connection, "bodies", [(number, data)])


def _next_number(connection: sqlite3.Connection) -> int:
    last = connection.execute("SELECT max(number) FROM transactions").fetchone()[0]
    return (last or 0) + 1


def _insert(connection: sqlite3.Connection, table: str, rows: Iterable[Row]) -> None:
    """Write new rows, each with its checksum."""
    stored = all_summed(table, rows)
    if stored:
        places = ", ".join("?" * len(stored[0]))
        connection.executemany(f"INSERT INTO {table} VALUES ({places})", stored)
        count_in(connection, table, stored)


def put_meta(connection: sqlite3.Connection, name: str, value: bytes) -> None:
    """Write a note under its name, whatever was there."""
    connection.execute(_SET_META, summed("meta", name, value))


def _write_arrivals(connection: sqlite3.Connection, arrivals: Sequence[Arrival]) -> None:
    if not arrivals:
        return
    first = _next_number(connection)
    numbered = list(enumerate(arrivals, first))
    rows = all_summed(
        "transactions",
        [(number, one.tx_id, one.attached_at_ms, None, None, None) for number, one in numbered],
    )
    written = connection.executemany(
        "INSERT INTO transactions VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tx_id) DO NOTHING", rows
    ).rowcount
    if written < len(arrivals):
        # Some were attached before a restart, and are attached again: their numbers stay unused.
        found = connection.execute("SELECT number FROM transactions WHERE number >= ?", (first,))
        fresh = {number for (number,) in found}
        numbered = [(number, one) for number, one in numbered if number in fresh]
        rows = [row for row in rows if row[0] in fresh]
    count_in(connection, "transactions", rows)
    _insert(connection, "bodies", [(number, one.data) for number, one in numbered])
    if written:
        add_to_counter(connection, "transactions", written)


def _write_confirmed(connection: sqlite3.Connection, confirmed: Confirmed) -> None:
    index = confirmed.index
    last = connection.execute("SELECT max(milestone_index) FROM milestones").fetchone()[0] or 0
    assert index == last + 1, f"milestone {index} after {last}"
    genesis = connection.execute("SELECT 1 FROM meta WHERE name = 'genesis'").fetchone()
    assert genesis is not None, "a milestone before `restore` wrote the rows of genesis"
    connection.executemany(
        "UPDATE transactions SET milestone_index = ?, position = ?, outcome = ?, sum = ?"
        " WHERE number = ?",
        [
            _marked(connection, tx_id, (index, position, encode_outcome(outcome)))
            for position, (tx_id, outcome) in enumerate(confirmed.outcomes)
        ],
    )
    connection.executemany(
        "DELETE FROM ledger WHERE key = ?",
        [(key,) for key, value in confirmed.changes.items() if value is None],
    )
    changed = [(key, value) for key, value in confirmed.changes.items() if value is not None]
    connection.executemany(_SET_ROW, [summed("ledger", *row) for row in changed])
    row = (confirmed.milestone_id, confirmed.timestamp_ms, confirmed.state_root)
    _insert(connection, "milestones", [(index, *row, len(confirmed.outcomes))])
    add_to_counter(connection, "milestones", 1)
    write_ended(connection, index, confirmed.ended)
    if confirmed.rotation is not None:
        write_rotation(connection, index, confirmed.rotation)


def _marked(
    connection: sqlite3.Connection, tx_id: TransactionId, mark: tuple[int, int, bytes]
) -> Row:
    """Return which milestone references a transaction, where, what became of it, and its number.

    Raises:
        MalformedBytesError: Its row is not what was written: a new checksum would make it good.
    """
    found = connection.execute("SELECT * FROM transactions WHERE tx_id = ?", (tx_id,)).fetchone()
    assert found is not None, f"milestone {mark[0]}: {tx_id.hex()} is not here"
    number, known, attached_at_ms, index, *_ = verified("transactions", found)
    assert index is None, f"milestone {mark[0]}: {tx_id.hex()} is referenced by {index}"
    return (*summed("transactions", number, known, attached_at_ms, *mark)[3:], number)


def _write_readings(connection: sqlite3.Connection, readings: Sequence[TakenReading]) -> None:
    """Write readings; one that leaves a gap, since what lay between is lost, begins a new run."""
    for reading in readings:
        device, sequence = reading.device, reading.sequence
        found = connection.execute(
            "SELECT * FROM meters WHERE device = ? ORDER BY first_sequence DESC LIMIT 1", (device,)
        ).fetchone()
        first, last = sequence, None
        if found is not None:
            _, first, last = verified("meters", found)
        if last is None or reading.begins_anew:
            assert last is None or sequence > last + 1, f"{sequence} begins nothing after {last}"
            _insert(connection, "meters", [(device, sequence, sequence)])
        else:
            assert sequence == last + 1, (
                f"reading {sequence} of {device.hex()} leaves a gap or repeats"
            )
            row = summed("meters", device, first, sequence)
            connection.execute(
                "UPDATE meters SET last_sequence = ?, sum = ?"
                " WHERE device = ? AND first_sequence = ?",
                (*row[2:], device, first),
            )
        _insert(connection, "readings", [(device, sequence, reading.sealed)])
    if readings:
        add_to_counter(connection, "readings", len(readings))


def _write_formed(connection: sqlite3.Connection, formed: Sequence[FormedBatch]) -> None:
    rows = [
        (one.tx_id, one.device, one.first_sequence, one.last_sequence, one.issuer_sequence)
        for one in formed
    ]
    _insert(connection, "reading_batches", rows)
