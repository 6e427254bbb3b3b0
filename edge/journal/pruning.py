"""How old transactions leave a journal's tables. Called within one SQLite transaction."""

import sqlite3
from collections.abc import Iterable

from edge.journal.commits import add_to_counter
from edge.journal.endings import forget_ended


def delete_referenced(connection: sqlite3.Connection, through: int, most: int) -> int:
    """Delete up to `most` transactions that milestones up to `through` reference.

    The milestones themselves leave with the last of what they reference. The ids that a snapshot
    left without bodies leave as well.

    Returns:
        How many rows were deleted; 0 once nothing is left.
    """
    numbers = [
        (number,)
        for (number,) in connection.execute(
            "SELECT number FROM transactions WHERE milestone_index <= ?"
            " ORDER BY milestone_index LIMIT ?",
            (through, most),
        )
    ]
    bodies = _delete(connection, numbers)
    if len(numbers) < most:
        milestones = connection.execute(
            "DELETE FROM milestones WHERE milestone_index <= ?", (through,)
        ).rowcount
        add_to_counter(connection, "milestones", -milestones)
        forget_ended(connection, through)
    add_to_counter(connection, "transactions", -bodies)
    return len(numbers)


def delete_pending(connection: sqlite3.Connection, numbers: Iterable[int]) -> int:
    """Delete transactions that no milestone references, by their numbers; return how many."""
    deleted = _delete(connection, [(number,) for number in numbers])
    add_to_counter(connection, "transactions", -deleted)
    return deleted


def _delete(connection: sqlite3.Connection, numbers: list[tuple[int]]) -> int:
    """Delete transactions and their bodies; return how many bodies there were."""
    if not numbers:
        return 0
    bodies = connection.executemany("DELETE FROM bodies WHERE number = ?", numbers).rowcount
    connection.executemany("DELETE FROM transactions WHERE number = ?", numbers)
    return bodies
