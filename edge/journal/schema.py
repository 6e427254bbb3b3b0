"""The journal's tables: how they are made, and how an older journal becomes one of today.

Every table ends with a checksum of the row (`edge.journal.sums`). Triggers keep, for each table,
how many rows there are and the exclusive or of their checksums: a row that vanished, or came back
with an older page, is missed by no one who counts (`edge.journal.sweep`). New rows of the tables
that grow with every transaction are counted by who writes them, many at a time.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from functools import reduce
from operator import xor
from typing import Final

from edge.journal.sums import Row, row_sum, summed
from tangle.errors import MalformedBytesError

SCHEMA_VERSION: Final = 3
OLDEST_VERSION: Final = 1
"""What `migrate` still reads."""

SUMMED_VERSION: Final = 2
"""The first with checksums. All that came after it has the same tables."""

TABLES: Final[Mapping[str, str]] = {
    "meta": "name TEXT PRIMARY KEY, value BLOB NOT NULL, sum INTEGER NOT NULL) WITHOUT ROWID",
    "counters": "name TEXT PRIMARY KEY, value INTEGER NOT NULL, sum INTEGER NOT NULL)"
    " WITHOUT ROWID",
    # Bodies apart from the marks, so that confirming rewrites 70 bytes and not the whole vertex.
    "bodies": "number INTEGER PRIMARY KEY, data BLOB NOT NULL, sum INTEGER NOT NULL)",
    "transactions": "number INTEGER PRIMARY KEY, tx_id BLOB NOT NULL UNIQUE,"
    " attached_at_ms INTEGER NOT NULL, milestone_index INTEGER, position INTEGER, outcome BLOB,"
    " sum INTEGER NOT NULL)",
    "milestones": "milestone_index INTEGER PRIMARY KEY, tx_id BLOB NOT NULL,"
    " timestamp_ms INTEGER NOT NULL, state_root BLOB NOT NULL, referenced INTEGER NOT NULL,"
    " sum INTEGER NOT NULL)",
    "ledger": "key BLOB PRIMARY KEY, value BLOB NOT NULL, sum INTEGER NOT NULL) WITHOUT ROWID",
    # One row for each run of readings without a gap.
    "meters": "device BLOB NOT NULL, first_sequence INTEGER NOT NULL,"
    " last_sequence INTEGER NOT NULL, sum INTEGER NOT NULL,"
    " PRIMARY KEY (device, first_sequence)) WITHOUT ROWID",
    "readings": "device BLOB NOT NULL, sequence INTEGER NOT NULL, sealed BLOB NOT NULL,"
    " sum INTEGER NOT NULL, PRIMARY KEY (device, sequence)) WITHOUT ROWID",
    "reading_batches": "tx_id BLOB PRIMARY KEY, device BLOB NOT NULL,"
    " first_sequence INTEGER NOT NULL, last_sequence INTEGER NOT NULL,"
    " issuer_sequence INTEGER NOT NULL, sum INTEGER NOT NULL) WITHOUT ROWID",
}
"""Name and columns; the last column is always `sum`."""

TOTALS: Final = (
    "CREATE TABLE totals (name TEXT PRIMARY KEY, count INTEGER NOT NULL, sums INTEGER NOT NULL)"
    " WITHOUT ROWID"
)
INDEXES: Final = (
    "CREATE INDEX pending ON transactions (number) WHERE milestone_index IS NULL",
    "CREATE UNIQUE INDEX referenced ON transactions (milestone_index, position)"
    " WHERE milestone_index IS NOT NULL",
    "CREATE INDEX batches_by_device ON reading_batches (device, first_sequence)",
)

COUNTED_BY_WRITER: Final = ("transactions", "bodies")
"""Tables whose new rows no trigger counts: with one a row takes half as long again."""

_CREATED: Final = (
    *(f"CREATE TABLE {name} ({columns}" for name, columns in TABLES.items()),
    TOTALS,
    *INDEXES,
)


def _mixed(one: str, other: str) -> str:
    # SQLite has no exclusive or; a | b less a & b is one, and never overflows.
    return f"(({one} | {other}) - ({one} & {other}))"


def _triggers(table: str) -> tuple[str, ...]:
    def totals(event: str, change: str, counted: str = "") -> str:
        return (
            f"CREATE TRIGGER {table}_{event[:6].lower()} AFTER {event} ON {table} BEGIN"
            f" UPDATE totals SET {counted}sums = {_mixed('sums', change)}"
            f" WHERE name = '{table}'; END"
        )

    return (
        totals("INSERT", "NEW.sum", "count = count + 1, "),
        totals("DELETE", "OLD.sum", "count = count - 1, "),
        totals("UPDATE", _mixed("OLD.sum", "NEW.sum")),
    )


_ALL_TRIGGERS: Final = tuple(trigger for table in TABLES for trigger in _triggers(table))
"""Of schema 2."""

_TRIGGERS: Final = tuple(
    trigger
    for table in TABLES
    for trigger in _triggers(table)[1 if table in COUNTED_BY_WRITER else 0 :]
)


def count_in(connection: sqlite3.Connection, table: str, rows: Iterable[Row]) -> None:
    """Take new rows of a table into its total, if no trigger does.

    Args:
        connection: Within the transaction in which they are written.
        table: Its name.
        rows: As they are stored, the checksum last.
    """
    if table not in COUNTED_BY_WRITER:
        return
    sums = [row[-1] for row in rows]
    connection.execute(
        f"UPDATE totals SET count = count + ?1, sums = {_mixed('sums', '?2')} WHERE name = ?3",
        (len(sums), reduce(xor, sums, 0), table),
    )


def create(connection: sqlite3.Connection, network: bytes) -> None:
    """Make the tables of a new journal, within a transaction."""
    for statement in _CREATED:
        connection.execute(statement)
    _begin_totals(connection)
    connection.execute("INSERT INTO meta VALUES (?, ?, ?)", summed("meta", "network", network))
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _begin_totals(connection: sqlite3.Connection) -> None:
    for statement in _TRIGGERS:
        connection.execute(statement)
    connection.executemany("INSERT INTO totals VALUES (?, 0, 0)", [(name,) for name in TABLES])


def verify_schema(connection: sqlite3.Connection) -> None:
    """Check that the tables are those that `create` makes: a damaged first page may say other.

    Those of schema 2 are as good where a journal is only read.

    Raises:
        MalformedBytesError: They are not.
    """
    is_older = _version(connection) == SUMMED_VERSION
    _require_statements(connection, (*_CREATED, *(_ALL_TRIGGERS if is_older else _TRIGGERS)))


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _require_statements(connection: sqlite3.Connection, wanted: tuple[str, ...]) -> None:
    found = [statement for (statement,) in connection.execute("SELECT sql FROM sqlite_master")]
    # The indexes of keys have no statement.
    if sorted(str(one) for one in found if one is not None) != sorted(wanted):
        raise MalformedBytesError("its tables are not those of a journal")


_OLD: Final = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE bodies (number INTEGER PRIMARY KEY, data BLOB NOT NULL)",
    "CREATE TABLE transactions (number INTEGER PRIMARY KEY, tx_id BLOB NOT NULL UNIQUE,"
    " attached_at_ms INTEGER NOT NULL, milestone_index INTEGER, position INTEGER, outcome BLOB)",
    "CREATE TABLE milestones (milestone_index INTEGER PRIMARY KEY, tx_id BLOB NOT NULL,"
    " timestamp_ms INTEGER NOT NULL, state_root BLOB NOT NULL)",
    "CREATE TABLE ledger (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE meters (device BLOB PRIMARY KEY, first_sequence INTEGER NOT NULL,"
    " last_sequence INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE readings (device BLOB NOT NULL, sequence INTEGER NOT NULL,"
    " sealed BLOB NOT NULL, PRIMARY KEY (device, sequence)) WITHOUT ROWID",
    "CREATE TABLE reading_batches (tx_id BLOB PRIMARY KEY, device BLOB NOT NULL,"
    " first_sequence INTEGER NOT NULL, last_sequence INTEGER NOT NULL,"
    " issuer_sequence INTEGER NOT NULL) WITHOUT ROWID",
    *INDEXES,
)
"""Schema 1, as it was written: without checksums, and no reading was ever missing."""

_OLD_MILESTONES: Final = (
    "SELECT milestone_index, tx_id, timestamp_ms, state_root, (SELECT count(*)"
    " FROM transactions t WHERE t.milestone_index = m.milestone_index) FROM old_milestones m"
)
"""With the column that was added."""


def migrate(connection: sqlite3.Connection) -> None:
    """Make an older journal one of today, within a transaction.

    What is there is taken for what was written: schema 1 cannot tell. Only what SQLite notices
    is noticed.

    Raises:
        MalformedBytesError: SQLite says that the pages are not sound, or they are no journal.
    """
    if _version(connection) == OLDEST_VERSION:
        _copy_all(connection)
    else:
        verify_schema(connection)
        for table in COUNTED_BY_WRITER:
            connection.execute(f"DROP TRIGGER {table}_insert")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _copy_all(connection: sqlite3.Connection) -> None:
    """Write what schema 1 holds into the tables of today."""
    _require_statements(connection, _OLD)
    for (line,) in connection.execute("PRAGMA integrity_check(1)"):
        if line != "ok":
            raise MalformedBytesError(f"page structure: {line}")
    for (name,) in connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    ).fetchall():
        connection.execute(f"DROP INDEX {name}")
    for table in TABLES:
        connection.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
    for statement in _CREATED:
        connection.execute(statement)
    _begin_totals(connection)
    for table in TABLES:
        _copy(connection, table)
    for table in TABLES:
        connection.execute(f"DROP TABLE old_{table}")


def _copy(connection: sqlite3.Connection, table: str) -> None:
    is_wider = table == "milestones"
    rows = connection.execute(_OLD_MILESTONES if is_wider else f"SELECT * FROM old_{table}")
    width = len(rows.description) + 1
    connection.executemany(
        f"INSERT INTO {table} VALUES ({', '.join('?' * width)})",
        ((*row, row_sum(table, row)) for row in rows),
    )
    count_in(connection, table, connection.execute(f"SELECT sum FROM {table}"))
