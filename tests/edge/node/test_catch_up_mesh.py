"""Two whole nodes over mutual TLS: one that is new catches up over both votes."""

import asyncio
import shutil
from pathlib import Path
from random import Random

import pytest

from api.network.ports import free_ports
from edge.joining.snapshots import take_snapshot
from edge.node import pace
from edge.node.executor import Executor
from tangle.anchors import follow_rotations
from tangle.genesis import network_id
from tangle.snapshot import Snapshot, start_of, verify_snapshot
from tests.edge.history import Silence, extend, opened
from tests.edge.meshed import NEW_KEY, OLD_KEY, running, wait_until
from tests.edge.rotating import (
    FIRST,
    MILESTONES,
    QUORUM,
    SECOND,
    THIRD,
    VOTES,
    vote,
    vote_twice,
)
from tests.tangle.cores import GENESIS

WITHIN_S = 60.0


def snapshot_of(folder: Path) -> Snapshot:
    taken = take_snapshot(folder, network_id(GENESIS), GENESIS.parameters.reference_depth)
    assert taken is not None
    return taken


def start_between_the_votes(folder: Path, donor: Path) -> None:
    """Let a new node start from the snapshot of one that saw the first vote only."""
    journal, core = opened(donor)
    with journal:
        executor = Executor(core, journal, Silence(), Random(1))
        extend(executor, VOTES[0] - 1, 3)
        vote(executor, FIRST, SECOND)
        extend(executor, 3, 3, SECOND[:QUORUM])
        snapshot = snapshot_of(donor)
    with opened(folder)[0] as journal:
        journal.start_from(GENESIS, start_of(snapshot, GENESIS))


@pytest.mark.parametrize("start", ["genesis", "snapshot"])
def test_a_new_node_catches_up_over_both_votes(tmp_path: Path, start: str) -> None:
    journal, core = opened(tmp_path / "old")
    with journal:
        vote_twice(Executor(core, journal, Silence(), Random(1)))
    if start == "snapshot":
        start_between_the_votes(tmp_path / "new", tmp_path / "donor")
    (port,) = free_ports(1, "127.0.0.1")

    async def scenario() -> None:
        async with (
            running(tmp_path / "old", OLD_KEY, port) as old,
            running(tmp_path / "new", NEW_KEY, port) as new,
        ):
            await wait_until(
                lambda: new.core.confirmed_index == MILESTONES,
                f"the new node has not applied {MILESTONES} milestones",
                WITHIN_S,
            )
            assert new.core.state_root == old.core.state_root
            assert new.executor.counts["misbehaved"] == 0

    asyncio.run(scenario())

    snapshot = snapshot_of(tmp_path / "new")
    verify_snapshot(snapshot, GENESIS)
    keyring, _ = follow_rotations(snapshot.rotations, GENESIS)
    assert set(keyring.at(MILESTONES).keys) == {one.public for one in THIRD}


def test_the_loop_turns_while_a_long_history_comes(tmp_path: Path) -> None:
    """Whoever asks over HTTP meanwhile waits for a turn, not for a batch."""
    milestones, per_milestone = 30, 40
    journal, core = opened(tmp_path / "old")
    with journal:
        extend(Executor(core, journal, Silence(), Random(1)), milestones, per_milestone)
    (port,) = free_ports(1, "127.0.0.1")
    jumps: list[int] = []

    async def scenario() -> None:
        async with (
            running(tmp_path / "old", OLD_KEY, port),
            running(tmp_path / "new", NEW_KEY, port) as new,
        ):

            async def watch() -> None:
                seen = 0
                while True:
                    await asyncio.sleep(0)
                    now = new.executor.counts["attached"]
                    jumps.append(now - seen)
                    seen = now

            task = asyncio.create_task(watch())
            await wait_until(
                lambda: new.core.confirmed_index == milestones,
                f"the new node has not applied {milestones} milestones",
                WITHIN_S,
            )
            task.cancel()
            jumps.append(new.executor.counts["attached"] - sum(jumps))

    asyncio.run(scenario())

    assert sum(jumps) == milestones * (per_milestone + 1)
    assert max(jumps) <= pace.FIRST + pace.GROWTH * sum(jump > 0 for jump in jumps)
    assert max(jumps) < sum(jumps) / 4


def test_a_vote_while_a_node_was_away_for_a_moment_is_caught_up_with(tmp_path: Path) -> None:
    """The gap is small, and nothing but milestones is in it."""
    journal, core = opened(tmp_path / "new")
    with journal:
        extend(Executor(core, journal, Silence(), Random(1)), 9, 2)
    shutil.copytree(tmp_path / "new", tmp_path / "old")
    journal, core = opened(tmp_path / "old")
    with journal:
        executor = Executor(core, journal, Silence(), Random(1))
        vote(executor, FIRST, SECOND)
        extend(executor, 2, 0, SECOND[:QUORUM])
    (port,) = free_ports(1, "127.0.0.1")

    async def scenario() -> None:
        async with (
            running(tmp_path / "old", OLD_KEY, port),
            running(tmp_path / "new", NEW_KEY, port) as new,
        ):
            await wait_until(
                lambda: new.core.confirmed_index == 12,
                "the node that was away has not applied milestone 12",
                WITHIN_S,
            )

    asyncio.run(scenario())
