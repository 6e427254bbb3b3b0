"""What a node states of one member's days: settled at home, and by the units settled here."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from math import gcd
from typing import Protocol, TypeVar

from api.settings.records import Settlement
from devices.span_request import SpanRequest
from edge.journal.journal import Journal
from edge.journal.settled import Settled
from energy.bills.settled import net_day, owner_day, regime_name
from energy.bills.statements import MAX_STATED_MS, StatedLate, StatedPoint, StatedUnit, Statement
from energy.parameters import parameters
from energy.powerchain.records import storage_units, unit_at
from energy.settlement.records import MemberDay, Report, UnitDay
from energy.settlement.regimes import Storage, regime_of
from energy.settlement.slots import SLOT_MS
from energy.units import DAY_MS
from tangle.accounts import identity
from tangle.address import Address
from tangle.errors import InvalidRequestError
from tangle.rows import RowReader
from tangle.sequences import is_unused

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Settlements:
    """What a settling node states from."""

    settled: Settled
    config: Settlement


class Read(Protocol):
    """Has the journal to itself for one look, on the node's own loop."""

    async def __call__(self, query: Callable[[Journal], T]) -> T:
        """Return what `query` makes of it."""
        ...


@dataclass(frozen=True, slots=True)
class _Found:
    """What settled periods say of one member."""

    days: tuple[MemberDay, ...] = ()
    own: tuple[UnitDay, ...] = ()
    """Of the units that are the member's."""

    late: tuple[StatedLate, ...] = ()
    """Of all meters."""


async def statement_of(
    rows: RowReader, read: Read, settlements: Settlements, request: SpanRequest
) -> Statement:
    """Return what was settled of one member in a stretch of time.

    A node keeps the periods of all its homes together, and opening a year of them takes a good
    part of a second: so it does something else after each day of them.

    Raises:
        InvalidRequestError: More time than one statement holds.
    """
    length_ms = request.to_ms - request.from_ms
    if length_ms > MAX_STATED_MS:
        raise InvalidRequestError(f"a statement of {length_ms} ms: at most {MAX_STATED_MS}")
    # how far all is settled comes first: what is settled meanwhile may be missed, never the days
    # before what is said to be settled
    home = await read(lambda _: settlements.settled.home())
    through = await read(lambda _: dict(_through_ms(rows, settlements)))
    found = _Found()
    for from_ms in range(request.from_ms, request.to_ms, DAY_MS):
        span = from_ms, min(from_ms + DAY_MS, request.to_ms)
        more = await read(partial(_look, settlements.settled, Address(request.whose), span))
        found = _Found(found.days + more.days, found.own + more.own, found.late + more.late)
        await asyncio.sleep(0)
    points = await read(lambda journal: (*_points(rows, journal, settlements.config, request),))
    mine = {one.meter for one in points}
    units = {one.regime.unit for one in found.days if isinstance(one.regime, Storage)}
    return Statement(
        settlements.config.zone,
        gcd(SLOT_MS, parameters(rows).settlement_period_ms),
        0 if home is None else home.through_ms,
        points,
        tuple([net_day(one) for one in found.days]),
        tuple(sorted(units)),
        tuple(
            [
                StatedUnit(
                    unit,
                    through_ms,
                    tuple([owner_day(day) for day in found.own if day.unit == unit]),
                )
                for unit, through_ms in through.items()
            ]
        ),
        tuple([one for one in found.late if one.meter in mine]),
    )


def _look(settled: Settled, member: Address, span: tuple[int, int], _: Journal) -> _Found:
    periods = settled.periods(*span)
    return _Found(
        tuple([one for period in periods for one in period.members if one.member == member]),
        tuple(
            [one for shared in settled.shared(*span) for one in shared.own if one.owner == member]
        ),
        tuple(
            [
                StatedLate(one.device, period.end_ms, one.counted_ms)
                for period in periods
                for one in period.late
            ]
        ),
    )


def _points(
    rows: RowReader, journal: Journal, config: Settlement, request: SpanRequest
) -> Iterable[StatedPoint]:
    member = Address(request.whose)
    units = {address for address, _ in storage_units(rows)}
    of_units = {Address(one.meter) for one in config.units}
    replaces = {Address(one.meter): Address(one.replaces) for one in config.replacements}
    for meter in sorted(journal.meters()):
        known = identity(rows, meter)
        if known is None or known.owner != member:
            continue
        yield StatedPoint(
            meter,
            regime_name(regime_of(rows, meter, member, units, request.to_ms)),
            meter in config.pv_meters,
            replaces.get(meter),
            meter in of_units,
        )


def _through_ms(rows: RowReader, settlements: Settlements) -> Iterator[tuple[Address, int]]:
    """Yield the units settled here, and up to when their days are settled and reported."""
    for one in settlements.config.units:
        unit = Address(one.unit)
        state = settlements.settled.unit(unit)
        if state is None:
            continue
        through_ms = state.through_ms
        if not all(_is_over(rows, report) for report in state.waiting):
            latest = settlements.settled.shared(through_ms - 1, through_ms)
            through_ms = min(period.start_ms for period in latest if period.unit == unit)
        yield unit, through_ms


def _is_over(rows: RowReader, report: Report) -> bool:
    """Return whether the ledger has a report, or its unit is gone."""
    unit = unit_at(rows, Address(report.unit))
    if unit is None or report.number is None:
        return True
    return not is_unused(unit.reports, report.number)
