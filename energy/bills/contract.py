"""The `bill` contract: prices agreed beforehand, documents numbered without gaps, and their money.

What a bill says stays between its parties. The ledger fixes its digest under a number of its
issuer, that it was taken back at most once, and what was paid for it.
"""

from typing import Annotated, Final

import msgspec

from energy.bills.documents import BillNumber
from energy.bills.rows import (
    IssuedBill,
    issued_bill,
    last_number,
    newest_tariff_day,
    put_issued_bill,
    put_last_number,
    put_tariff,
)
from energy.bills.tariffs import Tariff
from energy.members import is_member
from energy.units import DAY_MS
from tangle.accounts import Token, moved
from tangle.address import Address, AddressField
from tangle.codec import Decoder, encode
from tangle.contracts import Changed, Context, Contract
from tangle.outcomes import Event, Reason
from tangle.rows import Draft, RowReader
from tangle.transaction import MAX_CALL_SIZE, MAX_INTEGER, Counter, HashField, Operation

NAME: Final = "bill"
MAX_ISSUED: Final = 256
"""Documents that one operation issues: the work of an operation has an end."""

MAX_ZONE_DAYS: Final = 1
"""No place's calendar is further than that from the one of UTC."""


class SetTariff(msgspec.Struct, frozen=True, array_like=True, tag="tariff"):
    """An issuer says what it will charge from a day on."""

    tariff: Tariff


class Issue(msgspec.Struct, frozen=True, array_like=True, tag="issue"):
    """An issuer issues bills, numbered one after the other."""

    first_number: BillNumber
    digests: Annotated[tuple[HashField, ...], msgspec.Meta(min_length=1, max_length=MAX_ISSUED)]


class Credit(msgspec.Struct, frozen=True, array_like=True, tag="credit"):
    """An issuer takes a bill back by a credit note."""

    number: BillNumber
    """Of the credit note, in the one row of numbers of its issuer."""

    digest: HashField
    credits: BillNumber


class Pay(msgspec.Struct, frozen=True, array_like=True, tag="pay"):
    """Somebody pays eEuro for a bill: its customer, or anyone else."""

    issuer: AddressField
    number: BillNumber
    amount_ueur: Counter


class Refund(msgspec.Struct, frozen=True, array_like=True, tag="refund"):
    """An issuer pays eEuro out for a document: a credit, or too much that was paid."""

    number: BillNumber
    to: AddressField
    amount_ueur: Counter


BillCall = SetTariff | Issue | Credit | Pay | Refund

_decoder: Final[Decoder[BillCall]] = Decoder(BillCall, "bill call", MAX_CALL_SIZE)  # type: ignore[arg-type] # a union is no type[T] to mypy


def bill_operation(call: BillCall) -> Operation:
    """Return the payload that calls this contract."""
    return Operation(NAME, encode(call))


def apply_bill(rows: RowReader, call: BillCall, context: Context) -> Changed | Reason:
    """Decide one call of the `bill` contract.

    Returns:
        The changed rows; or `NOT_ALLOWED` (a device, or nobody registered, sets a tariff or
        issues), and what the act itself refuses.
    """
    match call:
        case Pay():
            return _pay(rows, call, context.address)
        case Refund():
            return _refund(rows, call, context.address)
        case SetTariff() | Issue() | Credit():
            if not is_member(rows, context.address):
                return Reason.NOT_ALLOWED
            return _by_issuer(rows, call, context)


def _by_issuer(
    rows: RowReader, call: SetTariff | Issue | Credit, context: Context
) -> Changed | Reason:
    match call:
        case SetTariff():
            return _set_tariff(rows, call.tariff, context)
        case Issue():
            return _issue(rows, call, context.address)
        case Credit():
            return _credit(rows, call, context.address)


def _set_tariff(rows: RowReader, tariff: Tariff, context: Context) -> Changed | Reason:
    """Agree prices; `OUT_OF_RANGE` for days that a newer tariff covers, or that are over.

    The first tariff of an issuer may count from any day on: nothing was billed before it.
    """
    newest = newest_tariff_day(rows, context.address)
    today = context.timestamp_ms // DAY_MS
    if newest is not None and tariff.from_day <= max(newest, today - MAX_ZONE_DAYS):
        return Reason.OUT_OF_RANGE
    draft = Draft(rows)
    put_tariff(draft, context.address, tariff)
    fields = (("issuer", context.address), ("from_day", tariff.from_day))
    return Changed(draft.changes, (Event("bill.tariff", fields),))


