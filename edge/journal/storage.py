"""The SQLite file of a node's data folder: how it is locked, recognised and kept durable.

Says nothing of what is in it: see `edge.journal.journal`.
"""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from edge.ground.faults import pass_point
from edge.journal.replacing import finish_replacing
from edge.journal.schema import OLDEST_VERSION, SCHEMA_VERSION, create, migrate, verify_schema
from edge.journal.sums import Row, verified
from edge.journal.sweep import sweep
from tangle.errors import (
    DamagedStoreError,
    ForeignStoreError,
    MalformedBytesError,
    StorageError,
    TanglewattError,
)
from tangle.transaction import NETWORK_SIZE

JOURNAL_NAME: Final = "journal.sqlite3"
LOCK_NAME: Final = "journal.lock"
APPLICATION_ID: Final = 0x54574A31
"""`TWJ1`, in the header of the file: how a journal is told from any other SQLite file."""

LOG_LIMIT: Final = 16 * 2**20
"""Bytes of the log of writes beside the file, to which it is cut after one large commit; usually
it stays at four million."""

BUSY_TIMEOUT_MS: Final = 1_000
"""For a reader beside us (a backup, `sqlite3` by hand); no second writer ever gets this far."""

_DAMAGED: Final = frozenset(
    {
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_FORMAT,
        sqlite3.SQLITE_TOOBIG,  # a length that nobody wrote
    }
)
_UNAVAILABLE: Final = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PROTOCOL,
    }
)
_PRIMARY_CODE: Final = 0xFF

Value = bytes | int | str
"""What a statement is given."""


class Storage:
    """One open file, held by this process alone.

    Calls may come from any thread, but only one at a time: the owner sees to that.
    """

    def __init__(self, folder: Path, network: bytes) -> None:
        """Open the file in `folder`, or create both.

        Args:
            folder: Data folder of one node.
            network: First 8 bytes of the genesis hash.

        Raises:
            StorageError: Read-only, full, failing, or held by another process.
            ForeignStoreError: The file belongs to another network, schema or program.
            DamagedStoreError: The file is no SQLite file, or no longer a sound one.
        """
        assert len(network) == NETWORK_SIZE, f"network id of {len(network)} bytes"
        self.path = folder / JOURNAL_NAME
        self._is_synced: bool | None = None  # SQLite's own default, whatever it is
        self.on_damage: Callable[[DamagedStoreError], None] = _unheard
        """Is told of damage when it is met, whoever makes what of the error."""

        self._lock = lock_folder(folder)
        try:
            _finish_replacing(self.path)
            with self.reported():
                # Statements are grouped by `transaction` alone, never by the driver.
                self._connection = sqlite3.connect(
                    self.path, isolation_level=None, check_same_thread=False
                )
        except BaseException:
            os.close(self._lock)
            raise
        try:
            with self.reported():
                self._prepare(network)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and let others have the folder. May be called twice."""
        self._connection.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    @contextmanager
    def transaction(self, *, is_synced: bool = True) -> Iterator[sqlite3.Connection]:
        """Run a block as one durable commit: on any error nothing of it is there.

        Args:
            is_synced: Whether to wait for the disk. Without it the commit survives a kill, and a
                power cut takes it back, with all that came after it and before the next one that
                waits: the log has one order.

        Raises:
            StorageError: The disk is full, read-only or failing.
            DamagedStoreError: The file is no longer a sound one.
        """
        with self.reported():
            self._synchronise(is_synced=is_synced)
            self._connection.execute("BEGIN IMMEDIATE")
            pass_point("journal.begin")
            try:
                yield self._connection
                pass_point("journal.written")
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:  # SQLite may have rolled back by itself
                    self._connection.execute("ROLLBACK")
        pass_point("journal.durable")

    def _synchronise(self, *, is_synced: bool) -> None:
        if is_synced != self._is_synced:
            level = "FULL" if is_synced else "NORMAL"
            self._connection.execute(f"PRAGMA synchronous = {level}")
            self._is_synced = is_synced

    def rows(self, statement: str, values: Sequence[Value] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a query. Raises as `transaction` does."""
        with self.reported():
            return self._connection.execute(statement, values).fetchall()

    def row(self, statement: str, values: Sequence[Value] = ()) -> tuple[Any, ...] | None:
        """Return the first row of a query, `None` if there is none. Raises as `transaction`."""
        with self.reported():
            found: tuple[Any, ...] | None = self._connection.execute(statement, values).fetchone()
            return found

    def table(self, name: str, rest: str = "", values: Sequence[Value] = ()) -> list[Row]:
        """Return rows of one table, each verified and without its checksum.

        Args:
            name: The table.
            rest: What follows its name in the query.
            values: Of the query.

        Raises:
            DamagedStoreError: A row is not what was written.
            StorageError: As `transaction`.
        """
        with self.reported():
            found = self._connection.execute(f"SELECT {name}.* FROM {name} {rest}", values)
            return [verified(name, row) for row in found]

    def sweep(self, without: frozenset[str]) -> Iterator[None]:
        """Look at the whole file but for the rows of some tables; see `edge.journal.sweep`."""
        return sweep(self._connection, without=without)

    @contextmanager
    def reported(self) -> Iterator[None]:
        """Turn errors of the disk and of the stored bytes into ours, with the path."""
        try:
            yield
        except sqlite3.Error as error:
            ours = translated(self.path, error)
            if ours is None:  # a broken rule of our own schema: a bug
                raise
            if isinstance(ours, DamagedStoreError):
                self.on_damage(ours)
            raise ours from error
        except (MalformedBytesError, UnicodeDecodeError) as error:
            # The latter: SQLite's own words quote a damaged schema.
            damage = DamagedStoreError(f"{self.path}: {error}")
            self.on_damage(damage)
            raise damage from error

    def _prepare(self, network: bytes) -> None:
        execute = self._connection.execute
        execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        self._connection.text_factory = lenient_text
        tables = execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        found = execute("PRAGMA application_id").fetchone()[0]
        is_fresh = tables == 0 and found == 0
        if not is_fresh and found != APPLICATION_ID:
            raise ForeignStoreError(
                f"{self.path}: application id {found:#x}: a journal has {APPLICATION_ID:#x}"
            )
        if is_fresh:
            self.path.chmod(0o600)  # before -wal and -shm come, which take its mode
        mode = execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise StorageError(f"{self.path}: journal mode {mode!r}: this disk cannot hold a WAL")
        self._synchronise(is_synced=True)
        execute(f"PRAGMA journal_size_limit = {LOG_LIMIT}")
        # Not every SQLite does by itself: what was forgotten on purpose lies in no freed page.
        execute("PRAGMA secure_delete = ON")
        if is_fresh:
            self._create(network)
        elif OLDEST_VERSION <= execute("PRAGMA user_version").fetchone()[0] < SCHEMA_VERSION:
            with self.transaction() as connection:
                migrate(connection)
        self._verify_identity(network)

    def _create(self, network: bytes) -> None:
        with self.transaction() as connection:
            create(connection, network)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")

    def _verify_identity(self, network: bytes) -> None:
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version != SCHEMA_VERSION:
            raise ForeignStoreError(
                f"{self.path}: schema version {version}: this program reads {SCHEMA_VERSION}"
            )
        verify_schema(self._connection)
        rows = self.table("meta", "WHERE name = 'network'")
        if not rows:
            raise DamagedStoreError(f"{self.path}: it does not say which network it is of")
        if rows[0][1] != network:
            raise ForeignStoreError(
                f"{self.path}: a journal of network {rows[0][1].hex()}, not of {network.hex()}"
            )


