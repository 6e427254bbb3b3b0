"""Ingest over the mesh: a load that another process has ready, sends and gets back.

Both processes share the processors. The other one does what a peer does: it frames and signs what
it sends, and reads what this node passes on.
"""

import asyncio
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Final

from api.bench.figures import Figure
from api.bench.ingest import StillClock, bench_node, until_attached
from api.bench.limit import Speed, processors, signed_messages, speed_figure, verify_speed
from api.bench.mesh_sender import RECEIVER, SENDER, WITHIN_S
from api.bench.transfer_load import load_genesis
from api.network.ports import free_ports
from edge.mesh.frames import Body, Transactions
from edge.mesh.mesh import Mesh, MeshConfig, open_mesh
from edge.node.executor import Executor
from edge.node.hearing import Hearing
from tangle.effects import PeerId
from tangle.genesis import Genesis, network_id

_BEAT_S: Final = 0.1


class _Listening:
    """The mesh, with a look at when the load began to come and what had been used by then."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh
        self.began: tuple[float, float] | None = None

    async def receive(self, until_wall_ms: int | None) -> list[tuple[PeerId, Body]]:
        """Return what the mesh heard."""
        del until_wall_ms
        said = await self._mesh.receive(time.time_ns() // 1_000_000 + 10)
        if self.began is None and any(isinstance(body, Transactions) for _, body in said):
            self.began = perf_counter(), process_time()
        return said


def mesh_figures(rounds: int, transactions: int) -> Iterator[Figure]:
    """Yield how fast a node takes in what another process sends, and this process's part of it."""
    genesis = load_genesis()
    messages = signed_messages(10_000, Random(1))
    speeds, limits = [], []
    for _ in range(rounds):
        limits.append(verify_speed(messages, processors()))
        speeds.append(asyncio.run(_round(genesis, transactions)))
        limits.append(verify_speed(messages, processors()))
    yield speed_figure("limit.all", "signatures/s", limits)
    yield speed_figure("mesh", "transactions/s", speeds, limits)


async def _round(genesis: Genesis, transactions: int) -> Speed:
    (port,) = free_ports(1, "127.0.0.1")
    config = MeshConfig(
        listen=(f"tcp/127.0.0.1:{port}",),
        connect=(),
        key=RECEIVER,
        peers={PeerId(SENDER.public): "sender"},
        network=network_id(genesis),
        epoch=1,
    )
    mesh = await open_mesh(config, lambda: time.time_ns() // 1_000_000)
    try:
        with TemporaryDirectory() as name, bench_node(Path(name), genesis, mesh) as executor:
            return await _hear(executor, mesh, port, transactions)
    finally:
        await mesh.close()


async def _hear(executor: Executor, mesh: Mesh, port: int, transactions: int) -> Speed:
    """Start the other process and take in what it sends."""
    command = [sys.executable, "-m", "api.bench.mesh_sender", str(port), str(transactions)]
    source = _Listening(mesh)
    hearing = Hearing(executor, source, StillClock())
    sender = await asyncio.create_subprocess_exec(*command)
    try:
        async with asyncio.timeout(WITHIN_S), asyncio.TaskGroup() as group:
            beating = group.create_task(_beat(executor, mesh))
            ended, used = await until_attached(executor, transactions, hearing)
            beating.cancel()
    finally:
        if sender.returncode is None:
            sender.terminate()
        await sender.wait()
    assert source.began is not None, "nothing has come"
    began, used_before = source.began
    return Speed(transactions / (ended - began), (used - used_before) / transactions * 1e6)


async def _beat(executor: Executor, mesh: Mesh) -> None:
    """Say that this node is there, until somebody sends."""
    while executor.counts["attached"] == 0:
        mesh.broadcast(executor.heartbeat("bench"))
        await asyncio.sleep(_BEAT_S)
