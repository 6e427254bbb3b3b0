"""Is every row of a journal what was written, and is every row there? Reads the whole file.

Finds any damage: SQLite looks at the structure of the pages and holds every index against its
table, the checksums say that no row was changed, and the totals say that none is missing.
"""

import sqlite3
from collections.abc import Callable, Iterator
from typing import Final

from edge.journal.schema import TABLES, verify_schema
from edge.journal.sums import verified
from tangle.errors import MalformedBytesError

STEP_ROWS: Final = 1_000
"""Between two pauses: some milliseconds."""


def sweep(
    connection: sqlite3.Connection,
    *,
    without: frozenset[str] = frozenset(),
    found: Callable[[str], None] | None = None,
) -> Iterator[None]:
    """Look at the whole journal, bit by bit: whoever iterates may pause.

    Args:
        connection: Within one transaction, so that rows and totals are of one moment.
        without: Tables whose rows are verified in another way.
        found: Is told of each fault in words; without it the first one is raised.

    Raises:
        MalformedBytesError: Something is not what was written.
        sqlite3.Error: What SQLite itself notices.
    """
    tell = _raise if found is None else found
    try:
        verify_schema(connection)
    except MalformedBytesError as error:
        tell(str(error))
    for (line,) in connection.execute("PRAGMA integrity_check"):
        if line != "ok":
            tell(f"page structure: {line}")
    yield
    wanted = {
        name: (count, sums)
        for name, count, sums in connection.execute("SELECT name, count, sums FROM totals")
    }
    for table in TABLES:
        if table not in without:
            yield from _sweep_table(connection, table, wanted.get(table), tell)


def _sweep_table(
    connection: sqlite3.Connection,
    table: str,
    wanted: tuple[int, int] | None,
    tell: Callable[[str], None],
) -> Iterator[None]:
    count, sums = 0, 0
    rows = connection.execute(f"SELECT * FROM {table}")
    while some := rows.fetchmany(STEP_ROWS):
        for row in some:
            try:
                verified(table, row)
            except MalformedBytesError as error:
                tell(str(error))
            count += 1
            sums ^= row[-1] if isinstance(row[-1], int) else 0
        yield
    if (count, sums) != wanted:
        total = "none" if wanted is None else wanted[0]
        tell(f"{table}: {count} rows are not the {total} that were written")


def _raise(fault: str) -> None:
    raise MalformedBytesError(fault)
