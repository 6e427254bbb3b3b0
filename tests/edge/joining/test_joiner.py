"""Joining over a real mesh with mutual TLS: from honest peers, beside liars, after a kill."""

import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

import msgspec
import pytest

from api.network.ports import free_ports
from coordinator.issuer import sign_milestone
from edge.joining.joining import JoinSettings
from edge.joining.offering import describe
from edge.joining.partial_file import FOLDER as PARTIAL
from edge.joining.partial_file import PartialFile
from edge.joining.snapshots import FOLDER, compressed, list_snapshots, take_snapshot, write_snapshot
from edge.journal.journal import PRUNED_THROUGH
from edge.mesh.frames import Body
from edge.mesh.offers import SnapshotChunk, SnapshotManifest
from edge.node.executor import Executor
from edge.node.standing import FULL_STANDING
from tangle.anchors import Anchor
from tangle.effects import PeerId
from tangle.keys import SigningKey
from tangle.snapshot import Snapshot, encode_snapshot
from tests.community import START_MS, edge_key, key
from tests.edge.history import Silence, extend, opened
from tests.edge.joining_nodes import ARCHIVE, JOINS, Place, Running, living, run, until
from tests.tangle.cores import GENESIS

DEPTH = GENESIS.parameters.reference_depth
LAST = 60
KEYS = {"alice": edge_key(10), "bob": edge_key(11), "new": edge_key(12)}
ALICE, BOB, NEW = (PeerId(one.public) for one in KEYS.values())
NAMES = {ALICE: "alice", BOB: "bob", NEW: "new"}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small chunks, so that a small file has many; and no pauses."""
    for module in ("mesh.offers", "joining.offering", "joining.partial_file", "joining.joining"):
        monkeypatch.setattr(f"edge.{module}.CHUNK_SIZE", 256)
    monkeypatch.setattr("edge.joining.offering.PAUSE_S", 0)
    monkeypatch.setattr("edge.joining.joining.SILENCE_MS", 1_000)
    monkeypatch.setattr("edge.joining.joiner.ANSWER_MS", 1_000)
    monkeypatch.setattr("edge.joining.joiner.GATHER_MS", 0)


@pytest.fixture
def _gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A choice is made when all peers have linked up."""
    monkeypatch.setattr("edge.joining.joiner.ANSWER_MS", 60_000)
    monkeypatch.setattr("edge.joining.joiner.GATHER_MS", 60_000)


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a node with 60 milestones and snapshots of 20, 45 and 60."""
    folder = tmp_path_factory.mktemp("old")
    journal, core = opened(folder)
    with journal:
        executor = Executor(core, journal, Silence(), Random(1))
        for index in (20, 45, LAST):
            extend(executor, index - core.confirmed_index, 3)
            taken = take_snapshot(folder, core.rules.network, DEPTH)
            assert taken is not None
            write_snapshot(folder / FOLDER, taken)
    return folder


@dataclass
class Stage:
    """Folders of nodes, and the ports they listen on."""

    old: Path
    folder: Path
    ports: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ports = dict(zip(("alice", "bob"), free_ports(2, "127.0.0.1"), strict=True))

    def peer(
        self,
        name: str,
        snapshots: tuple[int, ...],
        pruned: int = 0,
        says: Callable[[Body], Body | None] = lambda body: body,
    ) -> Place:
        """Return a peer with the whole history, or that pruned it, and some snapshots."""
        folder = self.folder / name
        shutil.copytree(self.old, folder)
        for file in list_snapshots(folder / FOLDER):
            if file.header.index not in snapshots:
                file.path.unlink()
        if pruned:
            journal, _ = opened(folder)
            with journal:
                journal.set_counter(PRUNED_THROUGH, pruned)
                while journal.prune(pruned, 500):
                    pass
        listen = (f"tls/127.0.0.1:{self.ports[name]}",)
        connect = () if name == "alice" else (f"tls/127.0.0.1:{self.ports['alice']}",)
        return self._place(name, listen, connect, ARCHIVE, says)

    def new(self, settings: JoinSettings = JOINS) -> Place:
        """Return a node that has nothing yet, or what is in its folder."""
        connect = tuple(f"tls/127.0.0.1:{port}" for port in self.ports.values())
        return self._place("new", (), connect, settings, lambda body: body)

    def _place(
        self,
        name: str,
        listen: tuple[str, ...],
        connect: tuple[str, ...],
        settings: JoinSettings,
        says: Callable[[Body], Body | None],
    ) -> Place:
        own: SigningKey = KEYS[name]
        peers = {peer: alias for peer, alias in NAMES.items() if alias != name}
        return Place(own, self.folder / name, GENESIS, listen, connect, peers, settings, says)


@pytest.fixture
def stage(old: Path, tmp_path: Path) -> Stage:
    return Stage(old, tmp_path)


@asynccontextmanager
async def together(*places: Place) -> AsyncIterator[Running]:
    """Run nodes; yield the last one once it hears all others."""
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(living(one)) for one in places]
        last = nodes[-1]
        yield last


async def arrives(new: Running) -> None:
    """Wait until the new node stands where its peers do, with the same root."""
    await until(lambda: new.node.core.confirmed_index == LAST, "the new node has caught up")


def root_of(stage: Stage) -> bytes:
    """Return the state root of the node that was never new."""
    journal, core = opened(stage.old)
    journal.close()
    return core.state_root


def test_a_new_node_starts_from_a_snapshot_and_fetches_the_rest_by_cones(stage: Stage) -> None:
    async def scenario() -> None:
        async with together(stage.peer("alice", (45,)), stage.new()) as new:
            await arrives(new)

            assert new.joined == [45]
            assert new.node.core.state_root == root_of(stage)
            assert new.journal.oldest_cone() == 46
            assert new.joiner.state().progress is None
            assert not (new.place.folder / PARTIAL).exists()
            offered = list_snapshots(new.place.folder / FOLDER)
            assert [one.header.index for one in offered] == [45], "others can join from here"

    run(scenario)


@pytest.mark.usefixtures("_gathered")
def test_two_peers_give_chunks_of_the_same_file(stage: Stage) -> None:
    given: dict[str, int] = {"alice": 0, "bob": 0}

    def counting(name: str) -> Callable[[Body], Body]:
        def says(body: Body) -> Body:
            given[name] += isinstance(body, SnapshotChunk)
            return body

        return says

    async def scenario() -> None:
        alice = stage.peer("alice", (LAST,), says=counting("alice"))
        bob = stage.peer("bob", (LAST,), says=counting("bob"))
        async with together(alice, bob, stage.new()) as new:
            await arrives(new)
            assert new.joined == [LAST]

    run(scenario)
    assert all(count > 0 for count in given.values()), given


def test_an_archive_fetches_all_history_though_snapshots_are_offered(stage: Stage) -> None:
    async def scenario() -> None:
        async with together(stage.peer("alice", (LAST,)), stage.new(ARCHIVE)) as new:
            await arrives(new)

            assert new.joined == []
            assert new.journal.oldest_cone() == 1
            assert new.journal.counts().milestones == LAST

    run(scenario)


def test_a_node_that_is_near_enough_fetches_cones(stage: Stage) -> None:
    async def scenario() -> None:
        settings = JoinSettings(is_on=True, ahead=LAST)
        async with together(stage.peer("alice", (LAST,)), stage.new(settings)) as new:
            await arrives(new)
            assert new.joined == []

    run(scenario)


def behind(stage: Stage, milestones: int) -> None:
    """Give the new node a history of its own, of so many milestones."""
    journal, core = opened(stage.folder / "new")
    with journal:
        extend(Executor(core, journal, Silence(), Random(1)), milestones, 3)


def test_a_node_that_was_off_while_its_peers_pruned_leaps_to_a_snapshot(stage: Stage) -> None:
    behind(stage, 10)

    async def scenario() -> None:
        alice = stage.peer("alice", (45,), pruned=35)
        bob = stage.peer("bob", (20, 45), pruned=30)
        async with together(alice, bob, stage.new()) as new:
            await arrives(new)

            assert new.joined == [45]
            assert new.node.core.state_root == root_of(stage)
            assert new.journal.milestone(10) is None

    run(scenario)


def test_a_snapshot_that_leaves_a_node_stranded_again_is_refused_as_stale(stage: Stage) -> None:
    async def scenario() -> None:
        async with together(stage.peer("alice", (20,), pruned=35), stage.new()) as new:
            await until(lambda: new.joiner.state().refused is not None, "the snapshot is refused")

            assert "of milestone 20, peers keep cones from 36 on" in str(new.joiner.state().refused)
            assert new.joined == []
            assert not new.joiner.holds_back(), "it goes on without, and looks again later"

    run(scenario)


# Liars.


def standing(new: Running, peer: PeerId) -> int:
    return new.node.executor.standings.points(peer, new.clock.wall_ms())


@pytest.mark.usefixtures("_gathered")
def test_a_peer_whose_chunk_differs_is_found_at_once_and_the_others_give_it(stage: Stage) -> None:
    def says(body: Body) -> Body:
        if isinstance(body, SnapshotChunk):
            return SnapshotChunk(body.file_hash, body.number, body.data[:-1] + b"?")
        return body

    async def scenario() -> None:
        liar, honest = stage.peer("alice", (LAST,), says=says), stage.peer("bob", (LAST,))
        async with together(liar, honest, stage.new()) as new:
            await arrives(new)

            assert new.joined == [LAST]
            assert standing(new, ALICE) < FULL_STANDING
            assert standing(new, BOB) == FULL_STANDING

    run(scenario)


def forged_file(stage: Stage) -> Callable[[Path], None]:
    """Return what puts another balance into the snapshot of the last milestone."""

    def forge(folder: Path) -> None:
        (file,) = [one for one in list_snapshots(folder / FOLDER) if one.header.index == LAST]
        journal, core = opened(stage.old)
        journal.close()
        taken = take_snapshot(stage.old, core.rules.network, DEPTH)
        assert taken is not None
        name = next(one for one in taken.rows if one.startswith(b"balance/"))
        rows = {**taken.rows, name: taken.rows[name] + b"\0"}
        forged = Snapshot(taken.header, rows, (), taken.cones)
        file.path.write_bytes(compressed(encode_snapshot(forged)))

    return forge


@pytest.mark.usefixtures("_gathered")
def test_a_forged_state_under_a_true_milestone_is_refused_by_its_root(
    stage: Stage,
) -> None:
    async def scenario() -> None:
        liar, honest = stage.peer("alice", (LAST,)), stage.peer("bob", (45,))
        forged_file(stage)(liar.folder)
        new_place = stage.new()
        async with living(honest), living(liar), living(new_place) as new:
            await arrives(new)

            assert new.joined == [45]
            assert standing(new, ALICE) < FULL_STANDING
            assert standing(new, BOB) == FULL_STANDING

    run(scenario)


def test_an_offer_that_the_coordinator_did_not_sign_costs_standing_and_no_byte(
    stage: Stage,
) -> None:
    asked: list[Body] = []

    def says(body: Body) -> Body | None:
        if isinstance(body, SnapshotChunk):
            asked.append(body)
        if isinstance(body, SnapshotManifest):
            journal, core = opened(stage.old)
            journal.close()
            other = core.graph.referenced_at(core.confirmed_index)[-1]
            draft = core.draft_milestone((core.confirmed_id, other), START_MS + 10**6)
            forged = Anchor((), sign_milestone(draft, (key(999),)).data)
            return msgspec.structs.replace(body, anchor=forged)
        return body

    async def scenario() -> None:
        async with together(stage.peer("alice", (LAST,), says=says), stage.new()) as new:
            await until(lambda: standing(new, ALICE) < FULL_STANDING, "the forgery is noticed")
            await arrives(new)

            assert new.joined == [], "it went on by cones"
            assert asked == []

    run(scenario)


@pytest.mark.usefixtures("_gathered")
def test_a_peer_that_offers_and_gives_nothing_is_left_for_another(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.joining.joining.SILENCE_MS", 300)

    def says(body: Body) -> Body | None:
        return None if isinstance(body, SnapshotChunk) else body

    async def scenario() -> None:
        mute, honest = stage.peer("alice", (LAST,), says=says), stage.peer("bob", (45,))
        async with living(honest), living(mute), living(stage.new()) as new:
            await arrives(new)
            assert new.joined == [45]

    run(scenario)


def test_with_liars_alone_a_node_goes_on_without_and_says_why(stage: Stage) -> None:
    async def scenario() -> None:
        liar = stage.peer("alice", (LAST,))
        forged_file(stage)(liar.folder)
        async with together(liar, stage.new()) as new:
            await until(lambda: new.joiner.state().refused is not None, "it gives up")
            assert new.joiner.state().refused == "no peer offers one"
            await arrives(new)
            assert new.joined == []
            assert not (new.place.folder / PARTIAL).exists()

    run(scenario)


def test_two_signed_histories_are_for_an_operator_to_judge(stage: Stage) -> None:
    """The coordinator signed another milestone of an index: no snapshot hides that."""
    journal, core = opened(stage.folder / "new")
    with journal:
        executor = Executor(core, journal, Silence(), Random(1))
        extend(executor, 30, 3)
        extend(executor, 15, 1)  # from here on another history

    async def scenario() -> None:
        alice = stage.peer("alice", (LAST,), pruned=LAST - 5)
        async with together(alice, stage.new()) as new:
            await until(lambda: new.joiner.state().refused is not None, "the snapshot is refused")

            assert "both signed: an operator must decide" in str(new.joiner.state().refused)
            assert new.joined == []
            assert standing(new, ALICE) == FULL_STANDING
            assert new.node.core.confirmed_index == 45

    run(scenario)


# Kills and disks.


def test_a_fetch_goes_on_where_a_kill_left_it(stage: Stage) -> None:
    alice = stage.peer("alice", (LAST,))
    (file,) = list_snapshots(alice.folder / FOLDER)
    data = file.path.read_bytes()
    manifest = describe(data, GENESIS)
    partial = PartialFile(stage.folder / "new")
    partial.begin(manifest)
    here = range(0, len(manifest.chunks), 2)
    for number in here:
        partial.put(number, data[number * 256 : (number + 1) * 256])
    given: list[int] = []

    def says(body: Body) -> Body:
        if isinstance(body, SnapshotChunk):
            given.append(body.number)
        return body

    async def scenario() -> None:
        async with together(replace(alice, says=says), stage.new()) as new:
            await arrives(new)
            assert new.joined == [LAST]

    run(scenario)
    assert given
    assert set(given).isdisjoint(here)


def test_what_is_left_of_a_file_that_helps_no_more_is_cleared_away(stage: Stage) -> None:
    behind(stage, LAST)
    alice = stage.peer("alice", (45,))
    (file,) = list_snapshots(alice.folder / FOLDER)
    PartialFile(stage.folder / "new").begin(describe(file.path.read_bytes(), GENESIS))

    async def scenario() -> None:
        async with together(alice, stage.new()) as new:
            folder = new.place.folder / PARTIAL
            await until(lambda: not folder.exists(), "the rest is cleared away")

    run(scenario)


def test_a_disk_without_room_is_named_and_nothing_is_fetched(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.joining.joiner.room_needed", lambda _: 2**62)

    async def scenario() -> None:
        async with together(stage.peer("alice", (LAST,)), stage.new()) as new:
            await until(lambda: new.joiner.state().refused is not None, "it gives up")

            assert f"joining may need {2**62}" in str(new.joiner.state().refused)
            assert not (new.place.folder / PARTIAL).exists()

    run(scenario)


def test_a_node_that_joins_says_how_far_it_is_and_issues_nothing(stage: Stage) -> None:
    seen: dict[str, object] = {}

    async def scenario() -> None:
        async with together(stage.peer("alice", (LAST,)), stage.new()) as new:

            def look() -> bool:
                progress = new.joiner.state().progress
                if progress is not None:
                    seen.setdefault(progress.phase, progress)
                    assert new.node.executor.progress().behind == LAST
                return bool(new.joined)

            await until(look, "it has joined")

    run(scenario)
    assert "fetching" in seen or "checking" in seen
