"""A final document as a file: JSON that people and programs read, and the bytes that count.

`canonical` is what the ledger has the digest of. All else is made from it, and a file in which
both do not say the same is refused: nobody shall be shown other numbers than those that count.
"""

from typing import Any, Final

import msgspec

from energy.bills.days import day_text
from energy.bills.documents import (
    MAX_BILL_SIZE,
    Bill,
    Content,
    Preview,
    bill_digest,
    decode_bill,
    encode_bill,
)
from energy.bills.lines import Line
from tangle.address import Address, encode_address
from tangle.errors import InvalidError

MAX_BILL_FILE_SIZE: Final = 8 * MAX_BILL_SIZE
"""Bytes: hex, and every line in words."""


def bill_document(bill: Bill) -> dict[str, Any]:
    """Return a final document, canonical bytes included."""
    taken_back = bill.credits
    return {
        "kind": "bill" if taken_back is None else "credit_note",
        "number": bill.number,
        "issued_at_ms": bill.issued_at_ms,
        **content_document(bill.content),
        "credits": None
        if taken_back is None
        else {"number": taken_back.number, "digest": taken_back.digest.hex()},
        "digest": bill_digest(bill).hex(),
        "canonical": encode_bill(bill).hex(),
    }


def preview_document(previewed: Preview) -> dict[str, Any]:
    """Return a preview."""
    missing = [day_text(day) for day in previewed.missing_days]
    return {"kind": "preview", **content_document(previewed.content), "missing_days": missing}


def content_document(content: Content) -> dict[str, Any]:
    """Return what a bill says."""
    parties = content.parties
    return {
        "network": parties.network.hex(),
        "issuer": encode_address(Address(parties.issuer)),
        "customer": encode_address(Address(parties.customer)),
        "first_day": day_text(content.first_day),
        "last_day": day_text(content.after_day - 1),
        "lines": [_line_document(line) for line in content.lines],
        "total_ueur": content.total_ueur,
    }


def bill_file(bill: Bill) -> bytes:
    """Return the file of a final document: JSON, indented, always the same bytes."""
    return msgspec.json.format(msgspec.json.encode(bill_document(bill)), indent=2) + b"\n"


def parse_bill_file(data: bytes) -> Bill:
    """Return the document of a file.

    Raises:
        InvalidError: Too long, not JSON, no document, or its words are not those of its bytes.
    """
    if len(data) > MAX_BILL_FILE_SIZE:
        raise InvalidError(f"bill file of {len(data)} bytes: at most {MAX_BILL_FILE_SIZE}")
    try:
        read = msgspec.json.decode(data)
        canonical = bytes.fromhex(read["canonical"])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidError(f"bill file: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidError("bill file: an object with `canonical`, in hex, is wanted") from error
    bill = decode_bill(canonical)
    wanted = bill_document(bill)
    for name in sorted({*wanted, *read}):
        if read.get(name) != wanted.get(name):
            raise InvalidError(
                f"bill file: {name} says {str(read.get(name))[:200]}, the canonical bytes say"
                f" {str(wanted.get(name))[:200]}"
            )
    return bill


def _line_document(line: Line) -> dict[str, Any]:
    days = {"first_day": day_text(line.first_day), "last_day": day_text(line.after_day - 1)}
    named = {name: getattr(line, name) for name in Line.__struct_fields__}
    del named["first_day"], named["after_day"]
    return {"kind": named.pop("kind"), **days, **named}
