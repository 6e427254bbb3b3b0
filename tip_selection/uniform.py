"""URTS: every tip of the pool is as likely as any other."""

from random import Random

from tip_selection.pool import candidates
from tip_selection.selection import Selection, complete
from tip_selection.view import View


def select_uniform(view: View, rng: Random, count: int) -> Selection:
    """Pick `count` distinct tips, each with equal probability.

    Args:
        view: The tangle now.
        rng: The node's generator. Same seed and same view, same choice.
        count: How many to pick, at least 1.

    Returns:
        At most `count`; filled up to two as `complete` does.

    Raises:
        NoTipsError: There are no two transactions to approve.

    Source:
        TIP-3, "Random Tip-Selection".
    """
    tips = candidates(view)
    return Selection(complete(view, rng.sample(tips, min(count, len(tips))), count))
