"""BLAKE2b-256 and the domain prefixes that keep one kind of hash from passing for another."""

from hashlib import blake2b
from typing import Final

HASH_SIZE: Final = 32


def digest(data: bytes) -> bytes:
    """Return BLAKE2b-256 of `data` (RFC 7693), 32 bytes."""
    return blake2b(data, digest_size=HASH_SIZE).digest()


def domain(kind: str) -> bytes:
    """Return the prefix `tanglewatt/<kind>/1` and a zero byte.

    Everything signed or identified starts with one, so that a signature over a reading can
    never be shown as a signature over a transaction.
    """
    return b"tanglewatt/" + kind.encode("ascii") + b"/1\0"
