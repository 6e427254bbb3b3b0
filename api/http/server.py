"""Serves an application on a socket, inside the loop of the node it answers for."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn
from fastapi import FastAPI
from typing_extensions import override
from uvicorn.protocols.http.h11_impl import H11Protocol

from api.exit_codes import ExitCode
from api.failures import CommandError, Failure, FailureCode

MAX_CONNECTIONS: Final = 256
"""Open at once; beyond it the server itself answers 503."""

MAX_OPEN_CONNECTIONS: Final = 2 * MAX_CONNECTIONS
"""Beyond it a connection is cut at once: each holds a file descriptor."""

KEEP_ALIVE_S: Final = 15
REQUEST_PATIENCE_S: Final = 20
"""A connection is cut on which no whole request head came between two looks so far apart: else
who opens `MAX_CONNECTIONS` and says nothing keeps all others out for ever."""

SHUTDOWN_S: Final = 3
"""What running requests have left when the node stops."""

MAX_MESSAGE_SIZE: Final = 1_024
"""Bytes of a WebSocket message to us: the stream takes none that means anything."""

_BACKLOG: Final = 128


class Server(uvicorn.Server):
    """The server without its own signal handlers: the node decides when to stop."""

    @override
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave all signals as they are."""
        yield


class ImpatientProtocol(H11Protocol):
    """HTTP on one connection that must be put to use.

    Uvicorn waits for ever: for the first request, and for the rest of a later one.
    """

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Serve one more connection, if there is room."""
        super().connection_made(transport)
        if len(self.connections) > MAX_OPEN_CONNECTIONS:
            transport.abort()
            return
        self._watch(None)

    def _watch(self, seen: object) -> None:
        self.loop.call_later(REQUEST_PATIENCE_S, self._cut_if_idle, seen)

    def _cut_if_idle(self, seen: object) -> None:
        """Cut the connection if no request runs, and none came since the last look."""
        if self not in self.connections:  # gone, or a stream now
            return
        if self.cycle is seen and (self.cycle is None or self.cycle.response_complete):
            self.transport.abort()
            return
        self._watch(self.cycle)


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 takes a free one.

    Raises:
        CommandError: The address is taken, or is not of this machine.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise CommandError(
            Failure(
                FailureCode.PORT_IN_USE,
                ExitCode.FAILED,
                f"cannot listen on {host} port {port}",
                error.strerror or str(error),
                "stop what uses the port, or choose another with http.port",
            )
        ) from error
    # Connections inherit it. Else the second part of an answer waits until the client's kernel
    # acknowledges the first, 40 ms later, on every request of a connection but the first.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


async def serve(app: FastAPI, listener: socket.socket) -> None:
    """Answer on `listener` until cancelled; then let running requests end, and close it."""
    config = uvicorn.Config(
        app,
        http=ImpatientProtocol,
        ws="websockets-sansio",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=SHUTDOWN_S,
        ws_max_size=MAX_MESSAGE_SIZE,
    )
    server = Server(config)
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(server.serve(sockets=[listener]))
        try:
            await asyncio.wait({serving})
        except asyncio.CancelledError:
            server.should_exit = True
            await asyncio.wait({serving}, timeout=2 * SHUTDOWN_S)
            raise
