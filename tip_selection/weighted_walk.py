"""The weighted random walk, the default selector: heavier children are likelier."""

from random import Random
from typing import Final

from tip_selection.selection import Selection
from tip_selection.view import View
from tip_selection.walk import select_by_walks

PPM: Final = 1_000_000
MAX_BIAS_PER_DELAY: Final = 0.1
"""Largest α · λ · h: siblings of one age differ in weight by about λh, and by chance alone.

A bias that reads those differences leaves honest tips behind as the load grows.
"""


def select_weighted_walk(view: View, rng: Random, count: int) -> Selection:
    """Let `count` independent walkers choose, each preferring what most work approves.

    Args:
        view: The tangle now, with exact weights.
        rng: The node's generator. Same seed and same view, same choice.
        count: How many to pick, at least 1.

    Raises:
        NoTipsError: There are no two transactions to approve.

    Source:
        *The Tangle*, section 4.1; two walkers that take the tips they reach.
    """
    return select_by_walks(view, rng, count, bias(view))


def bias(view: View) -> float:
    """Return α: the network's parameter, or 0.1 / λh where the load asks for less."""
    in_flight = view.load.arrival_rate_per_s * view.load.delay_s
    alpha = view.parameters.alpha_ppm / PPM
    return min(alpha, MAX_BIAS_PER_DELAY / in_flight) if in_flight > 0 else alpha
