"""The application on a real socket, asked by real clients, in one loop."""

import asyncio
import json
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Message
from starlette.websockets import WebSocket
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from api.failures import CommandError, FailureCode
from api.http import routes_submit, server
from api.http.routes_stream import _send_frames
from api.http.server import listen, serve
from api.http.stream import MAX_SUBSCRIBERS, ExpiredEvent
from api.node.node_service import NodeApi
from tangle.outcomes import State
from tangle.transaction import decode, transaction_id
from tests.api.small_node import SmallNode

PATIENCE_S = 10


@asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[str]:
    """Serve `app` on a free port; yields its host and port."""
    listener = listen("127.0.0.1", 0)
    host = f"127.0.0.1:{listener.getsockname()[1]}"
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(serve(app, listener))
        try:
            yield host
        finally:
            serving.cancel()


def with_server(app: FastAPI, act: Callable[[str], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(PATIENCE_S), served(app) as host:
            await act(host)

    asyncio.run(run())


async def post(host: str, data: bytes) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.post(
            f"http://{host}/api/v1/transactions",
            content=data,
            headers={"Content-Type": "application/octet-stream"},
        )


async def events_until(client: ClientConnection, kind: str) -> list[dict[str, Any]]:
    """Return the events of all frames up to the one that holds `kind`."""
    events: list[dict[str, Any]] = []
    while kind not in {event["type"] for event in events}:
        frame = json.loads(await client.recv())
        assert frame["missed"] == 0
        events += frame["events"]
    return events


@pytest.mark.parametrize("path", ["/stream", "/api/v1/stream"])
def test_a_listener_sees_a_posted_transaction_become_confirmed(
    node: SmallNode, app: FastAPI, path: str
) -> None:
    data = node.signed()
    tx_id = transaction_id(decode(data).transaction).hex()

    async def act(host: str) -> None:
        async with connect(f"ws://{host}{path}") as client:
            answer = await post(host, data)
            attached = await events_until(client, "attached")
            node.confirm()
            decided = await events_until(client, "milestone")

        assert answer.json()["results"] == [{"id": tx_id, "state": "tip"}]
        assert [(event["type"], event["id"]) for event in attached] == [("attached", tx_id)]
        outcomes = [(event["id"], event["state"]) for event in decided if "state" in event]
        assert outcomes == [(tx_id, State.NO_VALUE)]
        assert decided[-1]["index"] == 1
        assert decided[-1]["state_root"] == node.core.state_root.hex()

    with_server(app, act)


def test_a_listener_that_leaves_is_forgotten(app: FastAPI, service: NodeApi) -> None:
    async def act(host: str) -> None:
        async with connect(f"ws://{host}/stream") as client:
            await client.send("what it says is not read")
        # the server learns of it in its own time
        while service._hub.has_subscribers:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0)

    with_server(app, act)


def test_a_connection_that_breaks_ends_its_frames_quietly(service: NodeApi) -> None:
    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        if message["type"] == "websocket.send":
            raise OSError("broken pipe")

    async def run() -> None:
        websocket = WebSocket({"type": "websocket", "headers": []}, receive, send)
        await websocket.accept()
        with service.subscribe() as subscription:
            subscription.push(ExpiredEvent("1"))
            await _send_frames(websocket, subscription)

    asyncio.run(run())


def test_one_listener_too_many_is_told_to_come_again(app: FastAPI, service: NodeApi) -> None:
    async def act(host: str) -> None:
        for _ in range(MAX_SUBSCRIBERS):
            service.subscribe()
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://{host}/stream")

        response = refused.value.response
        assert response.status_code == 503
        assert json.loads(response.body or b"")["code"] == "QUEUE_FULL"

    with_server(app, act)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "evil.example"}, 421),
        ({"Host": "evil.example", "Origin": "http://evil.example"}, 421),
    ],
)
def test_a_page_of_another_site_cannot_listen(
    app: FastAPI, headers: dict[str, str], status: int
) -> None:
    async def act(host: str) -> None:
        given = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        own = "" if "Host" in headers else f"Host: {host}\r\n"
        request = (
            f"GET /stream HTTP/1.1\r\n{own}{given}Upgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        answer = await raw(host, request.encode())
        assert answer.startswith(f"HTTP/1.1 {status} ".encode())

    with_server(app, act)


def test_the_nodes_own_page_can_listen(app: FastAPI) -> None:
    async def act(host: str) -> None:
        async with connect(f"ws://{host}/stream", origin=f"http://{host}") as client:  # type: ignore[arg-type]
            await (await client.ping())

    with_server(app, act)


async def raw(host: str, request: bytes) -> bytes:
    """Return the first line that answers `request`."""
    name, _, port = host.partition(":")
    reader, writer = await asyncio.open_connection(name, int(port))
    try:
        writer.write(request)
        return await reader.readline()
    finally:
        writer.close()
        await writer.wait_closed()


def test_ten_megabytes_get_their_answer_over_a_real_socket(app: FastAPI) -> None:
    async def act(host: str) -> None:
        answer = await post(host, bytes(10_000_000))

        assert (answer.status_code, answer.json()["code"]) == (413, "BODY_TOO_LARGE")
        assert "10000000 bytes: the maximum is 4194304" in answer.json()["detail"]

    with_server(app, act)


def test_a_body_without_a_declared_size_is_bounded_too(app: FastAPI) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield bytes(1_000_000)

    async def act(host: str) -> None:
        async with httpx.AsyncClient() as client:
            answer = await client.post(
                f"http://{host}/api/v1/transactions",
                content=chunks(),
                headers={"Content-Type": "application/octet-stream"},
            )
        assert answer.status_code == 413

    with_server(app, act)


def test_a_body_that_does_not_come_is_given_up(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes_submit, "BODY_TIMEOUT_S", 0.05)

    async def act(host: str) -> None:
        request = f"POST /api/v1/transactions HTTP/1.1\r\nHost: {host}\r\nContent-Length: 9\r\n\r\n"
        assert (await raw(host, request.encode())).startswith(b"HTTP/1.1 408 ")

    with_server(app, act)


@pytest.mark.parametrize("said", [b"", b"GET /health HTTP/1.1\r\nHo"])
def test_a_connection_that_asks_nothing_is_cut(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(server, "REQUEST_PATIENCE_S", 0.05)

    async def act(host: str) -> None:
        assert await raw(host, said) == b""

    with_server(app, act)


def test_a_request_that_stops_after_an_answered_one_is_cut(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "REQUEST_PATIENCE_S", 0.05)

    async def act(host: str) -> None:
        whole = f"GET /health/live HTTP/1.1\r\nHost: {host}\r\n\r\n"
        name, _, port = host.partition(":")
        reader, writer = await asyncio.open_connection(name, int(port))
        writer.write((whole + whole[:20]).encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        with suppress(ConnectionResetError):
            await reader.read()  # to the end, which would not come
        writer.close()

    with_server(app, act)


def test_a_stream_outlives_the_patience_for_requests(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "REQUEST_PATIENCE_S", 0.01)

    async def act(host: str) -> None:
        async with connect(f"ws://{host}/stream") as client:
            await asyncio.sleep(0.1)
            await (await client.ping())

    with_server(app, act)


def test_connections_beyond_the_room_for_them_are_cut_at_once(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MAX_OPEN_CONNECTIONS", 1)

    async def act(host: str) -> None:
        address, port = host.split(":")
        _, first = await asyncio.open_connection(address, int(port))
        reader, second = await asyncio.open_connection(address, int(port))
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        first.close()
        second.close()

    with_server(app, act)


def test_stopping_ends_listeners_and_frees_the_port(app: FastAPI) -> None:
    async def run() -> tuple[str, ClientConnection]:
        async with served(app) as host:
            client = await connect(f"ws://{host}/stream")
        with pytest.raises(ConnectionClosed):
            await client.recv()
        return host, client

    host, _ = asyncio.run(run())

    port = int(host.partition(":")[2])
    listen("127.0.0.1", port).close()


def test_serving_leaves_the_signal_handlers_alone(app: FastAPI) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    during: dict[signal.Signals, Any] = {}

    async def act(host: str) -> None:
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"http://{host}/health/live")).status_code == 200
        during.update({number: signal.getsignal(number) for number in before})

    with_server(app, act)

    # SIGINT is asyncio's own while it runs
    assert during[signal.SIGTERM] == before[signal.SIGTERM]
    assert "uvicorn" not in repr(during[signal.SIGINT])


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(CommandError) as refused:
            listen("127.0.0.1", port)

    assert refused.value.failure.code is FailureCode.PORT_IN_USE
    assert f"127.0.0.1 port {port}" in refused.value.failure.what


def test_a_bug_is_logged_with_its_trace(
    app: FastAPI,
    service: NodeApi,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken() -> None:
        raise AssertionError("what is wrong")

    monkeypatch.setattr(service, "peers", broken)

    async def act(host: str) -> None:
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"http://{host}/api/v1/peers")
        assert (answer.status_code, answer.json()["code"]) == (500, "INTERNAL_ERROR")

    with_server(app, act)

    assert "AssertionError: what is wrong" in caplog.text


def test_an_accepted_connection_sends_each_part_of_an_answer_at_once() -> None:
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
