"""A community's authority and its nodes, for tests of certificates and of the links they secure."""

from random import Random

from edge.ground.clock import system_wall_ms
from edge.mesh.certificates import (
    SERIAL_SIZE,
    Credentials,
    issue_authority,
    issue_certificate,
    make_credentials,
)
from tangle.keys import SigningKey

NETWORK = b"mesh-net"
AUTHORITY = SigningKey(b"c" * 32)
FOREIGN_AUTHORITY = SigningKey(b"f" * 32)
NOW_MS = system_wall_ms() // 1_000 * 1_000
"""Of the tests' start: Zenoh reads a clock of its own. Whole seconds, as in certificates."""

DAY_MS = 86_400_000
YEAR_MS = 365 * DAY_MS


def serial(seed: int = 1) -> bytes:
    return Random(seed).randbytes(SERIAL_SIZE)


def authority_of(key: SigningKey = AUTHORITY, now_ms: int = NOW_MS) -> bytes:
    return issue_authority(key, NETWORK, now_ms, serial())


def credentials_of(
    key: SigningKey, now_ms: int = NOW_MS, authority: SigningKey = AUTHORITY
) -> Credentials:
    """Return credentials of a node, made at `now_ms`."""
    signed_by = authority_of(authority, now_ms - YEAR_MS)
    certificate = issue_certificate(authority, signed_by, key.public, now_ms, serial())
    return make_credentials(key, certificate, signed_by)
