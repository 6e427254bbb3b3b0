"""The kill table: every fault point, and kills at random, in a network of real processes.

Each kill must be followed by a restart without help; how long that takes is printed (`-s`), ten
seconds are wanted. In the end nothing that was acknowledged is lost, and all roots equal those of
a node that was never killed.
"""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

import pytest

from api.contracts import CONTRACTS
from api.exit_codes import ExitCode
from api.failures import CommandError
from api.processes.accounting import common_root, tally
from api.settings.genesis_file import load_genesis
from edge.ground.faults import POINTS
from edge.journal.inspection import inspect
from edge.journal.offline import open_offline
from edge.journal.storage import JOURNAL_NAME
from tangle.genesis import network_id
from tangle.outcomes import State
from tests.network.killing import (
    DEADLINE_S,
    METERS,
    NODES,
    PAY_S,
    World,
    kill_at_random,
    running_world,
)

IS_NIGHTLY: Final = os.environ.get("TANGLEWATT_NIGHTLY") == "1"
RANDOM_KILLS: Final = 500 if IS_NIGHTLY else 5
PASSAGES: Final = (1, 2, 3, 7, 20) if IS_NIGHTLY else (3,)
SETTLE_S: Final = 120.0
SEED: Final = 20_261_120

OF_A_NODE: Final = [name for name in POINTS if name.startswith(("journal.", "gossip."))]
TABLE: Final = [
    *[("edge-1", name) for name in (*OF_A_NODE, "receipt.before", "receipt.after")],
    *[("coordinator", name) for name in OF_A_NODE],
    *[("coordinator", name) for name in POINTS if name.startswith(("lock.", "milestone."))],
    *[("home_01", name) for name in POINTS if name.startswith("outbox.")],
]
"""edge-2 and home_02 are never killed: they are what the others are held against."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running_world(tmp_path_factory.mktemp("kills") / "net") as running:
        yield running


@pytest.mark.parametrize("passage", PASSAGES)
@pytest.mark.parametrize(("name", "point"), TABLE)
def test_a_process_killed_at_a_point_comes_back_by_itself(
    world: World, name: str, point: str, passage: int
) -> None:
    world.kill(name)
    world.start(name, f"{point}:{passage}")
    world.pay(PAY_S)

    world.wait_killed(name)
    world.restart(name, f"{name} {point}")


@pytest.mark.timeout(RANDOM_KILLS * 60)
def test_a_process_killed_at_random_comes_back_by_itself(world: World) -> None:
    rng = Random(SEED)
    for _ in range(RANDOM_KILLS):
        kill_at_random(world, rng, ("coordinator", "edge-1", "home_01", "broker"))


def test_a_damaged_journal_ends_the_coordinator_and_its_peers_heal_it(world: World) -> None:
    world.kill("coordinator")
    folder = world.layout.coordinator_folder / "data"
    with (folder / JOURNAL_NAME).open("r+b") as file:
        file.write(Random(SEED).randbytes(4_096))
    # the log after a kill holds whole pages: with it SQLite mends the file by itself
    (folder / f"{JOURNAL_NAME}-wal").unlink()

    world.start("coordinator")
    code = world.running["coordinator"].wait(DEADLINE_S)
    said = world.tail("coordinator")
    folder.rename(folder.with_name("data-damaged"))
    world.restart("coordinator", "empty journal of the coordinator")

    assert code == ExitCode.STORAGE
    assert "TW-DIR-005" in said


def test_after_all_kills_nothing_is_lost_and_all_roots_are_equal(world: World) -> None:
    assert world.pay(), world.tail("edge-1")
    for name in METERS:
        world.running[name].send_signal(signal.SIGUSR1)
    for name in METERS:
        assert world.running[name].wait(SETTLE_S) == 0, world.tail(name)

    assert world.acknowledged
    # the coordinator began anew, perhaps from a snapshot: it need not have what was before
    left = {(name, one) for name in ("edge-1", "edge-2") for one in world.acknowledged}
    deadline = time.monotonic() + SETTLE_S
    while left := {pair for pair in left if state_at(world, *pair) != State.APPLIED}:
        assert time.monotonic() < deadline, f"acknowledged and not applied: {sorted(left)[:5]}"
    world.wait(lambda: is_settled(world), "all is confirmed everywhere", SETTLE_S)
    world.stop()
    verify_journals(world)
    show(world)


def state_at(world: World, name: str, tx_id: str) -> State | None:
    """Return where a transaction stands on a node; nothing while that does not have it."""
    try:
        return State(world.client(name).transaction(tx_id).state)
    except CommandError:
        return None


def is_settled(world: World) -> bool:
    """Return whether every reading and payment counts on every node, all with one root."""
    sight = asyncio.run(world.network.observer.look())
    if sight.silent or not tally(sight.meters, sight.nodes).is_complete:
        return False
    deadline, roots = time.monotonic() + 10, dict[int, dict[str, str]]()
    while time.monotonic() < deadline:
        for node in asyncio.run(world.network.observer.look()).nodes:
            roots.setdefault(node.index, {})[node.name] = node.state_root
        if common_root(roots, NODES) is not None:
            return True
    return False


def verify_journals(world: World) -> None:
    """Compute all journals anew: sound, and every root that of the node never killed."""
    genesis = load_genesis(world.layout.genesis_file)
    roots: dict[str, dict[int, bytes]] = {}
    for name in NODES:
        folder = Path(world.layout.root / name / "data")
        with open_offline(folder, network_id(genesis)) as reader:
            found = inspect(reader, genesis, CONTRACTS, signatures=True)
            assert found.faults == [], name
            assert found.replayed == found.milestones > 0
            roots[name] = dict(reader.rows("SELECT milestone_index, state_root FROM milestones"))
    for name in NODES:
        shared = roots[name].keys() & roots["edge-2"].keys()
        assert {index: roots[name][index] for index in shared} == {
            index: roots["edge-2"][index] for index in shared
        }


def show(world: World) -> None:
    """Print the table for whoever runs with -s."""
    for what, times in world.restarts_s.items():
        worst, mean = max(times), sum(times) / len(times)
        print(f"{what:<40} {len(times):>4} kills  {mean:5.2f} s  {worst:5.2f} s")  # noqa: T201
