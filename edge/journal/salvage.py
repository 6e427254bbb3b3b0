"""Saves the readings of a home edge from a journal that is damaged.

Everything else its peers have. Readings and their salts lie nowhere else, so they are the only
thing that a new journal takes over; the node then catches up from its peers as a new one does.
"""

import os
import shutil
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.ground.spans import Spans
from edge.journal.backups import PART_SUFFIX, failing_with
from edge.journal.carving import carve
from edge.journal.entries import Batch, FormedBatch, TakenReading
from edge.journal.journal import Journal
from edge.journal.replacing import BESIDE, replace_journal, sync_path
from edge.journal.sealing import open_sealed
from edge.journal.storage import JOURNAL_NAME, lock_folder
from edge.journal.sums import verified
from tangle.address import Address
from tangle.errors import DamagedStoreError, MalformedBytesError, StorageError
from tangle.genesis import Genesis, network_id
from tangle.transaction import TransactionId

_FOLDER: Final = "salvage.part"
_STEP: Final = 10_000
"""Readings in one commit."""

_KEPT_META: Final = ("halted", "review/", "settlement/", "kept/")
"""Why confirmation stopped, what was decided, what is settled, and what proves it: a damaged disk
must not forget that."""


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What was saved."""

    readings: int
    unopened: int
    """Left out: their checksum is right, and this node's key does not open them."""

    meters: Mapping[Address, Spans]
    """What each meter's saved readings are; a gap between two spans is lost."""

    is_halt_known: bool
    """Whether it could be read if confirmation had stopped. What could be read was kept."""

    aside: Path | None
    """Where the damaged journal is now."""


def salvage(folder: Path, also: Sequence[Path], genesis: Genesis, sealing_key: bytes) -> Salvaged:
    """Give a stopped node a new journal with the readings that can still be read.

    Args:
        folder: Data folder of the node; its journal may be damaged in any way, or be gone.
        also: Further files to look into: backups, journals that were moved aside.
        genesis: Of the network.
        sealing_key: Opens the readings.

    Raises:
        StorageError: The node runs, a file cannot be read, or the disk refuses.
        DamagedStoreError: There is no reading: nothing was changed.
    """
    lock = lock_folder(folder)
    try:
        journal, work = folder / JOURNAL_NAME, folder / _FOLDER
        with failing_with(folder):
            found, batches, unopened = _carved([journal, *also], sealing_key)
            if not found:
                raise DamagedStoreError(f"{journal}: there is no reading that could be saved")
            meta, is_halt_known = _kept_meta(journal)
            if work.exists():  # of a process that was killed
                shutil.rmtree(work)
            meters = _write(work, genesis, list(found.values()), batches, meta)
            part = journal.with_name(JOURNAL_NAME + PART_SUFFIX)
            (work / JOURNAL_NAME).replace(part)
            sync_path(part)
            aside = replace_journal(journal, part)
            shutil.rmtree(work)
    finally:
        os.close(lock)
    return Salvaged(len(found), unopened, meters, is_halt_known, aside)


def _carved(
    files: Iterable[Path], key: bytes
) -> tuple[dict[tuple[Address, int], TakenReading], list[FormedBatch], int]:
    """Return the readings that open, in order, the batches, and how many did not open."""
    readings: dict[tuple[Address, int], TakenReading] = {}
    batches: dict[TransactionId, FormedBatch] = {}
    sealed_otherwise: set[bytes] = set()
    for file in files:
        for name in ("", *BESIDE[:1]):
            path = file.with_name(file.name + name)
            if not path.exists():
                continue
            for one in carve(path.read_bytes()):
                if isinstance(one, FormedBatch):
                    batches[one.tx_id] = one
                elif (one.device, one.sequence) not in readings and _opens(key, one):
                    readings[one.device, one.sequence] = one
                elif (one.device, one.sequence) not in readings:
                    sealed_otherwise.add(one.sealed)
    return dict(sorted(readings.items())), list(batches.values()), len(sealed_otherwise)


def _opens(key: bytes, taken: TakenReading) -> bool:
    try:
        open_sealed(key, taken)
    except DamagedStoreError:
        return False
    return True


def _kept_meta(journal: Path) -> tuple[list[tuple[str, bytes]], bool]:
    """Return what is to be kept of the journal's own notes, and whether they could be read."""
    try:
        with closing(
            sqlite3.connect(f"{journal.absolute().as_uri()}?mode=ro", uri=True)
        ) as connection:
            rows = [verified("meta", row) for row in connection.execute("SELECT * FROM meta")]
    except (sqlite3.Error, MalformedBytesError, UnicodeDecodeError):
        return [], False
    return [(name, value) for name, value in rows if name.startswith(_KEPT_META)], True


def _write(
    work: Path,
    genesis: Genesis,
    readings: list[TakenReading],
    batches: list[FormedBatch],
    meta: list[tuple[str, bytes]],
) -> dict[Address, Spans]:
    """Write a journal with nothing but this into a folder of its own; return its readings."""
    with Journal(work, network_id(genesis)) as journal:
        journal.begin(genesis)
        for at in range(0, len(readings), _STEP):
            journal.commit(Batch(readings=tuple(_in_runs(readings, at))))
        journal.commit(Batch(formed=tuple(batches)))
        journal.put_notes(meta)
        journal.verify()
        meters = journal.meters()
    if any((work / (JOURNAL_NAME + one)).exists() for one in BESIDE):
        raise StorageError(f"{work}: another process has the new journal open")
    return meters


def _in_runs(readings: list[TakenReading], at: int) -> Iterable[TakenReading]:
    """Yield the readings of one step; what stands after a gap begins anew."""
    for place in range(at, min(at + _STEP, len(readings))):
        one, before = readings[place], readings[place - 1] if place else None
        if before is not None and before.device == one.device:
            is_next = one.sequence == before.sequence + 1
            yield TakenReading(one.device, one.sequence, one.sealed, begins_anew=not is_next)
        else:
            yield one
