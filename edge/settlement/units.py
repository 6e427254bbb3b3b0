"""The storage units that one node settles: each period is shared once, and reported once.

A period and all its reports are written in one commit, before the first report is issued; the
unit's next one is settled when the ledger has them. A unit waits for itself alone.
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from edge.ground.faults import pass_point
from edge.journal.settled import (
    HomeProgress,
    MissingHome,
    Settled,
    SharedPeriod,
    UnitState,
)
from edge.node.executor import Gossip
from edge.settlement.asking import Asking
from edge.settlement.homed import Homed
from edge.settlement.reporting import Reporting
from edge.settlement.settings import SettlingSettings
from energy.parameters import parameters
from energy.powerchain.records import connection_at, sessions_of, unit_at
from energy.settlement.local_days import days_in, period_at
from energy.settlement.period import share_period, shared_days, unit_days
from energy.settlement.records import SessionTerms, UnitTerms
from energy.settlement.registers import SlotEnergy
from energy.settlement.slots import Period
from energy.settlement.sums import SlotSums, placed
from tangle.address import Address, address_of, encode_address
from tangle.effects import PeerId
from tangle.node import NodeCore

_log: Final = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Others:
    """What settling knows of this node among others."""

    own: Address
    homed: Homed
    asking: Asking
    gossip: Gossip


class Units:
    """Shares what the units settled here were charged with and gave, period by period."""

    def __init__(
        self,
        core: NodeCore,
        settled: Settled,
        reporting: Reporting,
        settings: SettlingSettings,
        others: Others,
    ) -> None:
        """Take up where the journal stopped.

        Args:
            core: Of the node.
            settled: The part of its journal that is written here.
            reporting: Issues the reports.
            settings: Which units.
            others: The nodes that are home to members.
        """
        self.missing: dict[Address, int] = {}
        """By unit, how many home edges its last period was settled without."""

        self._core = core
        self._settled = settled
        self._reporting = reporting
        self._settings = settings
        self._own = others.own
        self._homed, self._asking, self._gossip = others.homed, others.asking, others.gossip

    async def step(self, now_ms: int) -> bool:
        """Issue what waits; of a unit for which nothing does, settle a period that is over.

        Args:
            now_ms: Ledger time.

        Returns:
            Whether a period of some unit was settled.

        Raises:
            StorageError: Nothing of what was not durable is issued.
        """
        has_settled = False
        for one in self._settings.units:
            state = self._settled.unit(one.unit)
            if state is None:
                self._begin(one.unit)
                continue
            waiting = self._reporting.waits(one.unit, state.waiting)
            if waiting:
                await self._reporting.issue_due(one.unit, waiting)
            elif self._close(state, now_ms):
                has_settled = True
        return has_settled

    def _begin(self, unit: Address) -> None:
        """Begin with a unit where the meters here stand: what is owed before is not known."""
        home = self._settled.home()
        if home is not None:
            self._settled.put_unit(UnitState(unit, home.through_ms, 0), self._own)

    def _close(self, state: UnitState, now_ms: int) -> bool:
        """Settle the next period of a unit, if it is over and its sums are here; say if it was."""
        rules, zone = parameters(self._core.ledger.rows), self._settings.zone
        period = period_at(state.through_ms, rules.settlement_period_ms, zone)
        # a report may not end after the milestone that references it
        if min(now_ms, self._core.confirmed_at_ms) < period.end_ms:
            return False
        unit = Address(state.unit)
        if unit_at(self._core.ledger.rows, unit) is None:
            self._pass_over(state, period)
            return True
        named = self._homed.named(unit, self._own)
        counted = {
            Address(one.home): one.through_ms
            for one in state.homes
            if not one.is_done or one.home in named
        }
        counted = dict.fromkeys(named, 0) | counted
        counted.pop(self._own, None)
        self._asking.ask(unit, counted, self._peers(), period.end_ms)
        here = self._settled.home()
        if here is None or here.through_ms < period.end_ms:
            return False
        late = [one for one in counted if not self._asking.has_told(unit, one, period.end_ms)]
        if late and now_ms < period.end_ms + self._settings.sums_patience_ms:
            return False
        if any(self._asking.may_tell(unit, one) for one in late):
            return False
        missing = tuple(MissingHome(one, named.get(one, ())) for one in late)
        self._share(period, state, self._gathered(period, state, [*counted], named), missing)
        return True

    def _pass_over(self, state: UnitState, period: Period) -> None:
        """Leave a period out: the unit is removed, and the grid has supplied its members."""
        homes = tuple(
            _counted(one, period.end_ms if one.home == self._own else 0) for one in state.homes
        )
        after = UnitState(state.unit, period.end_ms, state.next_report, homes)
        self._settled.put_unit(after, self._own)
        _log.warning(
            "period left out: the ledger has no such unit",
            unit=encode_address(Address(state.unit)),
            end_ms=period.end_ms,
        )

    def _gathered(
        self,
        period: Period,
        state: UnitState,
        homes: Sequence[Address],
        named: Container[Address],
    ) -> "_Gathered":
        """Return what this node and others told of a period."""
        unit = Address(state.unit)
        before = {Address(one.home): one for one in state.homes}
        own = before.get(self._own, HomeProgress(self._own, 0))
        here = self._settled.owed(unit, self._own, own.through_ms, period.end_ms)
        told = [sums for _, sums in here]
        before[self._own] = _counted(own, period.end_ms)
        for home in homes:
            through_ms, sums = self._asking.told(unit, home, period.end_ms)
            told += [self._allowed(unit, home, one) for one in sums]
            progress = _counted(before.get(home, HomeProgress(home, 0)), through_ms)
            is_done = home not in named and through_ms >= period.end_ms
            before[home] = HomeProgress(home, progress.through_ms, is_done)
        return _Gathered(placed(period, told), tuple(before[home] for home in sorted(before)))

    def _allowed(self, unit: Address, home: Address, sums: SlotSums) -> SlotSums:
        """Return what a node may tell: of members of the unit whose meters are homed there."""
        rows, edges = self._core.ledger.rows, self._homed.edges()
        allowed = tuple(
            one
            for one in sums.members
            if home in edges.get(one.member, ())
            and one.member != unit
            and connection_at(rows, unit, one.member) is not None
        )
        if len(allowed) < len(sums.members):
            _log.error(
                "sums of members that are not homed there, or not the unit's, are not counted",
                unit=encode_address(unit),
                home=encode_address(home),
                members=len(sums.members) - len(allowed),
            )
        return SlotSums(sums.start_ms, sums.slot_ms, allowed)

    def _share(
        self,
        period: Period,
        state: UnitState,
        gathered: "_Gathered",
        missing: tuple[MissingHome, ...],
    ) -> None:
        unit, members = Address(state.unit), gathered.members
        own = members.pop(unit, [SlotEnergy() for _ in period.slots])
        terms, first = self._terms(unit)
        number = max(state.next_report, first)
        shared = share_period(period, terms, own, members, number)
        days = days_in(period, self._settings.zone)
        record = SharedPeriod(
            unit,
            period.start_ms,
            period.end_ms,
            shared_days(period, members, shared, days),
            unit_days(terms, shared, days),
            shared.reports,
            missing,
        )
        used = sum(one.number is not None for one in shared.reports)
        after = UnitState(unit, period.end_ms, number + used, gathered.homes, shared.reports)
        pass_point("settlement.before")
        self._settled.put_unit(after, self._own, record)
        pass_point("settlement.after")
        self._asking.forget(unit)
        self.missing[unit] = len(missing)
        _say(record, len(members))

    def _peers(self) -> dict[Address, PeerId]:
        return {address_of(one.peer): one.peer for one in self._gossip.peers()}

    def _terms(self, address: Address) -> tuple[UnitTerms, int]:
        """Return a unit as the ledger holds it, and its lowest unused report number."""
        rows = self._core.ledger.rows
        unit = unit_at(rows, address)
        assert unit is not None, "looked up before"
        sessions: dict[Address, tuple[SessionTerms, ...]] = {}
        for member, held in sessions_of(rows, address):
            session = SessionTerms(held.energy_wh, held.expires_at_ms, held.opened_at_ms)
            sessions[member] = (*sessions.get(member, ()), session)
        terms = UnitTerms(
            address,
            Address(unit.owner),
            unit.capacity_wh,
            unit.efficiency_ppm,
            unit.stored_wh,
            sessions,
        )
        return terms, unit.reports.next


@dataclass(frozen=True, slots=True)
class _Gathered:
    """What was told of one period of one unit."""

    members: dict[Address, list[SlotEnergy]]
    """The unit itself among them."""

    homes: tuple[HomeProgress, ...]
    """Up to where everybody is counted then."""


def _counted(progress: HomeProgress, through_ms: int) -> HomeProgress:
    return HomeProgress(progress.home, max(progress.through_ms, through_ms), progress.is_done)


def _say(record: SharedPeriod, members: int) -> None:
    unit = encode_address(Address(record.unit))
    for one in record.missing:
        _log.warning(
            "period settled without a home edge: what it tells later counts later",
            unit=unit,
            end_ms=record.end_ms,
            home=encode_address(Address(one.home)),
            members=[encode_address(Address(member)) for member in one.members],
        )
    _log.info(
        "period settled",
        unit=unit,
        end_ms=record.end_ms,
        members=members,
        reports=len(record.reports),
    )
