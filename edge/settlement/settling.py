"""Meter to money at the settling node: each period is settled once, and durably.

The settling node is the home node of its members. A period and all its reports are written in
one commit, before the first report is issued; the next one is settled when the ledger has them.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from zoneinfo import ZoneInfo

import structlog

from devices.reading import decode_reading
from edge.ground.clock import Clock
from edge.ground.faults import pass_point
from edge.ground.spans import Spans
from edge.journal.sealing import SaltedReading
from edge.journal.settled import DeviceProgress, SettledPeriod, SettlingState, UnitProgress
from edge.node.executor import Executor
from edge.node.issuance import Issuance
from edge.settlement.local_days import period_at, period_start_ms
from edge.settlement.reporting import Reporting
from energy.parameters import parameters
from energy.powerchain.records import sessions_of, unit_at
from energy.settlement.period import settle
from energy.settlement.records import Home, Progress, SessionTerms, Settlement, UnitTerms
from energy.settlement.regimes import Grid, Regime, regime_of
from energy.settlement.registers import Registers, Series, series_of
from energy.settlement.slots import Period
from tangle.accounts import NO_ADDRESS, identity
from tangle.address import Address

LOOK_S: Final = 0.5
"""How often is looked whether a period is over, or a report applied."""

_log: Final = structlog.get_logger(__name__)

OpenReadings = Callable[[Address, int, int], Iterable[tuple[int, SaltedReading]]]


@dataclass(frozen=True, slots=True)
class SettledUnit:
    """A storage unit that this node settles."""

    unit: Address
    meter: Address
    """Whose registers are its: import is charge, export is discharge."""

    issuance: Issuance
    """With the key that the unit delegates to."""


@dataclass(frozen=True, slots=True)
class SettlingSettings:
    """What a settling node is told."""

    zone: ZoneInfo
    patience_ms: int
    """Ledger time that a period waits for missing readings once it is over."""

    units: tuple[SettledUnit, ...] = ()
    pv_meters: frozenset[Address] = frozenset()
    """Behind their homes' grid meters: what they count as export is production."""

    replaces: Mapping[Address, Address] = field(default_factory=dict)
    """Which meter a meter was put in place of."""


