"""The homes of one node: each period of their meters is netted once, and durably.

One commit says up to which registers energy is counted, what each member's days came to, and what
the settling edges of their units are owed: nobody hears of sums that a kill could take back.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import structlog

from devices.reading import decode_reading
from edge.ground.faults import pass_point
from edge.ground.spans import Spans
from edge.journal.journal import Journal
from edge.journal.sealing import SaltedReading
from edge.journal.settled import (
    DeviceProgress,
    HomeState,
    LateMeter,
    OwedSums,
    Settled,
    SettledPeriod,
)
from edge.settlement.settings import SettlingSettings
from energy.parameters import parameters
from energy.powerchain.records import connection_at, storage_units, unit_at
from energy.settlement.local_days import days_in, period_at, period_start_ms, until_midnight
from energy.settlement.netting import Netted, member_days, net
from energy.settlement.records import Home
from energy.settlement.regimes import Grid, Regime, Storage, regime_of
from energy.settlement.registers import Registers, Series, registers_at, series_of
from energy.settlement.slots import Period
from energy.settlement.sums import MemberSlots, SlotSums, member_slots
from tangle.accounts import NO_ADDRESS, identity
from tangle.address import Address, encode_address
from tangle.effects import Instant
from tangle.node import NodeCore

_log: Final = structlog.get_logger(__name__)

STRIDE: Final = 256
"""Readings between two looks for where a meter's period begins: some days of quarter-hours."""

ARRIVAL_MS: Final = 60_000
"""Wall time after a start until a period is netted without readings, however long it is over: the
meters have not been able to hand over what they kept while the node was down."""

PAGE: Final = 64
"""Readings opened at once: of those after the period only the first counts."""

OpenReadings = Callable[[Address, int, int], Iterable[tuple[int, SaltedReading]]]
"""Returns journalled readings of a device, from one sequence to another, with their sequences."""


