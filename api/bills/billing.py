"""The sums of a bill from settlement: asked of the nodes that settle the customer."""

from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from api.bills.home_records import Records, Span, not_computable
from energy.bills.covered import Covered, covered_sums
from energy.bills.days import Stretch, day_starts, day_text
from energy.bills.statements import Statement
from energy.bills.sums import DaySum
from energy.units import DAY_MS
from tangle.address import Address, encode_address


@dataclass(frozen=True, slots=True)
class Asked:
    """What the nodes that know a member say of a stretch of days."""

    statements: tuple[Statement, ...]
    homes: tuple[Records, ...]
    """The nodes that have its meters."""

    zone: ZoneInfo


def ask_settled(
    records: Sequence[Records], member: Address, period: Stretch, zone: ZoneInfo | None
) -> Asked:
    """Return what nodes state of a member. Raises `CommandError` if none settles it."""
    answers = [(one, one.statement(member, whole_span(period, zone))) for one in records]
    stated = [(one, found) for one, found in answers if found is not None]
    homes = tuple(one for one, found in stated if found.points or found.days)
    if not homes:
        raise not_computable(
            f"no node that was asked settles the meters of {encode_address(member)}",
            "sums by day come from the member's home node",
            "name it with --node, or give the sums as a file with --sums",
        )
    statements = tuple(found for _, found in stated)
    return Asked(statements, homes, zone or common_zone(statements))


def settled_sums(
    records: Sequence[Records], member: Address, period: Stretch, *, is_final: bool
) -> list[DaySum]:
    """Return the sums of a member's settled days.

    Args:
        records: Of all nodes that settle the member: its home nodes, and those of its units.
        member: The customer.
        period: Which days.
        is_final: Whether all of them must be over and settled; else those that are not are left
            out.

    Raises:
        InvalidProofError: What a node shows does not hold.
        CommandError: No node settles the member; or a day is not over, or not settled.
    """
    asked = ask_settled(records, member, period, None)
    starts = day_starts(period, asked.zone)
    ledger_ms = min(one.node.info().confirmed_at_ms for one in asked.homes)
    if is_final:
        require_over(period, starts, ledger_ms)
    through_ms = min(ledger_ms, _through_ms(asked, member))
    settled = [day for at, day in enumerate(period.days) if starts[at + 1] <= through_ms]
    if is_final and len(settled) < len(period.days):
        raise not_computable(
            f"{day_text(period.first_day + len(settled))} is not settled yet",
            f"settled and reported is everything up to {through_ms} ms of ledger time",
            "wait for the readings that are missing, and for reports to be applied; see"
            " `tanglewatt status`",
        )
    covered = _covered(asked, member, starts, period)
    return [one for one in covered.sums if one.day in settled]


def require_over(period: Stretch, starts: Sequence[int], ledger_ms: int) -> None:
    """Check that the last day is over in ledger time. Raises `CommandError`."""
    if ledger_ms >= starts[-1]:
        return
    late = next(at for at in range(len(period.days)) if starts[at + 1] > ledger_ms)
    raise not_computable(
        f"{day_text(period.first_day + late)} is not over",
        f"it ends at {starts[late + 1]} ms, and ledger time is {ledger_ms} ms",
        "a final bill is of days that are over; see `tanglewatt bill preview`",
    )


def common_zone(stated: Sequence[Statement]) -> ZoneInfo:
    """Return whose midnights part the days. Raises `CommandError` if nodes disagree."""
    zones = sorted({one.zone for one in stated})
    if len(zones) != 1:
        said = " and ".join(zones) or "nothing"
        raise not_computable(
            "whose midnights part the days is not known",
            f"the nodes that were asked say {said}",
            "name the time zone with --zone",
        )
    return ZoneInfo(zones[0])


def whole_span(period: Stretch, zone: ZoneInfo | None) -> Span:
    """Return a span that surely holds the days, and the period before: wherever the place is."""
    starts = day_starts(period, zone or ZoneInfo("UTC"))
    margin_ms = 1 if zone else DAY_MS
    return max(0, starts[0] - margin_ms), starts[-1] + margin_ms


def _through_ms(asked: Asked, member: Address) -> int:
    """Return up to when all homes of a member are netted, and its units' reports applied."""
    through_ms = min(one.through_ms for one in asked.statements if one.points or one.days)
    units = {unit for one in asked.statements for unit in one.of_units}
    settled = {one.unit: one.through_ms for said in asked.statements for one in said.units}
    for unit in sorted(units):
        if unit not in settled:
            raise not_computable(
                f"unit {encode_address(Address(unit))}, of which {encode_address(member)} is a"
                " member, is not settled by a node that was asked",
                "what its members drew is final when its reports are applied",
                "name its settling node with --node as well",
            )
        through_ms = min(through_ms, settled[unit])
    return through_ms


def _covered(asked: Asked, member: Address, starts: Sequence[int], period: Stretch) -> Covered:
    span = (starts[0], starts[-1])
    days = [day for one in asked.statements for day in one.days]
    own = [day for one in asked.statements for unit in one.units for day in unit.own]
    found = [home.reports(member, home.meters_of(member), span) for home in asked.homes]
    kept_from_ms = max(one.kept_from_ms for one in found)
    if kept_from_ms > span[0]:
        name, first = encode_address(member), day_text(period.first_day)
        raise not_computable(
            f"reports about {name} are not known from {first} on",
            f"a home node knows them from {kept_from_ms} ms on",
            "give the sums as a file with --sums",
        )
    reports = {one.tx_id: one for record in found for one in record.reports}
    return covered_sums(days, reports.values(), own, starts, period.first_day)
