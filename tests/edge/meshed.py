"""Whole nodes on a real mesh: links, journal and loop as in a process of their own."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Final

from edge.ground.clock import Clock
from edge.journal.journal import Journal
from edge.mesh.mesh import MeshConfig, open_mesh
from edge.runtime import EdgeNode, NodeSettings, Surroundings
from tangle.effects import PeerId
from tangle.genesis import network_id
from tangle.keys import SigningKey
from tests.community import CONTRACTS, edge_key
from tests.edge.certifying import credentials_of
from tests.tangle.cores import GENESIS

OLD_KEY: Final = edge_key(0)
"""Of who listens."""

NEW_KEY: Final = edge_key(1)
"""Of who connects."""

POLL_S: Final = 0.02


@asynccontextmanager
async def running(
    folder: Path, key: SigningKey, port: int, *, is_secure: bool = True, clock: Clock | None = None
) -> AsyncIterator[EdgeNode]:
    """Run one of two nodes from its journal; `OLD_KEY` listens on `port`, the other connects."""
    clock, network = clock or Clock(GENESIS), network_id(GENESIS)
    other = PeerId((NEW_KEY if key is OLD_KEY else OLD_KEY).public)
    endpoint = f"{'tls' if is_secure else 'tcp'}/127.0.0.1:{port}"
    with Journal(folder, network) as journal:
        config = MeshConfig(
            listen=(endpoint,) if key is OLD_KEY else (),
            connect=() if key is OLD_KEY else (endpoint,),
            key=key,
            peers={other: "other"},
            network=network,
            epoch=journal.next_epoch(clock.wall_ms()),
            credentials=credentials_of(key) if is_secure else None,
        )
        mesh = await open_mesh(config, clock.wall_ms)
        around = Surroundings(journal, mesh, clock, None, Random(1))
        node = EdgeNode(GENESIS, CONTRACTS, key, around, NodeSettings("n", "edge", "1", 1_000))
        task = asyncio.create_task(node.run())
        try:
            yield node
        finally:
            task.cancel()
            await asyncio.wait([task])
            await mesh.close()
        if not task.cancelled():
            task.result()


async def wait_until(condition: Callable[[], bool], what: str, within_s: float) -> None:
    """Return once something is so. Raises `AssertionError` that says what was waited for."""
    for _ in range(int(within_s / POLL_S)):
        if condition():
            return
        await asyncio.sleep(POLL_S)
    raise AssertionError(f"after {within_s} s: {what}")
