"""When a meter's relay interrupts: on what a quorum of the coordinator signed, and nothing else.

Pure. An *order* is what a proven standing says: draw at most so many watts, or as you like. It
interrupts only while it is fresh by the meter's own ledger clock, so that nobody who kept an old
proof darkens a home with it; the supply returns on the opposite proof, however it came, and by
itself when proofs stop coming. Whoever stole an edge node's key can thus restore a supply, which
is what a fault does as well, and can interrupt none.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal

FRESH_INTERVALS: Final = 2
"""Milestone intervals that the meter's clock may differ from a milestone's time for its proof to
interrupt (ENERGY §6). In both directions: a clock that is behind takes an old proof for new."""

LOST_INTERVALS: Final = 5
"""Milestone intervals after the time of the newest fresh proof: contact is lost. Longer than
`FRESH_INTERVALS`, so that a late milestone or two do not let the relay chatter."""

Why = Literal["start", "proof", "contact lost"]


@dataclass(frozen=True, slots=True)
class Order:
    """What a proven standing asks of the relay."""

    index: int
    """Of the milestone."""

    timestamp_ms: int
    """Its time, ledger time."""

    limit_w: int | None
    """0 interrupts; above, so much may still be drawn; `None`: no limit."""


@dataclass(frozen=True, slots=True)
class Relay:
    """Where a relay stands. A new one, and one without power, is closed."""

    limit_w: int | None = None
    """0: open. Above 0: closed, and the draw is limited to it. `None`: closed."""

    why: Why = "start"
    since_ms: int = 0
    """Ledger time of the last switching."""

    index: int = -1
    """Of the newest milestone that was believed."""

    fresh_at_ms: int = 0
    """Ledger time of the newest milestone that was fresh and asked for the limit; while there is
    a limit."""


def is_fresh(timestamp_ms: int, now_ms: int, interval_ms: int) -> bool:
    """Return whether a milestone's time is near enough to the meter's clock to interrupt.

    Args:
        timestamp_ms: Of the milestone, ledger time.
        now_ms: The meter's own clock, ledger time.
        interval_ms: Between two milestones, ledger time.
    """
    return abs(now_ms - timestamp_ms) <= FRESH_INTERVALS * interval_ms


def obeying(relay: Relay, order: Order, now_ms: int, interval_ms: int) -> Relay:
    """Return the relay after a proven order; arguments as in `is_fresh`.

    An order of a milestone that is not newer changes nothing. One that is not fresh and asks for
    a limit changes nothing either, not even which milestone was believed last.
    """
    if order.index <= relay.index:
        return relay
    if order.limit_w is None:
        return _switched(replace(relay, index=order.index, fresh_at_ms=0), None, "proof", now_ms)
    if not is_fresh(order.timestamp_ms, now_ms, interval_ms):
        return relay
    believed = replace(relay, index=order.index, fresh_at_ms=order.timestamp_ms)
    return _switched(believed, order.limit_w, "proof", now_ms)


def released(relay: Relay, now_ms: int, interval_ms: int) -> Relay:
    """Return the relay as time goes by: it closes once contact is lost."""
    due_ms = released_at_ms(relay, interval_ms)
    if due_ms is None or now_ms < due_ms:
        return relay
    return _switched(relay, None, "contact lost", now_ms)


def released_at_ms(relay: Relay, interval_ms: int) -> int | None:
    """Return when the relay closes if no further proof comes, ledger time; `None` if it is."""
    if relay.limit_w is None:
        return None
    return relay.fresh_at_ms + LOST_INTERVALS * interval_ms + 1


def _switched(relay: Relay, limit_w: int | None, why: Why, now_ms: int) -> Relay:
    if limit_w == relay.limit_w:
        return relay
    return replace(relay, limit_w=limit_w, why=why, since_ms=now_ms)
