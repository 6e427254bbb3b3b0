"""Snapshots of a journal: written whole, listed, pruned; a journal that starts from one."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
import zstandard

from edge.joining import snapshots
from edge.joining.snapshots import (
    FOLDER,
    KEPT_SNAPSHOTS,
    latest_full,
    list_snapshots,
    read_snapshot,
    take_snapshot,
    unpack_snapshot,
    write_snapshot,
)
from edge.journal.journal import Journal
from edge.mesh.frames import Request, Transactions
from edge.node.executor import Executor
from tangle.effects import Instant
from tangle.errors import ForeignStoreError, InvalidSnapshotError, StorageError
from tangle.hashing import digest
from tangle.node import NodeCore
from tangle.snapshot import (
    Snapshot,
    SnapshotHeader,
    delta_snapshot,
    encode_snapshot,
    merge,
    start_of,
    verify_snapshot,
)
from tests.community import CONTRACTS, START_MS
from tests.edge.history import Silence, Wires, extend, opened
from tests.tangle.cores import ALICE, BOB, EDGE, GENESIS, MAKE

DEPTH = GENESIS.parameters.reference_depth
NOW = Instant(START_MS + 60_000, START_MS + 60_000)


@dataclass
class Old:
    folder: Path
    executor: Executor

    @property
    def network(self) -> bytes:
        return self.executor.core.rules.network

    def snapshot(self) -> Snapshot:
        taken = take_snapshot(self.folder, self.network, DEPTH)
        assert taken is not None
        return taken


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Old]:
    """A node with 30 milestones."""
    journal, core = opened(tmp_path / "old")
    with journal:
        executor = Executor(core, journal, Silence(), Random(1))
        extend(executor, 30, 4)
        yield Old(tmp_path / "old", executor)


def started(folder: Path, snapshot: Snapshot) -> tuple[Journal, NodeCore]:
    """Let a journal in `folder` start from a snapshot."""
    journal, _ = opened(folder)
    journal.start_from(GENESIS, start_of(snapshot, GENESIS))
    restored = journal.restore(GENESIS, DEPTH)
    return journal, NodeCore(GENESIS, CONTRACTS, restored)


# Made from a journal.


def test_the_snapshot_of_a_journal_verifies_against_genesis_alone(old: Old) -> None:
    snapshot = old.snapshot()

    assert len(verify_snapshot(snapshot, GENESIS)) == DEPTH
    assert snapshot.header.index == 30
    assert snapshot.header.state_root == old.executor.core.state_root


def test_a_node_without_milestones_has_no_snapshot(tmp_path: Path) -> None:
    journal, core = opened(tmp_path)
    with journal:
        assert take_snapshot(tmp_path, core.rules.network, DEPTH) is None


def test_a_folder_without_a_journal_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be read"):
        take_snapshot(tmp_path, bytes(8), DEPTH)


def test_a_file_says_what_was_written(old: Old) -> None:
    snapshot = old.snapshot()

    written = write_snapshot(old.folder / FOLDER, snapshot)

    assert read_snapshot(written.path) == snapshot
    assert written.size_bytes == written.path.stat().st_size
    assert written.file_hash == digest(written.path.read_bytes())
    assert list_snapshots(old.folder / FOLDER) == [written]
    assert latest_full(old.folder / FOLDER) == written.path
    assert written.path.stat().st_mode & 0o777 == 0o600


def test_old_files_leave_and_with_them_the_deltas_upon_them(old: Old) -> None:
    folder, full = old.folder / FOLDER, old.snapshot()
    folder.mkdir()
    (folder / "full-1.new").write_bytes(b"half of it")
    for index in range(1, KEPT_SNAPSHOTS + 3):
        write_snapshot(folder, _at(full, index))
        write_snapshot(folder, delta_snapshot(_at(full, index), _at(full, index + 1)))

    kept = [(one.header.kind, one.header.index) for one in list_snapshots(folder)]

    assert [index for kind, index in kept if kind == "full"] == [5, 4, 3]
    assert [index for kind, index in kept if kind == "delta"] == [6, 5, 4]
    assert list(folder.glob("*.new")) == []


def _at(snapshot: Snapshot, index: int) -> Snapshot:
    header = SnapshotHeader(
        1, snapshot.header.network, "full", index, bytes(32), 0, bytes(32), 0, bytes(32)
    )
    return Snapshot(header, snapshot.rows, (), snapshot.cones)


def test_a_folder_that_cannot_be_written_is_an_error(old: Old, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(StorageError, match="cannot be written"):
        write_snapshot(tmp_path / "file", old.snapshot())


def test_what_is_no_snapshot_is_left_out_of_the_list(old: Old) -> None:
    folder = old.folder / FOLDER
    written = write_snapshot(folder, old.snapshot())
    (folder / "note.twsnap").write_bytes(b"hello")
    (folder / "other.txt").write_bytes(b"hello")

    assert list_snapshots(folder) == [written]
    assert list_snapshots(folder / "none") == []


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda data: data[:-40], "snapshot"),
        (lambda data: data[:0], "snapshot"),
        (lambda data: b"\x00" + data[1:], "does not decompress"),
        (lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:], "damaged"),
    ],
    ids=["cut", "empty", "no zstd", "a bit"],
)
def test_a_damaged_file_is_refused(old: Old, damage: object, named: str) -> None:
    assert callable(damage)
    written = write_snapshot(old.folder / FOLDER, old.snapshot())
    written.path.write_bytes(damage(written.path.read_bytes()))

    with pytest.raises(InvalidSnapshotError, match=named):
        read_snapshot(written.path)


def test_a_small_file_cannot_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "MAX_SNAPSHOT_SIZE", 10_000)
    bomb = zstandard.ZstdCompressor().compress(bytes(10**7))

    with pytest.raises(InvalidSnapshotError):
        unpack_snapshot(bomb)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="none"):
        read_snapshot(tmp_path / "none")


# A journal that starts from one.


def test_a_node_that_starts_from_a_snapshot_syncs_on_and_serves_on(
    old: Old, tmp_path: Path
) -> None:
    snapshot = old.snapshot()
    extend(old.executor, 20, 4)
    journal, core = started(tmp_path / "new", snapshot)
    with journal:
        assert core.state_root == snapshot.header.state_root
        assert journal.oldest_cone() == 31
        wires = Wires()
        new = Executor(core, journal, wires.join(ALICE), Random(2))
        ahead = Executor(old.executor.core, old.executor.journal, wires.join(BOB), Random(3))
        wires.ends[BOB].broadcast(ahead.heartbeat("1"))
        while wires.deliver({ALICE: new, BOB: ahead}, NOW):
            pass

        assert core.confirmed_index == 50
        assert core.state_root == ahead.core.state_root
        assert new.heartbeat("1").oldest_cone == 31
        assert take_snapshot(tmp_path / "new", core.rules.network, DEPTH) == old.snapshot()


def test_what_approves_a_forgotten_entry_point_leaves_without_a_question(
    old: Old, tmp_path: Path
) -> None:
    forgotten = old.executor.journal.referenced_by(12)[0].tx_id
    journal, core = started(tmp_path / "new", old.snapshot())
    with journal:
        wires = Wires()
        new = Executor(core, journal, wires.join(ALICE), Random(2))
        wires.join(BOB)
        extend(new, 20, 2)
        assert forgotten not in core.graph
        late = MAKE.transaction(EDGE, 900, (forgotten, core.confirmed_id))

        new.hear([(BOB, Transactions((late.data,)))], NOW)

        assert journal.is_known(forgotten) == (True, 12)
        assert core.waiting_count == 0
        assert not any(isinstance(body, Request) for _, body in wires.ends[ALICE].said)


def test_a_restart_right_after_the_load_finds_the_same(old: Old, tmp_path: Path) -> None:
    journal, core = started(tmp_path / "new", old.snapshot())
    journal.close()

    journal, again = opened(tmp_path / "new")
    with journal:
        assert again.state_root == core.state_root
        assert again.confirmed_id == core.confirmed_id
        assert [one.tx_id for one in again.graph.vertices()] == [
            one.tx_id for one in core.graph.vertices()
        ]
        latest = journal.latest_milestone()
        assert latest is not None
        assert (latest.index, latest.state_root) == (30, core.state_root)
        assert journal.milestone_bytes(30) is not None


def test_a_journal_that_holds_something_is_never_replaced(old: Old) -> None:
    start = start_of(old.snapshot(), GENESIS)

    with pytest.raises(ForeignStoreError, match="only an empty journal"):
        old.executor.journal.start_from(GENESIS, start)


def test_a_base_and_a_delta_start_a_node_too(old: Old, tmp_path: Path) -> None:
    base = old.snapshot()
    extend(old.executor, 5, 4)
    later = old.snapshot()
    folder = tmp_path / "files"
    first = write_snapshot(folder, base)
    second = write_snapshot(folder, delta_snapshot(base, later))

    merged = merge(read_snapshot(first.path), read_snapshot(second.path))

    journal, core = started(tmp_path / "new", merged)
    with journal:
        assert core.confirmed_index == 35
        assert encode_snapshot(merged) == encode_snapshot(later)
