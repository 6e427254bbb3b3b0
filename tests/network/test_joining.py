"""A real node joins a real network whose nodes have pruned; the coordinator announces snapshots."""

import http.client
import json
import shutil
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Any, Final

import pytest

from api.contracts import CONTRACTS
from api.network import files
from api.network.plan import Wishes
from api.settings.genesis_file import load_genesis
from edge.journal.inspection import inspect
from edge.journal.offline import open_offline, open_reader
from edge.journal.storage import JOURNAL_NAME
from tangle.codec import Decoder
from tangle.genesis import Parameters, network_id
from tangle.snapshot import NOTICE_LABEL, SnapshotNotice
from tangle.transaction import Data, decode
from tests.network.killing import World, make_world

OLD: Final = ("coordinator", "edge-1", "edge-2")
NEW: Final = "edge-3"
NODES: Final = (*OLD, NEW)
PRUNING_DEPTH: Final = 60
SNAPSHOT_INTERVAL: Final = 20
SETTLE_S: Final = 90.0
_notices: Final = Decoder(SnapshotNotice, "notice", 256)


def swift(**settings: Any) -> Parameters:  # noqa: ANN401 (whatever genesis is given)
    """Return parameters of a network whose history is long after seconds."""
    return Parameters(
        milestone_interval_ms=100, snapshot_interval=SNAPSHOT_INTERVAL, work_per_byte=1, **settings
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Three nodes that run and prune, and a fourth that was never started."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "Parameters", swift)
        patch.setenv("TANGLEWATT_HISTORY__PRUNING_DEPTH", str(PRUNING_DEPTH))
        patch.setenv("TANGLEWATT_JOIN__AHEAD", "10")
        made = make_world(tmp_path_factory.mktemp("join") / "net", Wishes(edges=3, homes=2))
        try:
            for name in ("broker", *OLD):
                made.start(name)
            for name in OLD:
                made.wait(made.client(name).is_ready, f"{name} is ready")
            assert made.pay()
            for name in OLD:
                made.wait(partial(has_pruned, made, name), f"{name} has pruned", SETTLE_S)
            yield made
        finally:
            made.stop()


def asked(world: World, name: str, path: str) -> dict[str, Any]:
    """Return what a node answers; nothing while it does not."""
    try:
        answer = json.loads(world.client(name).ask("GET", f"/api/v1{path}").body)
    except (OSError, http.client.HTTPException):
        return {}
    assert isinstance(answer, dict)
    return answer


def log_of(world: World, name: str) -> str:
    return world.specs[name].log_file.read_text("utf-8")


def has_pruned(world: World, name: str) -> bool:
    return asked(world, name, "/milestones/1").get("code") == "PRUNED"


def index_of(world: World, name: str) -> int:
    return int(asked(world, name, "/info").get("confirmed_index", 0))


def test_the_coordinator_writes_snapshots_on_schedule_and_announces_them(world: World) -> None:
    folder = world.layout.edge_folder("edge-1") / "data"
    network = network_id(load_genesis(world.layout.genesis_file))

    def announced() -> dict[int, SnapshotNotice]:
        """Return the notices that edge-1 keeps, by milestone."""
        with open_reader(folder / JOURNAL_NAME, network) as reader:
            payloads = [
                decode(data).transaction.payload
                for (data,) in reader.rows("SELECT data FROM bodies")
            ]
        notices = [
            _notices.decode(one.data)
            for one in payloads
            if isinstance(one, Data) and one.label == NOTICE_LABEL
        ]
        return {one.index: one for one in notices}

    def held() -> dict[int, dict[str, Any]]:
        found = asked(world, "coordinator", "/snapshots").get("snapshots", [])
        return {one["index"]: one for one in found if one["kind"] == "full"}

    world.wait(lambda: bool(announced().keys() & held().keys()), "a file has its notice", SETTLE_S)
    both = [(announced()[index], one) for index, one in held().items() if index in announced()]

    assert both
    for notice, file in both:
        assert notice.file_hash.hex() == file["hash"]
        assert notice.state_root.hex() == file["state_root"]
    indexes = sorted(held())
    assert all(high - low >= SNAPSHOT_INTERVAL for low, high in pairwise(indexes))


def test_a_new_node_joins_through_kills_at_every_step(world: World) -> None:
    """Its peers keep no cone from the beginning: without a snapshot it could never go on."""
    for point in ("join.chunk", "join.checked", "join.loaded"):
        shutil.rmtree(world.layout.edge_folder(NEW) / "data", ignore_errors=True)
        world.start(NEW, f"{point}:1")
        world.wait_killed(NEW)
        assert has_pruned(world, "edge-1")
        took = world.restart(NEW, f"{NEW} {point}")
        world.wait(lambda: has_caught_up(world), f"{NEW} has caught up after {point}", SETTLE_S)
        world.kill(NEW)
        print(f"{point}: serves {took:.1f} s after the kill")  # noqa: T201

    world.start(NEW)
    world.wait(lambda: has_caught_up(world), f"{NEW} has caught up", SETTLE_S)
    world.wait(lambda: agree(world), "all roots are equal", SETTLE_S)

    assert has_pruned(world, NEW)
    assert "goes on from a snapshot" in log_of(world, NEW)
    assert not (world.layout.edge_folder(NEW) / "data" / "joining").exists()


def has_caught_up(world: World) -> bool:
    """Return whether the new node stands where the others do, as it says itself."""
    info = asked(world, NEW, "/info")
    others = index_of(world, "edge-1")
    return bool(info) and info["joining"] is None and info["confirmed_index"] >= others - 5 > 0


def agree(world: World) -> bool:
    """Return whether all nodes show one root after the same milestone."""
    seen: dict[int, dict[str, str]] = {}
    for _ in range(20):
        for name in NODES:
            info = asked(world, name, "/info")
            if info:
                seen.setdefault(info["confirmed_index"], {})[name] = info["state_root"]
        for roots in seen.values():
            if set(roots) == set(NODES):
                assert len(set(roots.values())) == 1, seen
                return True
    return False


def test_a_node_that_was_off_while_all_others_pruned_joins_again(world: World) -> None:
    world.kill("edge-2")
    stopped = index_of(world, "edge-1")
    needed = stopped + PRUNING_DEPTH + SNAPSHOT_INTERVAL
    world.wait(lambda: index_of(world, "edge-1") >= needed, "the others went on", SETTLE_S)

    world.restart("edge-2", "edge-2 after a long absence")
    world.wait(lambda: agree(world), "all roots are equal", SETTLE_S)

    assert "no peer keeps the next cone any more" in log_of(world, "edge-2")
    assert world.pay()


def test_in_the_end_all_journals_are_sound_and_their_roots_equal(world: World) -> None:
    world.stop()

    genesis = load_genesis(world.layout.genesis_file)
    roots: dict[str, dict[int, bytes]] = {}
    for name in NODES:
        folder = world.layout.node_folder(name) / "data"
        with open_offline(folder, network_id(genesis)) as reader:
            assert inspect(reader, genesis, CONTRACTS, signatures=True).faults == [], name
            roots[name] = dict(reader.rows("SELECT milestone_index, state_root FROM milestones"))
    for name in NODES:
        shared = roots[name].keys() & roots["edge-1"].keys()
        assert shared, name
        assert all(roots[name][index] == roots["edge-1"][index] for index in shared)
