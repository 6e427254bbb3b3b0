"""The load of `bench access`: the threshold scheme, in multiples of one scalar multiplication.

Multiples, because they say the same on every machine: each is timed beside the multiplication it
is counted in.
"""

from collections.abc import Callable, Iterator
from random import Random
from time import process_time
from typing import Final

from nacl import bindings

from access.threshold import feldman, tdh2
from api.bench.figures import Figure
from tangle.keys import SigningKey, is_signed

K: Final = 3
N: Final = 5
REPEATS: Final = 100
"""Of each operation in each round."""

UNIT: Final = "multiplications"
_LABEL: Final = b"bench"
_SEED: Final = 1


def access_figures(rounds: int) -> Iterator[Figure]:
    """Yield what each operation costs.

    `access.partial` is what a node does for a chunk: check the capsule, and give its part. The
    first figure is one PyNaCl multiplication in milliseconds, the last one an Ed25519 signature.
    """
    operations = _operations(Random(_SEED))
    multiply = operations.pop("multiply")
    units = [_seconds(multiply) for _ in range(rounds)]
    yield Figure("access.multiply", "ms", tuple(one * 1_000 for one in units))
    for name, operation in operations.items():
        values = []
        for _ in range(rounds):
            unit = _seconds(multiply)
            values.append(_seconds(operation) / unit)
        yield Figure(f"access.{name}", UNIT, tuple(values))


def _operations(rng: Random) -> dict[str, Callable[[], object]]:
    polynomial = feldman.new_polynomial(K, rng.randbytes(feldman.entropy_size(K)))
    commitments = feldman.commit(polynomial)
    public, entropy = commitments[0], rng.randbytes(tdh2.ENCAPSULATION_ENTROPY)
    capsule, key = tdh2.encapsulate(public, _LABEL, entropy)
    shares = {one: feldman.deal(polynomial, one) for one in range(1, N + 1)}
    nonce = rng.randbytes(tdh2.PARTIAL_ENTROPY)
    partials = {
        one: tdh2.make_partial(capsule, _LABEL, one, shares[one], nonce) for one in (1, 3, 5)
    }
    verification = feldman.verification_key(commitments, 1)
    signing = SigningKey(rng.randbytes(32))
    signature = signing.sign(_LABEL)
    assert tdh2.combine(partials, capsule, _LABEL) == key, "the workload is wrong"

    def partial() -> None:
        assert tdh2.is_capsule(capsule, _LABEL), "the workload is wrong"
        tdh2.make_partial(capsule, _LABEL, 1, shares[1], nonce)

    return {
        "multiply": lambda: bindings.crypto_scalarmult_ed25519_noclamp(shares[1], public),
        "encapsulate": lambda: tdh2.encapsulate(public, _LABEL, entropy),
        "partial": partial,
        "verify": lambda: tdh2.is_partial(partials[1], capsule, _LABEL, verification),
        "combine": lambda: tdh2.combine(partials, capsule, _LABEL),
        "signature": lambda: is_signed(signing.public, _LABEL, signature),
    }


def _seconds(operation: Callable[[], object]) -> float:
    """Return how long an operation takes on one core."""
    began = process_time()
    for _ in range(REPEATS):
        operation()
    return (process_time() - began) / REPEATS
