"""The same group in plain integers, written from RFC 8032 alone: slow, and independent.

Extended twisted Edwards coordinates (Hisil, Wong, Carter, Dawson 2008). Shares no line and no
library with `access.threshold`.
"""

from functools import cache
from typing import Final

P: Final = 2**255 - 19
L: Final = 2**252 + 27742317777372353535851937790883648493
D: Final = -121665 * pow(121666, -1, P) % P
SQRT_M1: Final = pow(2, (P - 1) // 4, P)

Point = tuple[int, int, int, int]

NEUTRAL: Final[Point] = (0, 1, 1, 0)


def add(one: Point, other: Point) -> Point:
    x1, y1, z1, t1 = one
    x2, y2, z2, t2 = other
    a = (y1 - x1) * (y2 - x2) % P
    b = (y1 + x1) * (y2 + x2) % P
    c = 2 * D * t1 * t2 % P
    d = 2 * z1 * z2 % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def negate(point: Point) -> Point:
    x, y, z, t = point
    return -x % P, y, z, -t % P


def multiply(number: int, point: Point) -> Point:
    """Return `number` times `point`, four bits at a time."""
    table = [NEUTRAL]
    for _ in range(15):
        table.append(add(table[-1], point))
    result = NEUTRAL
    for nibble in f"{number:x}":
        for _ in range(4):
            result = add(result, result)
        result = add(result, table[int(nibble, 16)])
    return result


def encode(point: Point) -> bytes:
    x, y, z, _ = point
    inverse = pow(z, -1, P)
    x, y = x * inverse % P, y * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def decode(data: bytes) -> Point:
    """Return the point `data` encodes. Raises `ValueError` if it encodes none."""
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & (1 << 255) - 1
    if len(data) != 32 or y >= P:
        raise ValueError("not canonical")
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * SQRT_M1 % P
    if (x * x - square) % P or (x == 0 and sign):
        raise ValueError("not on the curve")
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


def is_prime_order(data: bytes) -> bool:
    try:
        point = decode(data)
    except ValueError:
        return False
    return encode(point) != encode(NEUTRAL) and encode(multiply(L, point)) == encode(NEUTRAL)


_BY = 4 * pow(5, -1, P) % P
BASE: Final = decode(_BY.to_bytes(32, "little"))


@cache
def small_order_points() -> tuple[Point, ...]:
    """Return the eight points whose order divides eight, the neutral one first."""
    y = 2
    while True:
        try:
            torsion = multiply(L, decode(y.to_bytes(32, "little")))
        except ValueError:
            y += 1
            continue
        found = [multiply(number, torsion) for number in range(8)]
        if len({encode(one) for one in found}) == 8:
            return tuple(found)
        y += 1
