"""Ingest: from bytes to verified, attached and durable, in one node without a network.

All of a node's own parts are at work: the fair queue, the threads that verify, the core, a journal
on disk with synced commits. Frames are handed over as fast as the node takes them.
"""

import asyncio
import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Final

from api.bench.figures import Figure
from api.bench.limit import Speed, processors, signed_messages, speed_figure, verify_speed
from api.bench.transfer_load import START_MS, LoadMaker, load_genesis
from api.contracts import CONTRACTS
from edge.journal.journal import Journal
from edge.mesh.frames import Body, split
from edge.mesh.mesh import PeerStatus
from edge.node.checking import SWITCH_INTERVAL_S
from edge.node.executor import Executor, Gossip
from edge.node.hearing import Hearing
from tangle.effects import Instant, PeerId
from tangle.genesis import Genesis
from tangle.keys import KEY_SIZE
from tangle.node import NodeCore

WANTED_REST_US: Final = 15
"""Processor time for one transaction beside its signature."""

FRAMES_AT_ONCE: Final = 8
AHEAD: Final = 128
"""Transactions in the fair queue above which nothing is handed over: the node is behind."""

SENDER: Final = PeerId(bytes(KEY_SIZE))
NOW: Final = Instant(START_MS, START_MS)


class Silence:
    """A mesh without anybody on it."""

    waiting_out = 0

    def broadcast(self, body: Body) -> None:
        """Nobody hears."""

    def send(self, peer: PeerId, body: Body) -> None:
        """Nobody hears."""

    def ban(self, peer: PeerId, until_wall_ms: int) -> None:
        """The load breaks no rule."""
        raise AssertionError(f"{peer.hex()} is banned until {until_wall_ms}")

    def peers(self) -> tuple[PeerStatus, ...]:
        """Return nobody."""
        return ()


class StillClock:
    """Stands still: nothing becomes due."""

    def instant(self) -> Instant:
        """Return always the same moment."""
        return NOW

    def wall_ms(self) -> int:
        """Return always the same moment."""
        return NOW.wall_ms


@contextmanager
def bench_node(folder: Path, genesis: Genesis, gossip: Gossip | None = None) -> Iterator[Executor]:
    """Open a node in an empty folder, on a mesh or on none; everything of it is new."""
    core = NodeCore(genesis, CONTRACTS)
    with Journal(folder, core.rules.network) as journal:
        journal.restore(genesis, genesis.parameters.reference_depth)
        yield Executor(core, journal, gossip or Silence(), Random(1))


async def until_attached(executor: Executor, more: int, hearing: Hearing) -> tuple[float, float]:
    """Run `hearing` until so many more transactions are attached, durably.

    Returns:
        When that was, by the clocks of `perf_counter` and `process_time`.
    """
    done, wanted = asyncio.Event(), executor.counts["attached"] + more

    def look(_: object) -> None:
        if executor.counts["attached"] >= wanted:
            done.set()

    executor.observe(look)
    sys.setswitchinterval(SWITCH_INTERVAL_S)  # as a node does once it has started
    gc.collect()
    gc.freeze()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(hearing.run())
        await done.wait()
        ended = perf_counter(), process_time()
        task.cancel()
    gc.unfreeze()
    return ended


class _Supply:
    """Hands over frames as fast as the node takes them; all of it has come in when it ends."""

    def __init__(self, executor: Executor, bodies: Sequence[Body]) -> None:
        self._executor = executor
        self._bodies = bodies
        self._at = 0
        self.began = self.used = 0.0

    async def receive(self, until_wall_ms: int | None) -> list[tuple[PeerId, Body]]:
        """Return some frames, none while enough of them wait."""
        del until_wall_ms
        await asyncio.sleep(0)
        if self._at == 0:
            self.began, self.used = perf_counter(), process_time()
        if len(self._executor.admission) >= AHEAD:
            return []
        first, self._at = self._at, self._at + FRAMES_AT_ONCE
        return [(SENDER, body) for body in self._bodies[first : self._at]]


async def take_in(executor: Executor, transactions: Sequence[bytes]) -> Speed:
    """Let a node hear transactions; return how fast it attached them all, durably."""
    supply = _Supply(executor, split(transactions))
    hearing = Hearing(executor, supply, StillClock())
    count = len(transactions)
    ended, used = await until_attached(executor, count, hearing)
    assert executor.core.waiting_count == 0, f"{executor.core.waiting_count} transactions wait"
    return Speed(count / (ended - supply.began), (used - supply.used) / count * 1e6)


def ingest_figures(rounds: int, transactions: int) -> Iterator[Figure]:
    """Yield how fast one node takes in, held against the signatures that the same cores verify."""
    genesis = load_genesis()
    load = list(LoadMaker(genesis, Random(1)).transfers(transactions))
    messages = signed_messages(transactions, Random(1))
    speeds, limits = [], []
    for _ in range(rounds):
        limits.append(verify_speed(messages, processors()))
        with TemporaryDirectory() as name, bench_node(Path(name), genesis) as executor:
            speeds.append(asyncio.run(take_in(executor, load)))
        limits.append(verify_speed(messages, processors()))
    yield speed_figure("limit.all", "signatures/s", limits)
    yield speed_figure("ingest", "transactions/s", speeds, limits)
    signature_us = median(one.cpu_us for one in limits)
    rest_us = tuple(one.cpu_us - signature_us for one in speeds)
    yield Figure("ingest.rest", "µs", rest_us, WANTED_REST_US)
