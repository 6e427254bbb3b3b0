"""BLAKE2b-256 and the domain prefixes that keep one kind of hash from passing for another."""

from hashlib import blake2b
from typing import Final

HASH_SIZE: Final = 32

_fresh: Final = blake2b(digest_size=HASH_SIZE)
"""Hash of nothing yet: to copy it takes half as long as to make one."""


def digest(data: bytes) -> bytes:
    """Return BLAKE2b-256 of `data` (RFC 7693), 32 bytes."""
    hashed = _fresh.copy()
    hashed.update(data)
    return hashed.digest()


def domain(kind: str) -> bytes:
    """Return the prefix `tanglewatt/<kind>/1` and a zero byte.

    Everything signed or identified starts with one, so that a signature over a reading can
    never be shown as a signature over a transaction.
    """
    return b"tanglewatt/" + kind.encode("ascii") + b"/1\0"
