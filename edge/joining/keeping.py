"""What a node keeps of the past: snapshots now and then, and no more history than it was told.

Old transactions leave in small steps between which the loop turns. A snapshot is written first,
so that others can still join from here. Rows stay, and so does what is pending and this node's own
while it may still be referenced; readings leave after their transactions: `edge.meters.forgetting`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from edge.ground.faults import pass_point
from edge.joining.snapshots import FOLDER, SnapshotFile, latest_full, take_snapshot, write_snapshot
from edge.journal.journal import PRUNED_THROUGH, Journal
from tangle.effects import Confirmed, Effect
from tangle.genesis import Genesis, network_id
from tangle.snapshot import verify_snapshot
from tangle.transaction import TransactionId

MARGIN: Final = 5
"""Milestones beyond `reference_depth` that are kept whatever is configured."""

STEP_TRANSACTIONS: Final = 500
"""Deleted in one commit: some five milliseconds."""

SIZE_STEP: Final = 50
"""Milestones more that leave at a time while the journal is too large."""

STEP_PAUSE_S: Final = 0.02
SNAPSHOT_EVERY: Final = 20
"""Of `pruning_depth`, this part may pass between the snapshots of a node that prunes."""

_log: Final = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class HistorySettings:
    """How much of the past a node keeps."""

    pruning_depth: int
    """Milestones whose transactions are kept; 0 for all."""

    max_journal_bytes: int
    """More of the oldest leave while the journal holds more; 0 for no limit."""

    writes_snapshots: bool
    """Whether one is written every `snapshot_interval` milestones."""


def prunable_through(index: int, settings: HistorySettings, reference_depth: int) -> int:
    """Return the last milestone whose transactions may leave; 0 for none.

    Args:
        index: Last applied milestone.
        settings: What the operator wants.
        reference_depth: Of the network: what the rules look back on stays.
    """
    if settings.pruning_depth == 0:
        return 0
    return max(0, index - max(settings.pruning_depth, reference_depth + MARGIN))


class HistoryKeeper:
    """Writes snapshots and prunes, for one running node. Its task is `run`."""

    def __init__(
        self,
        genesis: Genesis,
        journal: Journal,
        folder: Path,
        settings: HistorySettings,
        is_needed: Callable[[TransactionId, bytes], bool],
    ) -> None:
        """Keep the history in one node's data folder.

        Args:
            genesis: Of the network.
            journal: Of the node; used on the loop only.
            folder: The node's data folder.
            settings: How much is kept.
            is_needed: Whether a pending transaction (id, bytes) may still be referenced, or is
                the node's own.
        """
        self.written: Callable[[SnapshotFile], Awaitable[None]] = _unheard
        """Is told of each snapshot written on schedule."""

        self.pruned: Callable[[], Awaitable[int]] = _nothing
        """Is told when transactions have left, so that what hung on them may leave as well."""

        self.leaving: Callable[[int], Awaitable[None]] = _kept_nowhere
        """Is told how far milestones are applied, before any of them may leave: what must stay of
        them is kept first."""

        self._genesis = genesis
        self._journal = journal
        self._folder = folder
        self._settings = settings
        self._is_needed = is_needed
        self._index = 0
        self._is_idle = True
        self.removed = 0
        """Transactions that left since the start."""

        self._wake = asyncio.Event()

    def observe(self, effects: Sequence[Effect]) -> None:
        """Hear what was applied; never waits."""
        for effect in effects:
            if isinstance(effect, Confirmed):
                self._index = effect.index
                self.wake()

    @property
    def is_idle(self) -> bool:
        """Whether all that was due has been done."""
        return self._is_idle

    def wake(self) -> None:
        """Let `run` look whether something is due, now."""
        self._is_idle = False
        self._wake.set()

    async def run(self) -> None:
        """Write and prune until cancelled. Raises `StorageError`."""
        latest = self._journal.latest_milestone()
        self._index = 0 if latest is None else latest.index
        await self._finish_pruning()
        while True:
            await self._wake.wait()
            self._wake.clear()
            index = self._index
            await self.leaving(index)
            if self._is_snapshot_due(index):
                file = await self.write_snapshot()
                if file is not None:
                    await self.written(file)
            await self._prune(index)
            self._is_idle = not self._wake.is_set()

    async def write_snapshot(self) -> SnapshotFile | None:
        """Write one now, in a thread; `None` before the first milestone."""
        return await asyncio.to_thread(_write, self._genesis, self._folder)

    def _is_snapshot_due(self, index: int) -> bool:
        interval = self._genesis.parameters.snapshot_interval
        return self._settings.writes_snapshots and index - self._newest() >= interval

    def _newest(self) -> int:
        """Return the index of the newest full snapshot on disk, 0 if there is none."""
        newest = latest_full(self._folder / FOLDER)
        return 0 if newest is None else int(newest.stem.partition("-")[2])

    async def _prune(self, index: int) -> None:
        depth = self._genesis.parameters.reference_depth
        through = prunable_through(index, self._settings, depth)
        kept_from = self._journal.oldest_cone()
        lag = max(1, self._settings.pruning_depth // SNAPSHOT_EVERY)
        if through >= kept_from + lag - 1:
            await self._prune_through(through)
        while self._is_too_large():
            through = self._journal.oldest_cone() + SIZE_STEP - 1
            if through > index - depth - MARGIN:
                break  # what is large are rows or readings: no snapshot at each milestone for that
            await self._prune_through(through)

    def _is_too_large(self) -> bool:
        most = self._settings.max_journal_bytes
        return most > 0 and self._journal.used_bytes() > most

    async def _prune_through(self, through: int) -> None:
        if self._newest() < through:
            await self.write_snapshot()
        self._journal.set_counter(PRUNED_THROUGH, through)  # first: no peer gets half a cone
        pass_point("prune.marked")
        removed = await self._finish_pruning()
        removed += await self._drop_hopeless()
        self.removed += removed
        _log.info("history pruned", through_milestone=through, transactions=removed)
        await self.pruned()

    async def _finish_pruning(self) -> int:
        """Delete what milestones up to the mark reference, after a restart too."""
        removed = 0
        kept = self._index - self._genesis.parameters.reference_depth - MARGIN
        through = min(self._journal.oldest_cone() - 1, kept)  # a snapshot's own ids lie higher
        while step := self._journal.prune(through, STEP_TRANSACTIONS):
            removed += step
            pass_point("prune.step")
            await asyncio.sleep(STEP_PAUSE_S)
        return removed

    async def _drop_hopeless(self) -> int:
        """Delete what is pending in the journal alone: expired, and not this node's own."""
        removed, after = 0, 0
        while True:
            pending = self._journal.pending(after, STEP_TRANSACTIONS)
            if not pending:
                return removed
            after = pending[-1][0]
            hopeless = [
                number for number, tx_id, data in pending if not self._is_needed(tx_id, data)
            ]
            removed += self._journal.drop_pending(hopeless)
            await asyncio.sleep(STEP_PAUSE_S)


async def _nothing() -> int:
    """Nothing hangs on transactions."""
    return 0


async def _kept_nowhere(_: int) -> None:
    """Nothing of it stays."""


async def _unheard(_: SnapshotFile) -> None:
    """Nobody asked to be told."""


def _write(genesis: Genesis, folder: Path) -> SnapshotFile | None:
    depth = genesis.parameters.reference_depth
    snapshot = take_snapshot(folder, network_id(genesis), depth)
    if snapshot is None:
        return None
    verify_snapshot(snapshot, genesis)  # a damaged journal must not become a snapshot
    return write_snapshot(folder / FOLDER, snapshot)