class Homes:
    """Nets the meters homed at one node, period by period."""

    def __init__(
        self,
        core: NodeCore,
        journal: Journal,
        settled: Settled,
        opened: OpenReadings,
        settings: SettlingSettings,
        own: Address,
    ) -> None:
        """Take up where the journal stopped.

        Args:
            core: Of the node.
            journal: Of the node.
            settled: The part of it that is written here.
            opened: Returns journalled readings.
            settings: Which meters are what.
            own: Address of the node.
        """
        self._core = core
        self._journal = journal
        self._settled = settled
        self._opened = opened
        self._settings = settings
        self._own = own
        self._began_ms: int | None = None

    def step(self, now: Instant) -> bool:
        """Net the next period, if it is over and its readings are here or waited for enough.

        Args:
            now: On both clocks.

        Returns:
            Whether it was.

        Raises:
            StorageError: Nothing has changed.
        """
        if self._began_ms is None:
            self._began_ms = now.wall_ms
        state = self._settled.home()
        rules = parameters(self._core.ledger.rows)
        zone = self._settings.zone
        if state is None:
            start_ms = period_start_ms(now.ledger_ms, rules.settlement_period_ms, zone)
            self._settled.put_home(HomeState(start_ms, began_ms=start_ms))
            return False
        whole = period_at(state.through_ms, rules.settlement_period_ms, zone)
        period = until_midnight(whole, zone)  # so that what is told at once is bounded
        # whose energy it is, the ledger says as of a milestone after the period
        if min(now.ledger_ms, self._core.confirmed_at_ms) < period.end_ms:
            return False
        is_waited_for = (
            now.ledger_ms < period.end_ms + self._settings.patience_ms
            or now.wall_ms < self._began_ms + ARRIVAL_MS
        )
        if is_waited_for and not self._is_whole(period.end_ms):
            return False
        # who joins another unit does so from the next period on, also where that has many days
        joined_by_ms = period_start_ms(period.start_ms, rules.settlement_period_ms, zone)
        self._close(period, state, joined_by_ms)
        return True

    def _close(self, period: Period, state: HomeState, joined_by_ms: int) -> None:
        read = self._read(state, period.end_ms)
        points = self._points({device: series for device, (series, _) in read.items()})
        units = {
            one.unit: points.get(one.meter, (Series(one.meter, ()),))
            for one in self._settings.units
        }
        known = {Address(one.device): one.counted for one in state.devices}
        counted = _first_heard(period, state, (series for series, _ in read.values())) | known
        netted = net(period, self._homes(points, joined_by_ms), units, counted)
        sequences = {device: found for device, (_, found) in read.items()}
        after = HomeState(period.end_ms, _progress(netted, sequences), state.began_ms)
        days = member_days(netted.homes, period, days_in(period, self._settings.zone))
        owed = self._owed(period, netted)
        pass_point("netting.before")
        late = _late(netted, period.end_ms)
        kept = SettledPeriod(period.start_ms, period.end_ms, days, late)
        self._settled.put_home(after, kept, owed)
        pass_point("netting.after")
        _log.info("period netted", end_ms=period.end_ms, homes=len(netted.homes), owed=len(owed))
        self._drop_debts(period.end_ms)

    def _owed(self, period: Period, netted: Netted) -> list[OwedSums]:
        """Return what settling edges are to be told: each only of members that named it."""
        found: dict[tuple[Address, Address], list[MemberSlots]] = {}
        for unit, slots in netted.units.items():
            if unit_at(self._core.ledger.rows, unit) is None:
                continue  # not registered yet: what it does concerns nobody
            found[unit, self._own] = [member_slots(unit, slots)]
        for home in netted.homes:
            if not isinstance(home.regime, Storage):
                continue
            unit = Address(home.regime.unit)
            connection = connection_at(self._core.ledger.rows, unit, home.member)
            assert connection is not None, "a regime follows from the same rows"
            key = (unit, Address(connection.edge))
            found.setdefault(key, []).append(member_slots(home.member, home.slots))
        return [
            OwedSums(unit, edge, period.end_ms, _sums(period, members))
            for (unit, edge), members in sorted(found.items())
        ]

    def _drop_debts(self, through_ms: int) -> None:
        """Forget what is owed for units that are gone: the grid has supplied it all."""
        for (unit, settler), periods in self._settled.debts().items():
            if unit_at(self._core.ledger.rows, unit) is None:
                self._settled.forget_owed(unit, settler, through_ms)
                _log.warning(
                    "sums dropped: their unit is removed",
                    unit=encode_address(unit),
                    periods=periods,
                )

    # What is netted.

    def _is_whole(self, end_ms: int) -> bool:
        """Return whether every meter here that no other replaces has told of all before a time."""
        replaced = {*self._settings.replaces.values()}
        return all(
            registers.at_ms >= end_ms
            for device, spans in self._journal.meters().items()
            if device not in replaced
            for _, registers in self._registers(device, spans[-1:], spans[-1][1])
        )

    def _read(self, state: HomeState, end_ms: int) -> dict[Address, tuple[Series, dict[int, int]]]:
        """Return what the meters here said since they were counted; and when, by sequence.

        The first reading that reaches the end of the period is the last one: with what is after
        it, each of many periods would read all that came since.
        """
        begin = {Address(one.device): one.from_sequence for one in state.devices}
        found = {}
        for device, spans in self._journal.meters().items():
            needed = begin.get(device)
            if needed is None:
                needed = self._first_needed(device, spans, state.began_ms)
            registers = {}
            for sequence, one in self._registers(device, spans, needed):
                registers[sequence] = one
                if one.at_ms >= end_ms:
                    break
            series = series_of(device, registers.values())
            found[device] = series, {number: one.at_ms for number, one in registers.items()}
        return found

    def _first_needed(self, device: Address, spans: Spans, start_ms: int) -> int:
        """Return a sequence from which on a meter new here is read: not all that it ever said."""
        for first, last in reversed(spans):
            for at in range(last, first - 1, -STRIDE):
                ((_, registers),) = self._registers(device, ((at, at),), at)
                if registers.at_ms <= start_ms:
                    return at
        return spans[0][0]

    def _registers(
        self, device: Address, spans: Spans, begin: int
    ) -> Iterator[tuple[int, Registers]]:
        pages = (
            (at, min(at + PAGE - 1, last))
            for first, last in spans
            for at in range(max(first, begin), last + 1, PAGE)
        )
        for first, last in pages:
            for sequence, opened in self._opened(device, first, last):
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
        """Return the metering points by their newest device here, a replaced one before it."""
        replaces = {new: old for new, old in self._settings.replaces.items() if new in read}
        points = {}
        for device in sorted({*read} - {*replaces.values()}):
            chain = [device]
            while chain[-1] in replaces and replaces[chain[-1]] not in chain:
                chain.append(replaces[chain[-1]])
            points[device] = tuple(read.get(one, Series(one, ())) for one in reversed(chain))
        return points

    def _homes(self, points: Mapping[Address, tuple[Series, ...]], joined_by_ms: int) -> list[Home]:
        """Return the homes that the ledger knows, by owner and regime."""
        rows = self._core.ledger.rows
        units = [address for address, _ in storage_units(rows)]
        by_home: dict[tuple[Address, Regime], list[tuple[Series, ...]]] = {}
        production: dict[Address, list[tuple[Series, ...]]] = {}
        for device, point in points.items():
            known = identity(rows, device)
            is_of_unit = any(device == one.meter for one in self._settings.units)
            if known is None or known.owner == NO_ADDRESS or is_of_unit:
                continue
            owner = Address(known.owner)
            if device in self._settings.pv_meters:
                production.setdefault(owner, []).append(point)
                continue
            regime = regime_of(rows, device, owner, units, joined_by_ms)
            by_home.setdefault((owner, regime), []).append(point)
        for owner in sorted({*production} - {owner for owner, _ in by_home}):
            by_home[owner, Grid()] = []
        return [
            Home(owner, regime, tuple(found), tuple(production.pop(owner, ())))
            for (owner, regime), found in by_home.items()
        ]


def _first_heard(
    period: Period, state: HomeState, read: Iterable[Series]
) -> dict[Address, Registers]:
    """Return from where meters are counted whose first readings came after their period was over.

    All that they metered since settling began here, or since they began, is late, and not lost.
    """
    began = {
        one.device: registers_at(one, state.began_ms, period.slot_ms)
        for one in read
        if one.readings
    }
    return {device: one for device, one in began.items() if one.at_ms < period.start_ms}


def _late(netted: Netted, end_ms: int) -> tuple[LateMeter, ...]:
    """Return which meters are counted up to an earlier reading than the end of a period."""
    return tuple(
        LateMeter(device, counted.at_ms)
        for device, counted in sorted(netted.counted.items())
        if counted.at_ms < end_ms
    )


def _progress(
    netted: Netted, sequences: Mapping[Address, Mapping[int, int]]
) -> tuple[DeviceProgress, ...]:
    return tuple(
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
        for device, counted in sorted(netted.counted.items())
    )


def _sums(period: Period, members: Iterable[MemberSlots]) -> SlotSums:
    ordered = sorted(members, key=lambda one: one.member)
    return SlotSums(period.start_ms, period.slot_ms, tuple(ordered))
