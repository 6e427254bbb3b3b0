"""What a meter reports of its own registers to energy accounts: each watt-hour once. Pure.

Readings are netted one by one and summed by settlement period. A period that is over is decided
by the first standing proven after its end: confirmed for a prosumer, its sums become reports;
else they are the grid's, as settlement has it. Reports go one after the other. Each has a report
number and a sequence number, chosen once and kept whatever happens, so copies of it, over whatever
parents, count once; and whether it counted the next standings prove. What an edge node answers
decides nothing.
"""

from collections.abc import Callable
from typing import Annotated, Final, Literal

import msgspec

from energy.ctt.calls import Consume, Recharge, ctt_operation
from energy.ctt.standing import Standing
from tangle.address import AddressField
from tangle.sequences import is_unused
from tangle.transaction import MAX_TRANSACTION_SIZE, Counter, Operation

EndOf = Callable[[int], int]
"""Returns when the settlement period ends that a moment lies in. Both ledger time."""


class Report(msgspec.Struct, frozen=True, array_like=True):
    """One sum on its way to the ledger."""

    kind: Literal["recharge", "consume"]
    energy_wh: Counter
    prosumer: AddressField
    """For whom the meter was confirmed when the period was decided."""


class Issued(msgspec.Struct, frozen=True, array_like=True):
    """The transaction of the report that is under way."""

    number: Counter
    """Of the report."""

    sequence: Counter
    """Of the meter as an issuer."""

    index: Counter
    """Of the milestone that the meter knew of when it chose the parents."""

    data: Annotated[bytes, msgspec.Meta(max_length=MAX_TRANSACTION_SIZE)]
    """Canonical bytes, worked."""


class Totals(msgspec.Struct, frozen=True, array_like=True):
    """Where all netted energy went, in Wh, since the meter began to count."""

    recharged_wh: Counter = 0
    """In applied reports. What of it fitted on no token stands in the ledger's event."""

    consumed_wh: Counter = 0
    refused_wh: Counter = 0
    """In recharges that the ledger refused: fed in."""

    refused_consumed_wh: Counter = 0
    grid_in_wh: Counter = 0
    """Surplus of periods in which the meter was confirmed for nobody."""

    grid_out_wh: Counter = 0


class ReportState(msgspec.Struct, frozen=True, array_like=True):
    """All that a meter keeps of its reports: as small however long its edge is away."""

    period_end_ms: Counter = 0
    """Of the period that is being summed, ledger time; 0 before the first reading."""

    surplus_wh: Counter = 0
    """Of that period: net export of each of its readings."""

    deficit_wh: Counter = 0
    closed_end_ms: Counter = 0
    """When the last of the periods ended that wait to be decided; 0 if none does."""

    closed_surplus_wh: Counter = 0
    closed_deficit_wh: Counter = 0
    waiting: Annotated[tuple[Report, ...], msgspec.Meta(max_length=2)] = ()
    """In order; the first may be under way."""

    issued: Issued | None = None
    next_number: Counter = 0
    """Above every report number that this meter knows to be used."""

    next_sequence: Counter = 0
    known_at_ms: Counter = 0
    """Time of the standing that last changed something here: an older one is not believed."""

    totals: Totals = Totals()


NO_REPORTS: Final = ReportState()


def counted(
    state: ReportState, interval: tuple[int, int], moved_wh: tuple[int, int], end_of: EndOf
) -> ReportState:
    """Return the state with one more reading, netted.

    A reading that reaches over the end of a period counts in the one in which it ends.

    Args:
        state: Before it.
        interval: Start and end of the reading, ledger time.
        moved_wh: What import and export register grew by.
        end_of: Of the community's settlement periods.
    """
    start_ms, end_ms = interval
    import_wh, export_wh = moved_wh
    period_end_ms = state.period_end_ms or end_of(start_ms)
    if end_ms > period_end_ms:
        state = _closed(state, period_end_ms)
        period_end_ms = end_of(end_ms - 1)
    state = msgspec.structs.replace(
        state,
        period_end_ms=period_end_ms,
        surplus_wh=state.surplus_wh + max(0, export_wh - import_wh),
        deficit_wh=state.deficit_wh + max(0, import_wh - export_wh),
    )
    if end_ms < period_end_ms:
        return state
    closed = _closed(state, period_end_ms)
    return msgspec.structs.replace(closed, period_end_ms=end_of(end_ms))


