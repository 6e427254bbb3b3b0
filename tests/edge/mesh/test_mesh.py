"""The mesh over real links on this machine: nothing lost, nobody believed without a signature."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace

import pytest
import structlog
import zenoh

from api.network.ports import free_ports
from edge.ground.clock import system_wall_ms
from edge.mesh.frames import (
    MAX_FRAME_SIZE,
    Body,
    Heartbeat,
    Request,
    Transactions,
    sign_frame,
    split,
)
from edge.mesh.hand_over import Limit
from edge.mesh.links import Security, open_links, verify_endpoint
from edge.mesh.mesh import CONNECTED_WITHIN_MS, Mesh, MeshConfig, PeerStatus, open_mesh
from edge.mesh.wire import DEFAULT_LIMITS, Wire
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
            peers={peer: name for peer, name in NAMES.items() if peer != IDS[n]},
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


def test_a_peer_not_heard_for_a_while_counts_as_gone() -> None:
    async def scenario() -> None:
        slept_ms = 0
        first, second, _ = configs()
        async with (
            opened(first, wall_ms=lambda: system_wall_ms() + slept_ms) as (alice,),
            opened(second) as (bob,),
        ):
            await meet(alice, bob)

            slept_ms = CONNECTED_WITHIN_MS + 1

            assert not status(alice, BOB).is_connected
            assert status(alice, BOB).last_frame_wall_ms is not None

    run(scenario)


def test_a_peer_never_heard_has_nothing_to_show_but_its_name() -> None:
    async def scenario() -> None:
        async with opened(configs()[0]) as (alice,):
            alice.broadcast(HELLO)
            alice.send(CAROL, HELLO)

            assert alice.peers() == (
                PeerStatus(BOB, "bob", None, 0, 1, 0, is_connected=False),
                PeerStatus(CAROL, "carol", None, 0, 2, 0, is_connected=False),
            )

    run(scenario)


@asynccontextmanager
async def intruded(config: MeshConfig) -> AsyncIterator[tuple[Mesh, Callable[[bytes], None]]]:
    """Open Alice's node, and a way to put any bytes on her wire, in Bob's place or another's."""
    async with opened(config) as (alice,):
        session = await asyncio.to_thread(open_links, (), config.listen)
        with session:

            def put(data: bytes) -> None:
                session.put(
                    f"tw/{NETWORK.hex()}/all/*",
                    data,
                    congestion_control=zenoh.CongestionControl.BLOCK,
                )

            number = 0
            while status(alice, BOB).frames_in == 0:
                put(sign_frame(KEYS[1], NETWORK, 0, number, HELLO))
                number += 1
                await alice.receive(system_wall_ms() + POLL_MS)
            yield alice, put


GOOD = sign_frame(KEYS[1], NETWORK, 1, 10, marker("good"))
LAST = sign_frame(KEYS[1], NETWORK, 1, 20, marker("last"))
FORGED = GOOD[:-1] + bytes([GOOD[-1] ^ 1])
FOREIGN = sign_frame(KEYS[1], b"another!", 1, 10, marker("foreign"))
STRANGE = sign_frame(STRANGER, NETWORK, 1, 10, marker("strange"))
OWN = sign_frame(KEYS[0], NETWORK, 1, 10, marker("own"))


@pytest.mark.parametrize(
    ("intruding", "refused", "of_bob", "heard"),
    [
        pytest.param([GOOD], {}, 0, ["good"], id="a good frame"),
        pytest.param([GOOD, GOOD], {"ReplayedFrameError": 1}, 1, ["good"], id="replayed"),
        pytest.param([FORGED], {"ForgedFrameError": 1}, 1, [], id="forged"),
        pytest.param([FORGED, GOOD], {"ForgedFrameError": 1}, 1, ["good"], id="forged first"),
        pytest.param([FOREIGN], {"ForeignFrameError": 1}, 1, [], id="another network"),
        pytest.param([STRANGE] * 3, {"UnknownSenderError": 3}, 0, [], id="a stranger"),
        pytest.param([b"garbage"], {"MalformedBytesError": 1}, 0, [], id="garbage"),
        pytest.param([b""], {"MalformedBytesError": 1}, 0, [], id="nothing at all"),
        pytest.param([bytes(MAX_FRAME_SIZE + 1)], {"MalformedBytesError": 1}, 0, [], id="long"),
        pytest.param([bytes(10 * MIB)], {}, 0, [], id="so long that it is never read"),
        pytest.param([OWN], {}, 0, [], id="the own frame comes back"),
    ],
)
def test_what_an_intruder_sends(
    intruding: list[bytes], refused: dict[str, int], of_bob: int, heard: list[str]
) -> None:
    async def scenario() -> None:
        async with intruded(configs()[0]) as (alice, put):
            for data in (*intruding, LAST):
                put(data)

            said = await hear(alice, marker("last"))

            assert said == [(BOB, marker(name)) for name in (*heard, "last")]
            assert alice.counters().refused == refused
            assert status(alice, BOB).refused == of_bob

    run(scenario)


def test_a_banned_peer_is_not_heard_until_its_ban_ends() -> None:
    async def scenario() -> None:
        async with intruded(configs()[0]) as (alice, put):
            alice.ban(BOB, system_wall_ms() + 600_000)
            for data in (GOOD, FORGED):
                put(data)
            while sum(alice.counters().refused.values()) < 2:
                await alice.receive(system_wall_ms() + POLL_MS)
            alice.ban(BOB, 0)
            put(LAST)

            assert await hear(alice, marker("last")) == [(BOB, marker("last"))]
            assert alice.counters().refused == {"BannedSenderError": 2}

    run(scenario)


