"""Confirmation confidence: how likely it is that new transactions will approve one."""

from random import Random
from typing import Final

from tangle.transaction import TransactionId
from tip_selection.view import View
from tip_selection.walk import draw_tip
from tip_selection.weighted_walk import bias

WALKS: Final = 100
"""So that the share is a percentage."""


def confidence(view: View, rng: Random, tx_id: TransactionId) -> int:
    """Return the share of 100 weighted walks that end on `tx_id` or above it, in percent.

    A referenced transaction has 100 without a walk.

    Args:
        view: The tangle now.
        rng: The node's generator.
        tx_id: A transaction in the graph.

    Source:
        *The Tangle*, section 4.1, "confirmation confidence".
    """
    if view.graph[tx_id].referenced_index is not None:
        return WALKS
    above = _future_cone(view, tx_id)
    alpha = bias(view)
    ends = (draw_tip(view, rng, alpha, taken=()).tx_id for _ in range(WALKS))
    return sum(end in above for end in ends)


def _future_cone(view: View, tx_id: TransactionId) -> set[TransactionId]:
    cone = {tx_id}
    waiting = [tx_id]
    while waiting:
        for child_id in view.graph[waiting.pop()].children:
            if child_id not in cone:
                cone.add(child_id)
                waiting.append(child_id)
    return cone
