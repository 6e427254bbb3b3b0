"""Numbers modulo the order of the group, 32 bytes little-endian, computed with by libsodium.

Its functions take the same time whatever the values are, which Python integers do not. Only
what is public anyway (indexes and Lagrange coefficients) is computed with integers.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Annotated, Final

import msgspec
from nacl import bindings

SCALAR_SIZE: Final = 32
WIDE_SIZE: Final = 64
"""Bytes that are reduced to one scalar: twice as many as it has, so that no value is likelier."""

ORDER: Final = 2**252 + 27742317777372353535851937790883648493
"""Of the prime-order subgroup (RFC 8032, section 5.1)."""

ZERO: Final = bytes(SCALAR_SIZE)
MAX_INDEX: Final = 64
"""Of a share: nodes of one cohort."""

ScalarField = Annotated[bytes, msgspec.Meta(min_length=SCALAR_SIZE, max_length=SCALAR_SIZE)]
"""A scalar as a field of a canonical struct. That it is reduced is still to be checked."""


def is_scalar(data: bytes) -> bool:
    """Return whether `data` is the one spelling of a number from 1 to the order − 1."""
    return len(data) == SCALAR_SIZE and data != ZERO and int.from_bytes(data, "little") < ORDER


def scalar_from(wide: bytes) -> bytes:
    """Return 64 bytes of entropy or of a hash, modulo the order."""
    assert len(wide) == WIDE_SIZE, f"{len(wide)} bytes make no unbiased scalar"
    return bindings.crypto_core_ed25519_scalar_reduce(wide)


def hash_to_scalar(domain_prefix: bytes, *parts: bytes) -> bytes:
    """Return the hash of `parts`, each with its length before it, modulo the order."""
    hashed = blake2b(domain_prefix, digest_size=WIDE_SIZE)
    for part in parts:
        hashed.update(len(part).to_bytes(8, "little"))
        hashed.update(part)
    return scalar_from(hashed.digest())


def plus(one: bytes, other: bytes) -> bytes:
    """Return the sum."""
    return bindings.crypto_core_ed25519_scalar_add(one, other)


def times(one: bytes, other: bytes) -> bytes:
    """Return the product."""
    return bindings.crypto_core_ed25519_scalar_mul(one, other)


def scalar_of(public: int) -> bytes:
    """Return an integer modulo the order. For public values only."""
    return (public % ORDER).to_bytes(SCALAR_SIZE, "little")


def evaluate(coefficients: Sequence[bytes], index: int) -> bytes:
    """Return the value of a secret polynomial at `index`, constant term first (Horner)."""
    at, value = scalar_of(index), ZERO
    for coefficient in reversed(coefficients):
        value = plus(times(value, at), coefficient)
    return value


def lagrange(indexes: Sequence[int], index: int) -> bytes:
    """Return by what the value at `index` counts for the value at zero.

    Args:
        indexes: All that take part, distinct, from 1.
        index: One of them.
    """
    above, below = 1, 1
    for other in indexes:
        if other != index:
            above = above * other % ORDER
            below = below * (other - index) % ORDER
    return scalar_of(above * pow(below, -1, ORDER))
