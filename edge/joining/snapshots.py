"""Snapshots on disk: made from a journal, written whole or not at all, read within bounds."""

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import zstandard

from edge.ground.faults import pass_point
from edge.journal.rotations import read_rotations
from edge.journal.storage import JOURNAL_NAME
from tangle.errors import (
    DamagedStoreError,
    InvalidSnapshotError,
    MalformedBytesError,
    StorageError,
)
from tangle.hashing import digest
from tangle.snapshot import (
    LENGTH_SIZE,
    MAX_HEADER_SIZE,
    MAX_SNAPSHOT_SIZE,
    Snapshot,
    SnapshotCone,
    SnapshotHeader,
    decode_header,
    decode_snapshot,
    encode_snapshot,
    full_snapshot,
)

FOLDER: Final = "snapshots"
"""In a node's data folder."""

SUFFIX: Final = ".twsnap"
KEPT_SNAPSHOTS: Final = 3
"""Full ones; what is older is deleted when a new one is written."""

COMPRESSION_LEVEL: Final = 3
_PRIVATE: Final = 0o600


@dataclass(frozen=True, slots=True)
class SnapshotFile:
    """One snapshot on disk."""

    path: Path
    header: SnapshotHeader
    size_bytes: int
    """Of the file."""

    file_hash: bytes
    """BLAKE2b-256 of the file."""


def take_snapshot(data_folder: Path, network: bytes, reference_depth: int) -> Snapshot | None:
    """Return a node's state as last committed; `None` before its first milestone.

    Reads through a connection of its own, so it may run in a thread beside a node at work, or
    beside another process.

    Raises:
        StorageError: The journal cannot be read.
        DamagedStoreError: A change of the coordinator keys is not what was written.
    """
    path = data_folder / JOURNAL_NAME
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute("BEGIN")  # one moment for all that is read
            latest = connection.execute("SELECT max(milestone_index) FROM milestones").fetchone()[0]
            if latest is None:
                return None
            first = max(1, latest - reference_depth + 1)
            cones = [_cone(connection, index) for index in range(first, latest + 1)]
            rows = dict(connection.execute("SELECT key, value FROM ledger"))
            rotations = read_rotations(connection)
    except sqlite3.Error as error:
        raise StorageError(f"{path}: cannot be read: {error}") from error
    except MalformedBytesError as error:
        raise DamagedStoreError(f"{path}: {error}") from error
    return full_snapshot(network, rows, cones, rotations)


def _cone(connection: sqlite3.Connection, index: int) -> SnapshotCone:
    (data,) = connection.execute(
        "SELECT b.data FROM milestones m JOIN transactions t USING (tx_id)"
        " JOIN bodies b USING (number) WHERE m.milestone_index = ?",
        (index,),
    ).fetchone()
    ids = connection.execute(
        "SELECT tx_id FROM transactions WHERE milestone_index = ? ORDER BY position", (index,)
    )
    return SnapshotCone(data, tuple(tx_id for (tx_id,) in ids))


def snapshot_name(header: SnapshotHeader) -> str:
    """Return the file name of a snapshot: names of one kind sort by index."""
    if header.kind == "full":
        return f"full-{header.index:012}{SUFFIX}"
    return f"delta-{header.base_index:012}-{header.index:012}{SUFFIX}"


def write_snapshot(folder: Path, snapshot: Snapshot) -> SnapshotFile:
    """Write a snapshot durably, in one step, and delete the oldest ones.

    Raises:
        StorageError: The folder cannot be written.
    """
    data = compressed(encode_snapshot(snapshot))
    path = folder / snapshot_name(snapshot.header)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, data)
        _delete_old(folder)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror}") from error
    return SnapshotFile(path, snapshot.header, len(data), digest(data))


def write_whole(path: Path, data: bytes) -> None:
    """Put a file there durably, or leave what is there as it is. Raises `OSError`."""
    draft = path.with_suffix(".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _PRIVATE)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    pass_point("snapshot.draft")
    draft.replace(path)
    pass_point("snapshot.named")
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_snapshot(path: Path) -> Snapshot:
    """Read a snapshot file; see `tangle.snapshot` for what must be checked then.

    Raises:
        StorageError: The file cannot be read.
        InvalidSnapshotError: It is no snapshot, or damaged.
    """
    try:
        return unpack_snapshot(path.read_bytes())
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from error
    except InvalidSnapshotError as error:
        raise InvalidSnapshotError(f"{path}: {error}") from error


def unpack_snapshot(data: bytes) -> Snapshot:
    """Decompress and parse the bytes of a snapshot file. Raises `InvalidSnapshotError`."""
    return decode_snapshot(decompressed(data))


def compressed(data: bytes) -> bytes:
    """Return the content of the file that holds the bytes of a snapshot."""
    compressor = zstandard.ZstdCompressor(level=COMPRESSION_LEVEL, write_content_size=True)
    return compressor.compress(data)


def decompressed(data: bytes) -> bytes:
    """Return what a snapshot file holds: never more than one byte beyond what is allowed.

    Raises:
        InvalidSnapshotError: It does not decompress.
    """
    return _decompressed(data, MAX_SNAPSHOT_SIZE + 1)


def list_snapshots(folder: Path) -> list[SnapshotFile]:
    """Return the snapshots in a folder, the newest first; what is no snapshot is left out.

    Raises:
        StorageError: A file cannot be read.
    """
    found = []
    try:
        for path in folder.glob(f"*{SUFFIX}"):
            data = path.read_bytes()
            try:
                header = decode_header(_decompressed(data, LENGTH_SIZE + MAX_HEADER_SIZE))
            except InvalidSnapshotError:
                continue
            found.append(SnapshotFile(path, header, len(data), digest(data)))
    except OSError as error:
        raise StorageError(f"{folder}: cannot be read: {error.strerror}") from error
    return sorted(found, key=lambda one: (-one.header.index, one.header.kind != "full"))


def latest_full(folder: Path) -> Path | None:
    """Return the newest full snapshot in a folder, by its name."""
    return max(folder.glob(f"full-*{SUFFIX}"), default=None)


def _decompressed(data: bytes, most: int) -> bytes:
    """Return the first `most` bytes at most, so that a small file cannot fill the memory."""
    try:
        with zstandard.ZstdDecompressor().stream_reader(data) as reader:
            return reader.read(most)
    except zstandard.ZstdError as error:
        raise InvalidSnapshotError(f"damaged: it does not decompress: {error}") from error


def _delete_old(folder: Path) -> None:
    for draft in folder.glob("*.new"):
        draft.unlink()  # of a process that was killed
    full = sorted(folder.glob(f"full-*{SUFFIX}"))
    for path in full[:-KEPT_SNAPSHOTS]:
        path.unlink()
    kept = {path.stem.partition("-")[2] for path in full[-KEPT_SNAPSHOTS:]}
    for path in folder.glob(f"delta-*{SUFFIX}"):
        if path.stem.split("-")[1] not in kept:
            path.unlink()  # nothing here that it goes on from
