"""What a simulated home draws while its meter's relay interrupts or limits it. Pure.

A real relay cuts a wire. A simulated meter has only the registers that its source would read, so
what the relay kept from being drawn is taken off the import, for good: a home that was dark for an
hour does not draw that hour's energy later.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

MS_PER_HOUR: Final = 3_600_000
MAX_SWITCHINGS: Final = 256
"""Kept for one interval; of more the oldest are forgotten, as if the relay had been closed."""


@dataclass(frozen=True, slots=True)
class Switching:
    """From a moment on, a limit held, or none."""

    at_ms: int
    """Ledger time."""

    limit_w: int | None


def drawn_wh(wanted_wh: int, start_ms: int, end_ms: int, switchings: Sequence[Switching]) -> int:
    """Return what a home draws that would draw `wanted_wh` evenly, rounded down.

    Args:
        wanted_wh: Over the whole interval, without any relay.
        start_ms: Of the interval, ledger time.
        end_ms: Of the interval.
        switchings: In order of time; before the first there was no limit.
    """
    length_ms = end_ms - start_ms
    changes = [Switching(start_ms, None), *switchings, Switching(end_ms, None)]
    kept = 0  # in Wh · 3,600,000 · length, so that nothing is rounded twice
    for one, following in pairwise(changes):
        begin_ms, until_ms = max(one.at_ms, start_ms), min(following.at_ms, end_ms)
        if one.limit_w is None or until_ms <= begin_ms:
            continue
        part_ms = until_ms - begin_ms
        kept += max(0, wanted_wh * part_ms * MS_PER_HOUR - one.limit_w * part_ms * length_ms)
    return wanted_wh - -(-kept // (MS_PER_HOUR * length_ms))


def since(switchings: Sequence[Switching], at_ms: int) -> tuple[Switching, ...]:
    """Return what of the switchings still says something about the time from `at_ms` on."""
    later = [one for one in switchings if one.at_ms > at_ms]
    before = [one for one in switchings if one.at_ms <= at_ms]
    return tuple([*before[-1:], *later][-MAX_SWITCHINGS:])
