"""The other end of `bench mesh`: a process that has a signed load ready and sends it.

    python -m api.bench.mesh_sender PORT TRANSACTIONS

It keeps no more on its way than a node's queues hold: what the receiver has attached it passes on
to its peers, and so back to here.
"""

import asyncio
import sys
import time
from random import Random
from typing import Final

from api.bench.transfer_load import LoadMaker, load_genesis
from edge.mesh.frames import Transactions, split
from edge.mesh.mesh import MeshConfig, open_mesh
from tangle.effects import PeerId
from tangle.genesis import network_id
from tangle.keys import KEY_SIZE, SigningKey

RECEIVER: Final = SigningKey((2).to_bytes(KEY_SIZE, "big"))
SENDER: Final = SigningKey((3).to_bytes(KEY_SIZE, "big"))

MOST_UNDER_WAY: Final = 4_096
"""Transactions sent and not come back: a quarter of what a node's fair queue holds."""

WITHIN_S: Final = 120
"""After which the receiver has gone."""


async def send(port: int, count: int) -> None:
    """Send so many transactions to the receiver on `port`, once it is there."""
    genesis = load_genesis()
    bodies = split(LoadMaker(genesis, Random(1)).transfers(count))
    config = MeshConfig(
        listen=(),
        connect=(f"tcp/127.0.0.1:{port}",),
        key=SENDER,
        peers={PeerId(RECEIVER.public): "receiver"},
        network=network_id(genesis),
        epoch=1,
    )
    mesh = await open_mesh(config, lambda: time.time_ns() // 1_000_000)
    try:
        await mesh.receive(None)  # the receiver says something: it hears us
        under_way = 0
        for body in bodies:
            mesh.broadcast(body)
            under_way += len(body.items)
            while under_way > MOST_UNDER_WAY:
                under_way -= sum(
                    len(said.items)
                    for _, said in await mesh.receive(None)
                    if isinstance(said, Transactions)
                )
        while under_way > 0:
            under_way -= sum(
                len(said.items)
                for _, said in await mesh.receive(None)
                if isinstance(said, Transactions)
            )
    finally:
        await mesh.close()


async def _within(port: int, count: int) -> None:
    async with asyncio.timeout(WITHIN_S):
        await send(port, count)


if __name__ == "__main__":
    asyncio.run(_within(int(sys.argv[1]), int(sys.argv[2])))
