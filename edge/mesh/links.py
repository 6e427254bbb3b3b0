"""Zenoh links to other nodes: explicit endpoints, no discovery, no forwarding, bounded.

Nobody is found by multicast or introduced by gossip: a node talks to whom its operator named.
Without gossip Zenoh does not forward between peers; the node floods what it attaches.

Links are mutual TLS, or plain TCP that does not leave the machine. With TLS, Zenoh's access control
lets frames pass to and from the certificates of configured peers alone. That is not for show:
whoever dials trusts, by Zenoh's doing, public web authorities beside ours; none of them vouches for
a name that is a key in hex.
"""

import ipaddress
import json
import os
import re
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import zenoh

from edge.mesh.certificates import Credentials, node_common_name, private_key_pem
from edge.mesh.frames import MAX_FRAME_SIZE
from tangle.errors import InvalidEndpointError, ListenError

MAX_SESSIONS: Final = 128
"""Links at a time, strangers' included: each may hold one frame half received."""

STALL_MS: Final = 2_000
"""How long a peer that reads nothing may hold up a frame before its link is cut. It then links up
anew and asks for what it missed."""

RETRY_FIRST_MS: Final = 250
RETRY_MOST_MS: Final = 4_000

_ENDPOINT: Final = re.compile(r"(tcp|tls)/(\[[0-9a-fA-F:.]+\]|[0-9A-Za-z.-]+):([0-9]{1,5})")
_OS_ERROR: Final = re.compile(r"\(os error (\d+)\)")


@dataclass(frozen=True, slots=True)
class Security:
    """Who may link up."""

    credentials: Credentials | None = None
    """`None`: links are plain."""

    peers: frozenset[bytes] = frozenset()
    """Keys of those whose certificates are let in."""

    allows_plain: bool = False
    """Plain links may leave this machine."""


PLAIN: Final = Security()
"""Plain TCP that does not leave this machine."""


def verify_endpoint(endpoint: str, security: Security = PLAIN) -> None:
    """Check form and kind of an endpoint: `tls/` or `tcp/`, then `HOST:PORT`.

    Raises:
        InvalidEndpointError: It is not of that form; it is `tls/` and there is no certificate, or
            `tcp/` although there is one; or it is plain and leaves this machine unasked.
    """
    found = _ENDPOINT.fullmatch(endpoint)
    if found is None or not 1 <= int(found[3]) <= 65_535:
        raise InvalidEndpointError(
            f"endpoint {endpoint!r} is not tls/HOST:PORT or tcp/HOST:PORT"
            " with a port from 1 to 65535"
        )
    is_plain = found[1] == "tcp"
    if not is_plain and security.credentials is None:
        raise InvalidEndpointError(f"endpoint {endpoint!r} needs a certificate: set mesh.tls")
    if is_plain and security.credentials is not None:
        raise InvalidEndpointError(
            f"endpoint {endpoint!r} is plain: a node with a certificate has tls/HOST:PORT only"
        )
    if is_plain and not (security.allows_plain or _is_loopback(found[2])):
        raise InvalidEndpointError(
            f"endpoint {endpoint!r} is plain and leaves this machine:"
            " use tls/HOST:PORT, or set mesh.allow_plain"
        )


def open_links(
    listen: tuple[str, ...], connect: tuple[str, ...], security: Security = PLAIN
) -> zenoh.Session:
    """Listen and connect; waits half a second for peers that are absent, then goes on trying.

    Raises:
        InvalidEndpointError: An endpoint breaks a rule of `verify_endpoint`.
        ListenError: An endpoint of `listen` is in use, or is not of this machine.
    """
    for endpoint in (*listen, *connect):
        verify_endpoint(endpoint, security)
    settings = _settings(listen, connect)
    if security.credentials is not None:
        settings["transport/link/tls"] = _tls(security.credentials)
        settings["access_control"] = _access(security.peers)
    config = zenoh.Config()
    for name, value in settings.items():
        config.insert_json5(name, json.dumps(value))
    try:
        return zenoh.open(config)
    except zenoh.ZError as error:
        raise ListenError(_explain(listen, str(error))) from error


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _tls(credentials: Credentials) -> dict[str, object]:
    key = b64encode(private_key_pem(credentials.key)).decode("ascii")
    certificate = b64encode(credentials.certificate).decode("ascii")
    return {
        "root_ca_certificate_base64": b64encode(credentials.authority).decode("ascii"),
        "enable_mtls": True,
        "listen_private_key_base64": key,
        "listen_certificate_base64": certificate,
        "connect_private_key_base64": key,
        "connect_certificate_base64": certificate,
        # A node is known by its key, wherever it runs: a certificate names no host.
        "verify_name_on_connect": False,
        "close_link_on_expiration": True,
    }


def _access(peers: Iterable[bytes]) -> dict[str, object]:
    """Return rules by which nothing passes but frames, to and from certificates of peers."""
    names = sorted(node_common_name(peer) for peer in peers)
    rule = {
        "id": "frames",
        "permission": "allow",
        "flows": ["ingress", "egress"],
        "messages": ["put", "declare_subscriber"],
        "key_exprs": ["tw/**"],
    }
    known = bool(names)  # Zenoh takes a subject without names for everybody
    return {
        "enabled": True,
        "default_permission": "deny",
        "rules": [rule],
        "subjects": [{"id": "peers", "cert_common_names": names}] if known else [],
        "policies": [{"rules": ["frames"], "subjects": ["peers"]}] if known else [],
    }


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
