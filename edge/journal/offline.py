"""A journal without its node: opened to be looked at, while nobody may write."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.journal.schema import OLDEST_VERSION, SCHEMA_VERSION
from edge.journal.storage import (
    APPLICATION_ID,
    BUSY_TIMEOUT_MS,
    JOURNAL_NAME,
    Value,
    lenient_text,
    lock_folder,
    translated,
)
from edge.journal.sums import Row, verified
from tangle.errors import (
    DamagedStoreError,
    ForeignStoreError,
    MalformedBytesError,
    StorageError,
)


@dataclass(frozen=True, slots=True)
class Reader:
    """One open journal that is only read. Raises as `edge.journal.storage.Storage` does."""

    path: Path
    connection: sqlite3.Connection

    @property
    def version(self) -> int:
        """Of the schema."""
        return int(self.value("PRAGMA user_version"))

    def rows(self, statement: str, values: Sequence[Value] = ()) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query one by one, so that a large journal needs little memory."""
        with reported(self.path):
            yield from self.connection.execute(statement, values)

    def table(self, name: str, rest: str, values: Sequence[Value] = ()) -> list[Row]:
        """Return rows of a table, each held against its checksum, without it."""
        with reported(self.path):
            found = self.connection.execute(f"SELECT {name}.* FROM {name} {rest}", values)
            return [verified(name, row) for row in found]

    def value(self, statement: str, values: Sequence[Value] = ()) -> Any:  # noqa: ANN401 — SQLite's
        """Return the first column of the first row, `None` if there is none."""
        for row in self.rows(statement, values):
            return row[0]
        return None


@contextmanager
def reported(path: Path) -> Iterator[None]:
    """Turn what SQLite says of a file into our errors, with its path."""
    try:
        yield
    except sqlite3.Error as error:
        ours = translated(path, error)
        if ours is None:
            raise
        raise ours from error
    except (MalformedBytesError, UnicodeDecodeError) as error:
        raise DamagedStoreError(f"{path}: {error}") from error


@contextmanager
def open_offline(folder: Path, network: bytes) -> Iterator[Reader]:
    """Open the journal of a node that does not run, and keep the node from starting.

    Raises:
        StorageError: There is no journal, or its node runs.
        ForeignStoreError: Another network's, schema's or program's.
        DamagedStoreError: The file is no longer a sound one.
    """
    file = folder / JOURNAL_NAME
    require_journal(file)
    lock = lock_folder(folder)
    try:
        with open_reader(file, network) as reader:
            yield reader
    finally:
        os.close(lock)


@contextmanager
def open_reader(file: Path, network: bytes) -> Iterator[Reader]:
    """Open a journal beside whoever writes it. Raises as `open_offline`, but asks for no lock."""
    require_journal(file)
    with (
        reported(file),
        closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection,
    ):
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        connection.text_factory = lenient_text
        reader = Reader(file, connection)
        verify_origin(reader, network)
        yield reader


def verify_origin(reader: Reader, network: bytes) -> None:
    """Check whose journal it is, and that this program reads it.

    Raises:
        ForeignStoreError: Another program's, schema's or network's.
        DamagedStoreError: It does not say.
    """
    path = reader.path
    found = reader.value("PRAGMA application_id")
    if found != APPLICATION_ID:
        raise ForeignStoreError(
            f"{path}: application id {found:#x}: a journal has {APPLICATION_ID:#x}"
        )
    version = reader.value("PRAGMA user_version")
    if not OLDEST_VERSION <= version <= SCHEMA_VERSION:
        raise ForeignStoreError(
            f"{path}: schema version {version}: this program reads"
            f" {OLDEST_VERSION} to {SCHEMA_VERSION}"
        )
    named = reader.value("SELECT value FROM meta WHERE name = 'network'")
    if named is None:
        raise DamagedStoreError(f"{path}: it does not say which network it is of")
    if named != network:
        raise ForeignStoreError(
            f"{path}: a journal of network {named.hex()}, not of {network.hex()}"
        )


def require_journal(file: Path) -> None:
    """Check that there is a file at all. Raises `StorageError`."""
    if not file.is_file():
        raise StorageError(f"{file}: there is no journal")
