"""Which TCP ports are free on this machine."""

import socket
from contextlib import ExitStack


def free_ports(count: int, host: str) -> list[int]:
    """Return `count` distinct ports that nobody listens on at `host` just now."""
    with ExitStack() as held:
        # all are held at once, so that none is handed out twice
        sockets = [held.enter_context(_bound(host, 0)) for _ in range(count)]
        return [int(one.getsockname()[1]) for one in sockets]


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
