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
from api.http.checks import SigningState
from api.settings.private_files import PRIVATE, not_writable
from coordinator.issuer import (
    CHECKPOINT_LABEL,
    Behind,
    Checkpoints,
    Issue,
    Issuer,
    Propose,
    Unnamed,
)
from coordinator.lock import MAX_LOCK_SIZE, Lock, decode_lock, encode_lock
from edge.ground.faults import pass_point
from edge.joining.snapshots import SnapshotFile
from edge.runtime import EdgeNode
from tangle.codec import encode
from tangle.effects import Instant, PeerId
from tangle.errors import BadMilestoneError, InvalidError, StorageError, UnavailableError
from tangle.proposals import CoSignature, Proposal
from tangle.snapshot import NOTICE_LABEL, SnapshotNotice
from tangle.transaction import Data

IDLE_S: Final = 0.05
"""How often the clock is looked at between two milestones."""

MERGING_SHARE: Final = 2
"""Checkpoints take at most this part of the milestone interval: then the milestone comes."""

PATIENCE: Final = 3
"""So often a milestone is proposed before people hear that signatures are missing: one lost frame
is none of their business."""

RECOVER: Final = "put the file back, or run `tanglewatt coordinator recover`"
"""What an operator of the coordinator does without the lock."""

TAKE_OVER: Final = "put the file back, or copy the coordinator's present lock file here"
"""What an operator of a co-signer does: the coordinator's lock is never behind what it proposed."""

_log: Final = structlog.get_logger(__name__)


def read_lock(file: Path, network: bytes, remedy: str = RECOVER) -> Lock:
    """Return what was signed here last. Raises `CommandError`, with its remedy, without it."""
    try:
        with file.open("rb") as stream:
            return decode_lock(stream.read(MAX_LOCK_SIZE + 1), network)
    except (OSError, InvalidError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise CommandError(
            Failure(
                FailureCode.NO_LOCK,
                ExitCode.STORAGE,
                f"no usable lock at {file}",
                f"{why}; without it this process could sign two milestones of one index",
                remedy,
            )
        ) from error


def write_lock(file: Path, lock: Lock) -> None:
    """Replace the lock file durably, in one step. Raises `CommandError`."""
    draft = file.with_suffix(".new")
    pass_point("lock.before")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, PRIVATE)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(encode_lock(lock))
            stream.flush()
            os.fsync(stream.fileno())
        pass_point("lock.draft")
        draft.replace(file)
        pass_point("lock.renamed")
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise not_writable(file, error) from error


class Coordinating:
    """The coordinator's hands: one per process."""

    def __init__(self, node: EdgeNode, issuer: Issuer, lock_file: Path, rng: Random) -> None:
        """Listen to `node` for co-signatures from now on; `run` issues."""
        self._node = node
        self._issuer = issuer
        self._lock_file = lock_file
        self._rng = rng
        self._interval_ms = node.genesis.parameters.milestone_interval_ms
        self._proposed: Propose | None = None
        """What was proposed last, while it has not become a milestone."""

        self._times = 0
        node.executor.listen(self._hear)

    def state(self) -> SigningState:
        """Return whose signatures confirmation has been waiting for, if it has."""
        if self._proposed is None or self._times < PATIENCE:
            return SigningState()
        missing = ", ".join(key.hex() for key in self._issuer.awaited)
        if not missing:
            return SigningState()
        return SigningState(
            waits=f"milestone {self._proposed.lock.index} needs {self._issuer.needed} more of the "
            f"signatures by {missing}"
        )

    async def run(self) -> None:
        """Issue milestones until cancelled."""
        while True:
            now = self._node.clock.instant()
            deadline_ms = self._issuer.next_deadline_ms()
            if now.wall_ms < deadline_ms:
                await asyncio.sleep(min(IDLE_S, (deadline_ms - now.wall_ms) / 1_000))
                continue
            await self._step(now.wall_ms + self._interval_ms // MERGING_SHARE)

    async def _step(self, merge_until_ms: int) -> None:
        """Merge tips while there is time, then issue or propose the milestone that is due."""
        while True:
            now = self._node.clock.instant()
            view, may_merge = self._node.issuance.view(), now.wall_ms < merge_until_ms
            try:
                step = self._issuer.step(now, view, self._rng, may_merge=may_merge)
            except BadMilestoneError as error:
                _log.exception("milestone not issued", error=str(error))
                await asyncio.sleep(IDLE_S)
                return
            if not isinstance(step, Checkpoints):
                self._carry_out(step)
                return
            if not await _merge(self._node, step, merge_until_ms):
                merge_until_ms = now.wall_ms  # the next round would be refused as well

    def _carry_out(self, step: Issue | Propose | Unnamed | Behind | None) -> None:
        match step:
            case None:
                return
            case Issue():
                self._issue(step)
            case Propose():
                self._propose(step)
            case Unnamed():
                keys = [key.hex() for key in step.keys]
                _log.warning("the ledger names other coordinator keys", keys_here=keys)
            case Behind():
                _log.warning(
                    "waiting for the ledger to catch up with what was signed",
                    signed_index=step.signed_index,
                    confirmed_index=step.confirmed_index,
                )

    def _issue(self, step: Issue) -> None:
        write_lock(self._lock_file, step.lock)
        self._proposed = None
        pass_point("milestone.signed")
        self._node.submit(step.data)
        pass_point("milestone.sent")

    def _propose(self, step: Propose) -> None:
        is_repeated = self._proposed is not None and self._proposed.lock.index == step.lock.index
        self._times = self._times + 1 if is_repeated else 1
        self._proposed = step
        if self._times >= PATIENCE:
            _log.warning(
                "confirmation waits for co-signers",
                milestone_index=step.lock.index,
                needed=step.needed,
                missing=[key.hex() for key in step.missing],
            )
        write_lock(self._lock_file, step.lock)
        pass_point("proposal.locked")
        self._node.mesh.broadcast(step.proposal)
        pass_point("proposal.sent")

    def _hear(self, peer: PeerId, body: Proposal | CoSignature, now: Instant) -> None:
        if isinstance(body, Proposal):
            return
        try:
            step = self._issuer.take(body)
        except InvalidError as error:
            self._node.executor.blame(peer, error, now)
            return
        if step is not None:
            self._issue(step)


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
