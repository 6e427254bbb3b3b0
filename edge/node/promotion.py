"""Promotion: an empty transaction over what is left behind and a fresh tip, so that others see it.

A node promotes what entered by it: its own transactions and those its door took in. Pure: decides
what is due; the shell issues and tells.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Final

from tangle.graph import Graph
from tangle.transaction import TransactionId
from tip_selection.scores import MAX_OLDEST_ROOT_AGE, MAX_YOUNGEST_ROOT_AGE

LABEL: Final = "promotion"
"""Of the empty transactions that promote."""

PATIENCE: Final = 4
"""Milestones for which something may stay pending before it is promoted, and between promotions:
twice what the slowest of a healthy network takes."""

MARGIN: Final = 3
"""Milestones before it turns semi-lazy at which it is promoted in any case."""

MAX_PER_MINUTE: Final = 30
"""A promotion is work and a sequence number; when this many do not help, the trouble is another."""

MAX_WATCHED: Final = 4_096
"""Transactions watched. Beyond them the oldest is watched no more."""

_MINUTE_MS: Final = 60_000


class Promoter:
    """Watches what entered here until it is referenced or expired."""

    def __init__(self) -> None:
        self._since: OrderedDict[TransactionId, int] = OrderedDict()
        self._recent_ms: deque[int] = deque(maxlen=MAX_PER_MINUTE)

    def __len__(self) -> int:
        return len(self._since)

    def watch(self, tx_id: TransactionId, confirmed_index: int) -> None:
        """Watch what entered here when `confirmed_index` was the last milestone."""
        self._since[tx_id] = confirmed_index
        if len(self._since) > MAX_WATCHED:
            self._since.popitem(last=False)

    def forget(self, tx_ids: Iterable[TransactionId]) -> None:
        """Watch no more what was referenced or expired."""
        for tx_id in tx_ids:
            self._since.pop(tx_id, None)

    def due(self, graph: Graph, confirmed_index: int, now_ms: int) -> TransactionId | None:
        """Return what to promote now, the oldest first; `None` for nothing.

        While no milestone comes nothing is due: depth counts milestones, and nobody falls behind.

        Args:
            graph: The tangle.
            confirmed_index: Of the last applied milestone.
            now_ms: Wall clock, for the bound of a minute.
        """
        if len(self._recent_ms) == MAX_PER_MINUTE and self._recent_ms[0] > now_ms - _MINUTE_MS:
            return None
        return next((one for one in self._since if self._is_due(graph, one, confirmed_index)), None)

    def promoted(self, tx_id: TransactionId, confirmed_index: int, now_ms: int) -> None:
        """Take in that `tx_id` was promoted, or could not be: not again for a while."""
        self._recent_ms.append(now_ms)
        if tx_id in self._since:
            self._since[tx_id] = confirmed_index

    def _is_due(self, graph: Graph, tx_id: TransactionId, confirmed_index: int) -> bool:
        vertex = graph.get(tx_id)
        waited = confirmed_index - self._since[tx_id]
        if vertex is None or vertex.referenced_index is not None or not waited:
            return False
        is_semi_lazy_soon = (
            confirmed_index - vertex.oldest_root_index > MAX_OLDEST_ROOT_AGE - MARGIN
            or confirmed_index - vertex.youngest_root_index > MAX_YOUNGEST_ROOT_AGE - MARGIN
        )
        return waited >= PATIENCE or (is_semi_lazy_soon and not vertex.children)
