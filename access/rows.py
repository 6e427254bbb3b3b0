"""What any row of the access layer says: one place for whoever shows rows to people."""

import msgspec

from access.approval import voting
from access.identity import idot
from access.requests import records
from access.streams import stream
from access.vaults import vault
from tangle.cohorts import decode_cohort_row


def decode_access_row(key: bytes, value: bytes) -> msgspec.Struct | None:
    """Return what a row of these contracts says; `None` for a row of another kind.

    Raises:
        MalformedBytesError: The value is none of that key.
    """
    for decode in (
        idot.decode_row,
        vault.decode_row,
        stream.decode_row,
        records.decode_row,
        voting.decode_row,
        decode_cohort_row,
    ):
        row = decode(key, value)
        if row is not None:
            return row
    return None
