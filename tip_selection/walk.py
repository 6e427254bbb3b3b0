"""Random walks from the recent past to the tips; how much they heed weight is an argument.

A walker starts at a transaction that a milestone referenced `walk_depth` to 2 · `walk_depth`
milestones back and steps from parent to child. It may step on milestones: they are vertices like
others. It never steps on a pending transaction below max depth, for all that approves it is below
as well. It ends where no step is left: on a tip, or on the last milestone while nothing approves
it, which is a legal parent too. What it ends on must be non-lazy (semi-lazy if the pool has no
better); otherwise it walks again.
"""

from collections.abc import Collection
from dataclasses import dataclass
from random import Random
from typing import Final

from tangle.graph import Vertex
from tangle.transaction import TransactionId
from tangle.walking import SEED_BITS, Walk
from tip_selection.pool import candidates, has_non_lazy_tip
from tip_selection.scores import Score
from tip_selection.selection import Selection, complete
from tip_selection.view import View

MAX_TRIES: Final = 5
"""Walks of one walker until it ends on something to offer that the others did not take."""

STEP_BUDGET: Final = 20_000
"""Children looked at by one walker in all its walks: the time box, without a clock.

A walk through a window of 20,000 transactions takes about 500 steps of a few children each.
"""


@dataclass(frozen=True, slots=True)
class Draw:
    """Where one walker came out."""

    tx_id: TransactionId | None
    """`None`: there is nothing left to offer."""

    walks: int
    is_fallback: bool
    """Drawn uniformly from the pool, because no walk ended well in time."""


def select_by_walks(view: View, rng: Random, count: int, alpha: float) -> Selection:
    """Let `count` independent walkers choose; walkers that meet take the next distinct tip.

    Raises:
        NoTipsError: There are no two transactions to approve.
    """
    chosen: list[TransactionId] = []
    walks = fallbacks = 0
    while view.graph.tip_count and len(chosen) < count:
        draw = draw_tip(view, rng, alpha, taken=chosen)
        walks += draw.walks
        fallbacks += draw.is_fallback
        if draw.tx_id is None:
            break
        chosen.append(draw.tx_id)
    return Selection(complete(view, chosen, count), walks, fallbacks)


def draw_tip(view: View, rng: Random, alpha: float, taken: Collection[TransactionId]) -> Draw:
    """Walk until a walk ends on what may be offered and is not `taken`; else draw uniformly."""
    budget = STEP_BUDGET
    oldest_root_index = view.confirmed_index - view.parameters.max_depth
    walks = 0
    while walks < MAX_TRIES and budget > 0:
        start = draw_start(view, rng)
        if start is None:
            break
        walks += 1
        seed = rng.getrandbits(SEED_BITS)
        end = view.weights.walk(Walk(start.tx_id, alpha, seed, oldest_root_index, budget))
        budget = end.budget
        if end.tx_id is not None and end.tx_id not in taken and _may_offer(view, end.tx_id):
            return Draw(end.tx_id, walks, is_fallback=False)
    rest = [tx_id for tx_id in candidates(view) if tx_id not in taken]
    if not rest:
        return Draw(None, walks, is_fallback=False)
    return Draw(rng.choice(rest), walks, is_fallback=True)


def draw_start(view: View, rng: Random) -> Vertex | None:
    """Draw uniformly from what the milestones `walk_depth` to 2 · `walk_depth` back referenced.

    A young tangle begins at genesis. After a snapshot those milestones are known as entry points
    only, without children: then from what is referenced since. `None` if nothing leads anywhere.
    """
    depth = view.parameters.walk_depth
    oldest = max(0, view.confirmed_index - 2 * depth)
    youngest = max(0, view.confirmed_index - depth)
    for indexes in (
        range(oldest, youngest + 1),
        range(youngest + 1, view.confirmed_index + 1),
    ):
        start = _drawn(view, rng, indexes)
        if start is not None and start.children:
            return start
        ids = (tx_id for index in indexes for tx_id in view.graph.referenced_at(index))
        vertices = [vertex for tx_id in ids if (vertex := view.graph[tx_id]).children]
        if vertices:
            return rng.choice(vertices)
    return None


def _drawn(view: View, rng: Random, indexes: range) -> Vertex | None:
    """Draw one of what these milestones referenced without listing it all."""
    counts = [view.graph.referenced_count(index) for index in indexes]
    if not any(counts):
        return None
    number = rng.randrange(sum(counts))
    for index, count in zip(indexes, counts, strict=True):
        if number < count:
            return view.graph.referenced_one(index, number)
        number -= count
    raise AssertionError(f"number {number} beyond {sum(counts)}")


def _may_offer(view: View, tx_id: TransactionId) -> bool:
    end = view.graph[tx_id]
    if end.referenced_index is not None:
        return False  # an old root with nothing but lazy children: nobody needs it approved
    rating = view.score(end)
    if rating is Score.SEMI_LAZY:
        return not has_non_lazy_tip(view)
    return rating is Score.NON_LAZY
