"""What the ledger applied about one member: what it drew and charged, each report with its proof.

From these, and not from anyone's table, both sides of a bill take what storage and energy accounts
covered.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from energy.ctt.calls import NAME as CTT
from energy.ctt.calls import Consume, CttCall, Recharge
from energy.ctt.calls import decoder as ctt_decoder
from energy.powerchain.calls import NAME as ENERGY
from energy.powerchain.calls import Consumed, EnergyCall, Produced
from energy.powerchain.calls import decoder as energy_decoder
from tangle.address import Address, address_of
from tangle.codec import Decoder, encode
from tangle.errors import InvalidProofError
from tangle.genesis import Genesis
from tangle.keys import PublicKey
from tangle.outcomes import Event
from tangle.proofs import TransactionProof
from tangle.proven import ProvenTransaction, verify_transaction_proof
from tangle.transaction import Counter, HashField, Operation

ReportKind = Literal["produced", "consumed", "recharged", "depleted"]
"""The first two are a unit's, the others of energy accounts."""

REPORT_EVENTS: Final = ("energy.produced", "energy.consumed", "ctt.recharged", "ctt.consumed")
"""What operations say that bills are computed from."""

MAX_PAGE_SIZE: Final = 16 * 2**20
MAX_PAGE_REPORTS: Final = 1_024
"""At which a page ends, after all of one moment."""


class AppliedReport(msgspec.Struct, frozen=True, array_like=True):
    """One applied report, and what the ledger answered to it."""

    tx_id: HashField
    kind: ReportKind
    energy_wh: Counter
    """Reported by a unit; or that energy accounts took or gave."""

    at_ms: Counter
    """Ledger time: end of the interval of a unit's report; of accounts, their milestone."""

    rest_wh: Counter = 0
    """That fitted on no account, or that none covered."""


class ShownReport(msgspec.Struct, frozen=True, array_like=True):
    """A report, and the proof that its operation was applied."""

    report: AppliedReport
    proof: TransactionProof | None


class ReportsPage(msgspec.Struct, frozen=True, array_like=True):
    """A page of what was reported about one member, by time."""

    reports: tuple[ShownReport, ...]
    kept_from_ms: Counter
    """Ledger time from which on this node knows all of them."""

    next_ms: Counter | None
    """From where to ask for the next page; `None` for the last one."""


_pages: Final = Decoder(ReportsPage, "page of reports", MAX_PAGE_SIZE)


def encode_reports(page: ReportsPage) -> bytes:
    """Return the canonical bytes of a page."""
    return encode(page)


def decode_reports(data: bytes) -> ReportsPage:
    """Parse canonical bytes; proves nothing yet. Raises `MalformedBytesError`."""
    return _pages.decode(data)


def verify_reports(
    shown: Iterable[ShownReport], member: Address, meters: frozenset[Address], genesis: Genesis
) -> tuple[list[AppliedReport], int]:
    """Return the reports about a member, and how many of them no proof is shown of.

    Args:
        shown: In any order.
        member: About whom.
        meters: Of the member: what others report of energy accounts is not the member's.
        genesis: All there is to believe in.

    Raises:
        InvalidProofError: A report is shown twice, or is not what was applied.
    """
    found: dict[bytes, AppliedReport] = {}
    unproven = 0
    for one in shown:
        report = one.report
        if report.tx_id in found:
            raise InvalidProofError(f"report {report.tx_id.hex()} is shown twice")
        found[report.tx_id] = report
        if one.proof is None:
            unproven += 1
        else:
            _verify(report, verify_transaction_proof(one.proof, genesis), (member, meters))
    return list(found.values()), unproven


