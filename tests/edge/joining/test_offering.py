"""A node offers its snapshots and gives them in chunks, within limits."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

import pytest

from edge.joining import offering
from edge.joining.offering import MAX_FRAMES_WAITING, SnapshotServer
from edge.joining.snapshots import FOLDER, SnapshotFile, take_snapshot, write_snapshot
from edge.mesh.frames import Body
from edge.mesh.offers import (
    ANY_FILE,
    NoSnapshot,
    SnapshotChunk,
    SnapshotManifest,
    SnapshotQuery,
    SnapshotRequest,
    verify_chunk,
)
from edge.node.answer_budget import BURST_BYTES, BYTES_PER_S
from edge.node.executor import Executor
from tangle.effects import Instant, PeerId
from tests.community import START_MS
from tests.edge.history import Silence, extend, opened
from tests.tangle.cores import ALICE, BOB, GENESIS

NOW = Instant(START_MS, START_MS)
LIMIT_S = 60


class Outlet:
    """A mesh that keeps what is said."""

    def __init__(self) -> None:
        self.waiting_out = 0
        self.said: list[tuple[PeerId, Body]] = []

    def send(self, peer: PeerId, body: Body) -> None:
        self.said.append((peer, body))

    def chunks(self, peer: PeerId = ALICE) -> list[int]:
        return [
            body.number for to, body in self.said if to == peer and isinstance(body, SnapshotChunk)
        ]

    def manifest(self) -> SnapshotManifest:
        found = [body for _, body in self.said if isinstance(body, SnapshotManifest)]
        return found[-1]


class Stage:
    """A server over a folder, its outlet, and a clock that stands still."""

    def __init__(self, folder: Path) -> None:
        self.outlet = Outlet()
        self.now_ms = START_MS
        self.server = SnapshotServer(GENESIS, folder, self.outlet, lambda: self.now_ms)

    def ask(self, *numbers: int, peer: PeerId = ALICE, file_hash: bytes | None = None) -> None:
        wanted = self.outlet.manifest().file_hash if file_hash is None else file_hash
        self.server.hear(peer, SnapshotRequest(wanted, numbers), NOW)

    async def said(self, count: int) -> None:
        """Wait until so much has been said in all."""
        async with asyncio.timeout(LIMIT_S):
            while len(self.outlet.said) < count:  # noqa: ASYNC110 (nobody tells)
                await asyncio.sleep(0)
        assert len(self.outlet.said) == count


def serve(folder: Path, scenario: Callable[[Stage], Awaitable[None]]) -> Stage:
    """Run a server beside a scenario."""

    async def run() -> Stage:
        stage = Stage(folder)
        task = asyncio.create_task(stage.server.run())
        try:
            await scenario(stage)
        finally:
            task.cancel()
            await asyncio.wait([task])
        assert task.cancelled() or task.exception() is None
        return stage

    return asyncio.run(run())


async def settle() -> None:
    """Let the server do what it can."""
    for _ in range(200):
        await asyncio.sleep(0)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[SnapshotFile]:
    """Snapshots of three milestones of one node."""
    folder = tmp_path_factory.mktemp("old")
    journal, core = opened(folder)
    files = []
    with journal:
        executor = Executor(core, journal, Silence(), Random(1))
        for _ in range(3):
            extend(executor, 5, 2)
            taken = take_snapshot(folder, core.rules.network, GENESIS.parameters.reference_depth)
            assert taken is not None
            files.append(write_snapshot(folder / FOLDER, taken))
    return files


@pytest.fixture
def folder(made: list[SnapshotFile], tmp_path: Path) -> Path:
    """A data folder with the first two of them."""
    (tmp_path / FOLDER).mkdir()
    for one in made[:2]:
        shutil.copy2(one.path, tmp_path / FOLDER)
    return tmp_path


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small chunks, so that a small file has several; and no pauses."""
    for module in ("edge.mesh.offers", "edge.joining.offering"):
        monkeypatch.setattr(f"{module}.CHUNK_SIZE", 512)
    monkeypatch.setattr(offering, "PAUSE_S", 0)


