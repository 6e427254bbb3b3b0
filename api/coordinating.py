"""The coordinator at work: steps come from `coordinator.issuer`, this writes and sends.

The lock file is written, and on disk, before the milestone is handed on: a coordinator that is
killed in between sends the stored bytes again and never signs anew for that index.
"""

import asyncio
import os
from pathlib import Path
from random import Random
from typing import Final

import structlog

from api.exit_codes import ExitCode
from api.failures import CommandError, Failure, FailureCode
from api.private_files import PRIVATE, not_writable
from coordinator.issuer import CHECKPOINT_LABEL, Behind, Checkpoints, Issue, Issuer
from coordinator.lock import MAX_LOCK_SIZE, Lock, decode_lock, encode_lock
from edge.runtime import EdgeNode
from edge.snapshots import SnapshotFile
from tangle.codec import encode
from tangle.errors import BadMilestoneError, InvalidError, StorageError, UnavailableError
from tangle.snapshot import NOTICE_LABEL, SnapshotNotice
from tangle.transaction import Data

IDLE_S: Final = 0.05
"""How often the clock is looked at between two milestones."""

MERGING_SHARE: Final = 2
"""Checkpoints take at most this part of the milestone interval: then the milestone comes."""

_log: Final = structlog.get_logger(__name__)


def read_lock(file: Path, network: bytes) -> Lock:
    """Return what this coordinator signed last. Raises `CommandError` without it."""
    try:
        with file.open("rb") as stream:
            return decode_lock(stream.read(MAX_LOCK_SIZE + 1), network)
    except (OSError, InvalidError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise CommandError(
            Failure(
                FailureCode.NO_LOCK,
                ExitCode.STORAGE,
                f"no usable coordinator lock at {file}",
                f"{why}; without it this coordinator could sign two milestones of one index",
                "put the file back, or run `tanglewatt coordinator recover`",
            )
        ) from error


def write_lock(file: Path, lock: Lock) -> None:
    """Replace the lock file durably, in one step. Raises `CommandError`."""
    draft = file.with_suffix(".new")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, PRIVATE)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(encode_lock(lock))
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(file)
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise not_writable(file, error) from error


async def coordinate(node: EdgeNode, issuer: Issuer, lock_file: Path, rng: Random) -> None:
    """Issue milestones until cancelled."""
    interval_ms = node.genesis.parameters.milestone_interval_ms
    while True:
        now = node.clock.instant()
        deadline_ms = issuer.next_deadline_ms()
        if now.wall_ms < deadline_ms:
            await asyncio.sleep(min(IDLE_S, (deadline_ms - now.wall_ms) / 1_000))
            continue
        merge_until_ms = now.wall_ms + interval_ms // MERGING_SHARE
        await _step(node, issuer, lock_file, rng, merge_until_ms)


async def _step(
    node: EdgeNode, issuer: Issuer, lock_file: Path, rng: Random, merge_until_ms: int
) -> None:
    """Merge tips while there is time, then issue the milestone that is due."""
    while True:
        now = node.clock.instant()
        may_merge = now.wall_ms < merge_until_ms
        try:
            step = issuer.step(now, node.issuance.view(), rng, may_merge=may_merge)
        except BadMilestoneError as error:
            _log.exception("milestone not issued", error=str(error))
            await asyncio.sleep(IDLE_S)
            return
        match step:
            case None:
                return
            case Checkpoints():
                if not await _merge(node, step, merge_until_ms):
                    merge_until_ms = now.wall_ms  # the next round would be refused as well
            case Issue():
                write_lock(lock_file, step.lock)
                node.submit(step.data)
                return
            case Behind():
                _log.warning(
                    "waiting for the ledger to catch up with what was signed",
                    signed_index=step.signed_index,
                    confirmed_index=step.confirmed_index,
                )
                return


async def announce(node: EdgeNode, file: SnapshotFile) -> None:
    """Tell the network of a snapshot. Raises `StorageError`; what is not taken now is left out."""
    header = file.header
    notice = SnapshotNotice(header.index, header.state_root, file.file_hash)
    try:
        await node.issuance.issue(Data(NOTICE_LABEL, encode(notice)))
    except StorageError:
        raise
    except UnavailableError as error:
        _log.info("snapshot not announced", index=header.index, error=str(error))


async def _merge(node: EdgeNode, checkpoints: Checkpoints, until_ms: int) -> bool:
    """Issue what there is time for; return whether all of it was taken."""
    for pair in checkpoints.pairs:
        if node.clock.wall_ms() >= until_ms:
            return False
        try:
            await node.issuance.issue(Data(CHECKPOINT_LABEL, b""), parents=pair)
        except StorageError:
            raise
        except UnavailableError as error:
            _log.info("checkpoint not issued", error=str(error))
            return False
    return True
