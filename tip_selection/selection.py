"""What every selector returns, and how it comes to two parents however few tips there are."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from tangle.errors import NoTipsError
from tangle.transaction import PARENTS, TransactionId
from tip_selection.view import View


@dataclass(frozen=True, slots=True)
class Selection:
    """The parents a selector chose, and what it took."""

    parents: tuple[TransactionId, ...]
    """Distinct, ascending, ready to be `Transaction.parents`; none is below max depth."""

    walks: int = 0
    """Random walks begun."""

    fallbacks: int = 0
    """Parents drawn uniformly because no walk ended well in time: to be watched."""


Selector = Callable[[View, Random, int], Selection]
"""A way to choose parents: `(view, rng, count)`, where `count` is at least 1.

Returns at most `count` parents and no fewer than two, or one when only one was asked for. The same
view and the same state of `rng` give the same choice. Raises `NoTipsError`.
"""


def complete(view: View, chosen: Sequence[TransactionId], count: int) -> tuple[TransactionId, ...]:
    """Add parents to `chosen` until a transaction can be built on them.

    With one tip the second parent is the last milestone, or else the tip's own parent. With none
    the parents are the last two milestones; at genesis, the two entry points.

    Args:
        view: Where to look.
        chosen: Distinct; as many as there were, at most `count`.
        count: How many were asked for.

    Returns:
        `chosen` and what it took, ascending: at least two, unless only one was asked for.

    Raises:
        NoTipsError: The graph does not hold that many that are not below max depth.
    """
    needed = min(count, PARENTS)
    parents = list(chosen)
    for tx_id in _grounds(view, chosen):
        if len(parents) >= needed:
            break
        if tx_id in view.graph and tx_id not in parents:
            parents.append(tx_id)
    if len(parents) < needed:
        raise NoTipsError(
            f"{len(parents)} of {needed} parents at milestone {view.confirmed_index}: "
            "the node is still solidifying"
        )
    return tuple(sorted(parents))


def _grounds(view: View, chosen: Sequence[TransactionId]) -> Iterator[TransactionId]:
    """Yield what may stand in for a tip, best first; some of it twice, or forgotten.

    None of it is below max depth: a parent's oldest root is no older than its child's.
    """
    last = view.confirmed_index
    oldest = max(0, last - view.parameters.max_depth)
    yield from _milestone(view, last)
    for tx_id in chosen:
        if view.graph[tx_id].milestone_index is None:
            yield from view.graph[tx_id].parents
    for index in range(last - 1, oldest - 1, -1):
        yield from _milestone(view, index)
    for index in range(last, oldest - 1, -1):
        yield from view.graph.referenced_at(index)


def _milestone(view: View, index: int) -> tuple[TransactionId, ...]:
    tx_id = view.graph.milestone_id(index)
    if tx_id is not None:
        return (tx_id,)
    # The first entry point stands for the milestone of index 0.
    return view.graph.referenced_at(0)[:1] if index == 0 else ()
