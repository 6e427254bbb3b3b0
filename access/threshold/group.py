"""The group: the prime-order subgroup of edwards25519, six functions by libsodium.

Points and scalars are 32 bytes each. libsodium itself refuses points that are not canonical,
have a small order or lie outside the subgroup, and scalars of zero: `GroupError` here. Secret
scalars are computed with in `scalars.py`, never as Python integers.
"""

from collections.abc import Callable
from hashlib import blake2b
from typing import Annotated, Final, TypeVar

import msgspec
from nacl import bindings
from nacl.exceptions import CryptoError

from tangle.errors import GroupError

POINT_SIZE: Final = 32
IDENTITY: Final = b"\x01" + bytes(31)
"""Encoding of the neutral element: a legal sum, never a legal thing to be sent."""

PointField = Annotated[bytes, msgspec.Meta(min_length=POINT_SIZE, max_length=POINT_SIZE)]
"""A point as a field of a canonical struct. That it is one is still to be checked."""

_T = TypeVar("_T")


def is_point(data: bytes) -> bool:
    """Return whether `data` is the canonical encoding of a point of prime order."""
    return len(data) == POINT_SIZE and bool(bindings.crypto_core_ed25519_is_valid_point(data))


def multiply_base(scalar: bytes) -> bytes:
    """Return `scalar` times the base point. Raises `GroupError` for a scalar of zero."""
    return _computed(lambda: bindings.crypto_scalarmult_ed25519_base_noclamp(scalar))


def multiply(scalar: bytes, point: bytes) -> bytes:
    """Return `scalar` times `point`.

    Raises:
        GroupError: `point` is none of prime order, or the scalar is zero.
    """
    return _computed(lambda: bindings.crypto_scalarmult_ed25519_noclamp(scalar, point))


def add(one: bytes, other: bytes) -> bytes:
    """Return the sum of two points. Raises `GroupError` if one is not on the curve."""
    return _computed(lambda: bindings.crypto_core_ed25519_add(one, other))


def subtract(one: bytes, other: bytes) -> bytes:
    """Return the difference of two points. Raises `GroupError` if one is not on the curve."""
    return _computed(lambda: bindings.crypto_core_ed25519_sub(one, other))


def hash_to_point(message: bytes) -> bytes:
    """Return a point of prime order whose logarithm nobody knows (Elligator 2)."""
    uniform = blake2b(message, digest_size=POINT_SIZE).digest()
    return _computed(lambda: bindings.crypto_core_ed25519_from_uniform(uniform))


def _computed(call: Callable[[], bytes]) -> bytes:
    """Return what libsodium computes; its refusals become `GroupError`."""
    try:
        return call()
    except (CryptoError, ValueError, TypeError) as error:  # what PyNaCl raises for a bad input
        raise GroupError(f"not an element of the group: {error}") from error
