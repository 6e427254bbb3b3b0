"""The mesh over real links on this machine: nothing lost, nobody believed without a signature."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, replace

import pytest
import structlog
import zenoh

from api.ports import free_ports
from edge.clock import system_wall_ms
from edge.frames import Body, Heartbeat, Request, Transactions, sign_frame, split
from edge.links import open_links
from edge.mesh import CONNECTED_WITHIN_MS, Mesh, MeshConfig, PeerStatus, open_mesh
from edge.wire import OUTBOX_LIMIT
from tangle.effects import PeerId
from tangle.errors import InvalidEndpointError, ListenError, MeshClosedError
from tangle.keys import SigningKey

NETWORK = b"mesh-net"
KEYS = [SigningKey(bytes([n]) * 32) for n in range(1, 4)]
IDS = [PeerId(key.public) for key in KEYS]
STRANGER = SigningKey(b"s" * 32)
ALICE, BOB, CAROL = IDS
NAMES = dict(zip(IDS, ("alice", "bob", "carol"), strict=True))
HELLO = Heartbeat(0, bytes(32), (), "hello")
"""Said until everybody is heard, and then ignored."""

DEADLINE_S = 120
POLL_MS = 20
MIB = 2**20


def marker(name: str) -> Heartbeat:
    return Heartbeat(1, bytes(32), (), name)


def megabytes(count: int) -> list[Transactions]:
    return [Transactions((bytes([n]) * (MIB // 32),) * 32) for n in range(count)]


def run(scenario: Callable[[], Coroutine[object, object, None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(DEADLINE_S):
            await scenario()

    asyncio.run(bounded())


def configs() -> list[MeshConfig]:
    """Three nodes, each of which connects to those before it: a full mesh."""
    endpoints = [f"tcp/127.0.0.1:{port}" for port in free_ports(len(KEYS), "127.0.0.1")]
    return [
        MeshConfig(
            listen=(endpoints[n],),
            connect=tuple(endpoints[:n]),
            key=key,
            peers={peer: name for peer, name in NAMES.items() if peer != key.public},
            network=NETWORK,
            epoch=1,
        )
        for n, key in enumerate(KEYS)
    ]


@asynccontextmanager
async def opened(
    *configured: MeshConfig, wall_ms: Callable[[], int] = system_wall_ms
) -> AsyncIterator[list[Mesh]]:
    async with AsyncExitStack() as stack:
        meshes = []
        for config in configured:
            mesh = await open_mesh(config, wall_ms)
            stack.push_async_callback(mesh.close)
            meshes.append(mesh)
        yield meshes


@asynccontextmanager
async def met(*configured: MeshConfig) -> AsyncIterator[list[Mesh]]:
    """Open nodes that have all heard each other."""
    async with opened(*configured) as meshes:
        await meet(*meshes)
        yield meshes


async def meet(*meshes: Mesh) -> None:
    keys = {mesh._own_id for mesh in meshes}
    while not all(peer.is_connected for mesh in meshes for peer in known(mesh, keys)):
        for mesh in meshes:
            mesh.broadcast(HELLO)
            await mesh.receive(system_wall_ms() + POLL_MS)


def known(mesh: Mesh, keys: set[PeerId]) -> list[PeerStatus]:
    return [status for status in mesh.peers() if status.peer in keys]


def status(mesh: Mesh, peer: PeerId) -> PeerStatus:
    (found,) = known(mesh, {peer})
    return found


async def hear(mesh: Mesh, last: Body) -> list[tuple[PeerId, Body]]:
    """Receive up to `last`; hellos are left out."""
    heard: list[tuple[PeerId, Body]] = []
    while not heard or heard[-1][1] != last:
        heard.extend(pair for pair in await mesh.receive(None) if pair[1] != HELLO)
    return heard


def test_a_broadcast_reaches_all_and_a_directed_frame_one_in_the_order_they_were_said() -> None:
    async def scenario() -> None:
        async with met(*configs()) as (alice, bob, carol):
            alice.broadcast(marker("first"))
            alice.send(BOB, Request((b"i" * 32,)))
            alice.broadcast(marker("last"))

            assert await hear(bob, marker("last")) == [
                (ALICE, marker("first")),
                (ALICE, Request((b"i" * 32,))),
                (ALICE, marker("last")),
            ]
            assert await hear(carol, marker("last")) == [
                (ALICE, marker("first")),
                (ALICE, marker("last")),
            ]

    run(scenario)


def test_a_burst_of_twenty_thousand_transactions_arrives_whole_and_in_order() -> None:
    async def scenario() -> None:
        items = [n.to_bytes(4, "big") * 75 for n in range(20_000)]
        async with met(*configs()) as (alice, bob, carol):
            for body in split(items):
                alice.broadcast(body)
            alice.broadcast(marker("last"))

            for mesh in (bob, carol):
                *heard, _ = await hear(mesh, marker("last"))
                bodies = [body for _, body in heard if isinstance(body, Transactions)]
                assert [item for body in bodies for item in body.items] == items
            assert alice.counters().dropped == 0

    run(scenario)


def test_a_restarted_peer_is_heard_again_and_hears() -> None:
    async def scenario() -> None:
        first, second, third = configs()
        async with opened(first, third) as (alice, carol):
            async with opened(second) as (bob,):
                await meet(alice, bob, carol)
            heard_before = status(alice, BOB).frames_in
            async with opened(replace(second, epoch=2)) as (bob,):
                while status(alice, BOB).frames_in == heard_before:
                    bob.broadcast(HELLO)
                    await alice.receive(system_wall_ms() + POLL_MS)
                await meet(alice, bob)
                bob.broadcast(marker("back"))
                await hear(alice, marker("back"))
                alice.send(BOB, marker("welcome"))
                await hear(bob, marker("welcome"))

    run(scenario)


def test_a_peer_that_forgot_to_raise_its_epoch_is_refused() -> None:
    async def scenario() -> None:
        first, second, _ = configs()
        async with opened(first) as (alice,):
            async with opened(replace(second, epoch=5)) as (bob,):
                await meet(alice, bob)
            async with opened(replace(second, epoch=4)) as (bob,):
                while alice.counters().refused.get("ReplayedFrameError", 0) == 0:
                    bob.broadcast(HELLO)
                    await alice.receive(system_wall_ms() + POLL_MS)

                assert status(alice, BOB).refused > 0

    run(scenario)


def test_a_stranger_is_refused_counted_and_logged_once() -> None:
    async def scenario() -> None:
        first, second, _ = configs()
        stranger_config = replace(second, key=STRANGER)
        async with met(first, second) as (alice, bob), opened(stranger_config_on(second)) as (_,):
            del bob, stranger_config
            del alice

    run(scenario)


@dataclass(frozen=True)
class Injected:
    """Bytes that somebody on the network puts on Alice's wire."""

    data: bytes
    refused: dict[str, int]
    blamed_on_bob: int
    heard: int = 0


GOOD = sign_frame(KEYS[1], NETWORK, 1, 10, marker("injected"))
FORGED = GOOD[:-1] + bytes([GOOD[-1] ^ 1])
