"""A bill computed anew by its customer: from own registers, applied reports and agreed prices."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec

from api.bills.billing import common_zone, whole_span
from api.bills.home_records import MeterRecord, Records, ReportRecord, Span, not_computable
from energy.bills.covered import Covered, NetDay, OwnerDay, covered_sums
from energy.bills.days import Stretch, day_starts, day_text
from energy.bills.documents import Bill, Content, first_difference, period_of, preview
from energy.bills.own_days import Chain, Late, OwnPoints, own_days
from energy.bills.statements import StatedPoint, Statement
from energy.bills.sums import DaySum, Regime
from energy.bills.tariffs import Tariff
from energy.settlement.registers import Registers, Series, series_of
from energy.settlement.slots import SLOT_MS
from tangle.address import Address, encode_address
from tangle.errors import InvalidProofError


@dataclass(frozen=True, slots=True)
class Recomputed:
    """What a member's own records make of the days of a bill."""

    sums: list[DaySum]
    own: list[NetDay]
    stated: tuple[NetDay, ...]
    """What settlement says of the same days."""

    notes: tuple[str, ...]
    """What was used, and what of it could not be proven."""


def recompute(
    records: Sequence[Records], member: Address, period: Stretch, zone: ZoneInfo | None
) -> Recomputed:
    """Return the sums of a member's days, from what its home nodes show and prove.

    Args:
        records: Of the nodes that have its readings.
        member: Whose.
        period: Which days.
        zone: Whose midnights part them; `None` for what the nodes say.

    Raises:
        InvalidProofError: What a node shows does not hold.
        CommandError: Something that is needed is not here.
    """
    answers = [one.statement(member, whole_span(period, zone)) for one in records]
    stated = [one for one in answers if one is not None]
    starts = day_starts(period, zone or common_zone(stated))
    span = (starts[0], starts[-1])
    meters: list[MeterRecord] = []
    reports: list[ReportRecord] = []
    for one in records:
        mine = one.meters_of(member)
        meters += [one.readings(meter, span) for meter in mine]
        if mine:
            reports.append(one.reports(member, mine, span))
    if not meters:
        raise not_computable(
            f"no node that was asked has readings of {encode_address(member)}",
            "only the home node of a meter keeps what it measured",
            "name the home node with --node",
        )
    for meter in meters:
        _require_whole(meter, span)
    slot_ms = min((one.slot_ms for one in stated), default=SLOT_MS)
    points = [point for one in stated for point in one.points]
    late: dict[Address, list[Late]] = {}
    for told in (told for one in stated for told in one.late):
        late.setdefault(Address(told.meter), []).append(Late(told.end_ms, told.counted_ms))
    days = tuple(day for one in stated for day in one.days)
    homes = _homes(meters, points)
    own = own_days(homes, starts, period.first_day, slot_ms, late)
    if len(homes) == 1:
        own = _under_regimes(own, days)
    units = [day for one in stated for unit in one.units for day in unit.own]
    covered = _covered(own, reports, units, starts, period)
    notes = (*_notes(meters, reports, span), *_more_notes(covered, units, stated))
    return Recomputed(covered.sums, own, days, notes)


def verify_bill(bill: Bill, computed: Recomputed, tariffs: Sequence[Tariff]) -> None:
    """Check that a bill says what own records make. Raises `InvalidProofError` otherwise."""
    content = bill.content
    made = preview(content.parties, computed.sums, tariffs, period_of(content))
    difference = first_difference(content, made.content)
    if difference is not None:
        where = _where(content, computed)
        raise InvalidProofError(f"document {bill.number}: {difference}; {where}")


def _require_whole(record: MeterRecord, span: Span) -> None:
    """Check that readings reach from one end to the other, or from when the meter began."""
    name, shown = encode_address(record.meter), record.readings
    is_begun = bool(shown) and (shown[0].interval_end_ms <= span[0] or shown[0].sequence == 0)
    if is_begun and shown[-1].interval_end_ms >= span[1]:
        return
    has = f"{shown[0].interval_end_ms} to {shown[-1].interval_end_ms} ms" if shown else "none"
    raise not_computable(
        f"readings of {name} from {span[0]} to {span[1]} ms are needed",
        f"its home node has {has}",
        "ask before readings are erased, and after the days are over",
    )


