"""Older journals become journals of today, whole or not at all."""

import shutil
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Final

import pytest

from api.contracts import CONTRACTS
from edge.journal.inspection import inspect
from edge.journal.journal import Journal
from edge.journal.offline import open_offline
from edge.journal.schema import SCHEMA_VERSION
from edge.journal.storage import JOURNAL_NAME
from tangle.errors import DamagedStoreError
from tests.api.recorded_journal import DEVICE, MILESTONES, READINGS, write_journal
from tests.api.small_node import GENESIS, NETWORK
from tests.network.killing import python

OLD_SCHEMA: Final = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE bodies (number INTEGER PRIMARY KEY, data BLOB NOT NULL)",
    "CREATE TABLE transactions (number INTEGER PRIMARY KEY, tx_id BLOB NOT NULL UNIQUE,"
    " attached_at_ms INTEGER NOT NULL, milestone_index INTEGER, position INTEGER, outcome BLOB)",
    "CREATE INDEX pending ON transactions (number) WHERE milestone_index IS NULL",
    "CREATE UNIQUE INDEX referenced ON transactions (milestone_index, position)"
    " WHERE milestone_index IS NOT NULL",
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
    "CREATE INDEX batches_by_device ON reading_batches (device, first_sequence)",
)
"""As version 1 of this program wrote it."""

OLD_COLUMNS: Final = {
    "meta": 2,
    "counters": 2,
    "bodies": 2,
    "transactions": 6,
    "milestones": 4,
    "ledger": 2,
    "meters": 3,
    "readings": 3,
    "reading_batches": 5,
}
MIGRATE: Final = """
from pathlib import Path
from edge.journal.journal import Journal
from tests.api.small_node import NETWORK
Journal(Path({path!r}), NETWORK).close()
"""


def made_old(new: Path, old: Path) -> None:
    """Write what the journal in folder `new` holds into folder `old`, as version 1 did."""
    old.mkdir()
    with (
        closing(sqlite3.connect(new / JOURNAL_NAME)) as source,
        closing(sqlite3.connect(old / JOURNAL_NAME)) as copy,
        copy,
    ):
        for statement in OLD_SCHEMA:
            copy.execute(statement)
        for table, width in OLD_COLUMNS.items():
            places = ", ".join("?" * width)
            rows = (row[:width] for row in source.execute(f"SELECT * FROM {table}"))
            copy.executemany(f"INSERT INTO {table} VALUES ({places})", rows)
        (application,) = source.execute("PRAGMA application_id").fetchone()
        copy.execute(f"PRAGMA application_id = {application}")
        copy.execute("PRAGMA user_version = 1")


def answers(folder: Path) -> list[object]:
    with Journal(folder, NETWORK) as journal:
        journal.verify()
        return [
            journal.restore(GENESIS, 20),
            journal.counts(),
            journal.meters(),
            journal.readings(DEVICE, 0, READINGS),
            [journal.milestone(index) for index in range(MILESTONES + 1)],
            [journal.referenced_by(index) for index in range(MILESTONES + 1)],
        ]


def faults(folder: Path) -> list[str]:
    with open_offline(folder, NETWORK) as reader:
        return inspect(reader, GENESIS, CONTRACTS, signatures=True).faults


def version(folder: Path) -> int:
    with closing(sqlite3.connect(folder / JOURNAL_NAME)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One journal, as written today and as it was written."""
    folder = tmp_path_factory.mktemp("journals")
    write_journal(folder / "new")
    made_old(folder / "new", folder / "old")
    return folder / "new", folder / "old"


def test_a_journal_of_schema_1_answers_the_same_after_its_migration(
    both: tuple[Path, Path], tmp_path: Path
) -> None:
    shutil.copytree(both[1], tmp_path / "old")
    assert faults(tmp_path / "old") == []

    assert answers(tmp_path / "old") == answers(both[0])

    assert version(tmp_path / "old") == SCHEMA_VERSION
    assert faults(tmp_path / "old") == []


def made_second(folder: Path) -> None:
    """Make a journal of today one of schema 2, which counted new rows by triggers alone."""
    with closing(sqlite3.connect(folder / JOURNAL_NAME)) as connection, connection:
        for table in ("transactions", "bodies"):
            connection.execute(
                f"CREATE TRIGGER {table}_insert AFTER INSERT ON {table} BEGIN"
                " UPDATE totals SET count = count + 1,"
                " sums = ((sums | NEW.sum) - (sums & NEW.sum))"
                f" WHERE name = '{table}'; END"
            )
        connection.execute("PRAGMA user_version = 2")


def test_a_journal_of_schema_2_answers_the_same_after_its_migration(
    both: tuple[Path, Path], tmp_path: Path
) -> None:
    shutil.copytree(both[0], tmp_path / "second")
    made_second(tmp_path / "second")
    assert faults(tmp_path / "second") == []

    assert answers(tmp_path / "second") == answers(both[0])

    assert version(tmp_path / "second") == SCHEMA_VERSION
    assert faults(tmp_path / "second") == []


@pytest.mark.parametrize("point", ["journal.begin", "journal.written", "journal.durable"])
def test_a_migration_that_is_killed_is_made_anew(
    both: tuple[Path, Path], tmp_path: Path, point: str
) -> None:
    shutil.copytree(both[1], tmp_path / "old")

    killed = python(MIGRATE.format(path=str(tmp_path / "old")), f"{point}:1")

    assert killed.returncode == -signal.SIGKILL
    assert version(tmp_path / "old") == (SCHEMA_VERSION if point == "journal.durable" else 1)
    assert answers(tmp_path / "old") == answers(both[0])


def test_a_journal_of_schema_1_whose_pages_are_not_sound_is_not_migrated(
    both: tuple[Path, Path], tmp_path: Path
) -> None:
    shutil.copytree(both[1], tmp_path / "old")
    file = tmp_path / "old" / JOURNAL_NAME
    data = bytearray(file.read_bytes())
    data[4 * 4_096 : 5 * 4_096] = Random(1).randbytes(4_096)
    file.write_bytes(data)

    with pytest.raises(DamagedStoreError, match=JOURNAL_NAME):
        Journal(tmp_path / "old", NETWORK)

    assert version(tmp_path / "old") == 1


def test_tables_that_are_not_those_of_a_journal_are_damage(
    both: tuple[Path, Path], tmp_path: Path
) -> None:
    shutil.copytree(both[0], tmp_path / "new")
    with closing(sqlite3.connect(tmp_path / "new" / JOURNAL_NAME)) as connection, connection:
        connection.execute("DROP INDEX pending")

    with pytest.raises(DamagedStoreError, match="tables are not those of a journal"):
        Journal(tmp_path / "new", NETWORK)
