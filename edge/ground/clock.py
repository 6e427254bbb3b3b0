"""The two clocks of a node: the wall clock that never runs backwards, and ledger time."""

import time
from collections.abc import Callable
from typing import Final

from tangle.effects import Instant
from tangle.genesis import Genesis

NS_PER_MS: Final = 1_000_000
SLOWDOWN: Final = 2
"""How many times slower a clock runs that is ahead of a wall clock set back."""


def system_wall_ms() -> int:
    """Return the wall clock of this machine, ms since the Unix epoch."""
    return time.time_ns() // NS_PER_MS


def system_monotonic_ms() -> int:
    """Return a clock that nobody can set, in ms since an arbitrary moment."""
    return time.monotonic_ns() // NS_PER_MS


def ledger_ms(genesis: Genesis, wall_ms: int) -> int:
    """Return the ledger time, ms since the Unix epoch, at `wall_ms` of the wall clock.

    It depends on the genesis alone, so that it is the same on all nodes and after a restart. A
    wall clock before the genesis was made gives a time before the ledger's start.

    Source:
        PROTOCOL section 12.
    """
    elapsed_ms = wall_ms - genesis.created_at_ms
    return genesis.ledger_start_ms + elapsed_ms * genesis.parameters.time_scale


class Clock:
    """Tells the time of one process: neither of its two clocks ever runs backwards.

    When the wall clock is set back, this one goes on from where it was, at half the pace of a
    clock that nobody can set, until the wall clock has caught up with it. It does not stand
    still meanwhile, for then every deadline would wait as long as the step was wide. A step
    forward is followed at once: the machine may have slept. A restarted process starts from the
    wall clock as it is.
    """

    def __init__(
        self,
        genesis: Genesis,
        wall_ms: Callable[[], int] = system_wall_ms,
        monotonic_ms: Callable[[], int] = system_monotonic_ms,
    ) -> None:
        self._genesis = genesis
        self._read_wall_ms = wall_ms
        self._read_monotonic_ms = monotonic_ms
        self._told_ms = wall_ms()
        self._told_at_ms = monotonic_ms()  # when the clock was last in step with the wall clock

    def wall_ms(self) -> int:
        """Return the wall time, ms since the Unix epoch; never less than at the last call."""
        read_ms, monotonic_ms = self._read_wall_ms(), self._read_monotonic_ms()
        # Counted from one anchor: halves of single milliseconds would round to a standstill.
        slowed_ms = self._told_ms + (monotonic_ms - self._told_at_ms) // SLOWDOWN
        if read_ms < slowed_ms:
            return slowed_ms
        self._told_ms, self._told_at_ms = read_ms, monotonic_ms
        return read_ms

    def instant(self) -> Instant:
        """Return this moment on both clocks."""
        wall_ms = self.wall_ms()
        return Instant(wall_ms, ledger_ms(self._genesis, wall_ms))