def _homes(meters: Sequence[MeterRecord], points: Sequence[StatedPoint]) -> list[OwnPoints]:
    """Return the metering points by regime; of a meter that no node states, a grid meter's."""
    series = {one.meter: _series(one) for one in meters}
    stated = {Address(one.meter): one for one in points if one.meter in series}
    replaced = {one.replaces for one in stated.values() if one.replaces is not None}
    of_units = {one for one in stated if stated[one].is_of_unit}
    grid: dict[Regime, list[Chain]] = {}
    production: list[Chain] = []
    for meter in sorted(series):
        if meter in replaced or meter in of_units:
            continue
        chain = _chain(meter, series, stated)
        one = stated.get(meter)
        if one is not None and one.is_production:
            production.append(chain)
        else:
            regime: Regime = "ctt" if one is not None and one.regime == "ctt" else "storage"
            grid.setdefault(regime, []).append(chain)
    # plants stand behind the first home of their owner, as settlement has it
    return [
        OwnPoints(regime, tuple(found), tuple(production) if at == 0 else ())
        for at, (regime, found) in enumerate(grid.items())
    ]


def _under_regimes(own: Sequence[NetDay], stated: Sequence[NetDay]) -> list[NetDay]:
    """Return the days of a member's one home under the regime that each was settled under."""
    named: dict[int, set[Regime]] = {}
    for one in stated:
        named.setdefault(one.day, set()).add("ctt" if one.regime == "ctt" else "storage")
    return [
        msgspec.structs.replace(one, regime=min(named[one.day]))
        if len(named.get(one.day, ())) == 1
        else one
        for one in own
    ]


def _chain(
    meter: Address, series: dict[Address, Series], stated: dict[Address, StatedPoint]
) -> Chain:
    chain = [meter]
    while chain[-1] in stated:
        before = stated[chain[-1]].replaces
        if before is None or Address(before) in chain:
            break
        chain.append(Address(before))
    return [series.get(one, Series(one, ())) for one in reversed(chain)]


def _series(record: MeterRecord) -> Series:
    return series_of(
        record.meter,
        (
            Registers(one.interval_end_ms, one.import_wh, one.export_wh, one.quality == "estimated")
            for one in record.readings
        ),
    )


def _covered(
    own: Sequence[NetDay],
    records: Sequence[ReportRecord],
    units: Sequence[OwnerDay],
    starts: Sequence[int],
    period: Stretch,
) -> Covered:
    reports = {one.tx_id: one for record in records for one in record.reports}
    return covered_sums(own, reports.values(), units, starts, period.first_day)


def _where(content: Content, computed: Recomputed) -> str:
    """Say on which day settlement and own registers part, if they do."""
    stated: dict[int, tuple[int, int]] = {}
    for one in computed.stated:
        before = stated.get(one.day, (0, 0))
        stated[one.day] = (before[0] + one.import_wh, before[1] + one.export_wh)
    for day in period_of(content).days:
        mine = [one for one in computed.own if one.day == day]
        found = (sum(one.import_wh for one in mine), sum(one.export_wh for one in mine))
        if stated and stated.get(day, (0, 0)) != found:
            settled = stated.get(day, (0, 0))
            return (
                f"the first day that differs is {day_text(day)}: settled were {settled[0]} Wh of"
                f" import and {settled[1]} of export, the registers say {found[0]} and {found[1]}"
            )
    if stated:
        return "settlement and the registers agree on every day: the document departs from both"
    return "no node states what was settled by day"


def _notes(meters: Sequence[MeterRecord], reports: Sequence[ReportRecord], span: Span) -> list[str]:
    notes = []
    for one in meters:
        unproven = sum(last - first + 1 for first, last, _ in one.unproven)
        notes.append(
            f"meter {encode_address(one.meter)}: {len(one.readings)} readings signed by it,"
            f" {len(one.readings) - unproven} proven to be committed to on the ledger"
        )
        notes += [
            f"not proven: readings {first} to {last}: {why}" for first, last, why in one.unproven
        ]
    for record in reports:
        count = len(record.reports)
        notes.append(f"reports: {count}, {count - record.unproven} proven to be applied")
        if record.kept_from_ms > span[0]:
            notes.append(f"reports before {record.kept_from_ms} ms are not kept there")
    return notes


def _more_notes(
    covered: Covered, units: Sequence[OwnerDay], stated: Sequence[Statement]
) -> list[str]:
    notes = [
        f"{wh} Wh reported as {kind} are of days before the first"
        for kind, wh in covered.beyond_wh.items()
    ]
    if units:
        notes.append("not computed anew: what the unit itself exchanged, as its settling node says")
    notes += [
        f"readings of {encode_address(Address(one.meter))} after {_moment(one.counted_ms)} came"
        f" late and were counted after {_moment(one.end_ms)}"
        for said in stated
        for one in said.late
    ]
    if not stated:
        notes.append("no node states how meters are joined: all were taken as one home")
    return notes


def _moment(timestamp_ms: int) -> str:
    """Return ledger time as people write it, in whole seconds of UTC."""
    return datetime.fromtimestamp(timestamp_ms // 1_000, UTC).isoformat()
