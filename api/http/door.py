"""Who may talk to this node over HTTP, how many at once, and what every answer carries."""

from collections.abc import Iterable
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.hexadecimal import shown
from api.http.problems import Problem, http_problem, problem_of, problem_response
from tangle.errors import QueueFullError

LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
"""Names that no other machine's page can make point here."""

MAX_CONCURRENT_REQUESTS: Final = 64
"""Of one node: each may hold a body of `submissions.MAX_BODY_SIZE`."""

SECURITY_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Of every answer that does not say otherwise."""


class Door:
    """Middleware: refuses foreign hosts and origins, bounds requests, sets headers.

    A page of another site can make a browser send requests here, and by DNS rebinding even read
    the answers. Such a request names the other site in `Origin` or in `Host`, so both are held
    against the names this node is known by.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str]) -> None:
        self._app = app
        self._hosts = LOOPBACK_NAMES | {_as_in_header(host) for host in hosts}
        self._requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request or connection through, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await problem_response(refusal)(scope, receive, _with_headers(send))
            return
        if scope["type"] == "websocket":  # bounded by the hub, and long-lived
            await self._app(scope, receive, send)
            return
        self._requests += 1
        try:
            await self._app(scope, receive, _with_headers(send))
        finally:
            self._requests -= 1

    def _refusal(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        host = hosts[0] if len(hosts) == 1 else ""
        if host_name(host) not in self._hosts:
            names = ", ".join(sorted(self._hosts))
            return http_problem(421, f"Host {shown(host)}: this node answers to {names}")
        if any(origin.lower().partition("://")[2] != host.lower() for origin in origins):
            foreign = shown(", ".join(origins))
            return http_problem(403, f"Origin {foreign}: only pages of {host} may ask")
        is_health = scope["path"].startswith("/health")
        if scope["type"] == "http" and self._requests >= MAX_CONCURRENT_REQUESTS and not is_health:
            busy = f"{self._requests} requests: at most {MAX_CONCURRENT_REQUESTS} at once"
            return problem_of(QueueFullError(busy))
        return None


def host_name(host: str) -> str:
    """Return the name in a `Host` header, without port, lower case; IPv6 keeps its brackets."""
    if host.startswith("["):
        return host[: host.find("]") + 1].lower()
    return host.partition(":")[0].lower().removesuffix(".")


def _as_in_header(host: str) -> str:
    is_bare_ipv6 = ":" in host and not host.startswith("[")
    return f"[{host}]".lower() if is_bare_ipv6 else host.lower()


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return send_with_headers
