"""The tip pool: which tips may be offered, by score.

Retention: a tip stays until it has a child, is referenced or falls below max depth. TIP-3 keeps
it for a while longer (two approvers or three seconds) so that the tangle grows wider; here the
delay of the network does that, since other nodes do not see the child at once either.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tangle.transaction import TransactionId
from tip_selection.scores import Score, least_roots
from tip_selection.view import View


@dataclass(frozen=True, slots=True)
class TipPool:
    """The tips of one moment by score, each in ascending order."""

    non_lazy: tuple[TransactionId, ...]
    semi_lazy: tuple[TransactionId, ...]
    lazy: tuple[TransactionId, ...]
    """Never offered: below max depth, or without a recent root."""

    def __len__(self) -> int:
        return len(self.non_lazy) + len(self.semi_lazy) + len(self.lazy)

    @property
    def candidates(self) -> tuple[TransactionId, ...]:
        """What may be offered: non-lazy tips, or semi-lazy ones if there are no others."""
        return self.non_lazy or self.semi_lazy


def tip_pool(view: View) -> TipPool:
    """Sort the tips into their scores."""
    by_score: dict[Score, list[TransactionId]] = {each: [] for each in Score}
    for tx_id in sorted(view.graph.tips):  # a set's order is not reproducible; a seed must be
        by_score[view.score(view.graph[tx_id])].append(tx_id)
    return TipPool(
        tuple(by_score[Score.NON_LAZY]),
        tuple(by_score[Score.SEMI_LAZY]),
        tuple(by_score[Score.LAZY]),
    )


def candidates(view: View) -> tuple[TransactionId, ...]:
    """Return the tips that may be offered, ascending; empty when nothing waits."""
    return tuple(sorted(_non_lazy(view))) or tip_pool(view).candidates


def has_non_lazy_tip(view: View) -> bool:
    """Tell whether there is one, without sorting them all."""
    return any(True for _ in _non_lazy(view))


def _non_lazy(view: View) -> Iterator[TransactionId]:
    """Yield what `score` calls non-lazy, in no order; quickly, for there may be many."""
    youngest, oldest = least_roots(view.confirmed_index, view.parameters.max_depth)
    return (
        vertex.tx_id
        for vertex in view.graph.tip_vertices()
        if vertex.youngest_root_index >= youngest and vertex.oldest_root_index >= oldest
    )
