"""One random walk through the tangle, from a transaction to where no step is left.

A step goes from parent to child, the likelier the heavier the child is. Chance comes from a seed,
by arithmetic on 64 bits that an array kernel repeats exactly: same seed and same tangle, same end,
whoever walks.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from tangle.graph import Graph, Vertex
from tangle.transaction import TransactionId

SEED_BITS: Final = 64
STRIDE: Final = 0x9E3779B97F4A7C15
"""The golden ratio in 64 bits: what the state of a generator grows by."""

MIX_1: Final = 0xBF58476D1CE4E5B9
MIX_2: Final = 0x94D049BB133111EB
_MASK: Final = 2**SEED_BITS - 1


@dataclass(frozen=True, slots=True)
class Walk:
    """Where a walk begins, how it turns, and what bounds it."""

    start: TransactionId
    alpha: float
    """0 for no preference; the larger, the surer the heaviest child."""

    seed: int
    """`SEED_BITS` bits: all the chance there is in it."""

    oldest_root_index: int
    """It never steps on a pending transaction whose oldest cone root is older: all that approves it
    is below max depth as well. Referenced vertices may lie deeper: it only passes them."""

    budget: int
    """Vertices passed and children looked at."""


@dataclass(frozen=True, slots=True)
class WalkEnd:
    """Where it came out."""

    tx_id: TransactionId | None
    """`None`: over budget."""

    budget: int
    """What is left."""


class Dice:
    """Even draws from a seed. Source: Steele, Lea, Flood, *SplitMix*, 2014."""

    def __init__(self, seed: int) -> None:
        """Take a seed of 64 bits."""
        self._state = seed

    def share(self) -> float:
        """Return a number from 0 to below 1, in steps of 2⁻⁵³."""
        self._state = (self._state + STRIDE) & _MASK
        mixed = ((self._state ^ self._state >> 30) * MIX_1) & _MASK
        mixed = ((mixed ^ mixed >> 27) * MIX_2) & _MASK
        return ((mixed ^ mixed >> 31) >> 11) * 2.0**-53


def walk(graph: Graph, weight: Callable[[TransactionId], int], way: Walk) -> WalkEnd:
    """Walk until no step is left.

    Args:
        graph: The tangle; not modified.
        weight: Exact cumulative weight of a transaction; not asked for while `alpha` is 0.
        way: What is to be done; its start is in the graph.

    Returns:
        The last transaction, and what is left of the budget.

    Source:
        *The Tangle*, section 4.1.
    """
    dice = Dice(way.seed)
    here, left = graph[way.start], way.budget
    while True:
        left -= 1 + len(here.children)
        if left < 0:
            return WalkEnd(None, 0)
        onward = [graph[tx_id] for tx_id in here.children]
        onward = [child for child in onward if _leads_on(child, way.oldest_root_index)]
        if not onward:
            return WalkEnd(here.tx_id, left)
        # Sorted, so that the order of arrival does not change what a seed chooses.
        onward.sort(key=lambda child: child.tx_id)
        here = onward[_turn(onward, weight, way.alpha, dice)]


def step_odds(weights: Sequence[int], alpha: float) -> list[float]:
    """Return the odds of each child: exp(α · (H − H_max)), so 1 for the heaviest.

    Args:
        weights: Exact cumulative weights of the children, at least one.
        alpha: 0 for no preference.

    Source:
        *The Tangle*, section 4.1. Exponents of differences to the heaviest never overflow.
    """
    heaviest = max(weights)
    return [math.exp(alpha * (weight - heaviest)) for weight in weights]


def _turn(
    children: Sequence[Vertex],
    weight: Callable[[TransactionId], int],
    alpha: float,
    dice: Dice,
) -> int:
    """Return which of `children` to go to. A single one takes no draw."""
    if len(children) == 1:
        return 0
    weights = [weight(child.tx_id) for child in children] if alpha else [1] * len(children)
    edges = list(accumulate(step_odds(weights, alpha)))
    return min(bisect_right(edges, dice.share() * edges[-1]), len(children) - 1)


def _leads_on(child: Vertex, oldest_root_index: int) -> bool:
    return child.referenced_index is not None or child.oldest_root_index >= oldest_root_index
