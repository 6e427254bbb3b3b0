"""How readings leave a journal, what is kept in mind of them. When: `edge.meters.forgetting`."""

import sqlite3
from collections.abc import Mapping
from typing import Final

from edge.journal.commits import add_to_counter
from edge.journal.kept import forget_proofs
from edge.journal.storage import Storage
from edge.journal.sums import summed, verified
from tangle.address import Address

FORGOTTEN: Final = "forgotten/"
"""Counters of readings that have left, by device: how many there were is still known."""


class Leaving:
    """The part of one journal that lets readings go. Raises as `Journal` does."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def forget(self, before: Mapping[Address, int]) -> int:
        """Delete readings, durably, by device below a sequence; return how many."""
        with self._storage.transaction() as connection:
            return delete_readings(connection, before)

    def erase(self, before: Mapping[Address, int]) -> int:
        """Delete readings as `forget` does, and their bytes on the disk as well."""
        self._storage.rows("PRAGMA secure_delete = ON")
        removed = self.forget(before)
        self._storage.rows("PRAGMA secure_delete = OFF")
        # the log of writes holds pages as they were
        self._storage.rows("PRAGMA wal_checkpoint(TRUNCATE)")
        return removed

    def forgotten(self) -> dict[Address, int]:
        """Return how many readings have left, by device."""
        names = (FORGOTTEN, FORGOTTEN[:-1] + "0")
        found = self._storage.table("counters", "WHERE name >= ? AND name < ?", names)
        return {
            Address(bytes.fromhex(name.removeprefix(FORGOTTEN))): count for name, count in found
        }

    def oldest_batch_here(self, device: Address) -> int | None:
        """Return the first sequence of the lowest batch formed here whose transaction is here."""
        found = self._storage.table(
            "reading_batches",
            "JOIN (SELECT tx_id AS here_id FROM transactions) ON tx_id = here_id"
            " WHERE device = ? ORDER BY first_sequence LIMIT 1",
            (device,),
        )
        return int(found[0][2]) if found else None


def delete_readings(connection: sqlite3.Connection, before: Mapping[Address, int]) -> int:
    """Delete the readings below a sequence, by device, and what proves in which batch they were.

    Args:
        connection: Within a transaction.
        before: First sequence that stays, by device; at least one reading stays.

    Returns:
        How many were deleted.
    """
    removed = 0
    for device, first in before.items():
        rows = connection.execute("SELECT * FROM meters WHERE device = ?", (device,)).fetchall()
        spans = [verified("meters", row)[1:] for row in rows]
        assert any(last >= first for _, last in spans), f"all readings of {device.hex()}"
        for begin, last in spans:
            if begin < first:
                _begin_later(connection, device, begin, (first, last))
        values = (device, first)
        count = connection.execute(
            "DELETE FROM readings WHERE device = ? AND sequence < ?", values
        ).rowcount
        gone = connection.execute(
            "DELETE FROM reading_batches WHERE device = ? AND last_sequence < ? RETURNING tx_id",
            values,
        ).fetchall()
        forget_proofs(connection, (tx_id for (tx_id,) in gone))
        add_to_counter(connection, FORGOTTEN + device.hex(), count)
        removed += count
    add_to_counter(connection, "readings", -removed)
    return removed


def _begin_later(
    connection: sqlite3.Connection, device: Address, begin: int, rest: tuple[int, int]
) -> None:
    """Let a run of readings begin at the first of `rest`, or go if nothing of it is left."""
    connection.execute(
        "DELETE FROM meters WHERE device = ? AND first_sequence = ?", (device, begin)
    )
    first, last = rest
    if first <= last:
        row = summed("meters", device, first, last)
        connection.execute("INSERT INTO meters VALUES (?, ?, ?, ?)", row)