def _issue(rows: RowReader, call: Issue, issuer: Address) -> Changed | Reason:
    """Number documents; `BILL_NUMBER` if the first is not the next one."""
    if call.first_number != last_number(rows, issuer) + 1:
        return Reason.BILL_NUMBER
    draft = Draft(rows)
    for at, digest in enumerate(call.digests):
        put_issued_bill(draft, issuer, call.first_number + at, IssuedBill(digest))
    last = call.first_number + len(call.digests) - 1
    put_last_number(draft, issuer, last)
    fields = (("issuer", issuer), ("first_number", call.first_number), ("last_number", last))
    return Changed(draft.changes, (Event("bill.issued", fields),))


def _credit(rows: RowReader, call: Credit, issuer: Address) -> Changed | Reason:
    """Take a bill back; `BILL_NUMBER`, or `UNKNOWN_BILL` (none, taken back, or a credit note)."""
    if call.number != last_number(rows, issuer) + 1:
        return Reason.BILL_NUMBER
    bill = issued_bill(rows, issuer, call.credits)
    if bill is None or bill.credited_by or bill.credits:
        return Reason.UNKNOWN_BILL
    draft = Draft(rows)
    taken_back = msgspec.structs.replace(bill, credited_by=call.number)
    put_issued_bill(draft, issuer, call.credits, taken_back)
    put_issued_bill(draft, issuer, call.number, IssuedBill(call.digest, credits=call.credits))
    put_last_number(draft, issuer, call.number)
    fields = (("issuer", issuer), ("number", call.number), ("credits", call.credits))
    return Changed(draft.changes, (Event("bill.credited", fields),))


def _pay(rows: RowReader, call: Pay, payer: Address) -> Changed | Reason:
    """Pay for a document; or what `_move` refuses."""
    issuer = Address(call.issuer)
    return _move(rows, (payer, issuer, call.amount_ueur), (issuer, call.number))


def _refund(rows: RowReader, call: Refund, issuer: Address) -> Changed | Reason:
    """Pay out for a document; or what `_move` refuses."""
    return _move(rows, (issuer, Address(call.to), call.amount_ueur), (issuer, call.number))


def _move(
    rows: RowReader, payment: tuple[Address, Address, int], document: tuple[Address, int]
) -> Changed | Reason:
    """Move eEuro and count it for a document.

    Returns:
        The changed rows; or `TOO_SMALL`, `SELF`, `UNKNOWN_BILL`, `INSUFFICIENT_EEURO`,
        `OUT_OF_RANGE` (more than can be counted for one document).
    """
    sender, to, amount_ueur = payment
    if amount_ueur == 0:
        return Reason.TOO_SMALL
    if sender == to:
        return Reason.SELF
    issuer, number = document
    bill = issued_bill(rows, issuer, number)
    if bill is None:
        return Reason.UNKNOWN_BILL
    changes = moved(rows, Token.EEURO, sender, to, amount_ueur)
    if changes is None:
        return Reason.INSUFFICIENT_EEURO
    name = "paid" if to == issuer else "refunded"
    counted = getattr(bill, f"{name}_ueur") + amount_ueur
    if counted > MAX_INTEGER:
        return Reason.OUT_OF_RANGE
    draft = Draft(rows)
    draft.put(changes)
    after = msgspec.structs.replace(bill, **{f"{name}_ueur": counted})
    put_issued_bill(draft, issuer, number, after)
    fields = (
        ("issuer", issuer),
        ("number", number),
        ("from", sender),
        ("to", to),
        ("amount_ueur", amount_ueur),
    )
    return Changed(draft.changes, (Event(f"bill.{name}", fields),))


CONTRACT: Final = Contract(NAME, _decoder.decode, apply_bill)
"""What a network runs under the name `bill`."""
