"""What any row of the energy layer says: one place for whoever shows rows to people."""

import msgspec

from energy import bank
from energy.bills import rows as bills
from energy.ctt.rows import decode_ctt_row
from energy.market import book
from energy.powerchain import records


def decode_energy_row(key: bytes, value: bytes) -> msgspec.Struct | None:
    """Return what a row of one of these contracts says; `None` for a row of another kind.

    Raises:
        MalformedBytesError: The value is none of that key.
    """
    for decode in (
        records.decode_row,
        bank.decode_row,
        book.decode_row,
        decode_ctt_row,
        bills.decode_row,
    ):
        row = decode(key, value)
        if row is not None:
            return row
    return None
