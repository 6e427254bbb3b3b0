"""Sequence numbers of one issuer: each counts once, in any order (PROTOCOL §4).

A sliding window as in DTLS replay protection, wide enough for a busy edge node.
"""

from collections.abc import Set as AbstractSet
from typing import Annotated, Final

import msgspec

from tangle.outcomes import Reason
from tangle.transaction import MAX_INTEGER, Counter

WINDOW: Final = 1_024
"""Usable are `next` to `next` + 1,023: what one issuer may have unreferenced at a time."""

_MAX_USED_SIZE: Final = WINDOW // 8


class SequenceWindow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Which numbers an issuer has used: all below `next`, and some above it."""

    next: Counter = 0
    """Lowest unused number."""

    used: Annotated[bytes, msgspec.Meta(max_length=_MAX_USED_SIZE)] = b""
    """Bit i, least significant first, is set when `next` + 1 + i is used; no trailing zero byte,
    so that one meaning has one spelling."""

    def __post_init__(self) -> None:
        """Refuse a second spelling: a trailing zero byte, or the bit beyond the window."""
        if self.used and not self.used[-1]:
            raise ValueError("the bit set of used numbers ends with a zero byte")
        if len(self.used) == _MAX_USED_SIZE and self.used[-1] >> 7:
            raise ValueError(f"the bit set names a number {WINDOW} above the lowest unused one")


def use(window: SequenceWindow, number: int) -> SequenceWindow | Reason:
    """Return the window after `number` is used, or why it cannot be used.

    The very last number, `MAX_INTEGER`, is never usable: `next` would no longer be a `Counter`.
    """
    if number == window.next and not window.used and number < MAX_INTEGER:
        return SequenceWindow(number + 1, b"")  # what nearly every operation does
    offset = number - window.next
    if offset < 0:
        return Reason.SEQUENCE_USED
    if offset >= WINDOW or number >= MAX_INTEGER:
        return Reason.SEQUENCE_AHEAD
    if offset == 0 and not window.used:  # in order, as most are: nothing to shift
        return SequenceWindow(number + 1)
    bits = _bits_from_next(window)
    if bits >> offset & 1:
        return Reason.SEQUENCE_USED
    bits |= 1 << offset
    advance = (~bits & bits + 1).bit_length() - 1  # place of the lowest zero bit
    above = bits >> advance + 1
    return SequenceWindow(
        window.next + advance, above.to_bytes((above.bit_length() + 7) // 8, "little")
    )


def is_unused(window: SequenceWindow, number: int) -> bool:
    """Return whether a transaction under `number` may still count, now or later."""
    offset = number - window.next
    return offset >= WINDOW or (offset >= 0 and not _bits_from_next(window) >> offset & 1)


def lowest_unused(window: SequenceWindow, pending: AbstractSet[int]) -> int | None:
    """Return the number to issue under next, so that the oldest hole is filled first.

    Args:
        window: The issuer's row as of the last applied milestone.
        pending: Numbers of its transactions that no milestone references yet.

    Returns:
        The lowest usable number that is neither used nor pending; `None` when there is none:
        1,024 are outstanding, and the issuer must wait for a milestone.
    """
    bits = _bits_from_next(window)
    last = min(window.next + WINDOW, MAX_INTEGER)
    for number in range(window.next, last):
        if not bits >> number - window.next & 1 and number not in pending:
            return number
    return None


def _bits_from_next(window: SequenceWindow) -> int:
    """Return the bit set with bit 0 for `next` itself, which is never set."""
    return int.from_bytes(window.used, "little") << 1
