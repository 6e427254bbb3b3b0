"""Whether meters obey their relays: what the ledger asks for against what they read. Pure.

The home edge knows what it serves and what comes back, no more. So a meter is named only for what
it signed itself: readings that lie wholly within an order, after a grace, and draw more than the
order leaves. One such reading may be an honest meter that lost contact in the meantime and closed;
from the second in a row on it is held to disobey. Nothing on the ledger follows from it.
"""

from dataclasses import dataclass, replace
from typing import Final

from devices.curtailing import MS_PER_HOUR
from devices.relay import LOST_INTERVALS

GRACE_INTERVALS: Final = LOST_INTERVALS
"""Milestone intervals from the first order on in which a meter may still draw: for the proof to
come, to be checked, and for the relay to switch."""

MIN_READINGS: Final = 2
"""In a row with too much import, before a meter is held to disobey."""

SLACK_WH: Final = 1
"""A register counts whole watt-hours: a reading may be one more than was drawn in it."""


@dataclass(frozen=True, slots=True)
class Obedience:
    """What is known of one meter's relay at its home edge."""

    limit_w: int | None = None
    """What the newest standing served asks for; `None` for no limit."""

    since_ms: int = 0
    """Ledger time since when there is a limit without a break; while there is one."""

    served_index: int = 0
    """Milestone of the newest standing served."""

    most_w: int = 0
    """Highest limit since then: a lowered one is not held against what was drawn before."""

    said_limit_w: int | None = None
    """What the meter last said of its relay."""

    said_index: int = 0
    """Of the milestone it said to go by; 0 if it has said nothing."""

    said_at_ms: int = 0
    in_a_row: int = 0
    """Readings with too much import, up to the last one that was judged."""

    excess_wh: int = 0
    """What they drew beyond the limit."""

    disobeyed_at_ms: int | None = None
    """End of the last reading that it was held to disobey in; `None` if it never was."""

    @property
    def disobeys(self) -> bool:
        """Whether it draws more than it may, now."""
        return self.in_a_row >= MIN_READINGS


def served(one: Obedience, index: int, timestamp_ms: int, limit_w: int | None) -> Obedience:
    """Return what is known once the standing of a milestone is handed out.

    Args:
        one: Before it.
        index: Of the milestone.
        timestamp_ms: Its time, ledger time.
        limit_w: What the standing asks for.
    """
    if limit_w is None:
        return replace(one, limit_w=None, served_index=index, in_a_row=0, excess_wh=0)
    if one.limit_w is None:
        return replace(
            one, limit_w=limit_w, since_ms=timestamp_ms, served_index=index, most_w=limit_w
        )
    return replace(one, limit_w=limit_w, served_index=index, most_w=max(one.most_w, limit_w))


def said(one: Obedience, limit_w: int | None, index: int, at_ms: int) -> Obedience:
    """Return what is known once the meter said where its relay stands."""
    return replace(one, said_limit_w=limit_w, said_index=index, said_at_ms=at_ms)


def unserved(one: Obedience) -> Obedience:
    """Return what is known once the way to the meters is broken: the order begins anew."""
    return replace(one, limit_w=None, in_a_row=0, excess_wh=0)


def judged(
    one: Obedience, interval: tuple[int, int], import_wh: int, interval_ms: int
) -> Obedience:
    """Return what is known after a reading.

    Args:
        one: Before it.
        interval: Start and end of the reading, ledger time.
        import_wh: Drawn in it.
        interval_ms: Between two milestones, ledger time.
    """
    start_ms, end_ms = interval
    if one.limit_w is None or start_ms < one.since_ms + GRACE_INTERVALS * interval_ms:
        return one
    allowed_wh = -(-one.most_w * (end_ms - start_ms) // MS_PER_HOUR) + SLACK_WH
    excess_wh = import_wh - allowed_wh
    if excess_wh <= 0:
        return replace(one, in_a_row=0, excess_wh=0)
    after = replace(one, in_a_row=one.in_a_row + 1, excess_wh=one.excess_wh + excess_wh)
    return replace(after, disobeyed_at_ms=end_ms) if after.disobeys else after
