"""Which TCP ports are free on this machine."""

import random
import socket
from contextlib import ExitStack
from typing import Final

from tangle.errors import ListenError

FIRST_PORT: Final = 15_000
LAST_PORT: Final = 31_999
"""Below what Linux hands to outgoing connections (32,768 and up): a port that is written into a
configuration must still be free when the network starts again tomorrow."""


def free_ports(count: int, host: str) -> list[int]:
    """Return `count` distinct ports that nobody listens on at `host` just now.

    Which ones is left to chance, so that two networks that are made at once hardly ever meet.

    Raises:
        ListenError: So many are not free.
    """
    ports = range(FIRST_PORT, LAST_PORT + 1)
    candidates = random.SystemRandom().sample(ports, len(ports))
    chosen: list[int] = []
    with ExitStack() as held:
        # all are held at once, so that none is handed out twice
        for port in candidates:
            if len(chosen) == count:
                break
            try:
                held.enter_context(_bound(host, port))
            except OSError:
                continue  # somebody's: the next one
            chosen.append(port)
    if len(chosen) < count:
        raise ListenError(
            f"{len(chosen)} free ports from {FIRST_PORT} to {LAST_PORT}: {count} are needed"
        )
    return chosen


def is_free(host: str, port: int) -> bool:
    """Return whether a server could listen at `host` and `port` now."""
    try:
        _bound(host, port).close()
    except OSError:
        return False
    return True


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        # as servers do: a connection that lingers from the last run is not in the way
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound
