"""Mutual TLS over real links: who has no certificate of the community's authority hears nothing."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import zenoh

from api.network.ports import free_ports
from edge.ground.clock import system_wall_ms
from edge.mesh.certificates import Credentials, issue_authority, issue_certificate
from edge.mesh.frames import Heartbeat, Transactions, sign_frame, split
from edge.mesh.links import PLAIN, Security, open_links, verify_endpoint
from edge.mesh.mesh import Mesh, MeshConfig, open_mesh
from tangle.effects import PeerId
from tangle.errors import InvalidEndpointError
from tangle.keys import SigningKey
from tests.edge.certifying import (
    FOREIGN_AUTHORITY,
    NETWORK,
    NOW_MS,
    YEAR_MS,
    authority_of,
    credentials_of,
    serial,
)

KEYS = [SigningKey(bytes([n]) * 32) for n in range(1, 4)]
ALICE, BOB, CAROL = [PeerId(key.public) for key in KEYS]
NAMES = {ALICE: "alice", BOB: "bob", CAROL: "carol"}
STRANGER = SigningKey(b"s" * 32)
HELLO = Heartbeat(0, bytes(32), (), "hello")

DEADLINE_S = 120
POLL_MS = 20
LISTENED_MS = 700
"""Wall time in which an intruder hears nothing: a good pair on one machine needs some 20 ms."""


def run(scenario: Callable[[], Coroutine[object, object, None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(DEADLINE_S):
            await scenario()

    asyncio.run(bounded())


def endpoint() -> str:
    (port,) = free_ports(1, "127.0.0.1")
    return f"tls/127.0.0.1:{port}"


def config_of(n: int, listen: str | None, *connect: str) -> MeshConfig:
    return MeshConfig(
        listen=() if listen is None else (listen,),
        connect=connect,
        key=KEYS[n],
        peers={peer: name for peer, name in NAMES.items() if peer != PeerId(KEYS[n].public)},
        network=NETWORK,
        epoch=1,
        credentials=credentials_of(KEYS[n]),
    )


@asynccontextmanager
async def opened(config: MeshConfig) -> AsyncIterator[Mesh]:
    mesh = await open_mesh(config, system_wall_ms)
    try:
        yield mesh
    finally:
        await mesh.close()


def frames_of(mesh: Mesh, peer: PeerId) -> int:
    return next(one.frames_in for one in mesh.peers() if one.peer == peer)


async def talk(one: Mesh, other: Mesh) -> None:
    """Return once each has heard the other anew."""
    ends = [(one, PeerId(other._own_id)), (other, PeerId(one._own_id))]
    before = [frames_of(mesh, peer) for mesh, peer in ends]
    while any(frames_of(mesh, peer) == was for (mesh, peer), was in zip(ends, before, strict=True)):
        for mesh, _ in ends:
            mesh.broadcast(HELLO)
            await mesh.receive(system_wall_ms() + POLL_MS)


def test_good_pairs_hear_each_other_and_a_burst_arrives_whole() -> None:
    async def scenario() -> None:
        place = endpoint()
        async with opened(config_of(0, place)) as alice, opened(config_of(1, None, place)) as bob:
            await talk(alice, bob)
            items = [n.to_bytes(4, "big") * 75 for n in range(5_000)]
            for body in split(items):
                alice.broadcast(body)

            heard: list[bytes] = []
            while len(heard) < len(items):
                bodies = [body for _, body in await bob.receive(None)]
                heard += [i for one in bodies if isinstance(one, Transactions) for i in one.items]

            assert heard == items

    run(scenario)


def self_signed(key: SigningKey) -> Credentials:
    """Certify oneself, and trust the community's authority, as an intruder would."""
    own = issue_authority(key, NETWORK, NOW_MS, serial())
    made = issue_certificate(key, own, key.public, NOW_MS, serial())
    return Credentials(key, made, authority_of(), NOW_MS + YEAR_MS)


def foreign(key: SigningKey) -> Credentials:
    """Have a certificate of another authority, which has the name of ours."""
    made = credentials_of(key, authority=FOREIGN_AUTHORITY)
    return replace(made, authority=authority_of() + made.authority)


def renamed(key: SigningKey) -> Credentials:
    """Have a certificate of the authority for a key that nobody configured."""
    return credentials_of(STRANGER if key != STRANGER else key)


