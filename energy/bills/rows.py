"""Rows of the bill contract: prices that were agreed, and of every document its digest."""

from collections.abc import Iterator
from typing import Final

import msgspec

from energy.bills.documents import BillNumber
from energy.bills.tariffs import Tariff
from tangle.address import Address
from tangle.codec import Decoder, encode
from tangle.rows import Draft, RowReader
from tangle.transaction import Counter, HashField

LAST_PREFIX: Final = b"bill/last/"
DOCUMENT_PREFIX: Final = b"bill/document/"
TARIFF_PREFIX: Final = b"bill/tariff/"

NONE: Final = 0
"""Stands where a document refers to no other: numbers count from 1."""

_NUMBER_SIZE: Final = 8
_MAX_ROW_SIZE: Final = 512


class LastNumber(msgspec.Struct, frozen=True, array_like=True):
    """How many documents an issuer has issued, which is the number of the last."""

    number: BillNumber


class IssuedBill(msgspec.Struct, frozen=True, array_like=True):
    """What the ledger knows of a document. It says neither whose it is nor how much."""

    digest: HashField
    paid_ueur: Counter = 0
    refunded_ueur: Counter = 0
    credits: Counter = NONE
    """Number of the bill that it takes back."""

    credited_by: Counter = NONE
    """Number of the credit note that took it back."""


class LastTariff(msgspec.Struct, frozen=True, array_like=True):
    """From which day on the newest tariff of an issuer counts."""

    from_day: Counter


_last: Final = Decoder(LastNumber, "bill number row", _MAX_ROW_SIZE)
_issued: Final = Decoder(IssuedBill, "bill row", _MAX_ROW_SIZE)
_tariffs: Final = Decoder(Tariff, "tariff row", _MAX_ROW_SIZE)
_newest: Final = Decoder(LastTariff, "last tariff row", _MAX_ROW_SIZE)

_NEWEST_PREFIX: Final = b"bill/newest/"


def last_number(rows: RowReader, issuer: Address) -> int:
    """Return the number of an issuer's last document, 0 before the first."""
    value = rows.get(LAST_PREFIX + issuer)
    return 0 if value is None else _last.read(value).number


def put_last_number(draft: Draft, issuer: Address, number: int) -> None:
    """Write the number of an issuer's last document."""
    draft.put({LAST_PREFIX + issuer: encode(LastNumber(number))})


def document_key(issuer: Address, number: int) -> bytes:
    """Return the key of a document's row."""
    return DOCUMENT_PREFIX + issuer + b"/" + number.to_bytes(_NUMBER_SIZE, "big")


def issued_bill(rows: RowReader, issuer: Address, number: int) -> IssuedBill | None:
    """Return what the ledger knows of a document, `None` if there is none of that number."""
    value = rows.get(document_key(issuer, number))
    return None if value is None else _issued.read(value)


def put_issued_bill(draft: Draft, issuer: Address, number: int, issued: IssuedBill) -> None:
    """Write what the ledger knows of a document."""
    draft.put({document_key(issuer, number): encode(issued)})


def issued_bills(rows: RowReader, issuer: Address) -> Iterator[tuple[int, IssuedBill]]:
    """Yield the documents of an issuer by number, ascending."""
    prefix = DOCUMENT_PREFIX + issuer + b"/"
    for key, value in rows.scan(prefix):
        yield int.from_bytes(key.removeprefix(prefix), "big"), _issued.read(value)


def issuers(rows: RowReader) -> list[tuple[Address, int]]:
    """Return who has issued documents, ascending, and the number of each one's last."""
    return [
        (Address(key.removeprefix(LAST_PREFIX)), _last.read(value).number)
        for key, value in rows.scan(LAST_PREFIX)
    ]


def tariffs_of(rows: RowReader, issuer: Address) -> list[Tariff]:
    """Return the tariffs of an issuer, ascending by the day from which they count."""
    return [_tariffs.read(value) for _, value in rows.scan(TARIFF_PREFIX + issuer + b"/")]


def newest_tariff_day(rows: RowReader, issuer: Address) -> int | None:
    """Return from which day on the newest tariff counts, `None` before the first."""
    value = rows.get(_NEWEST_PREFIX + issuer)
    return None if value is None else _newest.read(value).from_day


def put_tariff(draft: Draft, issuer: Address, tariff: Tariff) -> None:
    """Write a tariff that is newer than all others of its issuer."""
    day = tariff.from_day.to_bytes(_NUMBER_SIZE, "big")
    draft.put(
        {
            TARIFF_PREFIX + issuer + b"/" + day: encode(tariff),
            _NEWEST_PREFIX + issuer: encode(LastTariff(tariff.from_day)),
        }
    )


def decode_row(key: bytes, value: bytes) -> msgspec.Struct | None:
    """Return what a row of this module says; `None` for a row of another kind.

    Raises:
        MalformedBytesError: The value is none of that key.
    """
    if key.startswith(LAST_PREFIX):
        return _last.decode(value)
    if key.startswith(DOCUMENT_PREFIX):
        return _issued.decode(value)
    if key.startswith(TARIFF_PREFIX):
        return _tariffs.decode(value)
    return _newest.decode(value) if key.startswith(_NEWEST_PREFIX) else None
