"""Which readings of one meter the ledger has taken, in any order of arrival (PROTOCOL §11)."""

from bisect import bisect_left
from itertools import pairwise
from typing import Annotated, Final

import msgspec

from tangle.outcomes import Reason
from tangle.transaction import Counter

MAX_GAPS: Final = 64
"""Holes below the highest taken number, one before the first range included: what bounds the
row of a meter whose batches arrive in any order."""


class ReadingRange(msgspec.Struct, frozen=True, array_like=True):
    """Consecutive sequence numbers, both ends inclusive."""

    first: Counter
    last: Counter


class ReadingRanges(msgspec.Struct, frozen=True, array_like=True):
    """The sequence numbers that are taken."""

    taken: Annotated[tuple[ReadingRange, ...], msgspec.Meta(max_length=MAX_GAPS + 1)] = ()
    """Ascending, with at least one number missing between neighbours, so that one meaning has
    one spelling."""

    def __post_init__(self) -> None:
        """Refuse a second spelling, and more gaps than are allowed."""
        for held in self.taken:
            if held.last < held.first:
                raise ValueError(f"a range from {held.first} back to {held.last}")
        for low, high in pairwise(self.taken):
            if high.first <= low.last + 1:
                raise ValueError(f"ranges up to {low.last} and from {high.first} are one")
        if gaps(self) > MAX_GAPS:
            raise ValueError(f"{gaps(self)} gaps: at most {MAX_GAPS} are allowed")


def take(ranges: ReadingRanges, first: int, last: int) -> ReadingRanges | Reason:
    """Return the ranges after `first` to `last`, inclusive, are taken, or why they cannot be.

    Returns:
        The merged ranges; `READING_USED` if any of the numbers is taken already;
        `OUT_OF_RANGE` if more than `MAX_GAPS` gaps would be left.
    """
    assert 0 <= first <= last, f"readings from {first} to {last}"
    taken = ranges.taken
    start = bisect_left(taken, first, key=lambda held: held.last)  # first to end at or after
    if start < len(taken) and taken[start].first <= last:
        return Reason.READING_USED
    end = start
    if start > 0 and taken[start - 1].last + 1 == first:
        start -= 1
        first = taken[start].first
    if end < len(taken) and taken[end].first == last + 1:
        last = taken[end].last
        end += 1
    merged = (*taken[:start], ReadingRange(first, last), *taken[end:])
    if _gaps(merged) > MAX_GAPS:
        return Reason.OUT_OF_RANGE
    return ReadingRanges(merged)


def count(ranges: ReadingRanges) -> int:
    """Return how many readings are taken."""
    return sum(held.last - held.first + 1 for held in ranges.taken)


def gaps(ranges: ReadingRanges) -> int:
    """Return how many holes lie below the highest taken number."""
    return _gaps(ranges.taken)


def _gaps(taken: tuple[ReadingRange, ...]) -> int:
    if not taken:
        return 0
    return len(taken) - (taken[0].first == 0)
