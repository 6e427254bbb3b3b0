"""How a simulated network misbehaves."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Weather:
    """How the network misbehaves while it does."""

    loss: float = 0.05
    duplication: float = 0.05
    max_delay_ms: int = 400
    """Frames take 5 ms to this long, so they overtake each other."""

    partition_ms: tuple[int, int] = (6_000, 14_000)
    """From when to when a part of the nodes hears nothing of the rest."""

    crashes: int = 2
    lies: float = 0.03
    """How often a stranger sends a transaction first, under a witness of its own."""

    hesitation: float = 0.1
    """How often the coordinator is killed after it wrote its lock and before it sent."""


CALM: Final = Weather(loss=0, duplication=0, partition_ms=(0, 0), crashes=0, lies=0, hesitation=0)
"""Frames still overtake each other."""
