"""The weighted random walk, the default selector: heavier children are likelier."""

import math
from collections.abc import Sequence
from random import Random
from typing import Final

from tangle.transaction import TransactionId
from tip_selection.selection import Selection
from tip_selection.view import View
from tip_selection.walk import Step, select_by_walks

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
    return select_by_walks(view, rng, count, weighted_step(view))


def bias(view: View) -> float:
    """Return α: the network's parameter, or 0.1 / λh where the load asks for less."""
    in_flight = view.load.arrival_rate_per_s * view.load.delay_s
    alpha = view.parameters.alpha_ppm / PPM
    return min(alpha, MAX_BIAS_PER_DELAY / in_flight) if in_flight > 0 else alpha


def step_probabilities(weights: Sequence[int], alpha: float) -> tuple[float, ...]:
    """Return the probability of each child, proportional to exp(α · (H − H_max)).

    Args:
        weights: Exact cumulative weights of the children, at least one.
        alpha: 0 for no preference; the larger, the surer the heaviest.

    Source:
        *The Tangle*, section 4.1. Exponents of differences to the heaviest never overflow.
    """
    heaviest = max(weights)
    odds = [math.exp(alpha * (weight - heaviest)) for weight in weights]
    total = math.fsum(odds)
    return tuple(each / total for each in odds)


def weighted_step(view: View) -> Step:
    """Return the step of the weighted walk over `view`."""
    alpha = bias(view)

    def step(children: Sequence[TransactionId], rng: Random) -> TransactionId:
        if len(children) == 1:
            return children[0]
        weights = [view.weights.weight(tx_id) for tx_id in children]
        return rng.choices(children, step_probabilities(weights, alpha))[0]

    return step
