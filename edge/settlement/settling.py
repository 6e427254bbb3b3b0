"""Meter to money at one node: its homes are netted, and the units that it settles are shared."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog

from edge.ground.clock import Clock
from edge.mesh.slot_sums import SumsBody
from edge.node.executor import Executor, Gossip
from edge.node.issuance import Issuance
from edge.settlement.asking import Asking
from edge.settlement.homed import Homed
from edge.settlement.homes import Homes, OpenReadings
from edge.settlement.reporting import Refusal, Reporting
from edge.settlement.settings import SettlingSettings
from edge.settlement.telling import Telling
from edge.settlement.units import Others, Units
from tangle.address import Address, address_of, encode_address
from tangle.effects import Instant, PeerId

LOOK_S: Final = 0.5
"""How often is looked whether a period is over, or a report applied, while nothing is heard."""

BREATH_S: Final = 0.01
"""Between two looks at least, and at least as long as one took: the loop has other things to do."""

_log: Final = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class UnitStand:
    """Where one unit that is settled here stands."""

    through_ms: int
    waiting: int
    """Reports that the ledger does not have yet."""

    refusal: Refusal | None
    """What holds it up, if the ledger refused a report."""

    missing: int
    """Home edges whose sums its last period was settled without; 0 after a restart."""


@dataclass(frozen=True, slots=True)
class SettlingStand:
    """What operators watch."""

    through_ms: int
    """Ledger time up to which the homes here are netted; 0 before it began."""

    units: Mapping[Address, UnitStand]
    owed: int
    """Periods of sums that their settling edges have not counted."""

    unreachable: tuple[tuple[Address, Address], ...]
    """Unit and settling edge of those that are owed, where that edge is no peer, or is this node
    and does not settle the unit."""

    counts: Mapping[str, int]
    """Frames of slot sums: `asked`, `heard`, `told`, `refused`, `unanswered`."""


NOTHING_SETTLED: Final = SettlingStand(0, {}, 0, (), {})
"""At a node without meters."""


class Settling:
    """Settles at one node, period by period. Used on the loop only."""

    def __init__(
        self,
        executor: Executor,
        opened: OpenReadings,
        clock: Clock,
        settings: SettlingSettings,
        home: Issuance,
        gossip: Gossip,
    ) -> None:
        """Take up where the journal stopped.

        Args:
            executor: The node's hands.
            opened: Returns journalled readings.
            clock: Of the node.
            settings: What is settled here.
            home: Of the node itself: its key seals what is settled.
            gossip: To the peers.
        """
        self.settings = settings
        core, journal, own = executor.core, executor.journal, home.address
        settled = journal.settled(home.key)
        issuances = {one.unit: one.issuance for one in settings.units}
        homed = Homed(core)
        self._clock, self._gossip, self._settled, self._own = clock, gossip, settled, own
        self._reporting = Reporting(executor, clock, issuances)
        self._asking = Asking(gossip, clock, home.key)
        self._telling = Telling(settled, homed, gossip, clock, own)
        self._homes = Homes(core, journal, settled, opened, settings, own)
        others = Others(own, homed, self._asking, gossip)
        self._units = Units(core, settled, self._reporting, settings, others)
        self._heard = asyncio.Event()
        """Something that the next look does not wait for."""

        self._warned: frozenset[tuple[Address, Address]] = frozenset()
        executor.listen_sums(self._hear)

    async def run(self) -> None:
        """Settle until cancelled.

        After a settled period the next look comes at once, and so it does when a node asks or
        answers: after a night off thousands of periods are over, of which nothing is waited for.
        """
        while True:
            began_ms = self._clock.wall_ms()
            self._heard.clear()
            has_settled = await self.step()
            took_s = (self._clock.wall_ms() - began_ms) / 1_000
            await asyncio.sleep(min(LOOK_S, max(BREATH_S, took_s)))
            if not has_settled:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._heard.wait(), LOOK_S)

    async def step(self) -> bool:
        """Do what is due now: at most one period of the homes here, and one of each unit.

        Returns:
            Whether a period was settled: the next one may be over too.

        Raises:
            StorageError: Nothing of what was not durable is issued, or told.
        """
        now = self._clock.instant()
        has_netted = self._homes.step(now)
        if has_netted:
            self._warn()
        self._telling.step()
        has_shared = await self._units.step(now.ledger_ms)
        return has_netted or has_shared

    def stand(self) -> SettlingStand:
        """Return where settling stands. Raises as `Journal` does."""
        home, debts = self._settled.home(), self._settled.debts()
        return SettlingStand(
            0 if home is None else home.through_ms,
            {one.unit: self._unit_stand(one.unit) for one in self.settings.units},
            sum(debts.values()),
            tuple(sorted(self._unreachable(debts))),
            self._asking.counts + self._telling.counts,
        )

    def _unit_stand(self, unit: Address) -> UnitStand:
        state = self._settled.unit(unit)
        if state is None:
            return UnitStand(0, 0, None, 0)
        waiting = self._reporting.waits(unit, state.waiting)
        refusal = self._reporting.refused.get(unit)
        return UnitStand(state.through_ms, len(waiting), refusal, self._units.missing.get(unit, 0))

    def _unreachable(
        self, debts: Mapping[tuple[Address, Address], int]
    ) -> frozenset[tuple[Address, Address]]:
        peers = {address_of(one.peer) for one in self._gossip.peers()}
        mine = {(one.unit, self._own) for one in self.settings.units}
        return frozenset(one for one in debts if one[1] not in peers and one not in mine)

    def _warn(self) -> None:
        """Say of sums that nobody can ask for, once until that changes."""
        unreachable = self._unreachable(self._settled.debts())
        for unit, settler in sorted(unreachable - self._warned):
            _log.warning(
                "sums are kept: their settling edge is no peer of this node, or does not settle"
                " the unit",
                unit=encode_address(unit),
                settling_edge=encode_address(settler),
            )
        self._warned = unreachable

    def _hear(self, peer: PeerId, body: SumsBody, now: Instant) -> None:
        self._telling.hear(peer, body, now)
        self._asking.hear(peer, body, now)
        self._heard.set()
