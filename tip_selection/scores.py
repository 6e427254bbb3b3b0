"""How lazy a transaction is: how many milestones back its past cone ends."""

from enum import Enum
from typing import Final

from tangle.graph import Vertex

MAX_YOUNGEST_ROOT_AGE: Final = 8
"""Milestones. C1 of TIP-3: a cone with no younger root confirms nothing recent."""

MAX_OLDEST_ROOT_AGE: Final = 13
"""Milestones. C2 of TIP-3: two before max depth, so that children are not born below it."""


class Score(Enum):
    """The three classes of TIP-3, "Milestone based tip scoring"."""

    LAZY = 0
    """Not to be approved."""

    SEMI_LAZY = 1
    """Approved by the coordinator, and by others only for want of better."""

    NON_LAZY = 2


def is_below_max_depth(vertex: Vertex, confirmed_index: int, max_depth: int) -> bool:
    """Tell whether the oldest cone root lies more than `max_depth` milestones back."""
    return confirmed_index - vertex.oldest_root_index > max_depth


def least_roots(confirmed_index: int, max_depth: int) -> tuple[int, int]:
    """Return the least youngest and oldest root of what is non-lazy, as `score` says."""
    oldest_age = min(MAX_OLDEST_ROOT_AGE, max_depth)
    return confirmed_index - MAX_YOUNGEST_ROOT_AGE, confirmed_index - oldest_age


def score(vertex: Vertex, confirmed_index: int, max_depth: int) -> Score:
    """Return the class of `vertex` when `confirmed_index` is the last milestone applied.

    Args:
        vertex: Its roots are up to date with that milestone.
        confirmed_index: LSMI of TIP-3.
        max_depth: In milestones; M of TIP-3, a parameter of the network.

    Source:
        TIP-3, "Milestone based tip scoring".
    """
    if confirmed_index - vertex.youngest_root_index > MAX_YOUNGEST_ROOT_AGE:
        return Score.LAZY
    if is_below_max_depth(vertex, confirmed_index, max_depth):
        return Score.LAZY
    if confirmed_index - vertex.oldest_root_index > MAX_OLDEST_ROOT_AGE:
        return Score.SEMI_LAZY
    return Score.NON_LAZY
