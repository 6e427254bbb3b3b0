"""The storage units that one node settles: each period is shared once, and reported once.

A period and all its reports are written in one commit, before the first report is issued; the
unit's next one is settled when the ledger has them. A unit waits for itself alone.
"""

from typing import Final

import structlog

from edge.ground.faults import pass_point
from edge.journal.settled import HomeProgress, Settled, SharedPeriod, UnitState
from edge.settlement.local_days import days_in, period_at
from edge.settlement.reporting import Reporting
from edge.settlement.settings import SettlingSettings
from energy.parameters import parameters
from energy.powerchain.records import sessions_of, unit_at
from energy.settlement.period import share_period, shared_days, unit_days
from energy.settlement.records import SessionTerms, UnitTerms
from energy.settlement.registers import SlotEnergy
from energy.settlement.slots import Period
from energy.settlement.sums import SlotSums, placed
from tangle.address import Address, encode_address
from tangle.node import NodeCore

_log: Final = structlog.get_logger(__name__)


class Units:
    """Shares what the units settled here were charged with and gave, period by period."""

    def __init__(
        self,
        core: NodeCore,
        settled: Settled,
        reporting: Reporting,
        settings: SettlingSettings,
        own: Address,
    ) -> None:
        """Take up where the journal stopped.

        Args:
            core: Of the node.
            settled: The part of its journal that is written here.
            reporting: Issues the reports.
            settings: Which units.
            own: Address of the node.
        """
        self._core = core
        self._settled = settled
        self._reporting = reporting
        self._settings = settings
        self._own = own

    async def step(self, now_ms: int) -> None:
        """Issue what waits; of a unit for which nothing does, settle a period that is over.

        Args:
            now_ms: Ledger time.

        Raises:
            StorageError: Nothing of what was not durable is issued.
        """
        for one in self._settings.units:
            state = self._settled.unit(one.unit)
            if state is None:
                self._begin(one.unit)
                continue
            waiting = self._reporting.waits(one.unit, state.waiting)
            if waiting:
                await self._reporting.issue_due(one.unit, waiting)
            else:
                self._close(state, now_ms)

    def _begin(self, unit: Address) -> None:
        """Begin with a unit where the meters here stand: what is owed before is not known."""
        home = self._settled.home()
        if home is not None:
            self._settled.put_unit(UnitState(unit, home.through_ms, 0), self._own)

    def _close(self, state: UnitState, now_ms: int) -> None:
        """Settle the next period of a unit, if it is over and its sums are here."""
        rules, zone = parameters(self._core.ledger.rows), self._settings.zone
        period = period_at(state.through_ms, rules.settlement_period_ms, zone)
        home = self._settled.home()
        # a report may not end after the milestone that references it
        if min(now_ms, self._core.confirmed_at_ms) < period.end_ms:
            return
        if home is None or home.through_ms < period.end_ms:
            return
        counted = {Address(one.home): one.through_ms for one in state.homes}
        told = self._settled.owed(
            Address(state.unit), self._own, counted.get(self._own, 0), period.end_ms
        )
        if told:
            counted[self._own] = told[-1][0]
        self._share(period, state, [sums for _, sums in told], counted)

    def _share(
        self,
        period: Period,
        state: UnitState,
        told: list[SlotSums],
        counted: dict[Address, int],
    ) -> None:
        unit = Address(state.unit)
        members = placed(period, told)
        own = members.pop(unit, [SlotEnergy() for _ in period.slots])
        homes = tuple(HomeProgress(*one) for one in sorted(counted.items()))
        terms = self._terms(unit)
        if terms is None:  # it is removed: what its members used, the grid has supplied
            after = UnitState(unit, period.end_ms, state.next_report, homes)
            self._settled.put_unit(after, self._own)
            return
        row = unit_at(self._core.ledger.rows, unit)
        assert row is not None
        number = max(state.next_report, row.reports.next)
        shared = share_period(period, terms, own, members, number)
        days = days_in(period, self._settings.zone)
        record = SharedPeriod(
            unit,
            period.start_ms,
            period.end_ms,
            shared_days(period, members, shared, days),
            unit_days(terms, shared, days),
            shared.reports,
        )
        after = UnitState(unit, period.end_ms, number + len(shared.reports), homes, shared.reports)
        pass_point("settlement.before")
        self._settled.put_unit(after, self._own, record)
        pass_point("settlement.after")
        _log.info(
            "period settled",
            unit=encode_address(unit),
            end_ms=period.end_ms,
            members=len(members),
            reports=len(shared.reports),
        )

    def _terms(self, address: Address) -> UnitTerms | None:
        rows = self._core.ledger.rows
        unit = unit_at(rows, address)
        if unit is None:
            return None
        sessions = {
            member: SessionTerms(session.energy_wh, session.expires_at_ms)
            for member, session in sessions_of(rows, address)
        }
        return UnitTerms(
            address,
            Address(unit.owner),
            unit.capacity_wh,
            unit.efficiency_ppm,
            unit.stored_wh,
            sessions,
        )
