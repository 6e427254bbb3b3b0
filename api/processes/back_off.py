"""How long to wait before a process that died is started again. Pure."""

from dataclasses import dataclass
from typing import Final

FIRST_DELAY_MS: Final = 200
MAX_DELAY_MS: Final = 10_000
STEADY_MS: Final = 30_000
"""Who ran this long is taken to have recovered: its next death counts as the first."""


@dataclass(frozen=True, slots=True)
class BackOff:
    """What is remembered of one process: how often it died in short succession."""

    deaths: int = 0

    def after_death(self, ran_ms: int) -> "BackOff":
        """Return the state after a death that followed `ran_ms` of running."""
        return BackOff(1 if ran_ms >= STEADY_MS else self.deaths + 1)

    @property
    def delay_ms(self) -> int:
        """Wait before the next start: doubled with each death, up to `MAX_DELAY_MS`."""
        if not self.deaths:
            return 0
        doublings = min(self.deaths - 1, MAX_DELAY_MS.bit_length())
        return min(MAX_DELAY_MS, FIRST_DELAY_MS << doublings)
