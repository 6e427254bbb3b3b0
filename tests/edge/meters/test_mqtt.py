import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiomqtt import Client, Message, MqttError
from amqtt.broker import Broker
from amqtt.contexts import BrokerConfig, ListenerConfig
from typing_extensions import override

from devices.topics import readings_topic, receipt_topic
from edge.meters.mqtt import MAX_QUEUED, MAX_RECEIVED, BrokerAddress, MeterLink
from tangle.address import Address
from tests.edge.making import DEVICE, NETWORK, OTHER_DEVICE, posted

LIMIT_S = 30.0
"""Far beyond what any of these takes: a hang fails, a slow machine does not."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def broker_at(port: int) -> AsyncIterator[None]:
    logging.getLogger("amqtt").setLevel(logging.CRITICAL)
    broker = Broker(
        BrokerConfig(
            listeners={"default": ListenerConfig(bind=f"127.0.0.1:{port}")},
            plugins={"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        )
    )
    await broker.start()
    try:
        yield
    finally:
        await broker.shutdown()


@asynccontextmanager
async def linked(link: MeterLink) -> AsyncIterator[MeterLink]:
    async with asyncio.TaskGroup() as group:
        running = group.create_task(link.run())
        yield link
        running.cancel()


def message_of(payload: bytes) -> Message:
    topic = readings_topic(NETWORK, DEVICE)
    return Message(topic, payload, qos=1, retain=False, mid=1, properties=None)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not condition():  # noqa: ASYNC110 — what is waited for is another process's doing
            await asyncio.sleep(0.01)


async def receipt_at(port: int, device: Address = DEVICE) -> Message:
    topic = receipt_topic(NETWORK, device)
    async with asyncio.timeout(LIMIT_S), Client("127.0.0.1", port) as client:
        await client.subscribe(topic, qos=1)
        async for message in client.messages:
            # amqtt hands a new client what other clients have subscribed to as well
            if message.topic.value == topic:
                return message
    raise AssertionError("the broker ended the connection")


def link_to(port: int, *devices: Address) -> MeterLink:
    return MeterLink(BrokerAddress("127.0.0.1", port), NETWORK, devices, "edge-1")


async def gathered(link: MeterLink, count: int) -> list[tuple[Address, bytes]]:
    arrivals: list[tuple[Address, bytes]] = []
    async with asyncio.timeout(LIMIT_S):
        while len(arrivals) < count:
            arrivals += await link.receive()
    return arrivals


def with_broker(act: Callable[[int], Awaitable[None]]) -> None:
    async def run() -> None:
        port = free_port()
        async with broker_at(port):
            await act(port)

    asyncio.run(run())


def test_readings_come_in_with_the_device_that_the_topic_names() -> None:
    async def act(port: int) -> None:
        async with linked(link_to(port, DEVICE)) as link, Client("127.0.0.1", port) as meter:
            await until(lambda: link.is_connected)
            for sequence in range(20):
                await meter.publish(readings_topic(NETWORK, DEVICE), posted(sequence), qos=1)

            arrivals = await gathered(link, 20)

            assert arrivals == [(DEVICE, posted(sequence)) for sequence in range(20)]
            assert link.counts == {"connected": 1, "received": 20}

    with_broker(act)


def test_what_is_not_for_this_node_or_far_too_long_is_dropped() -> None:
    async def act(port: int) -> None:
        async with linked(link_to(port, DEVICE)) as link, Client("127.0.0.1", port) as meter:
            await until(lambda: link.is_connected)
            await meter.publish(readings_topic(NETWORK, OTHER_DEVICE), posted(0), qos=1)
            await meter.publish(readings_topic(NETWORK, DEVICE), bytes(10_000_000), qos=1)
            await meter.publish(readings_topic(NETWORK, DEVICE), posted(1), qos=1)

            assert await gathered(link, 1) == [(DEVICE, posted(1))]
            assert link.counts["oversized"] == 1

    with_broker(act)


def test_a_receipt_is_retained_and_the_newest_replaces_the_older() -> None:
    async def act(port: int) -> None:
        async with linked(link_to(port, DEVICE)) as link:
            for number in range(100):
                link.publish_receipt(DEVICE, b"receipt %d" % number)
            link.publish_receipt(OTHER_DEVICE, b"other")
            await until(lambda: link.counts["published"] == 2)

            message = await receipt_at(port)
            assert (message.payload, message.retain) == (b"receipt 99", True)
            assert (await receipt_at(port, OTHER_DEVICE)).payload == b"other"

    with_broker(act)


def test_a_meter_that_comes_home_later_is_heard() -> None:
    async def act(port: int) -> None:
        async with linked(link_to(port)) as link, Client("127.0.0.1", port) as meter:
            await until(lambda: link.is_connected)
            link.home(DEVICE)
            link.home(DEVICE)
            link.publish_receipt(DEVICE, b"receipt")
            # the link does one thing at a time: what is published was subscribed to before
            await until(lambda: link.counts["published"] == 1)

            await meter.publish(readings_topic(NETWORK, DEVICE), posted(0), qos=1)

            assert await gathered(link, 1) == [(DEVICE, posted(0))]

    with_broker(act)


def test_after_a_restart_of_the_broker_readings_and_receipts_are_back() -> None:
    async def act() -> None:
        port = free_port()
        async with linked(link_to(port, DEVICE)) as link:
            await until(lambda: link.counts["lost"] > 0)
            assert not link.is_connected
            async with broker_at(port):
                link.publish_receipt(DEVICE, b"receipt")
                await until(lambda: link.counts["published"] == 1)
            await until(lambda: not link.is_connected)

            async with broker_at(port), Client("127.0.0.1", port) as meter:
                await until(lambda: link.is_connected)
                assert (await receipt_at(port)).payload == b"receipt"
                await meter.publish(readings_topic(NETWORK, DEVICE), posted(0), qos=1)
                assert await gathered(link, 1) == [(DEVICE, posted(0))]
            assert link.counts["connected"] == 2

    asyncio.run(act())


def test_a_broker_that_goes_down_together_with_the_node_does_not_keep_it_running() -> None:
    class Falling(MeterLink):
        @override
        async def _serve(self) -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise MqttError("the broker ended the connection") from None

    async def act() -> None:
        async with asyncio.timeout(LIMIT_S):
            running = asyncio.ensure_future(
                Falling(BrokerAddress("127.0.0.1", 1), NETWORK, [DEVICE], "edge-1").run()
            )
            await asyncio.sleep(0)
            running.cancel()
            await asyncio.wait([running])

        assert running.cancelled()

    asyncio.run(act())


async def refuse_subscriptions(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer as a broker does that lets a client in and grants it nothing."""
    for answer in (lambda _body: b"\x20\x02\0\0", lambda body: b"\x90\x03" + body[:2] + b"\x80"):
        _, size = await reader.readexactly(2)
        if size & 0x80:
            size = (size & 0x7F) + 128 * (await reader.readexactly(1))[0]
        writer.write(answer(await reader.readexactly(size)))
    await reader.read()
    writer.close()