def test_a_node_without_snapshots_says_so_at_once(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        stage.server.hear(ALICE, SnapshotQuery(ANY_FILE), NOW)
        await stage.said(1)

    assert serve(tmp_path, scenario).outlet.said == [(ALICE, NoSnapshot())]


def test_the_newest_is_offered_and_given_chunk_by_chunk(
    folder: Path, made: list[SnapshotFile]
) -> None:
    async def scenario(stage: Stage) -> None:
        stage.server.hear(ALICE, SnapshotQuery(ANY_FILE), NOW)
        stage.server.hear(BOB, SnapshotQuery(ANY_FILE), NOW)
        await stage.said(2)
        stage.ask(*range(len(stage.outlet.manifest().chunks)))
        await stage.said(2 + len(stage.outlet.manifest().chunks))

    stage = serve(folder, scenario)

    manifest = stage.outlet.manifest()
    assert manifest.file_hash == made[1].file_hash
    assert len(manifest.chunks) > 2
    chunks = [body for _, body in stage.outlet.said if isinstance(body, SnapshotChunk)]
    for chunk in chunks:
        verify_chunk(manifest, chunk)
    assert b"".join(one.data for one in chunks) == made[1].path.read_bytes()


def test_who_holds_an_older_one_in_part_is_offered_that(
    folder: Path, made: list[SnapshotFile]
) -> None:
    async def scenario(stage: Stage) -> None:
        stage.server.hear(ALICE, SnapshotQuery(made[0].file_hash), NOW)
        await stage.said(1)
        assert stage.outlet.manifest().file_hash == made[0].file_hash
        stage.server.hear(ALICE, SnapshotQuery(bytes([7]) * 32), NOW)
        await stage.said(2)
        assert stage.outlet.manifest().file_hash == made[1].file_hash

    serve(folder, scenario)


def test_looking_for_an_old_file_closes_none_that_was_offered(
    folder: Path, made: list[SnapshotFile]
) -> None:
    shutil.copy2(made[2].path, folder / FOLDER)

    async def scenario(stage: Stage) -> None:
        stage.server.hear(ALICE, SnapshotQuery(bytes([7]) * 32), NOW)
        await stage.said(1)
        assert stage.outlet.manifest().file_hash == made[2].file_hash
        stage.ask(0)
        await stage.said(2)

    assert serve(folder, scenario).outlet.chunks() == [0]


def test_a_newer_one_is_offered_and_the_older_still_given_though_deleted(
    folder: Path, made: list[SnapshotFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offering, "MAX_OPEN_FILES", 2)

    async def scenario(stage: Stage) -> None:
        stage.server.hear(ALICE, SnapshotQuery(ANY_FILE), NOW)
        await stage.said(1)
        old = stage.outlet.manifest()
        (folder / FOLDER / made[1].path.name).unlink()
        shutil.copy2(made[2].path, folder / FOLDER)
        stage.server.hear(BOB, SnapshotQuery(ANY_FILE), NOW)
        await stage.said(2)
        assert stage.outlet.manifest().file_hash == made[2].file_hash
        stage.ask(1, file_hash=old.file_hash)
        await stage.said(3)
        (_, body) = stage.outlet.said[-1]
        assert isinstance(body, SnapshotChunk)
        verify_chunk(old, body)
        stage.server.hear(BOB, SnapshotQuery(made[0].file_hash), NOW)
        await stage.said(4)  # a third file: the oldest is closed for it
        stage.ask(1, file_hash=old.file_hash)
        await settle()
        await stage.said(4)

    serve(folder, scenario)


def test_a_damaged_file_is_not_offered_and_looked_at_once(
    folder: Path, made: list[SnapshotFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = folder / FOLDER / made[1].path.name
    damaged.write_bytes(damaged.read_bytes()[:-20])
    looks = []
    described = offering._described

    def counted(path: Path, *rest: object) -> object:
        looks.append(path)
        return described(path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(offering, "_described", counted)

    async def scenario(stage: Stage) -> None:
        for count in (1, 2):
            stage.server.hear(ALICE, SnapshotQuery(ANY_FILE), NOW)
            await stage.said(count)

    stage = serve(folder, scenario)

    assert stage.outlet.said == [(ALICE, NoSnapshot())] * 2
    assert looks == [damaged]


def test_chunks_that_there_are_not_and_files_nobody_offered_are_passed_over(folder: Path) -> None:
    async def scenario(stage: Stage) -> None:
        stage.server.hear(ALICE, SnapshotQuery(ANY_FILE), NOW)
        await stage.said(1)
        stage.ask(len(stage.outlet.manifest().chunks))
        stage.ask(0, file_hash=bytes([9]) * 32)
        stage.ask(1)
        await stage.said(2)

    assert serve(folder, scenario).outlet.chunks() == [1]


def test_what_is_asked_for_while_a_chunk_is_read_is_not_forgotten(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(stage: Stage) -> None:
        stage.server.hear(ALICE, SnapshotQuery(ANY_FILE), NOW)
        await stage.said(1)
        in_thread = asyncio.to_thread

        async def asked_meanwhile(read: Callable[..., object], *rest: object) -> object:
            monkeypatch.setattr(asyncio, "to_thread", in_thread)
            stage.ask(1)
            return await in_thread(read, *rest)

        monkeypatch.setattr(asyncio, "to_thread", asked_meanwhile)
        stage.ask(0)
        await stage.said(3)

    assert serve(folder, scenario).outlet.chunks() == [0, 1]


def test_peers_take_turns(folder: Path) -> None:
    async def scenario(stage: Stage) -> None:
        stage.server.hear(ALICE, SnapshotQuery(ANY_FILE), NOW)
        await stage.said(1)
        stage.ask(0, 1)
        stage.ask(1, 0, peer=BOB)
        await stage.said(5)

    said = serve(folder, scenario).outlet.said[1:]

    assert [peer for peer, _ in said] == [ALICE, BOB, ALICE, BOB]


def test_one_peer_fills_no_more_than_its_queue(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offering, "MAX_CHUNKS_QUEUED", 3)

    async def scenario(stage: Stage) -> None:
        stage.server.hear(ALICE, SnapshotQuery(ANY_FILE), NOW)
        await stage.said(1)
        stage.ask(0, 1)
        stage.ask(0, 1)
        stage.ask(2)
        await stage.said(4)
        await settle()

    assert serve(folder, scenario).outlet.chunks() == [0, 1, 0]


def test_chunks_wait_while_gossip_waits_for_the_network(folder: Path) -> None:
    async def scenario(stage: Stage) -> None:
        stage.server.hear(ALICE, SnapshotQuery(ANY_FILE), NOW)
        await stage.said(1)
        stage.outlet.waiting_out = MAX_FRAMES_WAITING
        stage.ask(0)
        await settle()
        assert stage.outlet.chunks() == []
        stage.outlet.waiting_out = MAX_FRAMES_WAITING - 1
        await stage.said(2)

    serve(folder, scenario)


def test_a_peer_that_asks_without_end_gets_its_share_a_second(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The burst is for two chunks; then what a second brings."""
    monkeypatch.setattr("edge.node.answer_budget.BURST_BYTES", 1_024)
    monkeypatch.setattr("edge.node.answer_budget.BYTES_PER_S", 512)
    assert BURST_BYTES > BYTES_PER_S

    async def scenario(stage: Stage) -> None:
        stage.server.hear(ALICE, SnapshotQuery(ANY_FILE), NOW)
        await stage.said(1)
        stage.ask(0, 1, 0, 1)
        await stage.said(3)
        await settle()
        assert stage.outlet.chunks() == [0, 1]
        stage.ask(0, peer=BOB)
        await stage.said(4)
        stage.now_ms += 1_000
        await stage.said(5)
        await settle()
        assert stage.outlet.chunks() == [0, 1, 0]

    serve(folder, scenario)


def test_answers_of_others_are_not_its_business(folder: Path) -> None:
    async def scenario(stage: Stage) -> None:
        stage.server.hear(ALICE, NoSnapshot(), NOW)
        stage.server.hear(ALICE, SnapshotChunk(bytes(32), 0, b"x"), NOW)
        await settle()

    assert serve(folder, scenario).outlet.said == []