INTRUDERS = [
    pytest.param(foreign, id="another authority of the same name"),
    pytest.param(self_signed, id="signed by itself"),
    pytest.param(lambda key: credentials_of(key, NOW_MS - 2 * YEAR_MS), id="expired"),
    pytest.param(lambda key: credentials_of(key, NOW_MS + YEAR_MS), id="not valid yet"),
    pytest.param(renamed, id="a good certificate of a node that is not configured"),
    pytest.param(None, id="none"),
]


@asynccontextmanager
async def intruder(
    listen: tuple[str, ...], connect: tuple[str, ...], made: Callable[[SigningKey], Credentials]
) -> AsyncIterator[tuple[Callable[[bytes], None], Callable[[], bool]]]:
    """Link up with what `made` makes for Carol's key; ways to send a frame, and to see one."""
    security = Security(made(KEYS[2]), frozenset((ALICE, BOB, CAROL)))
    session = await asyncio.to_thread(open_links, listen, connect, security)
    with session:
        subscriber = session.declare_subscriber("tw/**", zenoh.handlers.RingChannel(8))

        yield (
            lambda data: put_remote(session, data),
            lambda: subscriber.handler.try_recv() is not None,
        )


def put_remote(session: zenoh.Session, data: bytes) -> None:
    """Send to others only: an intruder that hears itself has heard nothing."""
    remote = zenoh.Locality.REMOTE
    session.put(f"tw/{NETWORK.hex()}/all/*", data, allowed_destination=remote)


async def overheard(
    alice: Mesh, bob: Mesh, put: Callable[[bytes], None], has_heard: Callable[[], bool]
) -> tuple[bool, bool]:
    """Return whether the intruder was heard, with well-signed frames, and whether it heard."""
    until_ms, number, hears = system_wall_ms() + LISTENED_MS, 0, False
    while system_wall_ms() < until_ms:
        put(sign_frame(KEYS[2], NETWORK, 1, number, HELLO))
        number += 1
        await talk(alice, bob)
        hears = hears or has_heard()
    return frames_of(alice, CAROL) > 0, hears


@pytest.mark.parametrize("made", INTRUDERS)
def test_who_calls_without_a_good_certificate_hears_nothing_and_the_others_go_on(
    made: Callable[[SigningKey], Credentials] | None,
) -> None:
    async def scenario() -> None:
        place = endpoint()
        async with opened(config_of(0, place)) as alice, opened(config_of(1, None, place)) as bob:
            if made is None:
                session = await asyncio.to_thread(open_plain, place)
                with session:
                    subscriber = session.declare_subscriber("**", zenoh.handlers.RingChannel(8))
                    said = await overheard(
                        alice,
                        bob,
                        lambda data: put_remote(session, data),
                        lambda: subscriber.handler.try_recv() is not None,
                    )
            else:
                async with intruder((), (place,), made) as (put, has_heard):
                    said = await overheard(alice, bob, put, has_heard)

            assert said == (False, False)
            assert alice.counters().refused == {}

    run(scenario)


def open_plain(place: str) -> zenoh.Session:
    """Call a node without a certificate: over TLS that trusts its authority, and over TCP."""
    authority = json.dumps(b64encode(authority_of()).decode("ascii"))
    config = zenoh.Config()
    config.insert_json5("mode", '"peer"')
    config.insert_json5("connect/endpoints", f'["{place}", "{place.replace("tls", "tcp")}"]')
    config.insert_json5("scouting/multicast/enabled", "false")
    config.insert_json5("transport/link/tls/verify_name_on_connect", "false")
    config.insert_json5("transport/link/tls/root_ca_certificate_base64", authority)
    return zenoh.open(config)


@pytest.mark.parametrize("made", [one for one in INTRUDERS if one.values[0] is not None])
def test_who_is_called_in_the_place_of_a_peer_hears_nothing_either(
    made: Callable[[SigningKey], Credentials],
) -> None:
    async def scenario() -> None:
        place, false = endpoint(), endpoint()
        async with intruder((false,), (), made) as (put, has_heard):
            calling = config_of(0, place, false)
            async with opened(calling) as alice, opened(config_of(1, None, place)) as bob:
                assert await overheard(alice, bob, put, has_heard) == (False, False)

    run(scenario)