def _closed(state: ReportState, end_ms: int) -> ReportState:
    """Put the sums of a period that is over to those that wait to be decided."""
    return msgspec.structs.replace(
        state,
        surplus_wh=0,
        deficit_wh=0,
        closed_end_ms=end_ms,
        closed_surplus_wh=state.closed_surplus_wh + state.surplus_wh,
        closed_deficit_wh=state.closed_deficit_wh + state.deficit_wh,
    )


def informed(state: ReportState, standing: Standing) -> ReportState:
    """Return the state after a proven standing: what was under way is known, what waited decided.

    A standing that is older than what is known here changes nothing.
    """
    at_ms = standing.milestone.timestamp_ms
    if at_ms < state.known_at_ms:
        return state
    after = _decided(_without_strangers(_resolved(state, standing), standing), standing)
    return state if after == state else msgspec.structs.replace(after, known_at_ms=at_ms)


def _resolved(state: ReportState, standing: Standing) -> ReportState:
    """Take out the report under way once its number, or its transaction's, is proven to be used.

    The report number says that it counted. If only the sequence number is used, the ledger has
    refused the operation, for good: whatever copy of it comes later counts as little.
    """
    issued = state.issued
    if issued is None:
        return state
    report, totals = state.waiting[0], state.totals
    is_recharge = report.kind == "recharge"
    if standing.next_report > issued.number:
        name = "recharged_wh" if is_recharge else "consumed_wh"
    elif not is_unused(standing.sequence, issued.sequence):
        name = "refused_wh" if is_recharge else "refused_consumed_wh"
    else:
        return state
    return msgspec.structs.replace(
        state,
        waiting=state.waiting[1:],
        issued=None,
        next_number=max(state.next_number, standing.next_report),
        next_sequence=issued.sequence + 1,
        totals=_plus(totals, name, report.energy_wh),
    )


def _without_strangers(state: ReportState, standing: Standing) -> ReportState:
    """Let go what is not under way and was measured for another prosumer than the present one."""
    kept = state.waiting[:1] if state.issued is not None else ()
    totals = state.totals
    for report in state.waiting[len(kept) :]:
        if report.prosumer == standing.prosumer:
            kept = (*kept, report)
        else:
            name = "grid_in_wh" if report.kind == "recharge" else "grid_out_wh"
            totals = _plus(totals, name, report.energy_wh)
    return msgspec.structs.replace(state, waiting=kept, totals=totals)


def _decided(state: ReportState, standing: Standing) -> ReportState:
    """Turn periods that are over into reports, if none waits and the standing is of after them."""
    is_proven_later = standing.milestone.timestamp_ms >= state.closed_end_ms
    if not state.closed_end_ms or state.waiting or not is_proven_later:
        return state
    surplus_wh, deficit_wh = state.closed_surplus_wh, state.closed_deficit_wh
    totals, waiting = state.totals, tuple[Report, ...]()
    if standing.prosumer is None:
        totals = _plus(_plus(totals, "grid_in_wh", surplus_wh), "grid_out_wh", deficit_wh)
    else:
        # Production first: what a home gave away in a period covers what it drew in it.
        both = (
            Report("recharge", surplus_wh, standing.prosumer),
            Report("consume", deficit_wh, standing.prosumer),
        )
        waiting = tuple(one for one in both if one.energy_wh)
    return msgspec.structs.replace(
        state,
        closed_end_ms=0,
        closed_surplus_wh=0,
        closed_deficit_wh=0,
        waiting=waiting,
        totals=totals,
    )


def numbers_of(state: ReportState, standing: Standing) -> tuple[int, int]:
    """Return report number and sequence number of the next transaction.

    Those of the transaction under way if there is one. Else the ledger's, or the meter's own count
    if that is ahead: a standing may be older than the last report.
    """
    if state.issued is not None:
        return state.issued.number, state.issued.sequence
    return (
        max(state.next_number, standing.next_report),
        max(state.next_sequence, standing.sequence.next),
    )


def operation_of(report: Report, number: int) -> Operation:
    """Return the operation that is a report."""
    match report.kind:
        case "recharge":
            return ctt_operation(Recharge(report.energy_wh, number))
        case "consume":
            return ctt_operation(Consume(report.energy_wh, number))


def _plus(totals: Totals, name: str, energy_wh: int) -> Totals:
    return msgspec.structs.replace(totals, **{name: getattr(totals, name) + energy_wh})
