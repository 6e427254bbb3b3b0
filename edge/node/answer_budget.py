"""How much a node answers to each peer: a request of a few bytes can ask for megabytes. Pure.

A token bucket for each peer: it fills steadily and is never fuller than a burst. When it is empty,
what is asked for by id is left unanswered: honest peers ask again, or ask another. Cones wait: see
`edge.node.serving`.
"""

from typing import Final

from tangle.effects import PeerId

BYTES_PER_S: Final = 4 * 2**20
"""What one peer is answered for good: a history of 100,000 transactions in some ten seconds."""

BURST_BYTES: Final = 16 * 2**20
RESERVE_BYTES: Final = 4 * 2**20
"""That cones leave in a bucket: else who catches up could not ask for what it lacks besides."""

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
        left = self.left(peer, now_ms)
        is_enough = left >= size_bytes
        self._set(peer, left - size_bytes if is_enough else left, now_ms)
        return is_enough

    def left(self, peer: PeerId, now_ms: int) -> int:
        """Return how many bytes a peer may be answered now."""
        left, since_ms = self._left.get(peer, (BURST_BYTES, now_ms))
        filled = left + max(0, now_ms - since_ms) * BYTES_PER_S // 1_000
        return min(BURST_BYTES, filled)

    def charge(self, peer: PeerId, size_bytes: int, now_ms: int) -> None:
        """Spend what a peer was given, or all it had if that was less."""
        self._set(peer, max(0, self.left(peer, now_ms) - size_bytes), now_ms)

    def _set(self, peer: PeerId, left: int, now_ms: int) -> None:
        if len(self._left) < MAX_PEERS or peer in self._left:
            self._left[peer] = (left, now_ms)
