"""Splitting an amount so that its parts add up to it, to the last base unit."""

from collections.abc import Sequence


def split(amount: int, weights: Sequence[int]) -> list[int]:
    """Split `amount` in proportion to `weights` by the largest remainder.

    Each part is its exact share rounded down; what that leaves over goes, one base unit each, to
    the parts that lost most by it. Of equal ones the earlier wins, so callers put first who shall
    have it: a producer before an owner, else the lower address.

    Args:
        amount: What is split, in base units, not negative.
        weights: Not negative, at least one of them positive.

    Returns:
        As many parts as weights; their sum is `amount`, and a weight of 0 gets nothing.
    """
    whole = sum(weights)
    assert amount >= 0 < whole, f"{amount} base units over weights that sum to {whole}"
    parts = [amount * weight // whole for weight in weights]
    lost = sorted(range(len(weights)), key=lambda at: (-(amount * weights[at] % whole), at))
    for at in lost[: amount - sum(parts)]:
        parts[at] += 1
    return parts
