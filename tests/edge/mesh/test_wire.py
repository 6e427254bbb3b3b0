"""The wire: what happens when one side is slower than the other, or fails."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

import pytest
import structlog
import zenoh

from api.network.ports import free_ports
from edge.mesh.hand_over import Limit, Parcel
from edge.mesh.links import open_links
from edge.mesh.wire import DEFAULT_LIMITS, Wire, WireLimits
from tangle.effects import PeerId

NETWORK = b"wire-net"
ALICE, BOB = PeerId(b"a" * 32), PeerId(b"b" * 32)
DEADLINE_S = 120
MIB = 2**20
BATCH = Limit(frames=10, size=MIB)
NARROW = WireLimits(
    channel_frames=2, inbox=Limit(frames=2, size=MIB), outbox=Limit(frames=10_000, size=256 * MIB)
)
HELLO = b"hello"


def run(scenario: Callable[[], Coroutine[object, object, None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(DEADLINE_S):
            await scenario()

    asyncio.run(bounded())


@asynccontextmanager
async def linked(of_bob: WireLimits) -> AsyncIterator[tuple[Wire, Wire]]:
    """Link Alice, with room for everything, to Bob, who has heard her and took all she said."""
    (port,) = free_ports(1, "127.0.0.1")
    endpoint = f"tcp/127.0.0.1:{port}"
    alice = Wire(open_links((endpoint,), ()), NETWORK, ALICE, NARROW)
    bob = Wire(open_links((), (endpoint,)), NETWORK, BOB, of_bob)
    try:
        heard: list[bytes] = []
        while HELLO not in heard:
            alice.post(Parcel(None, HELLO))
            await asyncio.sleep(0)
            heard += bob.take(BATCH)
        yield alice, bob
    finally:
        await alice.close()
        await bob.close()


async def take_up_to(wire: Wire, last: bytes) -> list[bytes]:
    taken: list[bytes] = []
    while last not in taken:
        await wire.wait_ready()
        taken += [frame for frame in wire.take(BATCH) if frame != HELLO]
    return taken


@pytest.mark.parametrize("limits", [DEFAULT_LIMITS, NARROW], ids=["roomy", "narrow"])
@pytest.mark.parametrize("to", [None, BOB], ids=["broadcast", "directed"])
def test_a_slow_reader_slows_the_sender_down_and_nothing_is_lost(
    limits: WireLimits, to: PeerId | None
) -> None:
    async def scenario() -> None:
        frames = [n.to_bytes(2, "big") * 10_000 for n in range(1_000)]
        async with linked(limits) as (alice, bob):
            for frame in frames:
                assert alice.post(Parcel(to, frame)) == 0

            assert await take_up_to(bob, frames[-1]) == frames
            assert alice.waiting_out == 0

    run(scenario)


def test_a_wire_that_nobody_reads_can_still_be_closed() -> None:
    async def scenario() -> None:
        async with linked(NARROW) as (alice, bob):
            for _ in range(32):
                alice.post(Parcel(None, bytes(MIB)))
            await bob.wait_ready()

            await bob.close()
            await alice.close()

            assert alice.waiting_out == 0

    run(scenario)


def test_a_wire_whose_peer_reads_nothing_can_still_be_closed() -> None:
    async def scenario() -> None:
        async with linked(NARROW) as (alice, bob):
            for _ in range(128):
                alice.post(Parcel(BOB, bytes(MIB)))
            await bob.wait_ready()

            with structlog.testing.capture_logs() as logs:
                await alice.close()

            assert {line["event"] for line in logs} <= {"frames_unsent"}
            assert alice.waiting_out == 0

    run(scenario)


def test_what_was_posted_before_closing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.mesh.wire.FLUSH_MS", 30_000)  # this is not about how long it may take

    async def scenario() -> None:
        frames = [n.to_bytes(2, "big") * 1_000 for n in range(300)]
        async with linked(DEFAULT_LIMITS) as (alice, bob):
            for frame in frames:
                alice.post(Parcel(BOB, frame))

            await alice.close()

            assert await take_up_to(bob, frames[-1]) == frames

    run(scenario)


def test_a_failure_in_a_thread_is_raised_where_frames_are_taken() -> None:
    async def scenario() -> None:
        async with linked(DEFAULT_LIMITS) as (alice, bob):
            with structlog.testing.capture_logs() as logs:
                bob._session.close()  # type: ignore[no-untyped-call]
                with pytest.raises(zenoh.ZError):
                    await take_up_to(bob, b"never said")

            assert [line["event"] for line in logs] == ["mesh_thread_failed"]
            del alice

    run(scenario)
