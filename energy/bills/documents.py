"""A bill as a document: previewed, then final under a number, then only ever corrected by others.

The ledger knows a bill by its number and by the digest of its canonical bytes, which hold a salt:
what a bill says cannot be guessed from its digest, and is gone once the document is.
"""

from collections.abc import Sequence
from typing import Annotated, Final, Literal

import msgspec

from energy.bills.days import Day, Stretch, day_text
from energy.bills.lines import Amount, Line, bill_lines, total_ueur
from energy.bills.sums import DaySum, missing_days
from energy.bills.tariffs import Tariff
from tangle.address import Address, AddressField
from tangle.codec import Decoder, encode
from tangle.errors import InvalidError
from tangle.hashing import digest, domain
from tangle.transaction import NETWORK_SIZE, Counter, HashField

MAX_BILL_SIZE: Final = 2**20
MAX_LINES: Final = 8_192
"""Of one bill: a tariff a day for some years."""

MAX_NUMBER: Final = 2**53 - 1
BillNumber = Annotated[int, msgspec.Meta(ge=1, le=MAX_NUMBER)]
"""Counts the bills and credit notes of one issuer, from 1, without gaps."""

NetworkField = Annotated[bytes, msgspec.Meta(min_length=NETWORK_SIZE, max_length=NETWORK_SIZE)]

_DOMAIN: Final = domain("bill")


class Parties(msgspec.Struct, frozen=True, array_like=True):
    """Between whom, and on which network."""

    network: NetworkField
    issuer: AddressField
    customer: AddressField


class Content(msgspec.Struct, frozen=True, array_like=True):
    """What a bill says, and anyone with its sums and tariffs computes."""

    parties: Parties
    first_day: Day
    after_day: Day
    lines: Annotated[tuple[Line, ...], msgspec.Meta(max_length=MAX_LINES)]
    total_ueur: Amount


class Reference(msgspec.Struct, frozen=True, array_like=True):
    """Names another document."""

    number: BillNumber
    digest: HashField


class Bill(msgspec.Struct, frozen=True, array_like=True):
    """A final document: a bill, or the credit note that takes one back."""

    version: Literal[1]
    number: BillNumber
    issued_at_ms: Counter
    """Ledger time."""

    content: Content
    credits: Reference | None
    """The bill that this credit note takes back; `None` for a bill."""

    salt: HashField


class Preview(msgspec.Struct, frozen=True):
    """What a bill would say now."""

    content: Content
    missing_days: tuple[int, ...]
    """Of which nothing is known: while there is one, no bill can be made."""


_bills: Final = Decoder(Bill, "bill", MAX_BILL_SIZE)


def preview(
    parties: Parties, sums: Sequence[DaySum], tariffs: Sequence[Tariff], period: Stretch
) -> Preview:
    """Return what the bill of a period would say. Raises `InvalidError` as `bill_lines` does."""
    lines = bill_lines(sums, tariffs, period)
    if len(lines) > MAX_LINES:
        raise InvalidError(f"a bill of {len(lines)} lines: at most {MAX_LINES}")
    content = Content(parties, period.first_day, period.after_day, lines, total_ueur(lines))
    return Preview(content, tuple(missing_days(sums, period)))


def final_bill(previewed: Preview, number: int, issued_at_ms: int, salt: bytes) -> Bill:
    """Return the final bill of a preview.

    Args:
        previewed: With sums of every day.
        number: The next one of its issuer.
        issued_at_ms: Ledger time.
        salt: 32 random bytes.

    Raises:
        InvalidError: Of some day nothing is known.
    """
    missing = previewed.missing_days
    if missing:
        raise InvalidError(
            f"no sums of {len(missing)} days, first {day_text(missing[0])}: nothing known is not"
            " nothing used"
        )
    return Bill(1, number, issued_at_ms, previewed.content, None, salt)


def credit_note(bill: Bill, number: int, issued_at_ms: int, salt: bytes) -> Bill:
    """Return the document that takes a whole bill back: its lines, their amounts negated.

    What was right about it is billed again, by a new bill.

    Raises:
        InvalidError: It is a credit note itself.
    """
    if bill.credits is not None:
        raise InvalidError(
            f"document {bill.number} is a credit note, of bill {bill.credits.number}: a correction"
            " of it is a new bill"
        )
    lines = tuple(
        msgspec.structs.replace(line, amount_ueur=-line.amount_ueur) for line in bill.content.lines
    )
    content = msgspec.structs.replace(
        bill.content, lines=lines, total_ueur=-bill.content.total_ueur
    )
    reference = Reference(bill.number, bill_digest(bill))
    return Bill(1, number, issued_at_ms, content, reference, salt)


def encode_bill(bill: Bill) -> bytes:
    """Return the canonical bytes of a final document."""
    return encode(bill)


def decode_bill(data: bytes) -> Bill:
    """Parse canonical bytes.

    Raises:
        MalformedBytesError: They are not those of a document.
        InvalidError: Its lines do not add up, or it covers no day.
    """
    bill = _bills.decode(data)
    content = bill.content
    if not content.first_day < content.after_day:
        raise InvalidError(f"bill {bill.number}: it covers no day")
    summed = total_ueur(content.lines)
    if summed != content.total_ueur:
        raise InvalidError(
            f"bill {bill.number}: a total of {content.total_ueur} µEUR, its lines make {summed}"
        )
    return bill


def bill_digest(bill: Bill) -> bytes:
    """Return what the ledger holds of a document, 32 bytes."""
    return digest(_DOMAIN + encode(bill))


def period_of(content: Content) -> Stretch:
    """Return the days that a bill covers."""
    return Stretch(content.first_day, content.after_day)


def first_difference(billed: Content, computed: Content) -> str | None:
    """Return where two computations of a bill part, in words; `None` if they are the same bytes."""
    for name in ("parties", "first_day", "after_day"):
        ours, theirs = getattr(computed, name), getattr(billed, name)
        if ours != theirs:
            return f"{name}: billed {_shown(theirs)}, computed {_shown(ours)}"
    for at in range(max(len(billed.lines), len(computed.lines))):
        theirs = billed.lines[at] if at < len(billed.lines) else None
        ours = computed.lines[at] if at < len(computed.lines) else None
        if ours != theirs:
            return f"line {at + 1}: {_line_difference(theirs, ours)}"
    if billed.total_ueur != computed.total_ueur:
        return f"total: billed {billed.total_ueur} µEUR, computed {computed.total_ueur} µEUR"
    return None


def _line_difference(billed: Line | None, computed: Line | None) -> str:
    if billed is None or computed is None or billed.kind != computed.kind:
        return f"billed {_shown(billed)}, computed {_shown(computed)}"
    named = [
        f"{name} billed {getattr(billed, name)}, computed {getattr(computed, name)}"
        for name in Line.__struct_fields__
        if getattr(billed, name) != getattr(computed, name)
    ]
    return f"{billed.kind}, {'; '.join(named)}"


def _shown(value: object) -> str:
    match value:
        case None:
            return "none"
        case Line():
            return f"{value.kind} {value.amount_ueur} µEUR"
        case Parties():
            return f"{value.network.hex()} {value.issuer.hex()} {value.customer.hex()}"
        case _:
            return str(value)


def issuer_of(bill: Bill) -> Address:
    """Return who issued a document."""
    return Address(bill.content.parties.issuer)
