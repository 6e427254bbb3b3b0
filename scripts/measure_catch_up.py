"""Measures how fast a new node catches up with one that has a long journal, and what waits for it.

    python -m scripts.measure_catch_up [--transactions 100000] [--per-milestone 50] [--profile]
    python -m scripts.measure_catch_up --mesh 17911 [--plain] [--journal FOLDER]

Makes the journal first, then lets a second node fetch it cone by cone: both in this process without
a network between them, which measures the work, or with `--mesh PORT` as two whole nodes in two
processes, over mutual TLS on loopback, with synced commits. Then it also says for how long at most
the event loops stood still, and how long the health of the new node took to be answered over HTTP.
`--journal` keeps what was made, and uses it when it is there.
"""

import argparse
import asyncio
import cProfile
import gc
import http.client
import os
import pstats
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from api.compose import _Served as Served
from api.http.app import create_app
from api.http.server import listen
from api.http.server import serve as serve_http
from api.node.node_service import NodeApi, NodeCard
from edge.joining.keeping import HistoryKeeper, HistorySettings
from edge.journal.storage import JOURNAL_NAME
from edge.node.executor import Executor
from edge.runtime import EdgeNode
from tangle.effects import Confirmed, Effect, Instant, PeerId
from tests.community import START_MS
from tests.edge.history import Silence, Wires, extend, opened
from tests.edge.meshed import NEW_KEY, OLD_KEY, running

NEW, OLD = PeerId(NEW_KEY.public), PeerId(OLD_KEY.public)
TICK_S = 0.005
"""How often the loop is asked whether it still turns."""

SLOW_MS = 100
"""Blocks and answers that take longer are counted."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--transactions", type=int, default=100_000)
    parser.add_argument("--per-milestone", type=int, default=50)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--mesh", type=int, metavar="PORT")
    parser.add_argument("--plain", action="store_true", help="TCP without TLS")
    parser.add_argument("--journal", type=Path, metavar="FOLDER")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    wishes = parser.parse_args()
    if wishes.serve is not None:
        asyncio.run(serve(wishes.serve, wishes.mesh, is_secure=not wishes.plain))
        return
    milestones = wishes.transactions // wishes.per_milestone
    with TemporaryDirectory() as name:
        folder = Path(name)
        kept = wishes.journal
        if kept is None or not (kept / JOURNAL_NAME).exists():
            make(kept or folder / "old", milestones, wishes.per_milestone)
        if kept is not None:
            shutil.copytree(kept, folder / "old")
        profile = cProfile.Profile()
        if wishes.profile:
            profile.enable()
        if wishes.mesh is not None:
            over_the_mesh(folder, milestones, wishes.mesh, is_secure=not wishes.plain)
        else:
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


def over_the_mesh(folder: Path, milestones: int, port: int, *, is_secure: bool) -> None:
    """Let the old node serve in a process of its own, and a new one here."""
    arguments = ["--mesh", str(port), "--serve", str(folder / "old")]
    arguments += [] if is_secure else ["--plain"]
    server = subprocess.Popen([sys.executable, "-m", "scripts.measure_catch_up", *arguments])
    try:
        asyncio.run(join(folder / "new", milestones, port, is_secure=is_secure))
    finally:
        server.terminate()
        server.wait()


async def join(folder: Path, milestones: int, port: int, *, is_secure: bool) -> None:
    """Run a new node until it has caught up."""
    done = asyncio.Event()
    started: list[tuple[float, float]] = []
    async with running(folder, NEW_KEY, port, is_secure=is_secure) as node:

        def look(effects: Sequence[Effect]) -> None:
            if not started and any(isinstance(effect, Confirmed) for effect in effects):
                started.append((time.perf_counter(), time.process_time()))
            if node.core.confirmed_index == milestones or node.core.halted is not None:
                done.set()

        node.executor.observe(look)
        async with answering(node, folder) as address, looking_at_health(address):
            gc.collect()
            gc.freeze()  # as `api.compose` does
            with loop_watched("the new node's loop"):
                await done.wait()
        assert node.core.halted is None, node.core.halted
        began, used = started[0]
        say(f"caught up to milestone {milestones}", began)
        sys.stdout.write(f"CPU here: {time.process_time() - used:.1f} s, load {os.getloadavg()}\n")


async def serve(folder: Path, port: int, *, is_secure: bool) -> None:
    """Run the old node until told to stop."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with running(folder, OLD_KEY, port, is_secure=is_secure):
        with loop_watched("the old node's loop"):
            await stop.wait()


@asynccontextmanager
async def answering(node: EdgeNode, folder: Path) -> AsyncIterator[tuple[str, int]]:
    """Serve the whole HTTP door of a node; give host and port."""
    with listen("127.0.0.1", 0) as listener:
        keeper = HistoryKeeper(
            node.genesis,
            node.journal,
            folder,
            HistorySettings(0, 0, writes_snapshots=False),
            lambda *_: True,
        )
        served = Served(node, folder, keeper, None)
        card = NodeCard(NEW_KEY.public, "measured", "edge", "1", None)
        answers = NodeApi(served, card, served.peers, None)
        app = create_app(answers, ("127.0.0.1",))
        task = asyncio.create_task(serve_http(app, listener))
        try:
            yield listener.getsockname()[:2]
        finally:
            task.cancel()
            await asyncio.wait([task])


@asynccontextmanager
async def looking_at_health(address: tuple[str, int]) -> AsyncIterator[None]:
    """Ask for the health ten times a second, from a thread, and say how long answers took."""
    took_ms: list[float] = []
    is_over = threading.Event()

    def ask() -> None:
        while not is_over.wait(0.1):
            began = time.perf_counter()
            connection = http.client.HTTPConnection(*address, timeout=30)
            connection.request("GET", "/health/live")
            assert connection.getresponse().read()
            connection.close()
            took_ms.append(1_000 * (time.perf_counter() - began))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        await asyncio.to_thread(thread.join)
        report("health over HTTP", took_ms)


@contextmanager
def loop_watched(whose: str) -> Iterator[None]:
    """Say for how long a loop stood still at a time."""
    late_ms: list[float] = []

    async def watch() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(TICK_S)
            late_ms.append(1_000 * (time.perf_counter() - began - TICK_S))

    task = asyncio.get_running_loop().create_task(watch())
    try:
        yield
    finally:
        task.cancel()
        report(whose, late_ms)


def report(what: str, all_ms: Sequence[float]) -> None:
    """Print the worst of some times, and how they spread."""
    ordered = sorted(all_ms) or [0.0]
    p50, p99 = (ordered[int(share * (len(ordered) - 1))] for share in (0.5, 0.99))
    over = sum(one > SLOW_MS for one in ordered)
    sys.stdout.write(
        f"{what}: median {p50:.0f} ms, 99 % within {p99:.0f} ms, at most {ordered[-1]:.0f} ms,"
        f" {over} of {len(ordered)} over {SLOW_MS} ms\n"
    )
    sys.stdout.flush()


def say(what: str, began: float) -> None:
    """Print what was done and how long it took."""
    sys.stdout.write(f"{what} in {time.perf_counter() - began:.1f} s\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
