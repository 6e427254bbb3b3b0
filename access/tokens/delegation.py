"""Passing a grant on: no field of what is passed on may be wider than what it comes from."""

from collections.abc import Callable
from typing import Final

from access.tokens.dact import AccessContext, Dact, Place, Window
from access.tokens.zones import MINUTES_OF_DAY

Narrowing = Callable[[Dact, Dact], bool]
"""Whether a child is no wider than its parent, in one respect."""


def minutes_of(windows: tuple[Window, ...]) -> frozenset[int]:
    """Return the minutes of the day that windows cover; all of them for no windows."""
    if not windows:
        return frozenset(range(MINUTES_OF_DAY))
    covered: set[int] = set()
    for one in windows:
        if one.from_minute < one.to_minute:
            covered.update(range(one.from_minute, one.to_minute))
        else:
            covered.update(range(one.from_minute, MINUTES_OF_DAY), range(one.to_minute))
    return frozenset(covered)


def is_covered(minute: int, windows: tuple[Window, ...]) -> bool:
    """Return whether a minute of the day lies in one of the windows."""
    return not windows or any(
        one.from_minute <= minute < one.to_minute
        if one.from_minute < one.to_minute
        else minute >= one.from_minute or minute < one.to_minute
        for one in windows
    )


def widened(child: Dact, parent: Dact) -> tuple[str, ...]:
    """Return in which respects a child is wider than its parent: none if it may be passed on."""
    return tuple(name for name, narrows in _RESPECTS.items() if not narrows(child, parent))


def _resource(child: Dact, parent: Dact) -> bool:
    one, other = child.resource, parent.resource
    same = (one.vault, one.stream) == (other.vault, other.stream)
    return same and other.from_ms <= one.from_ms and one.to_ms <= other.to_ms


def _times(child: Dact, parent: Dact) -> bool:
    one, other = child.context, parent.context
    return other.not_before_ms <= one.not_before_ms and one.not_after_ms <= other.not_after_ms


def _daily(child: Dact, parent: Dact) -> bool:
    one, other = child.context, parent.context
    if not other.daily:
        return True  # the whole day, whatever the zone
    return one.zone == other.zone and minutes_of(one.daily) <= minutes_of(other.daily)


def _place(child: Dact, parent: Dact) -> bool:
    one: Place = child.context.place
    other: Place = parent.context.place
    if other.kind == "any":
        return True
    return one.kind == other.kind and set(one.ids) <= set(other.ids)


def _purpose(child: Dact, parent: Dact) -> bool:
    one: AccessContext = child.context
    other: AccessContext = parent.context
    return one.purpose == other.purpose and other.session in (None, one.session)


def _threshold(child: Dact, parent: Dact) -> bool:
    one, other = child.threshold, parent.threshold
    same = (one.cohort, one.generation, one.n) == (other.cohort, other.generation, other.n)
    return same and other.k <= one.k


def _limits(child: Dact, parent: Dact) -> bool:
    one, other = child.limits, parent.limits
    return (
        one.max_uses <= other.max_uses
        and one.max_chunks <= other.max_chunks
        and one.per_hour <= other.per_hour
    )


def _obligations(child: Dact, parent: Dact) -> bool:
    one, other = child.obligations, parent.obligations
    return one.retention_ms <= other.retention_ms and one.onward_sharing <= other.onward_sharing


_RESPECTS: Final[dict[str, Narrowing]] = {
    "network": lambda child, parent: child.genesis_hash == parent.genesis_hash,
    "owner": lambda child, parent: child.owner == parent.owner,
    "resource": _resource,
    "actions": lambda child, parent: set(child.actions) <= set(parent.actions),
    "delegate": lambda _, parent: "delegate" in parent.actions,
    "times": _times,
    "daily": _daily,
    "place": _place,
    "purpose": _purpose,
    "threshold": _threshold,
    "limits": _limits,
    "offline_grace": lambda child, parent: child.offline_grace_ms <= parent.offline_grace_ms,
    "depth": lambda child, parent: child.depth < parent.depth,
    "obligations": _obligations,
}
"""Every respect, by name: a field of the document is in one of them, or says who and when."""