def test_each_reason_is_logged_once_for_each_peer_and_once_for_all_strangers() -> None:
    async def scenario() -> None:
        other = sign_frame(SigningKey(b"o" * 32), NETWORK, 1, 10, marker("other"))
        with structlog.testing.capture_logs() as logs:
            async with intruded(configs()[0]) as (alice, put):
                for data in (STRANGE, other, FORGED, FORGED, b"garbage", b"rubbish", LAST):
                    put(data)
                await hear(alice, marker("last"))

        assert [(line["event"], line["reason"], line["peer"]) for line in logs] == [
            ("frame_refused", "UnknownSenderError", "stranger"),
            ("frame_refused", "ForgedFrameError", "bob"),
            ("frame_refused", "MalformedBytesError", "stranger"),
        ]
        assert STRANGER.public.hex() in logs[0]["detail"]

    run(scenario)


def test_a_flood_of_refused_frames_does_not_hold_up_a_deadline() -> None:
    async def scenario() -> None:
        async with intruded(configs()[0]) as (alice, put):
            for _ in range(2_000):
                put(STRANGE)

            while alice.counters().refused.get("UnknownSenderError", 0) < 2_000:
                assert await alice.receive(system_wall_ms()) == []

    run(scenario)


def test_a_peer_that_reads_nothing_holds_up_neither_the_loop_nor_the_others() -> None:
    async def scenario() -> None:
        first, second, _ = configs()
        bodies = megabytes(24)
        async with met(first, second) as (alice, bob):
            async with deaf(first) as hears:
                while not hears():
                    alice.broadcast(HELLO)
                    await bob.receive(system_wall_ms() + POLL_MS)

                for body in bodies:
                    alice.broadcast(body)
                waiting = alice.counters().waiting_out
                alice.broadcast(marker("last"))

                assert waiting > 0
                assert [body for _, body in await hear(bob, marker("last"))] == [
                    *bodies,
                    marker("last"),
                ]
            assert alice.counters().dropped == 0

    run(scenario)


@asynccontextmanager
async def deaf(peer: MeshConfig) -> AsyncIterator[Callable[[], bool]]:
    """Link a node up that reads only when asked whether it hears."""
    session = await asyncio.to_thread(open_links, (), peer.listen)
    subscriber = session.declare_subscriber(
        f"tw/{NETWORK.hex()}/*/{CAROL.hex()}", zenoh.handlers.FifoChannel(1)
    )
    channel = subscriber.handler

    def drain() -> None:
        with suppress(zenoh.ZError):  # at the channel's end
            while True:
                channel.recv()

    try:
        yield lambda: channel.try_recv() is not None
    finally:
        draining = asyncio.create_task(asyncio.to_thread(drain))
        subscriber.undeclare()  # type: ignore[no-untyped-call]
        await draining
        await asyncio.to_thread(session.close)


def test_an_overflow_is_counted_and_logged_once() -> None:
    async def scenario() -> None:
        config, (body,) = configs()[0], megabytes(1)
        limits = replace(DEFAULT_LIMITS, outbox=Limit(frames=3, size=64 * MIB))
        wire = Wire(open_links(config.listen, ()), NETWORK, ALICE, limits)
        alice = Mesh(config, wire, system_wall_ms)
        async with deaf(config) as hears:
            while not hears():
                alice.broadcast(HELLO)
                await asyncio.sleep(0)
            before = alice.counters().dropped
            with structlog.testing.capture_logs() as logs:
                while alice.counters().dropped < before + 10:
                    alice.broadcast(body)
                await alice.close()

        assert [line["event"] for line in logs].count("outbox_full") == 1
        assert alice.counters().waiting_out == 0

    run(scenario)


def test_only_configured_peers_are_spoken_to() -> None:
    async def scenario() -> None:
        async with opened(configs()[0]) as (alice,):
            with pytest.raises(ValueError, match=STRANGER.public.hex()):
                alice.send(PeerId(STRANGER.public), HELLO)

    run(scenario)


def test_a_closed_mesh_says_so_and_may_be_closed_again() -> None:
    async def scenario() -> None:
        async with opened(configs()[0]) as (alice,):
            waiting = asyncio.create_task(alice.receive(None))
            await asyncio.sleep(0)

            await alice.close()
            await alice.close()

            with pytest.raises(MeshClosedError):
                await waiting
            with pytest.raises(MeshClosedError):
                await alice.receive(0)

    run(scenario)


def test_a_port_in_use_is_named() -> None:
    async def scenario() -> None:
        first, second, _ = configs()
        async with opened(first):
            clashing = replace(second, listen=(*second.listen, *first.listen))

            with pytest.raises(ListenError, match="Address already in use") as refused:
                await open_mesh(clashing, system_wall_ms)

            assert first.listen[0] in str(refused.value)
            assert second.listen[0] not in str(refused.value)

    run(scenario)


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "127.0.0.1:7447",
        "tcp/127.0.0.1",
        "tcp/127.0.0.1:0",
        "tcp/h:65536",
        "udp/h:1",
        "tcp/h:1 ",
    ],
)
def test_an_endpoint_that_names_no_place_is_refused(endpoint: str) -> None:
    async def scenario() -> None:
        broken = replace(configs()[0], connect=(endpoint,))

        with pytest.raises(InvalidEndpointError, match="tcp/HOST:PORT"):
            await open_mesh(broken, system_wall_ms)

    run(scenario)


@pytest.mark.parametrize(
    "endpoint", ["tcp/[::1]:7447", "tcp/node-1.example:65535", "tcp/10.0.0.1:1"]
)
def test_an_endpoint_may_be_a_name_or_an_address(endpoint: str) -> None:
    verify_endpoint(endpoint, Security(allows_plain=True))
