"""How a journal goes on from a snapshot that is ahead of it, within one SQLite transaction."""

import sqlite3
from typing import Final

from edge.journal.commits import set_counter, write_start
from edge.journal.endings import forget_ended
from edge.journal.rotations import forget_rotations
from edge.journal.sums import verified
from tangle.accounts import sequence_window
from tangle.address import address_of
from tangle.keys import PublicKey
from tangle.outcomes import Reason
from tangle.rows import Rows
from tangle.sequences import use
from tangle.snapshot import Start
from tangle.transaction import TransactionId, decode

_COUNTED: Final = ("transactions", "milestones", "meta/pruned_through")
"""Counters that begin anew; those of readings and of starts go on."""

_BODY_WIDTH: Final = 3
"""Columns of `bodies`."""


def write_leap(connection: sqlite3.Connection, start: Start, own: PublicKey) -> None:
    """Put a snapshot in the place of all history.

    What `own` issued and nobody referenced as far as this journal knows stays pending, unless its
    number is used by now: it was referenced meanwhile, or something else was under that number.

    Args:
        connection: Within a transaction.
        start: Checked, and ahead of the journal.
        own: Key of this node.

    Raises:
        MalformedBytesError: What is pending is not what was written.
    """
    window = sequence_window(Rows(start.rows), address_of(own))
    known = {tx_id for ids in start.cones for tx_id in ids} | {start.milestone_id}
    pending = connection.execute(
        "SELECT b.*, t.* FROM transactions t JOIN bodies b ON b.number = t.number"
        " WHERE t.milestone_index IS NULL"
    ).fetchall()
    kept = []
    for row in pending:
        number, data = verified("bodies", row[:_BODY_WIDTH])
        tx_id = verified("transactions", row[_BODY_WIDTH:])[1]
        transaction = decode(data).transaction
        is_open = not isinstance(use(window, transaction.sequence), Reason)
        if transaction.issuer == own and is_open and TransactionId(tx_id) not in known:
            kept.append((number,))
    connection.execute("CREATE TEMP TABLE kept (number INTEGER PRIMARY KEY)")
    connection.executemany("INSERT INTO kept VALUES (?)", kept)
    for table in ("bodies", "transactions"):
        connection.execute(f"DELETE FROM {table} WHERE number NOT IN (SELECT number FROM kept)")
    connection.execute("DROP TABLE kept")
    connection.execute("DELETE FROM milestones")
    forget_rotations(connection)
    forget_ended(connection, start.index)
    connection.executemany("DELETE FROM counters WHERE name = ?", [(name,) for name in _COUNTED])
    set_counter(connection, "transactions", len(kept))
    write_start(connection, start)
