"""A meter's outbox: the readings that wait for their receipt, and where the meter stands.

One small SQLite file. What is stored is durable before the call returns.
"""

import fcntl
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from devices.meter import MeterState, Store
from devices.sources.rows import Registers
from tangle.address import Address
from tangle.errors import DamagedStoreError, ForeignStoreError, StorageError, TanglewattError

LOG_PAGES: Final = 64
"""Pages of the log of writes after which it is written back and begun anew: 256 KiB. SQLite's own
four million bytes would be the largest thing that a meter has on its disk."""

CACHE_KIB: Final = 256
"""Of the file in memory: what a meter keeps fits, unless its edge is away for days."""

_SCHEMA_VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS readings (sequence INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS meter (
    id INTEGER PRIMARY KEY CHECK (id = 0),
    network BLOB NOT NULL, device BLOB NOT NULL,
    produced INTEGER NOT NULL, receipted_through INTEGER NOT NULL,
    import_wh INTEGER NOT NULL, export_wh INTEGER NOT NULL,
    interval_end_ms INTEGER NOT NULL, finished INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS counting (id INTEGER PRIMARY KEY CHECK (id = 0), state BLOB NOT NULL);
"""


def no_point(_name: str) -> None:
    """Pass a fault point: nothing happens."""


@dataclass(frozen=True, slots=True)
class OutboxState:
    """What another process can know of a meter."""

    produced: int
    receipted_through: int
    """Highest receipted sequence; −1 for none."""

    import_wh: int
    export_wh: int
    finished: bool
    """The last run of the meter ended with everything receipted."""


class Outbox:
    """The readings that wait for their receipt, on disk. One process has it open for writing."""

    def __init__(
        self,
        path: Path,
        network: bytes,
        device: Address,
        pass_point: Callable[[str], None] = no_point,
    ) -> None:
        """Open or make the file.

        Args:
            path: The file.
            network: First 8 bytes of the genesis hash.
            device: Whose readings they are.
            pass_point: Is told where it stands, so that a test can end the process there.

        Raises:
            StorageError: It cannot be written, or another process has it open.
            DamagedStoreError: It is no SQLite file.
            ForeignStoreError: It is another meter's, or of another version.
        """
        self._path = path
        self._pass_point = pass_point
        with ExitStack() as opened, self._naming_errors():
            lock = opened.enter_context(path.with_name(path.name + ".lock").open("ab"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._connection = opened.enter_context(closing(sqlite3.connect(path)))
            # one for all statements: the driver keeps up to 200 dead ones of a connection in mind
            self._cursor = self._connection.cursor()
            self._prepare(network, device)
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let another process have it."""
        self._opened.close()

    def _prepare(self, network: bytes, device: Address) -> None:
        connection = self._connection
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.execute("PRAGMA synchronous = FULL")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version not in (0, _SCHEMA_VERSION):
            raise ForeignStoreError(
                f"outbox {self._path} has version {version}, not {_SCHEMA_VERSION}"
            )
        connection.executescript(f"{_SCHEMA} PRAGMA user_version = {_SCHEMA_VERSION};")
        with connection:
            connection.execute(
                "INSERT OR IGNORE INTO meter VALUES (0, ?, ?, 0, -1, 0, 0, 0, 0)", (network, device)
            )
        owner = connection.execute("SELECT network, device FROM meter").fetchone()
        if owner != (network, device):
            raise ForeignStoreError(
                f"outbox {self._path} is of device {owner[1].hex()} in network {owner[0].hex()},"
                f" not of {device.hex()} in {network.hex()}"
            )
        with connection:
            connection.execute("UPDATE meter SET finished = 0")

    @contextmanager
    def _naming_errors(self) -> Iterator[None]:
        """Turn what file system and database say into errors that name the path."""
        try:
            yield
        except BlockingIOError as error:
            raise StorageError(f"outbox {self._path}: another process has it open") from error
        except OSError as error:
            raise StorageError(f"outbox {self._path}: {error.strerror}") from error
        except sqlite3.Error as error:
            raise _outbox_error(self._path, error) from error

    def load(self) -> tuple[MeterState, Sequence[bytes]]:
        """Return where the meter stopped, and the readings it keeps, in order."""
        produced, through, import_wh, export_wh, end_ms = self._connection.execute(
            "SELECT produced, receipted_through, import_wh, export_wh, interval_end_ms FROM meter"
        ).fetchone()
        kept = self._connection.execute("SELECT data FROM readings ORDER BY sequence").fetchall()
        state = MeterState(produced, through, Registers(import_wh, export_wh), end_ms)
        return state, [data for (data,) in kept]

    def load_counting(self) -> bytes | None:
        """Return what was stored of the meter's counting part; `None` before the first time."""
        found = self._connection.execute("SELECT state FROM counting").fetchone()
        return None if found is None else bytes(found[0])

    def store_counting(self, data: bytes) -> None:
        """Replace what is stored of the counting part, in one durable commit."""
        with self._naming_errors(), self._connection:
            self._replace_counting(data)

    def _replace_counting(self, data: bytes) -> None:
        self._cursor.execute("INSERT OR REPLACE INTO counting VALUES (0, ?)", (data,))

    def store(self, effect: Store) -> None:
        """Add readings and move the state, in one durable commit."""
        state = effect.state
        self._pass_point("outbox.store.before")
        with self._naming_errors(), self._connection:
            self._cursor.executemany(
                "INSERT INTO readings VALUES (?, ?)",
                [(reading.sequence, reading.data) for reading in effect.readings],
            )
            self._cursor.execute(
                "UPDATE meter SET produced = ?, import_wh = ?, export_wh = ?, interval_end_ms = ?",
                (
                    state.produced,
                    state.registers.import_wh,
                    state.registers.export_wh,
                    state.interval_end_ms,
                ),
            )
            if effect.counted is not None:
                self._replace_counting(effect.counted)
            self._pass_point("outbox.store.written")
        self._pass_point("outbox.store.after")

    def forget(self, through: int) -> None:
        """Drop the receipted readings, in one durable commit."""
        self._pass_point("outbox.forget.before")
        with self._naming_errors(), self._connection:
            self._cursor.execute("DELETE FROM readings WHERE sequence <= ?", (through,))
            self._cursor.execute("UPDATE meter SET receipted_through = ?", (through,))
            self._pass_point("outbox.forget.written")
        self._pass_point("outbox.forget.after")

    def finish(self) -> None:
        """Note that this run delivered everything."""
        with self._naming_errors(), self._connection:
            self._cursor.execute("UPDATE meter SET finished = 1")


def _outbox_error(path: Path, error: sqlite3.Error) -> TanglewattError:
    """Return our error for SQLite's: bytes that are wrong stay wrong, the rest may be retried."""
    if getattr(error, "sqlite_errorcode", None) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return DamagedStoreError(f"outbox {path}: {error}")
    return StorageError(f"outbox {path}: {error}")


def read_outbox_state(path: Path) -> OutboxState:
    """Return where a meter stands, while it runs or after; changes nothing.

    Raises:
        StorageError: There is no outbox (the meter has not started yet), or no state in it.
        DamagedStoreError: It is no SQLite file.
    """
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        ) as connection:
            row = connection.execute(
                "SELECT produced, receipted_through, import_wh, export_wh, finished FROM meter"
            ).fetchone()
    except sqlite3.Error as error:
        raise _outbox_error(path, error) from error
    if row is None:
        raise StorageError(f"outbox {path}: the meter has not written its state yet")
    produced, receipted_through, import_wh, export_wh, finished = row
    return OutboxState(produced, receipted_through, import_wh, export_wh, bool(finished))
