"""Gives changed rows their checksums anew, as if a node had written them so."""

import sqlite3

from edge.journal.schema import TABLES
from edge.journal.sums import row_sum


def sum_anew(connection: sqlite3.Connection) -> None:
    """Write the checksum of every row; triggers mend the totals."""
    for table in TABLES:
        columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
        keys = [name for _, name, _, _, _, key in columns if key]
        where = " AND ".join(f"{name} IS ?" for name in keys)
        places = [number for number, *_, key in columns if key]
        for row in connection.execute(f"SELECT * FROM {table}").fetchall():
            connection.execute(
                f"UPDATE {table} SET sum = ? WHERE {where}",
                (row_sum(table, row[:-1]), *(row[place] for place in places)),
            )