@pytest.mark.parametrize("is_called", [False, True])
def test_the_same_with_a_good_certificate_is_heard_and_hears(is_called: bool) -> None:
    async def scenario() -> None:
        place, other = endpoint(), endpoint()
        listen, connect = ((other,), ()) if is_called else ((), (place,))
        async with intruder(listen, connect, credentials_of) as (put, has_heard):
            calling = config_of(0, place, *([other] if is_called else []))
            async with opened(calling) as alice, opened(config_of(1, None, place)) as bob:
                heard, hears, number = False, False, 0
                while not (heard and hears):
                    put(sign_frame(KEYS[2], NETWORK, 1, number, HELLO))
                    number += 1
                    await talk(alice, bob)
                    heard, hears = frames_of(alice, CAROL) > 0, hears or has_heard()

    run(scenario)


def test_a_certificate_that_runs_out_cuts_the_link_and_a_renewed_one_joins_it_again() -> None:
    async def scenario() -> None:
        place, soon_ms = endpoint(), system_wall_ms() // 1_000 * 1_000 + 3_000
        ending = replace(
            config_of(1, None, place), credentials=credentials_of(KEYS[1], soon_ms - YEAR_MS)
        )
        async with opened(config_of(0, place)) as alice:
            async with opened(ending) as bob:
                await talk(alice, bob)
                while system_wall_ms() < soon_ms + 1_000:
                    await alice.receive(system_wall_ms() + POLL_MS)
                before = frames_of(alice, BOB)
                for _ in range(10):
                    bob.broadcast(HELLO)
                    await alice.receive(system_wall_ms() + POLL_MS)
                assert frames_of(alice, BOB) == before
            renewed = replace(ending, epoch=2, credentials=credentials_of(KEYS[1]))
            async with opened(renewed) as bob:
                await talk(alice, bob)

    run(scenario)


def test_a_node_that_knows_nobody_lets_nobody_in() -> None:
    async def scenario() -> None:
        place = endpoint()
        alone = replace(config_of(0, place), peers={})
        async with opened(alone) as alice, opened(config_of(1, None, place)) as bob:
            until_ms = system_wall_ms() + LISTENED_MS
            while system_wall_ms() < until_ms:
                bob.broadcast(HELLO)
                alice.broadcast(HELLO)
                await alice.receive(system_wall_ms() + POLL_MS)

            assert alice.counters().refused == {}
            assert frames_of(bob, ALICE) == 0

    run(scenario)


CERTIFIED = Security(credentials_of(KEYS[0]))


@pytest.mark.parametrize(
    ("place", "security", "rule"),
    [
        pytest.param("tls/h:1", PLAIN, "set mesh.tls", id="no certificate"),
        pytest.param("tcp/127.0.0.1:1", CERTIFIED, "tls/HOST:PORT only", id="plain beside tls"),
        pytest.param("tcp/10.0.0.1:1", PLAIN, "mesh.allow_plain", id="plain leaves by address"),
        pytest.param("tcp/node-1:1", PLAIN, "mesh.allow_plain", id="plain leaves by name"),
        pytest.param("tcp/0.0.0.0:1", PLAIN, "mesh.allow_plain", id="plain listens on all"),
        pytest.param("tcp/[::]:1", PLAIN, "mesh.allow_plain", id="plain listens on all of IPv6"),
    ],
)
def test_an_endpoint_that_does_not_fit_the_security_is_refused(
    place: str, security: Security, rule: str
) -> None:
    with pytest.raises(InvalidEndpointError, match=rule):
        verify_endpoint(place, security)


@pytest.mark.parametrize(
    ("place", "security"),
    [
        ("tcp/127.0.0.1:1", PLAIN),
        ("tcp/127.3.2.1:1", PLAIN),
        ("tcp/localhost:1", PLAIN),
        ("tcp/[::1]:1", PLAIN),
        ("tcp/10.0.0.1:1", Security(allows_plain=True)),
        ("tls/10.0.0.1:1", CERTIFIED),
        ("tls/node-1.example:1", CERTIFIED),
    ],
)
def test_an_endpoint_that_fits_the_security_is_taken(place: str, security: Security) -> None:
    verify_endpoint(place, security)
