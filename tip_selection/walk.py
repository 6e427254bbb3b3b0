"""Random walks from the recent past to the tips; which way they turn is an argument.

A walker starts at a transaction that a milestone referenced `walk_depth` to 2 · `walk_depth`
milestones back and steps from parent to child. It may step on milestones: they are vertices like
others. It never steps on a pending transaction below max depth, for all that approves it is below
as well. It ends where no step is left: on a tip, or on the last milestone while nothing approves
it, which is a legal parent too. What it ends on must be non-lazy (semi-lazy if the pool has no
better); otherwise it walks again.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from tangle.graph import Vertex
from tangle.transaction import TransactionId
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

Step = Callable[[Sequence[TransactionId], Random], TransactionId]
"""Chooses one of the children, which are ascending and at least one."""


@dataclass(frozen=True, slots=True)
class Draw:
    """Where one walker came out."""

    tx_id: TransactionId | None
    """`None`: there is nothing left to offer."""

    walks: int
    is_fallback: bool
    """Drawn uniformly from the pool, because no walk ended well in time."""


def select_by_walks(view: View, rng: Random, count: int, step: Step) -> Selection:
    """Let `count` independent walkers choose; walkers that meet take the next distinct tip.

    Raises:
        NoTipsError: There are no two transactions to approve.
    """
    chosen: list[TransactionId] = []
    walks = fallbacks = 0
    while view.graph.tip_count and len(chosen) < count:
        draw = draw_tip(view, rng, step, taken=chosen)
        walks += draw.walks
        fallbacks += draw.is_fallback
        if draw.tx_id is None:
            break
        chosen.append(draw.tx_id)
    return Selection(complete(view, chosen, count), walks, fallbacks)


def draw_tip(view: View, rng: Random, step: Step, taken: Collection[TransactionId]) -> Draw:
    """Walk until a walk ends on what may be offered and is not `taken`; else draw uniformly."""
    budget = STEP_BUDGET
    walks = 0
    while walks < MAX_TRIES and budget > 0:
        start = draw_start(view, rng)
        if start is None:
            break
        walks += 1
        end, budget = _walk(view, rng, step, start, budget)
        if end is not None and end.tx_id not in taken and _may_offer(view, end):
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
        ids = [tx_id for index in indexes for tx_id in view.graph.referenced_at(index)]
        if ids and (start := view.graph[rng.choice(ids)]).children:
            return start
        vertices = [vertex for tx_id in ids if (vertex := view.graph[tx_id]).children]
        if vertices:
            return rng.choice(vertices)
    return None


def _walk(
    view: View, rng: Random, step: Step, start: Vertex, budget: int
) -> tuple[Vertex | None, int]:
    """Return where the walk ends, `None` if over budget, and what is left of the budget."""
    here = start
    while True:
        budget -= 1 + len(here.children)
        if budget < 0:
            return None, 0
        # Sorted, so that the order of arrival does not change what a seed chooses.
        onward = sorted(tx_id for tx_id in here.children if _leads_on(view, view.graph[tx_id]))
        if not onward:
            return here, budget
        here = view.graph[step(onward, rng)]


def _leads_on(view: View, child: Vertex) -> bool:
    # Referenced vertices may well lie deeper than max depth: the walk only passes them.
    return child.referenced_index is not None or not view.is_below_max_depth(child)


def _may_offer(view: View, end: Vertex) -> bool:
    if end.referenced_index is not None:
        return False  # an old root with nothing but lazy children: nobody needs it approved
    rating = view.score(end)
    if rating is Score.SEMI_LAZY:
        return not has_non_lazy_tip(view)
    return rating is Score.NON_LAZY