def _finish_replacing(path: Path) -> None:
    try:
        finish_replacing(path)
    except OSError as error:
        raise StorageError(f"{path}: a restore cannot be finished: {error.strerror}") from error


def _unheard(_: DamagedStoreError) -> None:
    """Nobody asked to be told."""


def lenient_text(data: bytes) -> str:
    """Return text of a row; what is no text becomes other text, and the checksum says so."""
    return data.decode("utf-8", "replace")


def translated(path: Path, error: sqlite3.Error) -> TanglewattError | None:
    """Return our error for one of SQLite's, `None` for what only a bug can cause.

    Args:
        path: The file, for the message.
        error: What SQLite said.
    """
    # Errors that the driver raises by itself (a closed connection) carry no code.
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return None
    if code & _PRIMARY_CODE in _DAMAGED:
        return DamagedStoreError(f"{path}: not a sound journal: {error}")
    if code & _PRIMARY_CODE in _UNAVAILABLE:
        name = getattr(error, "sqlite_errorname", code)
        return StorageError(f"{path}: the disk refuses: {error} ({name})")
    return None


def lock_folder(folder: Path) -> int:
    """Return the descriptor that holds the folder for this process; the kernel frees it.

    Raises:
        StorageError: It cannot be written, or another process holds it.
    """
    path = folder / LOCK_NAME
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StorageError(
            f"{folder}: a node must be able to write its data folder: {error.strerror}"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.truncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode("ascii"))
    except BlockingIOError as error:
        holder = os.read(descriptor, 32).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise StorageError(
            f"{folder}: process {holder or 'unknown'} holds it: two nodes never share a folder"
        ) from error
    except OSError as error:
        os.close(descriptor)
        raise StorageError(f"{path}: cannot be locked: {error.strerror}") from error
    return descriptor
