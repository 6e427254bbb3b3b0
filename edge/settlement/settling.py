"""Meter to money at one node: its homes are netted, and the units that it settles are shared."""

import asyncio
from typing import Final

from edge.ground.clock import Clock
from edge.node.executor import Executor
from edge.node.issuance import Issuance
from edge.settlement.homes import Homes, OpenReadings
from edge.settlement.reporting import Reporting
from edge.settlement.settings import SettlingSettings
from edge.settlement.units import Units

LOOK_S: Final = 0.5
"""How often is looked whether a period is over, or a report applied."""


class Settling:
    """Settles at one node, period by period. Used on the loop only."""

    def __init__(
        self,
        executor: Executor,
        opened: OpenReadings,
        clock: Clock,
        settings: SettlingSettings,
        home: Issuance,
    ) -> None:
        """Take up where the journal stopped.

        Args:
            executor: The node's hands.
            opened: Returns journalled readings.
            clock: Of the node.
            settings: What is settled here.
            home: Of the node itself: its key seals what is settled.
        """
        self.settings = settings
        core, journal = executor.core, executor.journal
        settled = journal.settled(home.key)
        issuances = {one.unit: one.issuance for one in settings.units}
        reporting = Reporting(executor, clock, issuances)
        self._clock = clock
        self._homes = Homes(core, journal, settled, opened, settings, home.address)
        self._units = Units(core, settled, reporting, settings, home.address)

    async def run(self) -> None:
        """Settle until cancelled."""
        while True:
            await self.step()
            await asyncio.sleep(LOOK_S)

    async def step(self) -> None:
        """Do what is due now.

        Raises:
            StorageError: Nothing of what was not durable is issued.
        """
        now_ms = self._clock.instant().ledger_ms
        self._homes.step(now_ms)
        await self._units.step(now_ms)
