"""What a node states of one member's days: settled at home, and by the units settled here."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import gcd

from api.settings.records import Settlement
from devices.span_request import SpanRequest
from edge.journal.journal import Journal
from edge.journal.settled import Settled
from energy.bills.settled import net_day, owner_day, regime_name
from energy.bills.statements import MAX_STATED_MS, StatedLate, StatedPoint, StatedUnit, Statement
from energy.parameters import parameters
from energy.powerchain.records import storage_units, unit_at
from energy.settlement.records import Report, UnitDay
from energy.settlement.regimes import Storage, regime_of
from energy.settlement.slots import SLOT_MS
from tangle.accounts import identity
from tangle.address import Address
from tangle.errors import InvalidRequestError
from tangle.rows import RowReader
from tangle.sequences import is_unused


@dataclass(frozen=True, slots=True)
class Settlements:
    """What a settling node states from."""

    settled: Settled
    config: Settlement


def statement_of(
    rows: RowReader, journal: Journal, settlements: Settlements, request: SpanRequest
) -> Statement:
    """Return what was settled of one member in a stretch of time.

    Raises:
        InvalidRequestError: More time than one statement holds.
    """
    length_ms = request.to_ms - request.from_ms
    if length_ms > MAX_STATED_MS:
        raise InvalidRequestError(f"a statement of {length_ms} ms: at most {MAX_STATED_MS}")
    settled, member = settlements.settled, Address(request.whose)
    home = settled.home()
    periods = settled.periods(request.from_ms, request.to_ms)
    days = [one for period in periods for one in period.members if one.member == member]
    shared = settled.shared(request.from_ms, request.to_ms)
    own = [one for period in shared for one in period.own if one.owner == member]
    points = tuple(_points(rows, journal, settlements.config, request))
    mine = {one.meter for one in points}
    late = (
        StatedLate(one.device, period.end_ms, one.counted_ms)
        for period in periods
        for one in period.late
        if one.device in mine
    )
    return Statement(
        settlements.config.zone,
        gcd(SLOT_MS, parameters(rows).settlement_period_ms),
        0 if home is None else home.through_ms,
        points,
        tuple(net_day(one) for one in days),
        tuple(sorted({one.regime.unit for one in days if isinstance(one.regime, Storage)})),
        tuple(_units(rows, settlements, own)),
        tuple(late),
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


def _units(
    rows: RowReader, settlements: Settlements, own: Iterable[UnitDay]
) -> Iterable[StatedUnit]:
    mine = list(own)
    for one in settlements.config.units:
        unit = Address(one.unit)
        state = settlements.settled.unit(unit)
        if state is None:
            continue
        through_ms = state.through_ms
        if not all(_is_over(rows, report) for report in state.waiting):
            latest = settlements.settled.shared(through_ms - 1, through_ms)
            through_ms = min(period.start_ms for period in latest if period.unit == unit)
        days = tuple(owner_day(day) for day in mine if day.unit == unit)
        yield StatedUnit(unit, through_ms, days)


def _is_over(rows: RowReader, report: Report) -> bool:
    """Return whether the ledger has a report, or its unit is gone."""
    unit = unit_at(rows, Address(report.unit))
    if unit is None or report.number is None:
        return True
    return not is_unused(unit.reports, report.number)
