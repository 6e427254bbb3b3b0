"""A copy of a running node's journal, and a folder that starts from such a copy.

A backup is the journal alone: one SQLite file. Keys are not in it, and neither is what the
coordinator signed last: an old copy of that could make it sign an index twice.
"""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.ground.faults import pass_point
from edge.journal.entries import TakenReading
from edge.journal.inspection import inspect
from edge.journal.offline import Reader, open_reader, reported
from edge.journal.replacing import replace_journal, sync_path
from edge.journal.sealing import open_sealed
from edge.journal.storage import JOURNAL_NAME, lock_folder
from tangle.contracts import Contracts
from tangle.errors import (
    BackupRefusedError,
    DamagedStoreError,
    ForeignStoreError,
    StorageError,
)
from tangle.genesis import Genesis, network_id

PART_SUFFIX: Final = ".part"
_PRIVATE: Final = 0o600


@dataclass(frozen=True, slots=True)
class Extent:
    """How much a journal holds."""

    milestone_index: int
    transactions: int
    readings: int


def write_backup(folder: Path, file: Path, genesis: Genesis, contracts: Contracts) -> Extent:
    """Copy the journal in `folder` as it is at one instant; its node may run meanwhile.

    The copy is checked without signatures before it gets its name.

    Raises:
        StorageError: There is no journal, the disk refuses, or `file` exists.
        ForeignStoreError: The journal is of another network or schema.
        DamagedStoreError: The journal is not sound.
    """
    network = network_id(genesis)
    with _named_when_whole(file) as part:
        with (
            open_reader(folder / JOURNAL_NAME, network) as reader,
            reported(part),
            closing(sqlite3.connect(part, isolation_level=None)) as copy,
        ):
            # One step: in several, every commit of the node would make it begin again.
            reader.connection.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, whatever it is copied with
        return _checked(part, genesis, contracts)


def restore_backup(
    file: Path,
    folder: Path,
    genesis: Genesis,
    contracts: Contracts,
    *,
    accepts_loss: bool,
    sealing_key: bytes | None = None,
) -> tuple[Extent, Path | None]:
    """Put a backup where a stopped node has its journal.

    What was there is moved aside and never deleted.

    Args:
        file: The backup.
        folder: Data folder of the node.
        genesis: Of the network.
        contracts: Of this version.
        accepts_loss: Whether a journal that holds more, or cannot be read, may be replaced.
        sealing_key: Of the node: its readings must open with it. Without it nobody looks.

    Returns:
        What the node starts from, and where the journal before it is now.

    Raises:
        BackupRefusedError: The folder holds more than the backup, and `accepts_loss` is false.
        StorageError: The node runs, or the disk refuses.
        ForeignStoreError: The backup is of another network, node or schema.
        DamagedStoreError: The backup is not sound.
    """
    network = network_id(genesis)
    held = _checked(file, genesis, contracts)
    if sealing_key is not None:
        _require_own(file, network, sealing_key)
    lock = lock_folder(folder)
    try:
        journal = folder / JOURNAL_NAME
        if journal.exists() and not accepts_loss:
            _require_no_more(journal, network, held)
        with failing_with(folder):
            part = journal.with_name(JOURNAL_NAME + PART_SUFFIX)
            shutil.copyfile(file, part)
            part.chmod(_PRIVATE)
            sync_path(part)
            aside = replace_journal(journal, part)
    finally:
        os.close(lock)
    return held, aside


def _checked(file: Path, genesis: Genesis, contracts: Contracts) -> Extent:
    with open_reader(file, network_id(genesis)) as reader:
        found = inspect(reader, genesis, contracts, signatures=False)
        if found.fault_count:
            raise DamagedStoreError(
                f"{file}: {found.fault_count} faults, the first: {found.faults[0]}"
            )
        return _extent(reader)


def _require_own(file: Path, network: bytes, key: bytes) -> None:
    """Check that a node can open what it would start from: one node seals all of a journal."""
    with open_reader(file, network) as reader:
        for row in reader.rows("SELECT device, sequence, sealed FROM readings LIMIT 1"):
            try:
                open_sealed(key, TakenReading(*row))
            except DamagedStoreError as error:
                raise ForeignStoreError(f"{file}: a backup of another node: {error}") from error


def _require_no_more(journal: Path, network: bytes, backup: Extent) -> None:
    try:
        with open_reader(journal, network) as reader:
            here = _extent(reader)
    except (StorageError, DamagedStoreError, ForeignStoreError) as error:
        raise BackupRefusedError(
            f"what {journal} holds beyond the backup cannot be told: {error}"
        ) from error
    if (
        here.milestone_index > backup.milestone_index
        or here.transactions > backup.transactions
        or here.readings > backup.readings
    ):
        raise BackupRefusedError(
            f"{journal} holds {here.readings} readings up to milestone {here.milestone_index},"
            f" the backup {backup.readings} up to {backup.milestone_index}"
        )


def _extent(reader: Reader) -> Extent:
    counter = "SELECT value FROM counters WHERE name = ?"
    return Extent(
        reader.value("SELECT max(milestone_index) FROM milestones") or 0,
        reader.value(counter, ("transactions",)) or 0,
        reader.value(counter, ("readings",)) or 0,
    )


@contextmanager
def _named_when_whole(file: Path) -> Iterator[Path]:
    """Give a new private file to be written, and its name only when that went well."""
    part = file.with_name(file.name + PART_SUFFIX)
    with failing_with(file):
        if file.exists():
            raise StorageError(f"{file}: exists already; a backup is never written over")
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE))
        try:
            yield part
            sync_path(part)
            pass_point("backup.synced")
            os.link(part, file)
            pass_point("backup.named")
        finally:
            part.unlink(missing_ok=True)
        sync_path(file.parent)


@contextmanager
def failing_with(path: Path) -> Iterator[None]:
    """Turn what the system says of a file into our error."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}") from error