def test_a_refused_subscription_is_no_connection(caplog: pytest.LogCaptureFixture) -> None:
    async def act() -> None:
        server = await asyncio.start_server(refuse_subscriptions, "127.0.0.1", 0)
        async with server, linked(link_to(server.sockets[0].getsockname()[1], DEVICE)) as link:
            await until(lambda: link.counts["lost"] > 0)
            assert link.counts["connected"] == 0

    asyncio.run(act())

    assert f"refuses a subscription to {readings_topic(NETWORK, DEVICE)}" in caplog.text


def test_another_device_s_readings_are_passed_over() -> None:
    link = link_to(1, OTHER_DEVICE)

    link._take(message_of(b"x"))

    assert link.counts == {"foreign": 1}


def test_a_full_queue_drops_the_newest_and_counts_them() -> None:
    async def act() -> None:
        link = link_to(1, DEVICE)
        for sequence in range(MAX_QUEUED + 3):
            link._take(message_of(b"%d" % sequence))

        arrivals = await gathered(link, MAX_QUEUED)

        assert arrivals == [(DEVICE, b"%d" % sequence) for sequence in range(MAX_QUEUED)]
        assert link.counts == {"received": MAX_QUEUED + 3, "overflowed": 3}

    asyncio.run(act())


def test_readings_are_handed_over_in_bounded_portions() -> None:
    async def act() -> None:
        link = link_to(1, DEVICE)
        for _ in range(MAX_RECEIVED + 1):
            link._take(message_of(b"x"))

        assert [len(await link.receive()) for _ in range(2)] == [MAX_RECEIVED, 1]

    asyncio.run(act())


def test_a_flood_of_dropped_readings_fills_no_log(caplog: pytest.LogCaptureFixture) -> None:
    link = link_to(1, DEVICE)

    for _ in range(1_000):
        link._take(message_of(bytes(300)))

    assert link.counts["oversized"] == 1_000
    assert len(caplog.records) == 10


def test_a_password_shows_in_no_log() -> None:
    assert "secret" not in repr(BrokerAddress("host", 1, "edge", "secret"))
