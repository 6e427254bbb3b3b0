"""What a node counts while it runs, for its metrics: nothing of it is asked of the journal."""

from collections import Counter
from typing import Final

from api.http.exposition import Histogram
from tangle.effects import (
    Attached,
    Confirmed,
    Dropped,
    Effect,
    Expired,
    Halted,
    Misbehaved,
    Requested,
)
from tangle.errors import TanglewattError
from tangle.node import NodeCore
from tangle.outcomes import state_of

CONFIRMATION_BOUNDS_S: Final = (1, 2, 3, 4, 6, 8, 12, 20, 30, 60, 120, 300)
MS_PER_S: Final = 1_000


class Measures:
    """Counts since the start of the process. Owned by the loop."""

    def __init__(self, core: NodeCore) -> None:
        self._core = core
        self.attached: Counter[str] = Counter({"here": 0, "gossip": 0})
        """By where it came from."""
        self.confirmed: Counter[str] = Counter({"applied": 0, "no-value": 0, "ignored": 0})
        """By outcome."""
        self.refused: Counter[tuple[str, str]] = Counter()
        """By place (`door` or `gossip`) and name of the error: as many as there are classes."""
        self.dropped = 0
        self.expired = 0
        self.confirmation = Histogram(CONFIRMATION_BOUNDS_S)
        """Seconds from being attached here to being referenced, as this node saw it."""

    def refused_at_door(self, error: TanglewattError) -> None:
        """Count that a client was refused."""
        self.refused["door", type(error).__name__] += 1

    def observe(self, effect: Effect, now_ms: int) -> None:
        """Count one thing that happened at wall time `now_ms`."""
        match effect:
            case Attached():
                self.attached["here" if effect.source is None else "gossip"] += 1
            case Confirmed():
                self._confirmed(effect, now_ms)
            case Misbehaved():
                self.refused["gossip", type(effect.error).__name__] += 1
            case Dropped():
                self.dropped += 1
            case Expired():
                self.expired += 1
            case Halted() | Requested():
                pass

    def _confirmed(self, effect: Confirmed, now_ms: int) -> None:
        for tx_id, outcome in effect.outcomes:
            self.confirmed[str(state_of(outcome))] += 1
            vertex = self._core.graph.get(tx_id)
            # While a node catches up it attaches what was confirmed long ago.
            if vertex is not None and not self._core.is_catching_up:
                self.confirmation.observe(max(0, now_ms - vertex.attached_at_ms) / MS_PER_S)
