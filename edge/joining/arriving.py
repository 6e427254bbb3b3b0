"""A fetched snapshot: checked against what was offered and the signed roots, then gone on from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from edge.ground.faults import pass_point
from edge.joining.joining import Offered
from edge.joining.partial_file import PartialFile
from edge.joining.snapshots import FOLDER, SUFFIX, unpack_snapshot
from edge.journal.journal import Journal
from edge.mesh.offers import verify_header
from tangle.errors import InvalidSnapshotError, StorageError
from tangle.genesis import Genesis
from tangle.hashing import digest
from tangle.keys import PublicKey
from tangle.snapshot import Start, start_of

_log: Final = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Arrived:
    """A snapshot that is here and checked."""

    start: Start
    file: PartialFile
    """To be kept once the journal goes on from it."""


def go_on_from(
    arrived: Arrived, genesis: Genesis, journal: Journal, data_folder: Path, own: PublicKey
) -> None:
    """Put a snapshot into the journal of a node that does not run, and keep its file for others.

    Killed at any moment, the node begins where the journal stands.

    Raises:
        StorageError: The disk fails or is full; the journal is then the old one.
    """
    pass_point("join.checked")
    journal.leap_to(genesis, arrived.start, own)
    pass_point("join.loaded")
    arrived.file.keep_as(data_folder / FOLDER / f"full-{arrived.start.index:012}{SUFFIX}")
    _log.info(
        "goes on from a snapshot",
        milestone_index=arrived.start.index,
        milestone_id=arrived.start.milestone_id.hex(),
        rows=len(arrived.start.rows),
    )


def checked_start(path: Path, offered: Offered, genesis: Genesis) -> Start:
    """Return what a node begins with that starts from a fetched file.

    Raises:
        StorageError: The file cannot be read.
        InvalidSnapshotError: It is not what was offered, or does not lead to the signed roots.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from error
    found, wanted = digest(data), offered.manifest.file_hash
    if found != wanted:
        raise InvalidSnapshotError(
            f"the file hashes to {found.hex()}, announced was {wanted.hex()}"
        )
    snapshot = unpack_snapshot(data)
    verify_header(snapshot.header, offered.milestone)
    return start_of(snapshot, genesis)
