"""Keeping and dropping history: what leaves, what stays, and that the node goes on."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.joining import keeping
from edge.joining.keeping import MARGIN, SIZE_STEP, HistoryKeeper, HistorySettings, prunable_through
from edge.joining.snapshots import FOLDER, SnapshotFile, list_snapshots, read_snapshot
from edge.journal.entries import Batch
from edge.journal.journal import PRUNED_THROUGH
from edge.node.executor import Executor
from tangle.effects import Instant
from tangle.snapshot import start_of
from tangle.transaction import TransactionId, decode
from tests.community import START_MS
from tests.edge.history import Silence, Wires, extend, opened
from tests.edge.making import arrival
from tests.tangle.cores import ALICE, BOB, EDGE, GENESIS

DEPTH = GENESIS.parameters.reference_depth
KEEP_ALL = HistorySettings(0, 0, writes_snapshots=False)
KEEP_30 = HistorySettings(30, 0, writes_snapshots=False)
NOW = Instant(START_MS + 60_000, START_MS + 60_000)


class Node:
    """A node in a folder, and its keeper."""

    def __init__(self, folder: Path, settings: HistorySettings) -> None:
        self.folder = folder
        self.journal, self.core = opened(folder)
        self.executor = Executor(self.core, self.journal, Silence(), Random(1))
        self.settings = settings
        self.files: list[SnapshotFile] = []

    def grow(self, milestones: int) -> None:
        extend(self.executor, milestones, 3)

    def keep(self, settings: HistorySettings | None = None) -> None:
        """Let the keeper do all that is due."""
        asyncio.run(self._keep(settings or self.settings))

    async def _keep(self, settings: HistorySettings) -> None:
        keeper = HistoryKeeper(GENESIS, self.journal, self.folder, settings, self._is_needed)

        async def written(file: SnapshotFile) -> None:
            self.files.append(file)

        keeper.written = written
        keeper.wake()
        task = asyncio.get_running_loop().create_task(keeper.run())
        try:
            async with asyncio.timeout(20):
                while not keeper.is_idle:
                    assert not task.done(), task.exception()
                    await asyncio.sleep(0.005)
        finally:
            task.cancel()

    def _is_needed(self, tx_id: TransactionId, data: bytes) -> bool:
        return tx_id in self.core.graph or decode(data).transaction.issuer == EDGE.public

    def indexes(self) -> set[int | None]:
        """Return the milestones under which transactions are kept."""
        return {
            stored.milestone_index
            for index in range(200)
            for stored in self.journal.referenced_by(index)
        }


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "STEP_PAUSE_S", 0)
    monkeypatch.setattr(keeping, "STEP_TRANSACTIONS", 7)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path / "node", KEEP_30)
    with made.journal:
        yield made


@given(st.integers(0, 10**6), st.integers(20, 10**6), st.integers(1, 1_000))
def test_what_the_rules_look_back_on_is_never_pruned(
    index: int, depth: int, reference: int
) -> None:
    through = prunable_through(index, HistorySettings(depth, 0, writes_snapshots=False), reference)

    assert 0 <= through <= max(0, index - depth)
    assert through <= max(0, index - reference - MARGIN)


def test_an_archive_keeps_all(node: Node) -> None:
    node.grow(60)

    node.keep(KEEP_ALL)

    assert node.journal.oldest_cone() == 1
    assert node.journal.counts().transactions == 60 * 4
    assert prunable_through(60, KEEP_ALL, DEPTH) == 0


def test_old_transactions_leave_and_the_node_goes_on(node: Node) -> None:
    node.grow(60)
    root, rows = node.core.state_root, dict(node.core.scan(b""))

    node.keep()

    assert node.journal.oldest_cone() == 31
    assert node.indexes() == set(range(31, 61))
    assert node.journal.milestone(30) is None
    assert node.journal.milestone_bytes(31) is not None
    assert node.journal.counts().transactions == 30 * 4 + 1  # milestone 30 lies in cone 31
    assert node.journal.counts().milestones == 30
    node.grow(5)
    node.journal.close()
    again = Node(node.folder, KEEP_30)
    with again.journal:
        assert again.core.confirmed_index == 65
        assert again.core.state_root != root
        assert set(rows) <= set(dict(again.core.scan(b"")))


def test_a_snapshot_is_written_before_anything_leaves(node: Node) -> None:
    node.grow(60)

    node.keep()

    (file,) = list_snapshots(node.folder / FOLDER)
    assert file.header.index == 60
    assert start_of(read_snapshot(file.path), GENESIS).index == 60
    assert node.files == []  # not on schedule, so nobody is told


def test_pruning_waits_until_it_is_worth_a_snapshot(tmp_path: Path) -> None:
    lazy = Node(tmp_path, HistorySettings(100, 0, writes_snapshots=False))
    with lazy.journal:
        lazy.grow(104)
        lazy.keep()
        assert lazy.journal.oldest_cone() == 1

        lazy.grow(1)
        lazy.keep()

        assert lazy.journal.oldest_cone() == 6


def test_a_restart_finishes_what_a_kill_left_half_done(node: Node) -> None:
    node.grow(60)
    node.journal.set_counter(PRUNED_THROUGH, 20)
    node.journal.prune(20, 5)
    assert node.journal.referenced_by(20)

    node.keep(KEEP_ALL)

    assert node.indexes() == set(range(21, 61))
    assert node.journal.oldest_cone() == 21


def test_a_journal_that_is_too_large_loses_more(node: Node) -> None:
    node.grow(90)
    before = node.journal.used_bytes()

    node.keep(HistorySettings(0, before // 2, writes_snapshots=False))

    assert node.journal.oldest_cone() > 40
    assert node.journal.oldest_cone() <= 90 - DEPTH - MARGIN + 1
    assert node.journal.used_bytes() < before


def test_a_journal_that_stays_too_large_writes_no_snapshot_at_each_milestone(node: Node) -> None:
    hopeless = HistorySettings(0, 1, writes_snapshots=False)
    node.grow(SIZE_STEP + DEPTH + MARGIN)
    node.keep(hopeless)
    written = list_snapshots(node.folder / FOLDER)

    node.grow(3)
    node.keep(hopeless)

    assert node.journal.oldest_cone() == SIZE_STEP + 1
    assert list_snapshots(node.folder / FOLDER) == written
    assert len(written) == 1


def test_expired_transactions_of_others_leave_and_own_ones_stay(node: Node) -> None:
    node.grow(1)
    own, foreign = arrival(700, key=EDGE), arrival(701)
    node.journal.commit(Batch(arrivals=(own, foreign)))
    node.grow(60)

    node.keep()

    assert node.journal.transaction(own.tx_id) is not None
    assert node.journal.transaction(foreign.tx_id) is None
    assert node.core.confirmed_id == node.journal.pending(0, 10)[-1][1]


def test_snapshots_on_schedule_are_told(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = HistorySettings(0, 0, writes_snapshots=True)
    assert GENESIS.parameters.snapshot_interval == 300
    node.grow(12)
    node.keep(settings)
    assert node.files == []

    monkeypatch.setattr(HistoryKeeper, "_newest", lambda _: -300)
    node.keep(settings)

    assert [file.header.index for file in node.files] == [12]


def test_a_pruned_node_gives_no_old_cones_and_is_not_asked_for_them(
    node: Node, tmp_path: Path
) -> None:
    node.grow(60)
    node.keep()
    wires = Wires()
    journal, core = opened(tmp_path / "new")
    with journal:
        new = Executor(core, journal, wires.join(ALICE), Random(2))
        old = Executor(node.core, node.journal, wires.join(BOB), Random(3))
        said = old.heartbeat("1")
        wires.ends[BOB].broadcast(said)
        for _ in range(5):
            wires.deliver({ALICE: new, BOB: old}, NOW)

        assert said.oldest_cone == 31
        assert wires.ends[ALICE].asked() == []
        assert core.confirmed_index == 0
