"""What a node measures of the network's load: it bounds the bias of the weighted walk."""

from collections import deque
from typing import Final

from tip_selection.view import Load

WINDOW_MS: Final = 10_000
MAX_SAMPLES: Final = 10_000
_WEIGHT: Final = 0.1
"""Of the newest delay in the running mean."""


class LoadMeter:
    """Rate of arrivals over the last seconds, and a running mean of the issuing delay."""

    def __init__(self) -> None:
        self._arrivals_ms: deque[int] = deque(maxlen=MAX_SAMPLES)
        self._delay_s = 0.0

    def attached(self, now_ms: int) -> None:
        """Count a transaction that became solid here, at wall time `now_ms`."""
        self._arrivals_ms.append(now_ms)

    def issued(self, delay_ms: int) -> None:
        """Take in how long one took from the choice of its parents to being sent."""
        self._delay_s += _WEIGHT * (delay_ms / 1_000 - self._delay_s)

    def load(self, now_ms: int) -> Load:
        """Return the load as of `now_ms`."""
        while self._arrivals_ms and self._arrivals_ms[0] < now_ms - WINDOW_MS:
            self._arrivals_ms.popleft()
        return Load(len(self._arrivals_ms) * 1_000 / WINDOW_MS, self._delay_s)
