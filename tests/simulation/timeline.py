"""The time of a simulated world: an integer that jumps from event to event."""

import heapq
from collections.abc import Callable
from hashlib import blake2b
from itertools import count
from random import Random


class Timeline:
    """Events in order, one generator for every choice, and a hash of what happened."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = Random(seed)
        self.now_ms = 0
        self._trace = blake2b(digest_size=16)
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._ties = count()

    def at(self, delay_ms: int, what: Callable[[], None]) -> None:
        """Let `what` happen `delay_ms` from now."""
        heapq.heappush(self._events, (self.now_ms + delay_ms, next(self._ties), what))

    def run_until(self, end_ms: int) -> None:
        """Play everything up to `end_ms`."""
        while self._events and self._events[0][0] <= end_ms:
            self.now_ms, _, what = heapq.heappop(self._events)
            what()
        self.now_ms = end_ms

    @property
    def trace(self) -> str:
        """A hash of all that became durable, on which node and when."""
        return self._trace.hexdigest()

    def note(self, number: int, data: bytes) -> None:
        """Take in that something became durable on a node."""
        self._trace.update(b"%d/%d/" % (self.now_ms, number) + data)
