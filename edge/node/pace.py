"""How much of what peers sent a node takes in at a time. Pure.

Between two turns the loop does what else there is: a question over HTTP, a reading of a meter.
Each turn ends in a commit, which costs something even for a little, so turns are not kept short
for nothing: they grow while they are quick, and shrink when they were not.
"""

from typing import Final

LONG_MS: Final = 20
"""Work of one turn, as the processor counts it, from which on the next one is shorter."""

SHORT_MS: Final = 10
"""Up to here the next turn is longer."""

LEAST: Final = 16
"""Transactions of a turn, however slow the machine is."""

FIRST: Final = 64
MOST: Final = 512
GROWTH: Final = 16
"""Transactions more after a quick turn."""


def adapted(most: int, worked_ms: int) -> int:
    """Return how many transactions the next turn may take in.

    Args:
        most: What the turn before was allowed to, and took.
        worked_ms: What that cost: time of this processor, without waiting for the disk or for
            other processes, which a shorter turn would not shorten.
    """
    if worked_ms >= LONG_MS:
        return max(LEAST, most // 2)
    if worked_ms <= SHORT_MS:
        return min(MOST, most + GROWTH)
    return most
