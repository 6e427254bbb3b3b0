import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from aiomqtt import Client, MqttError

from edge.meters.broker import MAX_PAYLOAD_SIZE, run_broker
from tangle.errors import UnavailableError

PATIENCE_S = 20.0


@contextmanager
def broker_process() -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """A broker on a free port, killed at the end if it still runs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = (
        f"import asyncio; from edge.meters import broker; asyncio.run(broker.run_broker({port=}))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        yield process, port
    finally:
        process.kill()
        process.communicate()


async def connected(port: int) -> Client:
    """Return a client once the broker is up."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            client = Client("127.0.0.1", port, timeout=2)
            try:
                return await client.__aenter__()
            except MqttError:
                await asyncio.sleep(0.05)


def test_a_retained_message_waits_for_who_comes_later() -> None:
    async def scene(port: int) -> bytes:
        early = await connected(port)
        await early.publish("tw/x", b"kept", qos=1, retain=True)
        late = await connected(port)
        await late.subscribe("tw/+", qos=1)
        async with asyncio.timeout(PATIENCE_S):
            message = await anext(late.messages)
        await early.__aexit__(None, None, None)
        await late.__aexit__(None, None, None)
        assert isinstance(message.payload, bytes)
        return message.payload

    with broker_process() as (_, port):
        assert asyncio.run(scene(port)) == b"kept"


def test_a_new_client_gets_nothing_that_others_subscribed_to() -> None:
    async def scene(port: int) -> str:
        early = await connected(port)
        await early.subscribe("tw/theirs", qos=1)
        await early.publish("tw/theirs", b"kept", qos=1, retain=True)
        await early.publish("tw/mine", b"kept", qos=1, retain=True)
        late = await connected(port)
        await late.subscribe("tw/mine", qos=1)
        async with asyncio.timeout(PATIENCE_S):
            message = await anext(late.messages)
        await early.__aexit__(None, None, None)
        await late.__aexit__(None, None, None)
        return message.topic.value

    with broker_process() as (_, port):
        assert asyncio.run(scene(port)) == "tw/mine"


def test_a_message_beyond_the_maximum_ends_its_connection_only() -> None:
    connect = b"\x10\x11\x00\x04MQTT\x04\x02\x00\x3c\x00\x05flood"
    ten_megabytes = b"\x30\x80\xad\xe2\x04\x00\x01x"  # PUBLISH with this remaining length

    async def scene(port: int) -> tuple[bytes, list[int]]:
        honest = await connected(port)
        await honest.subscribe("tw/#", qos=1)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(connect + ten_megabytes)
        async with asyncio.timeout(PATIENCE_S):
            answer = await reader.read()
        writer.close()
        sizes: list[int] = []
        for size in (MAX_PAYLOAD_SIZE, 1):
            await honest.publish("tw/honest", bytes(size), qos=1)
            message = await anext(honest.messages)
            assert isinstance(message.payload, bytes)
            sizes.append(len(message.payload))
        await honest.__aexit__(None, None, None)
        return answer, sizes

    with broker_process() as (_, port):
        answer, sizes = asyncio.run(scene(port))

    assert answer == b"\x20\x02\x00\x00", "a CONNACK, then the end"
    assert sizes == [MAX_PAYLOAD_SIZE, 1]


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(UnavailableError, match=f"broker at 127.0.0.1:{port}: .*in use"):
            asyncio.run(run_broker(port=port))


def test_the_broker_is_quiet_and_stops_when_told() -> None:
    async def scene(port: int) -> None:
        client = await connected(port)
        await client.publish("tw/x", b"1", qos=1)
        process.send_signal(signal.SIGTERM)
        output, _ = await asyncio.to_thread(process.communicate, timeout=PATIENCE_S)
        assert process.returncode == 0
        assert output == b""

    with broker_process() as (process, port):
        asyncio.run(scene(port))
