"""How the coordinator chooses: the tips over most that waits, and a few at random."""

from random import Random
from typing import Final

from tangle.transaction import MAX_MILESTONE_PARENTS, TransactionId
from tip_selection.cover import Cover, Room, frontier, pending
from tip_selection.view import View

MAX_BRANCHES: Final = MAX_MILESTONE_PARENTS - 1
"""Beside the previous milestone."""

MAX_RANDOM_BRANCHES: Final = 3
"""Within those: a heavy parasite chain must not be all that a milestone approves."""

HEADROOM_PERCENT: Final = 10
"""Of the largest cone left unused, so that a coordinator never issues what is at the limit."""


def select_heaviest_branch(
    view: View, rng: Random, count: int = MAX_BRANCHES
) -> tuple[TransactionId, ...]:
    """Choose what the next milestone approves beside the previous one.

    Greedily the tip over most that is neither referenced nor under a tip chosen before, where what
    is an issuer's turn counts first; the last places, at most `MAX_RANDOM_BRANCHES`, go to tips at
    random, those over somebody's turn before others. Every tip above max depth is on offer,
    semi-lazy and lazy: this is their last chance. All together fits the largest cone of the
    network's parameters; what does not is skipped. When not even all that waits would fit, its
    oldest part is on offer too, tip or not, so that something always moves.

    The work is bounded by `SWEEP_BUDGET` and `FIT_BUDGET`, not by a clock.

    Args:
        view: The tangle now.
        rng: The coordinator's generator.
        count: At most so many parents, and no more than `MAX_BRANCHES`.

    Returns:
        Distinct ids, ascending; empty when nothing waits.

    Source:
        hornet's coordinator, "heaviest branch" tip selection, counted exactly.
    """
    waiting, room = pending(view), cone_room(view)
    count = min(count, MAX_BRANCHES)
    random_count = min(MAX_RANDOM_BRANCHES, count - 1)
    offers = [waiting.tips]
    total_bytes = sum(waiting.sizes_bytes)
    if len(waiting.ids) > room.transactions or total_bytes > room.size_bytes:
        oldest = frontier(waiting, room)
        # The second offer fits by construction, should the first have used up the budget.
        offers = [tuple(sorted({*waiting.tips, *oldest})), oldest]
    for offer in offers:
        cover = Cover(waiting, room)
        while len(cover.taken) < count - random_count and cover.take_heaviest(offer):
            pass
        for number in _by_chance(cover, offer, rng):
            if len(cover.taken) == count:
                break
            cover.take(number)
        if cover.taken:
            return tuple(sorted(waiting.ids[number] for number in cover.taken))
    return ()


def _by_chance(cover: Cover, offer: tuple[int, ...], rng: Random) -> list[int]:
    """Return the offer in any order, but what is over somebody's turn first."""
    weights = cover.weights(offer)
    shuffled = rng.sample(offer, len(offer))
    return sorted(shuffled, key=lambda number: not (number in weights and weights[number].urgent))


def cone_room(view: View) -> Room:
    """Return what a new milestone may reference beside the previous one, headroom left out."""
    last_id = view.graph.milestone_id(view.confirmed_index)
    last = None if last_id is None else view.graph.get(last_id)
    share = 100 - HEADROOM_PERCENT
    transactions = view.parameters.max_cone_transactions * share // 100
    size_bytes = view.parameters.max_cone_bytes * share // 100
    if last is not None:
        transactions -= 1
        size_bytes -= last.size_bytes
    return Room(max(0, transactions), max(0, size_bytes))
