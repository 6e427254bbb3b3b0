import asyncio

import pytest
from fastapi import FastAPI
from starlette.types import Message, Receive, Scope, Send

from api.http import door
from api.http.app import create_app
from api.http.door import Door, host_name
from api.node.node_service import NodeApi
from tests.api.asking import ask

INFO = "/api/v1/info"


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:8080", "localhost:1", "LOCALHOST", "localhost.", "[::1]:8080"]
)
def test_loopback_names_are_let_in(app: FastAPI, host: str) -> None:
    assert ask(app, "GET", INFO, headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["", "evil.example", "127.0.0.1.evil.example", "localhost@evil", "10.0.0.1", "[::1"]
)
def test_another_host_is_refused_whatever_it_resolves_to(app: FastAPI, host: str) -> None:
    answer = ask(app, "GET", INFO, headers={"Host": host})

    assert (answer.status_code, answer.json()["code"]) == (421, "MISDIRECTED_REQUEST")
    assert repr(host) in answer.json()["detail"]


def test_two_hosts_are_refused(app: FastAPI) -> None:
    hosts = [("Host", "localhost"), ("Host", "localhost")]

    assert ask(app, "GET", INFO, headers=hosts).status_code == 421


def test_a_configured_host_is_let_in(service: NodeApi) -> None:
    app = create_app(service, hosts=["Edge.lan"])

    assert ask(app, "GET", INFO, headers={"Host": "edge.lan:8080"}).status_code == 200


def test_a_configured_ipv6_address_is_let_in(service: NodeApi) -> None:
    app = create_app(service, hosts=["FD00::1"])

    assert ask(app, "GET", INFO, headers={"Host": "[fd00::1]:8080"}).status_code == 200


def test_what_is_no_request_passes() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del receive, send
        seen.append(scope["type"])

    async def nothing() -> Message:
        raise AssertionError

    async def nowhere(message: Message) -> None:
        raise AssertionError(message)

    asyncio.run(Door(app, ())({"type": "lifespan"}, nothing, nowhere))

    assert seen == ["lifespan"]


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:8080", 200),
        ("https://LOCALHOST:8080", 200),
        ("http://localhost", 403),
        ("http://localhost:9", 403),
        ("http://evil.example", 403),
        ("null", 403),
        ("", 403),
    ],
)
def test_only_pages_of_this_node_may_ask(app: FastAPI, origin: str, status: int) -> None:
    headers = {"Host": "localhost:8080", "Origin": origin}

    assert ask(app, "GET", INFO, headers=headers).status_code == status


@pytest.mark.parametrize("path", [INFO, "/", "/api/v1/nothing", "/health/live"])
def test_every_answer_carries_the_security_headers(app: FastAPI, path: str) -> None:
    headers = ask(app, "GET", path).headers

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_a_refusal_carries_them_too(app: FastAPI) -> None:
    answer = ask(app, "GET", INFO, headers={"Host": "evil.example"})

    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("host", "name"),
    [("a:1", "a"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]"), ("A.b.", "a.b"), ("[x", "")],
)
def test_a_host_is_named_without_its_port(host: str, name: str) -> None:
    assert host_name(host) == name


def request_scope(path: str) -> Scope:
    return {"type": "http", "path": path, "method": "GET", "headers": [(b"host", b"localhost")]}


def test_requests_above_the_limit_are_told_to_come_again_and_health_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(door, "MAX_CONCURRENT_REQUESTS", 1)

    async def statuses() -> dict[str, list[int]]:
        release, entered = asyncio.Event(), asyncio.Event()
        sent: dict[str, list[int]] = {}

        async def slow(scope: Scope, receive: Receive, send: Send) -> None:
            del scope, receive
            entered.set()
            await release.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})

        async def nothing() -> Message:
            raise AssertionError("no body is read")

        async def asked(name: str, path: str) -> None:
            async def send(message: Message) -> None:
                if message["type"] == "http.response.start":
                    sent.setdefault(name, []).append(message["status"])

            await guarded(request_scope(path), nothing, send)

        guarded = Door(slow, ())
        async with asyncio.TaskGroup() as group:
            group.create_task(asked("first", INFO))
            await entered.wait()
            await asked("second", INFO)
            group.create_task(asked("health", "/health/live"))
            release.set()
        await asked("third", INFO)
        return sent

    found = asyncio.run(statuses())

    assert found == {"first": [200], "second": [503], "health": [200], "third": [200]}
