"""What a home node shows of a stretch of time, in pages, to who may see it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

from api.node.opened_readings import sequences_after
from api.node.proving import transaction_proof
from api.node.reading_answers import applied_batch
from api.node.stating import Read, Settlements, statement_of
from api.settings.records import NodeConfig
from devices.reading import decode_reading
from devices.reading_page import (
    MAX_PAGE_READINGS,
    ReadingsPage,
    ShownBatch,
    ShownReading,
    encode_page,
)
from devices.span_request import SignedSpan, SpanRequest, Subject, decode_span, verify_span
from edge.journal.journal import Journal
from edge.journal.sealing import open_sealed, sealing_key
from edge.meters.proof_keeping import MAX_LAG, kept_from_ms, kept_reports, proof_keeper
from energy.bills.reported import ReportsPage, ShownReport, encode_reports, paged
from energy.bills.statements import encode_statement
from tangle.accounts import NO_ADDRESS, identity
from tangle.address import Address, encode_address
from tangle.errors import InvalidRequestError, NotProvableError
from tangle.keys import SigningKey
from tangle.node import NodeCore
from tangle.transaction import TransactionId

NOT_COMMITTED = "no applied batch here commits to them: too new, or never kept"
PARTLY_ERASED = "others of their batch were erased"


@dataclass(frozen=True, slots=True)
class Home:
    """What a node shows of the homes it serves, and to whom."""

    sealing_key: bytes | None
    """Opens their readings; `None` at a node that takes none."""

    settlements: Settlements | None = None
    """`None` at a node that settles nothing."""

    issuers: frozenset[Address] = frozenset()
    """Of bills, as the node's configuration names them: they see what they need to bill a member,
    and no reading."""


def asked_span(core: NodeCore, data: bytes, home: Home) -> SpanRequest:
    """Return a request once it is checked.

    Readings are their owner's, or the meter's; what was reported or settled about a member, the
    member's, and of issuers that the configuration names.

    Raises:
        MalformedBytesError: It is none.
        InvalidRequestError: Of no meter or nobody registered, not of now, or by one who may not
            ask.
    """
    signed = decode_span(data)
    allowed = _allowed(core, signed, home)
    verify_span(signed, core.rules.network, core.confirmed_index, allowed)
    return signed.request


def _allowed(core: NodeCore, signed: SignedSpan, home: Home) -> frozenset[Address]:
    subject: Subject = signed.request.subject
    whose = Address(signed.request.whose)
    known = identity(core.ledger.rows, whose)
    if subject != "readings":
        if known is None:  # else any new key may have this node look through all it has, for none
            raise InvalidRequestError(f"{encode_address(whose)} is not registered")
        return home.issuers | {whose}
    if known is None or known.role != "meter":
        raise InvalidRequestError(f"{encode_address(whose)} is no registered meter")
    return frozenset({whose, Address(known.owner)} - {NO_ADDRESS})


async def answer_span(core: NodeCore, read: Read, home: Home, request: SpanRequest) -> bytes:
    """Return the page that was asked for, as canonical bytes. Raises `NotProvableError`."""
    key = home.sealing_key
    match request.subject:
        case "readings":
            page = await read(lambda journal: readings_page(core, journal, key, request))
            return encode_page(page)
        case "reports":
            return encode_reports(await read(lambda journal: reports_page(core, journal, request)))
        case "settled":
            if home.settlements is None:
                raise NotProvableError("this node settles nothing")
            rows = core.ledger.rows
            return encode_statement(await statement_of(rows, read, home.settlements, request))
        case _:
            assert_never(request.subject)


def readings_page(
    core: NodeCore, journal: Journal, opening_key: bytes | None, request: SpanRequest
) -> ReadingsPage:
    """Return a page of a meter's readings: those of a stretch of time, and one at either side.

    Raises:
        NotProvableError: This node has no readings of the meter.
    """
    meter = Address(request.whose)
    known = identity(core.ledger.rows, meter)
    if opening_key is None or known is None or meter not in journal.meters():
        raise NotProvableError(f"this node has no readings of {encode_address(meter)}")
    batches: list[ShownBatch] = []
    count = 0
    for shown in _batches(journal, opening_key, request):
        batches.append(shown)
        count += len(shown.readings)
        ended_ms = decode_reading(shown.readings[-1].signed).reading.interval_end_ms
        if ended_ms >= request.to_ms:
            break
        if count >= MAX_PAGE_READINGS and ended_ms > request.from_ms:
            return ReadingsPage(known.key, tuple(batches), ended_ms)
    return ReadingsPage(known.key, tuple(batches), None)


def _batches(journal: Journal, opening_key: bytes, request: SpanRequest) -> Iterator[ShownBatch]:
    """Yield batches, ascending, from the one on that holds the last reading before the time."""
    meter = Address(request.whose)
    done = -1
    for sequences in sequences_after(journal, opening_key, meter, request.from_ms):
        for sequence in sequences:
            if sequence <= done:
                continue
            found = applied_batch(journal, meter, sequence)
            first, last = sequence, sequence
            if found is not None:
                first, last = found[0].first_sequence, found[0].last_sequence
            taken = journal.readings(meter, first, last)
            opened = [open_sealed(opening_key, one) for one in taken]
            shown = tuple(ShownReading(one.salt, one.signed) for one in opened)
            done = last
            if found is None:
                yield ShownBatch(shown, None, NOT_COMMITTED)
            elif len(shown) == last - first + 1:
                yield ShownBatch(shown, found[1])
            else:
                yield ShownBatch(shown, None, PARTLY_ERASED)


def reports_page(core: NodeCore, journal: Journal, request: SpanRequest) -> ReportsPage:
    """Return a page of what the ledger applied about a member, each with its proof.

    Raises:
        NotProvableError: The node has not yet looked through all of its history.
    """
    # as many milestones as had nothing to keep, and were not written down for that
    if proof_keeper(core, journal).step(core.confirmed_index, MAX_LAG):
        raise NotProvableError("this node still looks through its history for reports")
    found = kept_reports(journal, Address(request.whose), request.from_ms, request.to_ms)
    reports, next_ms = paged(found)
    shown = tuple(
        ShownReport(one, transaction_proof(journal, TransactionId(one.tx_id))) for one in reports
    )
    return ReportsPage(shown, kept_from_ms(journal), next_ms)


def home_of(journal: Journal, config: NodeConfig, key: SigningKey, *, has_meters: bool) -> Home:
    """Return what a node of a configuration shows."""
    if not has_meters:
        return Home(None)
    wanted = config.settlement
    issuers = frozenset(Address(one) for one in wanted.issuers)
    return Home(sealing_key(key), Settlements(journal.settled(key), wanted), issuers)
