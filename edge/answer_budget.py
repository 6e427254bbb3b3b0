"""How much a node answers to each peer: a request of a few bytes can ask for megabytes. Pure.

A token bucket for each peer: it fills steadily, is never fuller than a burst, and what does not
fit is left unanswered. Honest peers ask again, or ask another; catching up fits the burst.
"""

from typing import Final

from tangle.effects import PeerId

BYTES_PER_S: Final = 4 * 2**20
"""What one peer is answered for good: a history of 100,000 transactions in some ten seconds."""

BURST_BYTES: Final = 16 * 2**20
MAX_PEERS: Final = 1_024
"""Configured peers are fewer; frames of others are never heard."""


class AnswerBudget:
    """The buckets of all peers."""

    def __init__(self) -> None:
        self._left: dict[PeerId, tuple[int, int]] = {}  # bytes left, and as of when

    def take(self, peer: PeerId, size_bytes: int, now_ms: int) -> bool:
        """Spend `size_bytes` of a peer's budget; return whether it had that much.

        Args:
            peer: Who asked.
            size_bytes: Of the answer.
            now_ms: Wall clock.
        """
        left, since_ms = self._left.get(peer, (BURST_BYTES, now_ms))
        filled = left + max(0, now_ms - since_ms) * BYTES_PER_S // 1_000
        left = min(BURST_BYTES, filled)
        is_enough = left >= size_bytes
        if len(self._left) < MAX_PEERS or peer in self._left:
            self._left[peer] = (left - size_bytes if is_enough else left, now_ms)
        return is_enough