class Settling:
    """Settles the homes of one node, period by period. Used on the loop only."""

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
        self._core = executor.core
        self._journal = executor.journal
        self._settled = executor.journal.settled(home.key)
        self._opened = opened
        self._clock = clock
        self._settings = settings
        issuances = {one.unit: one.issuance for one in settings.units}
        self._reporting = Reporting(executor, clock, issuances)

    async def run(self) -> None:
        """Settle until cancelled."""
        while True:
            await self.step()
            await asyncio.sleep(LOOK_S)

    async def step(self) -> None:
        """Issue what waits; or, if nothing does, settle a period that is over.

        Raises:
            StorageError: Nothing of what was not durable is issued.
        """
        state = self._settled.state()
        now_ms = self._clock.instant().ledger_ms
        if state is None:
            rules = parameters(self._core.ledger.rows)
            start_ms = period_start_ms(now_ms, rules.settlement_period_ms, self._settings.zone)
            self._settled.put(SettlingState(start_ms))
            return
        waiting = tuple(one for one in state.waiting if not self._reporting.is_over(one))
        if waiting:
            await self._reporting.issue_due(waiting)
        else:
            self._close(state, now_ms)

    def _close(self, state: SettlingState, now_ms: int) -> None:
        """Settle the next period, if it is over and its readings are here or waited for enough."""
        rules = parameters(self._core.ledger.rows)
        period = period_at(state.through_ms, rules.settlement_period_ms, self._settings.zone)
        # a report may not end after the milestone that references it
        if min(now_ms, self._core.confirmed_at_ms) < period.end_ms:
            return
        is_waited_for = now_ms < period.end_ms + self._settings.patience_ms
        if is_waited_for and not self._is_whole(period.end_ms):
            return
        read = self._read(state)
        points = self._points({device: series for device, (series, _) in read.items()})
        progress = Progress(
            {Address(one.device): one.counted for one in state.devices}, self._next_reports(state)
        )
        settled = settle(period, self._homes(points), self._terms(points), progress)
        self._keep(period, settled, {device: found for device, (_, found) in read.items()})

    def _keep(
        self, period: Period, settled: Settlement, sequences: Mapping[Address, dict[int, int]]
    ) -> None:
        devices = tuple(
            DeviceProgress(
                device,
                counted,
                max(
                    (
                        sequence
                        for sequence, at_ms in sequences.get(device, {}).items()
                        if at_ms <= counted.at_ms
                    ),
                    default=0,
                ),
            )
            for device, counted in sorted(settled.progress.counted.items())
        )
        numbers = settled.progress.next_reports
        units = tuple(UnitProgress(unit, number) for unit, number in sorted(numbers.items()))
        state = SettlingState(period.end_ms, devices, units, settled.reports)
        record = SettledPeriod(
            period.start_ms, period.end_ms, settled.members, settled.units, settled.reports
        )
        pass_point("settlement.before")
        self._settled.put(state, record)
        pass_point("settlement.after")
        _log.info(
            "period settled",
            end_ms=period.end_ms,
            members=len(settled.members),
            reports=len(settled.reports),
        )

    # What is settled.

    def _is_whole(self, end_ms: int) -> bool:
        """Return whether every meter here that no other replaces has told of all before a time."""
        replaced = {*self._settings.replaces.values()}
        return all(
            registers.at_ms >= end_ms
            for device, spans in self._journal.meters().items()
            if device not in replaced
            for _, registers in self._registers(device, spans[-1:], spans[-1][1])
        )

    def _read(self, state: SettlingState) -> dict[Address, tuple[Series, dict[int, int]]]:
        """Return what the meters here said since they were settled; and when, by sequence."""
        begin = {Address(one.device): one.from_sequence for one in state.devices}
        found = {}
        for device, spans in self._journal.meters().items():
            registers = dict(self._registers(device, spans, begin.get(device, 0)))
            series = series_of(device, registers.values())
            found[device] = series, {number: one.at_ms for number, one in registers.items()}
        return found

    def _registers(
        self, device: Address, spans: Spans, begin: int
    ) -> Iterable[tuple[int, Registers]]:
        for first, last in spans:
            for sequence, opened in self._opened(device, max(first, begin), last):
                reading = decode_reading(opened.signed).reading
                yield (
                    sequence,
                    Registers(
                        reading.interval_end_ms,
                        reading.import_wh,
                        reading.export_wh,
                        reading.quality == "estimated",
                    ),
                )

    def _points(self, read: Mapping[Address, Series]) -> dict[Address, tuple[Series, ...]]:
        """Return the metering points by their newest device, a replaced one before it."""
        replaces = self._settings.replaces
        points = {}
        for device in sorted({*read} - {*replaces.values()}):
            chain = [device]
            while chain[-1] in replaces and replaces[chain[-1]] not in chain:
                chain.append(replaces[chain[-1]])
            points[device] = tuple(read.get(one, Series(one, ())) for one in reversed(chain))
        return points

    def _homes(self, points: Mapping[Address, tuple[Series, ...]]) -> list[Home]:
        """Return the homes that the ledger knows, by owner and regime."""
        units = {one.unit for one in self._settings.units}
        by_home: dict[tuple[Address, Regime], list[tuple[Series, ...]]] = {}
        production: dict[Address, list[tuple[Series, ...]]] = {}
        for device, point in points.items():
            known = identity(self._core.ledger.rows, device)
            is_of_unit = any(device == one.meter for one in self._settings.units)
            if known is None or known.owner == NO_ADDRESS or is_of_unit:
                continue
            owner = Address(known.owner)
            if device in self._settings.pv_meters:
                production.setdefault(owner, []).append(point)
                continue
            regime = regime_of(self._core.ledger.rows, device, owner, units)
            by_home.setdefault((owner, regime), []).append(point)
        for owner in sorted({*production} - {owner for owner, _ in by_home}):
            by_home[owner, Grid()] = []
        return [
            Home(owner, regime, tuple(found), tuple(production.pop(owner, ())))
            for (owner, regime), found in by_home.items()
        ]

    def _terms(self, points: Mapping[Address, tuple[Series, ...]]) -> list[UnitTerms]:
        """Return the units settled here that the ledger has."""
        rows, terms = self._core.ledger.rows, []
        for one in self._settings.units:
            unit = unit_at(rows, one.unit)
            if unit is None:
                continue
            sessions = {
                member: SessionTerms(session.energy_wh, session.expires_at_ms)
                for member, session in sessions_of(rows, one.unit)
            }
            point = points.get(one.meter, (Series(one.meter, ()),))
            terms.append(
                UnitTerms(
                    one.unit,
                    Address(unit.owner),
                    unit.capacity_wh,
                    unit.efficiency_ppm,
                    unit.stored_wh,
                    point,
                    sessions,
                )
            )
        return terms

    def _next_reports(self, state: SettlingState) -> dict[Address, int]:
        """Return the numbers to go on with: at a unit new here, the lowest unused one."""
        numbers = {Address(one.unit): one.next_report for one in state.units}
        for one in self._settings.units:
            unit = unit_at(self._core.ledger.rows, one.unit)
            if unit is not None:
                numbers[one.unit] = max(numbers.get(one.unit, 0), unit.reports.next)
        return numbers
