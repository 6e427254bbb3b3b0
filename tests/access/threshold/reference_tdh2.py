"""TDH2 in plain integers, written from the paper: what the fast one is held against."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

from tests.access.threshold.reference_group import (
    BASE,
    NEUTRAL,
    L,
    Point,
    add,
    decode,
    encode,
    multiply,
    negate,
)

SECOND: Final = decode(
    bytes.fromhex("13fbb619b54024cd0185d5072c95691f812c9fb1e75d40c71de93f4182c00c0e")
)
"""As the vectors have it: that nobody knows its logarithm is the fast one's to show."""


def number(wide: bytes) -> int:
    return int.from_bytes(wide, "little") % L


def hashed(prefix: bytes, *parts: bytes, size: int = 64) -> bytes:
    whole = prefix + b"".join(len(part).to_bytes(8, "little") + part for part in parts)
    return blake2b(whole, digest_size=size).digest()


def scalar(value: int) -> bytes:
    return (value % L).to_bytes(32, "little")


def share(coefficients: Sequence[int], index: int) -> int:
    value = sum(one * index**power for power, one in enumerate(coefficients))
    return int(value % L)


def encapsulate(public: Point, label: bytes, entropy: bytes) -> tuple[bytes, bytes]:
    r, s = number(entropy[:64]), number(entropy[64:])
    u, u2 = encode(multiply(r, BASE)), encode(multiply(r, SECOND))
    w, w2 = encode(multiply(s, BASE)), encode(multiply(s, SECOND))
    e = number(hashed(b"tanglewatt/tdh2.capsule/1\0", label, u, u2, w, w2))
    capsule = u + u2 + scalar(e) + scalar(s + r * e)
    return capsule, key(multiply(r, public), capsule, label)


def is_capsule(capsule: bytes, label: bytes) -> bool:
    u, u2 = decode(capsule[:32]), decode(capsule[32:64])
    e, f = int.from_bytes(capsule[64:96], "little"), int.from_bytes(capsule[96:], "little")
    w = add(multiply(f, BASE), negate(multiply(e, u)))
    w2 = add(multiply(f, SECOND), negate(multiply(e, u2)))
    parts = (label, capsule[:32], capsule[32:64], encode(w), encode(w2))
    return e == number(hashed(b"tanglewatt/tdh2.capsule/1\0", *parts))


def is_partial(partial: bytes, capsule: bytes, label: bytes, verification: Point) -> bool:
    index = int.from_bytes(partial[:2], "big")
    d, u = decode(partial[2:34]), decode(capsule[:32])
    e, f = int.from_bytes(partial[34:66], "little"), int.from_bytes(partial[66:], "little")
    u_hat = add(multiply(f, u), negate(multiply(e, d)))
    h_hat = add(multiply(f, BASE), negate(multiply(e, verification)))
    points = (encode(verification), partial[2:34], encode(u_hat), encode(h_hat))
    parts = (label, capsule, scalar(index), *points)
    return e == number(hashed(b"tanglewatt/tdh2.partial/1\0", *parts))


def combine(points: dict[int, Point], capsule: bytes, label: bytes) -> bytes:
    """Return the key from D of each index, by Lagrange's formula at zero."""
    shared = NEUTRAL
    for index, point in points.items():
        above = below = 1
        for other in points:
            if other != index:
                above, below = above * other % L, below * (other - index) % L
        shared = add(shared, multiply(above * pow(below, -1, L) % L, point))
    return key(shared, capsule, label)


def key(shared: Point, capsule: bytes, label: bytes) -> bytes:
    return hashed(b"tanglewatt/tdh2.key/1\0", encode(shared), capsule, label, size=32)
