"""Shares of a secret that everybody can check: Shamir's polynomial, Feldman's commitments.

Source: A. Shamir, "How to share a secret", 1979; P. Feldman, "A practical scheme for
non-interactive verifiable secret sharing", 1987. Constant terms may be given, so that new shares
of an old secret can be dealt (Herzberg et al., "Proactive secret sharing", 1995).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from typing_extensions import override

from access.threshold import group, scalars
from tangle.errors import GroupError, InvalidError

MAX_THRESHOLD: Final = 32
"""Commitments of one vault: a row and an operation hold them all."""


@dataclass(frozen=True, slots=True)
class Polynomial:
    """A dealer's secret: coefficients, constant term first. Never encoded, never printed."""

    coefficients: tuple[bytes, ...]

    @override
    def __repr__(self) -> str:
        return f"Polynomial(k={len(self.coefficients)})"

    @property
    def secret(self) -> bytes:
        """The constant term: what k shares together amount to."""
        return self.coefficients[0]


def entropy_size(k: int) -> int:
    """Return how many random bytes a new polynomial for `k` shares takes."""
    return k * scalars.WIDE_SIZE


def new_polynomial(k: int, entropy: bytes) -> Polynomial:
    """Return a random polynomial of degree k − 1.

    Raises:
        InvalidError: `k` is out of range, or `entropy` has not `entropy_size(k)` bytes.
    """
    if not 1 <= k <= MAX_THRESHOLD:
        raise InvalidError(f"threshold {k}: from 1 to {MAX_THRESHOLD} are allowed")
    if len(entropy) != entropy_size(k):
        raise InvalidError(f"{len(entropy)} random bytes, {entropy_size(k)} are needed")
    size = scalars.WIDE_SIZE
    drawn = tuple(
        scalars.scalar_from(entropy[at : at + size]) for at in range(0, len(entropy), size)
    )
    if not all(scalars.is_scalar(one) for one in drawn):
        raise InvalidError("the random bytes make a coefficient of zero: they are not random")
    return Polynomial(drawn)


def refreshed_polynomial(old: Polynomial, entropy: bytes) -> Polynomial:
    """Return another polynomial with the same constant term: shares of the two do not mix.

    Raises:
        InvalidError: As `new_polynomial`.
    """
    new = new_polynomial(len(old.coefficients), entropy)
    return Polynomial((old.secret, *new.coefficients[1:]))


def commit(polynomial: Polynomial) -> tuple[bytes, ...]:
    """Return the coefficients times the base point: the first is the public key."""
    return tuple(group.multiply_base(one) for one in polynomial.coefficients)


def deal(polynomial: Polynomial, index: int) -> bytes:
    """Return the share of the node at `index`, from 1. Raises `InvalidError` for a share of zero.

    Zero has a chance of 2^-252; it would be no share that libsodium multiplies with.
    """
    assert 1 <= index <= scalars.MAX_INDEX, f"share index {index}"
    share = scalars.evaluate(polynomial.coefficients, index)
    if not scalars.is_scalar(share):
        raise InvalidError(f"the share at {index} is zero: deal another polynomial")
    return share


def verification_key(commitments: Sequence[bytes], index: int) -> bytes:
    """Return the share at `index` times the base point, from commitments alone.

    Raises:
        GroupError: A commitment is no point, or the share would be zero.
    """
    at = scalars.scalar_of(index)
    value = commitments[-1]
    if not group.is_point(value):
        raise GroupError("a commitment is no point of prime order")
    for commitment in reversed(commitments[:-1]):
        if not group.is_point(commitment):
            raise GroupError("a commitment is no point of prime order")
        scaled = value if index == 1 else group.multiply(at, value)
        value = group.add(scaled, commitment)
    if value == group.IDENTITY:
        raise GroupError(f"the share at {index} would be zero")
    return value


def is_consistent(commitments: Sequence[bytes], index: int, share: bytes) -> bool:
    """Return whether `share` is what was committed to for the node at `index`."""
    if not scalars.is_scalar(share):
        return False
    try:
        return group.multiply_base(share) == verification_key(commitments, index)
    except GroupError:
        return False


def are_commitments(commitments: Sequence[bytes]) -> bool:
    """Return whether each one is a point, as a deal on the ledger must have them."""
    return all(group.is_point(one) for one in commitments)
