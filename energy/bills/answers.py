"""What the ledger says of tariffs and documents, as text, and read back: exact both ways."""

from collections.abc import Sequence

from energy.bills.days import day_text
from energy.bills.rows import IssuedBill, issued_bill, tariffs_of
from energy.bills.tariffs import Tariff
from energy.forms.fields import Known, values
from energy.forms.operations import TARIFF
from energy.units import EUR, KWH_PRICE, RATE, parse, render
from tangle.address import Address
from tangle.errors import InvalidError
from tangle.rows import RowReader

_NOBODY = Known({}, {}, {}, 0)


def tariff_answers(rows: RowReader, issuer: Address) -> list[list[str]]:
    """Return the tariffs of an issuer, fields in the order of `energy.forms.operations.TARIFF`."""
    return [
        [
            day_text(one.from_day),
            render(one.residual_ueur, KWH_PRICE),
            render(one.feed_in_ueur, KWH_PRICE),
            render(one.delivery_ueur, EUR),
            render(one.rental_ueur, EUR),
            render(one.tax_ppm, RATE),
        ]
        for one in tariffs_of(rows, issuer)
    ]


def issued_answer(rows: RowReader, issuer: Address, number: int) -> list[str]:
    """Return digest, paid, refunded, credits and credited by of a document; nothing if none."""
    one = issued_bill(rows, issuer, number)
    if one is None:
        return []
    return [
        one.digest.hex(),
        render(one.paid_ueur, EUR),
        render(one.refunded_ueur, EUR),
        str(one.credits),
        str(one.credited_by),
    ]


def read_tariffs(answers: Sequence[Sequence[str]]) -> list[Tariff]:
    """Return the tariffs of an answer. Raises `InvalidError`."""
    names = [field.name for field in TARIFF]
    found = []
    for answer in answers:
        if len(answer) != len(names):
            raise InvalidError(f"a tariff of {len(answer)} fields: {len(names)} are wanted")
        written = values(TARIFF, dict(zip(names, answer, strict=True)), _NOBODY)
        found.append(Tariff(**written))  # type: ignore[arg-type] # the readers say what they return
    return found


def read_issued(answer: Sequence[str]) -> IssuedBill | None:
    """Return what an answer says of a document, `None` if there is none. Raises `InvalidError`."""
    if not answer:
        return None
    try:
        digest, paid, refunded, credits_number, credited_by = answer
        return IssuedBill(
            bytes.fromhex(digest),
            parse(paid, EUR),
            parse(refunded, EUR),
            int(credits_number),
            int(credited_by),
        )
    except ValueError as error:
        raise InvalidError(f"{list(answer)!r} says nothing of a document: {error}") from error
