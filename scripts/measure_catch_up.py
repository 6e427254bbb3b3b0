"""Measures how fast a new node catches up with one that has a long journal.

    python -m scripts.measure_catch_up [--transactions 100000] [--per-milestone 50] [--profile]
    python -m scripts.measure_catch_up --mesh 17911

Makes the journal first (under a folder that it removes), then lets a second node fetch it cone by
cone: both in this process without a network between them, which measures the work, or with
`--mesh PORT` as two whole nodes in two processes, over TCP on loopback, with synced commits.
"""

import argparse
import asyncio
import cProfile
import os
import pstats
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from edge.clock import Clock
from edge.executor import Executor
from edge.journal import Journal
from edge.mesh import MeshConfig, open_mesh
from edge.runtime import EdgeNode, NodeSettings, Surroundings
from tangle.effects import Effect, Instant, PeerId
from tangle.genesis import network_id
from tangle.keys import SigningKey
from tests.community import CONTRACTS, START_MS, edge_key
from tests.edge.history import Silence, Wires, extend, opened
from tests.tangle.cores import GENESIS

NEW_KEY, OLD_KEY = edge_key(1), edge_key(0)
NEW, OLD = PeerId(NEW_KEY.public), PeerId(OLD_KEY.public)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--transactions", type=int, default=100_000)
    parser.add_argument("--per-milestone", type=int, default=50)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--mesh", type=int, metavar="PORT")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    wishes = parser.parse_args()
    if wishes.serve is not None:
        asyncio.run(serve(wishes.serve, wishes.mesh))
        return
    milestones = wishes.transactions // wishes.per_milestone
    with TemporaryDirectory() as name:
        folder = Path(name)
        make(folder / "old", milestones, wishes.per_milestone)
        if wishes.mesh is not None:
            over_the_mesh(folder, milestones, wishes.mesh)
            return
        profile = cProfile.Profile()
        if wishes.profile:
            profile.enable()
        within_this_process(folder)
        profile.disable()
        if wishes.profile:
            pstats.Stats(profile, stream=sys.stdout).sort_stats("tottime").print_stats(45)


def make(folder: Path, milestones: int, per_milestone: int) -> None:
    """Make the journal of the old node."""
    began = time.perf_counter()
    journal, core = opened(folder)
    with journal:
        extend(Executor(core, journal, Silence(), Random(1)), milestones, per_milestone)
        say(f"made {journal.counts().transactions} transactions", began)


def within_this_process(folder: Path) -> None:
    """Let a new node fetch all that the old one has, one delivering to the other."""
    wires = Wires()
    (old_journal, old_core), (journal, core) = opened(folder / "old"), opened(folder / "new")
    with old_journal, journal:
        new = Executor(core, journal, wires.join(NEW), Random(2))
        old = Executor(old_core, old_journal, wires.join(OLD), Random(3))
        now = Instant(START_MS + 10**8, START_MS + 10**8)
        began, used = time.perf_counter(), time.process_time()
        wires.ends[OLD].broadcast(old.heartbeat("1"))
        serving = 0.0
        while core.confirmed_id != old_core.confirmed_id:
            wires.deliver({NEW: new}, now)
            before = time.process_time()
            wires.deliver({OLD: old}, now)
            serving += time.process_time() - before
        used = time.process_time() - used
        say(f"caught up to milestone {core.confirmed_index}", began)
        sys.stdout.write(f"CPU: {used:.1f} s, {serving:.1f} s of it for serving\n")
        assert core.state_root == old_core.state_root


def over_the_mesh(folder: Path, milestones: int, port: int) -> None:
    """Let the old node serve in a process of its own, and a new one here."""
    arguments = ["--mesh", str(port), "--serve", str(folder / "old")]
    server = subprocess.Popen([sys.executable, "-m", "scripts.measure_catch_up", *arguments])
    try:
        asyncio.run(join(folder / "new", milestones, port))
    finally:
        server.kill()
        server.wait()


async def join(folder: Path, milestones: int, port: int) -> None:
    """Run a new node until it has caught up."""

    async def caught_up(node: EdgeNode) -> None:
        done = asyncio.Event()
        started: list[tuple[float, float]] = []

        def look(_: Sequence[Effect]) -> None:
            if not started:
                started.append((time.perf_counter(), time.process_time()))
            if node.core.confirmed_index == milestones:
                done.set()

        node.executor.observe(look)
        await done.wait()
        began, used = started[0]
        say(f"caught up to milestone {milestones}", began)
        sys.stdout.write(f"CPU here: {time.process_time() - used:.1f} s, load {os.getloadavg()}\n")

    await run((NEW_KEY, OLD), folder, ((), (f"tcp/127.0.0.1:{port}",)), caught_up)


async def serve(folder: Path, port: int) -> None:
    """Run the old node until killed."""

    async def for_ever(_: EdgeNode) -> None:
        await asyncio.Event().wait()

    await run((OLD_KEY, NEW), folder, ((f"tcp/127.0.0.1:{port}",), ()), for_ever)


async def run(
    who: tuple[SigningKey, PeerId],
    folder: Path,
    endpoints: tuple[tuple[str, ...], tuple[str, ...]],
    until: Callable[[EdgeNode], Awaitable[None]],
) -> None:
    """Run a whole node, with its mesh and journal, beside `until`."""
    key, other = who
    clock, network = Clock(GENESIS), network_id(GENESIS)
    with Journal(folder, network) as journal:
        epoch = journal.next_epoch(clock.wall_ms())
        config = MeshConfig(*endpoints, key, {other: "other"}, network, epoch)
        mesh = await open_mesh(config, clock.wall_ms)
        settings = NodeSettings("measured", "edge", "1", 1_000)
        around = Surroundings(journal, mesh, clock, None, Random(1))
        node = EdgeNode(GENESIS, CONTRACTS, key, around, settings)
        task = asyncio.create_task(node.run())
        try:
            await until(node)
        finally:
            task.cancel()
            await asyncio.wait([task])
            await mesh.close()


def say(what: str, began: float) -> None:
    """Print what was done and how long it took."""
    sys.stdout.write(f"{what} in {time.perf_counter() - began:.1f} s\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
