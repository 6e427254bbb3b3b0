"""Sets of sequence numbers as ascending spans, both ends inclusive, with a gap between two."""

from collections.abc import Iterable

Span = tuple[int, int]
Spans = tuple[Span, ...]


def added(spans: Spans, more: Iterable[Span]) -> Spans:
    """Return the union of `spans` and `more`, which may touch, overlap and be in any order."""
    merged: list[Span] = []
    for first, last in sorted((*spans, *more)):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return tuple(merged)


def without(spans: Spans, fewer: Iterable[Span]) -> Spans:
    """Return `spans` less every number in `fewer`, which may be in any order."""
    left = list(spans)
    for low, high in fewer:
        cut: list[Span] = []
        for first, last in left:
            if last < low or high < first:
                cut.append((first, last))
                continue
            if first < low:
                cut.append((first, low - 1))
            if high < last:
                cut.append((high + 1, last))
        left = cut
    return tuple(left)


def has_all(spans: Spans, first: int, last: int) -> bool:
    """Return whether every number from `first` to `last` is in `spans`."""
    return any(low <= first and last <= high for low, high in spans)


def size(spans: Iterable[Span]) -> int:
    """Return how many numbers there are."""
    return sum(last - first + 1 for first, last in spans)
