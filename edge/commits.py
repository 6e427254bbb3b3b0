"""How a batch is written into the journal's tables. Called within one SQLite transaction.

What contradicts the journal is a bug, and the assertion rolls the whole batch back.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Final

from edge.entries import Arrival, Batch, FormedBatch, TakenReading
from edge.records import encode_halted, encode_outcome
from edge.rotations import rotation_index, write_rotation
from tangle.effects import Confirmed
from tangle.outcomes import NoValue
from tangle.snapshot import Start
from tangle.transaction import TransactionId

_COUNT: Final = (
    "INSERT INTO counters VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = value + ?2"
)


def write_batch(connection: sqlite3.Connection, batch: Batch) -> None:
    """Write all of `batch`: what arrived before what is said of it."""
    _write_arrivals(connection, batch.arrivals)
    for confirmed in batch.confirmed:
        _write_confirmed(connection, confirmed)
    if batch.halted is not None:
        _put_meta(connection, "halted", encode_halted(batch.halted))
    _write_readings(connection, batch.readings)
    _write_formed(connection, batch.formed)
    connection.executemany(
        "INSERT INTO counters VALUES (?1, ?2)"
        " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        [(f"meta/{name}", value) for name, value in batch.counters.items()],
    )


def write_genesis(
    connection: sqlite3.Connection, first: bytes, rows: Mapping[bytes, bytes]
) -> None:
    """Write the rows that the ledger starts from, once.

    Args:
        connection: Within a transaction, on a journal without milestones.
        first: Hash of the genesis.
        rows: The state at index 0.
    """
    connection.executemany("INSERT INTO ledger VALUES (?, ?)", list(rows.items()))
    _put_meta(connection, "genesis", first)


def write_start(connection: sqlite3.Connection, start: Start) -> None:
    """Write what a node begins with that starts from a snapshot, in place of genesis' rows.

    Ids without bytes are transactions without a body. The last milestone is pending, the others
    are referenced by the one after each.

    Args:
        connection: Within a transaction, on a journal with genesis and without transactions.
        start: Checked.
    """
    connection.execute("DELETE FROM ledger")
    connection.executemany("INSERT INTO ledger VALUES (?, ?)", list(start.rows.items()))
    bodies = {one.tx_id: one.data for one in start.milestones}
    for verified, ids in zip(start.milestones, start.cones, strict=True):
        milestone = verified.milestone
        assert milestone is not None, verified.tx_id.hex()
        for position, tx_id in enumerate(ids):
            place = (tx_id, milestone.index, position)
            _write_known(connection, place, bodies.get(tx_id))
        connection.execute(
            "INSERT INTO milestones VALUES (?, ?, ?, ?)",
            (milestone.index, verified.tx_id, milestone.timestamp_ms, milestone.state_root),
        )
    _write_known(connection, (start.milestone_id, None, None), bodies[start.milestone_id])
    for rotation in start.rotations:
        write_rotation(connection, rotation_index(rotation), rotation)
    connection.execute(_COUNT, ("transactions", len(start.milestones)))
    connection.execute(_COUNT, ("milestones", len(start.milestones)))
    connection.execute(_COUNT, ("meta/pruned_through", start.index))


def _write_known(
    connection: sqlite3.Connection,
    place: tuple[TransactionId, int | None, int | None],
    data: bytes | None,
) -> None:
    outcome = encode_outcome(NoValue()) if data is not None and place[1] is not None else None
    cursor = connection.execute(
        "INSERT INTO transactions (tx_id, milestone_index, position, attached_at_ms, outcome)"
        " VALUES (?, ?, ?, 0, ?)",
        (*place, outcome),
    )
    if data is not None:
        connection.execute("INSERT INTO bodies VALUES (?, ?)", (cursor.lastrowid, data))


def _put_meta(connection: sqlite3.Connection, name: str, value: bytes) -> None:
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))


def _write_arrivals(connection: sqlite3.Connection, arrivals: Sequence[Arrival]) -> None:
    written = 0
    for arrival in arrivals:
        cursor = connection.execute(
            "INSERT INTO transactions (tx_id, attached_at_ms) VALUES (?, ?)"
            " ON CONFLICT (tx_id) DO NOTHING",
            (arrival.tx_id, arrival.attached_at_ms),
        )
        if cursor.rowcount:  # else it was attached before a restart, and is attached again
            connection.execute("INSERT INTO bodies VALUES (?, ?)", (cursor.lastrowid, arrival.data))
            written += 1
    if written:
        connection.execute(_COUNT, ("transactions", written))


def _write_confirmed(connection: sqlite3.Connection, confirmed: Confirmed) -> None:
    index = confirmed.index
    last = connection.execute("SELECT max(milestone_index) FROM milestones").fetchone()[0] or 0
    assert index == last + 1, f"milestone {index} after {last}"
    genesis = connection.execute("SELECT 1 FROM meta WHERE name = 'genesis'").fetchone()
    assert genesis is not None, "a milestone before `restore` wrote the rows of genesis"
    marks = [
        (index, position, encode_outcome(outcome), tx_id)
        for position, (tx_id, outcome) in enumerate(confirmed.outcomes)
    ]
    cursor = connection.executemany(
        "UPDATE transactions SET milestone_index = ?, position = ?, outcome = ?"
        " WHERE tx_id = ? AND milestone_index IS NULL",
        marks,
    )
    marked = cursor.rowcount if marks else 0
    assert marked == len(marks), f"milestone {index}: {len(marks) - marked} of it not pending here"
    connection.executemany(
        "DELETE FROM ledger WHERE key = ?",
        [(key,) for key, value in confirmed.changes.items() if value is None],
    )
    connection.executemany(
        "INSERT INTO ledger VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        [(key, value) for key, value in confirmed.changes.items() if value is not None],
    )
    connection.execute(
        "INSERT INTO milestones VALUES (?, ?, ?, ?)",
        (index, confirmed.milestone_id, confirmed.timestamp_ms, confirmed.state_root),
    )
    connection.execute(_COUNT, ("milestones", 1))
    if confirmed.rotation is not None:
        write_rotation(connection, index, confirmed.rotation)


def _write_readings(connection: sqlite3.Connection, readings: Sequence[TakenReading]) -> None:
    for reading in readings:
        cursor = connection.execute(
            "INSERT INTO meters VALUES (?1, ?2, ?2) ON CONFLICT (device) DO UPDATE"
            " SET last_sequence = ?2 WHERE last_sequence = ?2 - 1",
            (reading.device, reading.sequence),
        )
        assert cursor.rowcount, (
            f"reading {reading.sequence} of {reading.device.hex()} leaves a gap or repeats"
        )
        connection.execute(
            "INSERT INTO readings VALUES (?, ?, ?)",
            (reading.device, reading.sequence, reading.sealed),
        )
    if readings:
        connection.execute(_COUNT, ("readings", len(readings)))


def _write_formed(connection: sqlite3.Connection, formed: Sequence[FormedBatch]) -> None:
    connection.executemany(
        "INSERT INTO reading_batches VALUES (?, ?, ?, ?, ?)",
        [
            (
                batch.tx_id,
                batch.device,
                batch.first_sequence,
                batch.last_sequence,
                batch.issuer_sequence,
            )
            for batch in formed
        ],
    )
