"""Past cones: what a milestone newly references, and in which order (TIP-2, white flag)."""

from collections.abc import Iterable
from dataclasses import dataclass

from tangle.graph import Graph
from tangle.transaction import TransactionId


@dataclass(frozen=True, slots=True)
class Cone:
    """What a milestone newly references."""

    order: tuple[TransactionId, ...]
    """White-flag order: depth-first post-order, parents in stored order."""

    size_bytes: int
    """Signed fields of them together."""

    oldest_parent_index: int | None
    """Smallest milestone index at which one of their parents was referenced; `None` where a
    parent is so old that it is forgotten. The parents of the milestone itself count too."""


def new_cone(graph: Graph, parents: Iterable[TransactionId], newest_index: int) -> Cone:
    """Return the past cone of `parents`, without what is referenced already.

    Args:
        graph: The tangle; not modified.
        parents: Of the milestone, in stored order; solid.
        newest_index: Last applied milestone, from which the oldest parent is counted down.

    Returns:
        The cone. Two nodes with the same parents get the same order, whatever the order in
        which the transactions reached them.

    Source:
        TIP-2, "Milestone past cone ordering"; ours starts from the milestone's parents.
    """
    order: list[TransactionId] = []
    entered: set[TransactionId] = set()
    size_bytes, oldest, is_known = 0, newest_index, True
    # Each stack entry is a vertex and whether its parents have been walked already.
    stack = [(tx_id, False) for tx_id in reversed(tuple(parents))]
    while stack:
        tx_id, is_leaving = stack.pop()
        if is_leaving:
            order.append(tx_id)
            continue
        vertex = graph.get(tx_id)
        if vertex is None:
            is_known = False
            continue
        if vertex.referenced_index is not None:
            oldest = min(oldest, vertex.referenced_index)
            continue
        if tx_id in entered:
            continue
        entered.add(tx_id)
        size_bytes += vertex.size_bytes
        stack.append((tx_id, True))
        stack.extend((parent_id, False) for parent_id in reversed(vertex.parents))
    return Cone(tuple(order), size_bytes, oldest if is_known else None)


def past_cone(graph: Graph, tx_id: TransactionId) -> frozenset[TransactionId]:
    """Return the pending transactions that `tx_id` approves, directly or not, and itself."""
    return frozenset(new_cone(graph, (tx_id,), 0).order)


def future_cone(graph: Graph, tx_id: TransactionId) -> frozenset[TransactionId]:
    """Return all that approves `tx_id`, directly or not, and itself, as far as it is kept."""
    seen = {tx_id}
    candidates = [tx_id]
    while candidates:
        vertex = graph.get(candidates.pop())
        if vertex is None:
            continue
        fresh = [child for child in vertex.children if child not in seen]
        seen.update(fresh)
        candidates.extend(fresh)
    return frozenset(seen)
