"""The unweighted random walk: each child is as likely as any other."""

from random import Random

from tip_selection.selection import Selection
from tip_selection.view import View
from tip_selection.walk import select_by_walks


def select_unweighted_walk(view: View, rng: Random, count: int) -> Selection:
    """Let `count` independent walkers choose, each without regard to weight.

    Raises:
        NoTipsError: There are no two transactions to approve.

    Source:
        *The Tangle*, section 4.1, with α = 0.
    """
    return select_by_walks(view, rng, count, alpha=0.0)
