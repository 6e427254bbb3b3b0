"""Polynomials, partials and gathered answers: what the attacks on shares have in common."""

import random
from typing import Final

import msgspec

from access.matching.gathering import Sought, sought
from access.matching.message import Answer, NumberedPartial
from access.requests.receipt import receipt_message
from access.streams.sealing import (
    label_bytes,
)
from access.threshold import feldman, group, tdh2
from tangle.codec import encode
from tangle.merkle import merkle_root
from tests.access.world import (
    NODE_KEYS,
    K,
    World,
)

LABEL: Final = b"label"


def opened(seed: int = 1) -> tuple[feldman.Polynomial, tuple[bytes, ...], bytes, bytes]:
    """Return a polynomial, its commitments, a capsule and the key in it."""
    rng = random.Random(seed)
    polynomial = feldman.new_polynomial(K, rng.randbytes(feldman.entropy_size(K)))
    commitments = feldman.commit(polynomial)
    capsule, key = tdh2.encapsulate(commitments[0], LABEL, rng.randbytes(128))
    return polynomial, commitments, capsule, key


def partial(polynomial: feldman.Polynomial, capsule: bytes, index: int) -> bytes:
    return tdh2.make_partial(capsule, LABEL, index, feldman.deal(polynomial, index), bytes(64))


def gathering(world: World, number: int = 1) -> tuple[Sought, list[Answer]]:
    made = world.request(world.granted(), chunks=[number, 2])
    wanted = sought(world.rows, made.request, number)
    assert wanted is not None
    return wanted, world.answers(made, (1, 2, 3, 4, 5))


def resigned(answer: Answer, node: int, partials: tuple[NumberedPartial, ...]) -> Answer:
    """Return what a false node would send: other partials, under its own signature."""
    root = merkle_root([encode(one) for one in partials])
    receipt = msgspec.structs.replace(answer.receipt.receipt, partials=root)
    signature = NODE_KEYS[node - 1].sign(receipt_message(receipt))
    return Answer(type(answer.receipt)(receipt, signature), partials)


def with_partial(answer: Answer, node: int, bad: bytes) -> Answer:
    return resigned(answer, node, (NumberedPartial(1, bad), *answer.partials[1:]))


def key_of(world: World, number: int) -> bytes:
    """Return the key of a chunk from the owner's secret, which no protocol does."""
    label, sealed = label_bytes(world.label(number)), world.sealed[number]
    shared = group.multiply(world.polynomial.secret, sealed.capsule[:32])
    return tdh2._key(shared, sealed.capsule, label)
