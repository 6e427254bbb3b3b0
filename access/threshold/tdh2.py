"""TDH2: a key under one public key, opened by any k of n shares, labels and proofs included.

Source: V. Shoup, R. Gennaro, "Securing threshold cryptosystems against chosen ciphertext attack",
Journal of Cryptology 15, 2002, section 4 (TDH2), here as a key encapsulation: instead of a message
the hash of the shared point is the key. An own implementation of a published scheme: not audited,
and not safe against a quantum computer (it rests on discrete logarithms).
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Annotated, Final

import msgspec

from access.threshold import group, scalars
from access.threshold.scalars import MAX_INDEX, SCALAR_SIZE, WIDE_SIZE, scalar_from, scalar_of
from tangle.errors import GroupError, InvalidError
from tangle.hashing import domain

CAPSULE_SIZE: Final = 4 * SCALAR_SIZE
PARTIAL_SIZE: Final = 2 + 3 * SCALAR_SIZE
ENCAPSULATION_ENTROPY: Final = 2 * WIDE_SIZE
PARTIAL_ENTROPY: Final = WIDE_SIZE
KEY_SIZE: Final = 32

CapsuleField = Annotated[bytes, msgspec.Meta(min_length=CAPSULE_SIZE, max_length=CAPSULE_SIZE)]
"""A capsule as a field of a canonical struct. That it proves itself is still to be checked."""

PartialField = Annotated[bytes, msgspec.Meta(min_length=PARTIAL_SIZE, max_length=PARTIAL_SIZE)]
"""A partial as a field of a canonical struct: index, D, e, f."""

_CAPSULE: Final = domain("tdh2.capsule")
_PARTIAL: Final = domain("tdh2.partial")
_NONCE: Final = domain("tdh2.nonce")
_KEY: Final = domain("tdh2.key")

SECOND_BASE: Final = group.hash_to_point(domain("tdh2.second-base"))
"""The other generator of the proof. Nobody knows its logarithm: it comes from a hash."""


def encapsulate(public: bytes, label: bytes, entropy: bytes) -> tuple[bytes, bytes]:
    """Return a new capsule and the key in it. Needs the public key alone.

    Args:
        public: A vault's public key.
        label: What the key is for; whoever opens must name the same.
        entropy: `ENCAPSULATION_ENTROPY` random bytes, never used again.

    Raises:
        GroupError: `public` is no point of prime order.
        InvalidError: `entropy` has another length.
    """
    if len(entropy) != ENCAPSULATION_ENTROPY:
        raise InvalidError(f"{len(entropy)} random bytes, {ENCAPSULATION_ENTROPY} are needed")
    r, s = scalar_from(entropy[:WIDE_SIZE]), scalar_from(entropy[WIDE_SIZE:])
    u, w = group.multiply_base(r), group.multiply_base(s)
    u2, w2 = group.multiply(r, SECOND_BASE), group.multiply(s, SECOND_BASE)
    shared = group.multiply(r, public)
    e = scalars.hash_to_scalar(_CAPSULE, label, u, u2, w, w2)
    f = scalars.plus(s, scalars.times(r, e))
    capsule = u + u2 + e + f
    return capsule, _key(shared, capsule, label)


def is_capsule(capsule: bytes, label: bytes) -> bool:
    """Return whether who made `capsule` knew what is in it, and made it for `label`."""
    if len(capsule) != CAPSULE_SIZE:
        return False
    u, u2, e, f = _fields(capsule)
    if not (scalars.is_scalar(e) and scalars.is_scalar(f)):
        return False
    try:
        w = group.subtract(group.multiply_base(f), group.multiply(e, u))
        w2 = group.subtract(group.multiply(f, SECOND_BASE), group.multiply(e, u2))
    except GroupError:
        return False
    return e == scalars.hash_to_scalar(_CAPSULE, label, u, u2, w, w2)


def make_partial(capsule: bytes, label: bytes, index: int, share: bytes, entropy: bytes) -> bytes:
    """Return what one share gives for a capsule, with its proof.

    Args:
        capsule: Checked by `is_capsule`: an unchecked one could make a node work for another's.
        label: Of the capsule.
        index: Of the share, from 1.
        share: The node's secret.
        entropy: `PARTIAL_ENTROPY` random bytes. Hashed with the share and the capsule, so that
            bytes that are not random after all do not give the share away.

    Raises:
        GroupError: The capsule's point is none of prime order.
        InvalidError: `entropy` has another length.
    """
    if len(entropy) != PARTIAL_ENTROPY:
        raise InvalidError(f"{len(entropy)} random bytes, {PARTIAL_ENTROPY} are needed")
    u = capsule[:SCALAR_SIZE]
    s = scalars.hash_to_scalar(_NONCE, share, entropy, capsule, label)
    d = group.multiply(share, u)
    verification = group.multiply_base(share)
    e = _challenge(
        capsule, label, index, (verification, d, group.multiply(s, u), group.multiply_base(s))
    )
    f = scalars.plus(s, scalars.times(share, e))
    return index.to_bytes(2, "big") + d + e + f


def partial_index(partial: bytes) -> int:
    """Return which share a partial claims to be of; 0 for what is none."""
    index = int.from_bytes(partial[:2], "big")
    return index if len(partial) == PARTIAL_SIZE and index <= MAX_INDEX else 0


def is_partial(partial: bytes, capsule: bytes, label: bytes, verification: bytes) -> bool:
    """Return whether a partial is what the share behind `verification` gives for the capsule."""
    index = partial_index(partial)
    if not index:
        return False
    d, e, f = (partial[at : at + SCALAR_SIZE] for at in range(2, PARTIAL_SIZE, SCALAR_SIZE))
    u = capsule[:SCALAR_SIZE]
    if not (scalars.is_scalar(e) and scalars.is_scalar(f)):
        return False
    try:
        u_hat = group.subtract(group.multiply(f, u), group.multiply(e, d))
        h_hat = group.subtract(group.multiply_base(f), group.multiply(e, verification))
    except GroupError:
        return False
    return e == _challenge(capsule, label, index, (verification, d, u_hat, h_hat))


def combine(partials: Mapping[int, bytes], capsule: bytes, label: bytes) -> bytes:
    """Return the key that these partials open, each by its index and checked before.

    Fewer than k of them give another key, which the key commitment of a chunk shows.

    Raises:
        GroupError: The partials cancel each other out: they were not checked.
    """
    indexes = sorted(partials)
    shared = group.IDENTITY
    for index in indexes:
        d = partials[index][2 : 2 + SCALAR_SIZE]
        shared = group.add(shared, group.multiply(scalars.lagrange(indexes, index), d))
    if shared == group.IDENTITY:
        raise GroupError("the partials amount to nothing")
    return _key(shared, capsule, label)


def _fields(data: bytes) -> Sequence[bytes]:
    return [data[at : at + SCALAR_SIZE] for at in range(0, len(data), SCALAR_SIZE)]


def _challenge(capsule: bytes, label: bytes, index: int, points: tuple[bytes, ...]) -> bytes:
    return scalars.hash_to_scalar(_PARTIAL, label, capsule, scalar_of(index), *points)


def _key(shared: bytes, capsule: bytes, label: bytes) -> bytes:
    hashed = blake2b(_KEY, digest_size=KEY_SIZE)
    for part in (shared, capsule, label):
        hashed.update(len(part).to_bytes(8, "little"))
        hashed.update(part)
    return hashed.digest()
