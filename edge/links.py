"""Zenoh links to other nodes: explicit endpoints, no discovery, no forwarding, bounded.

Nobody is found by multicast or introduced by gossip: a node talks to whom its operator named.
Without gossip Zenoh does not forward between peers; the node floods what it attaches.
"""

import json
import os
import re
from typing import Final

import zenoh

from edge.frames import MAX_FRAME_SIZE
from tangle.errors import InvalidEndpointError, ListenError

MAX_SESSIONS: Final = 128
"""Links at a time, strangers' included: each may hold one frame half received."""

STALL_MS: Final = 2_000
"""How long a peer that reads nothing may hold up a frame before its link is cut. It then links up
anew and asks for what it missed."""

RETRY_FIRST_MS: Final = 250
RETRY_MOST_MS: Final = 4_000

_TCP: Final = re.compile(r"tcp/(\[[0-9a-fA-F:.]+\]|[0-9A-Za-z.-]+):([0-9]{1,5})")
_OS_ERROR: Final = re.compile(r"\(os error (\d+)\)")


def verify_endpoint(endpoint: str) -> None:
    """Check the form `tcp/HOST:PORT`. Raises `InvalidEndpointError`."""
    found = _TCP.fullmatch(endpoint)
    if found is None or not 1 <= int(found[2]) <= 65_535:
        raise InvalidEndpointError(
            f"endpoint {endpoint!r} is not tcp/HOST:PORT with a port from 1 to 65535"
        )


def open_links(listen: tuple[str, ...], connect: tuple[str, ...]) -> zenoh.Session:
    """Listen and connect; waits half a second for peers that are absent, then goes on trying.

    Raises:
        InvalidEndpointError: An endpoint is not of the form `tcp/HOST:PORT`.
        ListenError: An endpoint of `listen` is in use, or is not of this machine.
    """
    for endpoint in (*listen, *connect):
        verify_endpoint(endpoint)
    config = zenoh.Config()
    for name, value in _settings(listen, connect).items():
        config.insert_json5(name, json.dumps(value))
    try:
        return zenoh.open(config)
    except zenoh.ZError as error:
        raise ListenError(_explain(listen, str(error))) from error


def _settings(listen: tuple[str, ...], connect: tuple[str, ...]) -> dict[str, object]:
    retry = {
        "period_init_ms": RETRY_FIRST_MS,
        "period_max_ms": RETRY_MOST_MS,
        "period_increase_factor": 2,
    }
    return {
        "mode": "peer",
        "listen/endpoints": listen,
        "listen/timeout_ms": 0,
        "listen/exit_on_failure": True,
        "connect/endpoints": connect,
        "connect/retry": retry,
        "scouting/multicast/enabled": False,
        "scouting/gossip/enabled": False,
        # Fast enough by sockets, and a killed process leaves no segment behind.
        "transport/shared_memory/enabled": False,
        "transport/unicast/max_sessions": MAX_SESSIONS,
        "transport/link/rx/max_message_size": MAX_FRAME_SIZE + 4_096,
        "transport/link/tx/queue/congestion_control/block/wait_before_close": STALL_MS * 1_000,
    }


def _explain(listen: tuple[str, ...], report: str) -> str:
    """Return what an operator needs of Zenoh's report: which endpoint, and why."""
    blamed = [endpoint for endpoint in listen if endpoint in report] or list(listen)
    number = _OS_ERROR.search(report)
    reason = report if number is None else os.strerror(int(number[1]))
    return (
        f"cannot listen on {', '.join(blamed)}: {reason}; a node needs its endpoints"
        " to itself, on an address of its own machine"
    )
