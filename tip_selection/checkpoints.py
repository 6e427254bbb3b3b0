"""Merging checkpoints: how the coordinator brings many tips under few milestones' parents.

A milestone takes seven tips. When more than two milestones' worth wait, the coordinator issues
plain no-value transactions over pairs of them. Each turns two tips into one, so one round halves
them, log2(n / 14) rounds bring n tips down to 14, and n − 14 checkpoints is the least that can.
The caller issues the pairs of one round, as many as its work and its sequence window allow,
attaches them and asks again; the pairs come most urgent first, so it may stop anywhere.
"""

from random import Random
from typing import Final

from tangle.transaction import TransactionId
from tip_selection.cover import Cover, pending
from tip_selection.heaviest_branch import MAX_BRANCHES, cone_room
from tip_selection.view import View

MAX_WAITING_TIPS: Final = 2 * MAX_BRANCHES
"""What the next two milestones take without help."""

MAX_CHECKPOINTS: Final = 512
"""In one round: half of the 1,024 sequence numbers that an issuer may have unreferenced."""


def merging_checkpoints(view: View, rng: Random) -> list[tuple[TransactionId, TransactionId]]:
    """Return the parents of the checkpoints to issue now, each pair ascending.

    Tips over what is somebody's turn come first, until one milestone takes them all: then one
    issuer's thousand tips take the time of others no longer. Among them those whose cones reach
    back furthest are merged first and with each other, so that fresh ones stay fresh; among equals
    chance decides, so that a flood cannot queue ahead of the rest.

    Returns:
        Disjoint pairs of tips above max depth, at most `MAX_CHECKPOINTS`; none while no more than
        `MAX_WAITING_TIPS` wait.
    """
    waiting = pending(view)
    if len(waiting.tips) <= MAX_WAITING_TIPS:
        return []
    weights = Cover(waiting, cone_room(view)).weights(waiting.tips)
    pressing = [number for number in waiting.tips if weights[number].urgent]
    others = [number for number in waiting.tips if not weights[number].urgent]
    chosen = pressing if len(pressing) > MAX_BRANCHES else others
    tips = sorted(waiting.ids[number] for number in chosen)
    rng.shuffle(tips)
    tips.sort(key=lambda tx_id: view.graph[tx_id].oldest_root_index)
    pairs = zip(tips[::2], tips[1::2], strict=False)
    ordered = [(first, second) if first < second else (second, first) for first, second in pairs]
    return ordered[:MAX_CHECKPOINTS]