def _verify(
    report: AppliedReport, proven: ProvenTransaction, whose: tuple[Address, frozenset[Address]]
) -> None:
    payload, at_ms = proven.transaction.payload, proven.milestone.timestamp_ms
    name = f"report {report.tx_id.hex()}"
    if proven.tx_id != report.tx_id or not proven.is_applied:
        raise InvalidProofError(f"{name} is not proven to be applied")
    if not isinstance(payload, Operation) or payload.contract not in (ENERGY, CTT):
        raise InvalidProofError(f"{name} is no report")
    issuer = address_of(PublicKey(proven.transaction.issuer))
    call: EnergyCall | CttCall
    if payload.contract == ENERGY:
        call = energy_decoder.decode(payload.call)
        is_own = isinstance(call, Produced | Consumed) and call.member == whose[0]
    else:
        call, is_own = ctt_decoder.decode(payload.call), issuer in whose[1]
    # how much of it accounts covered is under no root: only the sum is proven
    counted = (report.energy_wh, report.rest_wh)
    applied = report_of(call, counted, at_ms, proven.tx_id) if is_own else None
    is_whole = not isinstance(call, Recharge | Consume) or call.energy_wh == sum(counted)
    if applied != report or not is_whole:
        raise InvalidProofError(
            f"{name} is shown as {report.kind} {sum(counted)} Wh at {report.at_ms} ms: that is not"
            " what was applied about this member"
        )


@dataclass(frozen=True, slots=True)
class Reported:
    """A report, about whom, and of which unit."""

    member: Address
    unit: Address | None
    """`None` for a report of energy accounts."""

    report: AppliedReport


def reported_by(
    operation: Operation, events: Iterable[Event], at_ms: int, tx_id: bytes
) -> Reported | None:
    """Return what an applied operation reported, `None` if it is no report.

    Args:
        operation: Payload of the transaction.
        events: What the ledger said of it.
        at_ms: Ledger time of its milestone.
        tx_id: Of the transaction.
    """
    event = next((one for one in events if one.name in REPORT_EVENTS), None)
    if event is None:
        return None
    fields = dict(event.fields)
    is_of_unit = operation.contract == ENERGY
    call: EnergyCall | CttCall
    if is_of_unit:
        call = energy_decoder.decode(operation.call)
    else:
        call = ctt_decoder.decode(operation.call)
    rest = fields.get("refused_wh", fields.get("uncovered_wh", 0))
    report = report_of(call, (int(fields["energy_wh"]), int(rest)), at_ms, tx_id)
    whose, unit = fields["member" if is_of_unit else "prosumer"], fields.get("unit")
    assert isinstance(whose, bytes), f"{event.name} is about nobody"
    if report is None:
        return None
    return Reported(Address(whose), Address(unit) if isinstance(unit, bytes) else None, report)


def report_of(
    call: EnergyCall | CttCall, counted: tuple[int, int], at_ms: int, tx_id: bytes
) -> AppliedReport | None:
    """Return what an applied operation reported, `None` if it is no report.

    Args:
        call: Of the operation.
        counted: Wh that energy accounts took or gave, and the rest; for a unit's not looked at.
        at_ms: Ledger time of its milestone.
        tx_id: Of its transaction.
    """
    match call:
        case Produced() | Consumed():
            kind: ReportKind = "produced" if isinstance(call, Produced) else "consumed"
            end_ms = at_ms if call.interval_end_ms is None else call.interval_end_ms
            return AppliedReport(tx_id, kind, call.energy_wh, end_ms)
        case Recharge():
            return AppliedReport(tx_id, "recharged", counted[0], at_ms, counted[1])
        case Consume():
            return AppliedReport(tx_id, "depleted", counted[0], at_ms, counted[1])
        case _:
            return None


def paged(
    reports: Sequence[AppliedReport], most: int = MAX_PAGE_REPORTS
) -> tuple[Sequence[AppliedReport], int | None]:
    """Return the reports of a first page, and from where the next one is asked for.

    All reports of one moment are on one page.
    """
    if len(reports) <= most:
        return reports, None
    at_ms = reports[most - 1].at_ms
    end = next((at for at, one in enumerate(reports) if one.at_ms > at_ms), len(reports))
    return reports[:end], None if end == len(reports) else at_ms
