"""Finds the readings in a journal whose pages are damaged, by their shape and their checksum.

Neither the pages' headers nor the tree that they form is asked: a record of SQLite says itself
how long its columns are, and its checksum says whether it is one. So what is left of a torn page
is found as well, and what lies in the log.
"""

from collections.abc import Iterator
from typing import Final

from edge.journal.entries import FormedBatch, TakenReading
from edge.journal.sums import Row, row_sum
from tangle.address import Address
from tangle.hashing import HASH_SIZE
from tangle.transaction import TransactionId

_KEY_TYPE: Final = 12 + 2 * HASH_SIZE
"""Serial type of a blob of 32 bytes: with it the first column of both tables begins."""

_INTEGER_SIZES: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
_CONSTANTS: Final = {8: 0, 9: 1}
_FIRST_BLOB: Final = 12
_VARINT_BIT: Final = 0x80
_MAX_COLUMNS: Final = 6

_READING_WIDTH: Final = 4
_BATCH_WIDTH: Final = 6


def carve(data: bytes) -> Iterator[TakenReading | FormedBatch]:
    """Yield every whole record of a reading or a batch in `data`: file, log, or a part of one.

    A record may be there more than once. Whether a seal opens is not looked at.

    Source:
        SQLite, "Database File Format", 2.1 (record format). Such records are short enough to
        lie in one page, which the format promises for all below a fifth of its size.
    """
    at = data.find(_KEY_TYPE, 1)
    while at > 0:
        found = _record(data, at - 1)
        if found is not None:
            yield found
        at = data.find(_KEY_TYPE, at + 1)


def _record(data: bytes, start: int) -> TakenReading | FormedBatch | None:
    row = _columns(data, start)
    if row is None:
        return None
    if len(row) == _READING_WIDTH and row_sum("readings", row[:-1]) == row[-1]:
        device, sequence, sealed, _ = row
        return TakenReading(Address(device), sequence, sealed)
    if len(row) == _BATCH_WIDTH and row_sum("reading_batches", row[:-1]) == row[-1]:
        tx_id, device, first, last, number, _ = row
        return FormedBatch(TransactionId(tx_id), Address(device), first, last, number)
    return None


def _columns(data: bytes, start: int) -> Row | None:
    """Return the columns of the record whose header begins at `start`, if it can be one."""
    types = _types(data, start)
    if types is None or len(types) not in (_READING_WIDTH, _BATCH_WIDTH):
        return None
    at = start + data[start]
    columns: list[int | bytes] = []
    for kind in types:
        if kind in _CONSTANTS:
            columns.append(_CONSTANTS[kind])
            continue
        is_integer = kind in _INTEGER_SIZES
        size = _INTEGER_SIZES[kind] if is_integer else (kind - _FIRST_BLOB) // 2
        field = data[at : at + size]
        if len(field) < size:
            return None
        columns.append(int.from_bytes(field, "big", signed=True) if is_integer else field)
        at += size
    return tuple(columns)


def _types(data: bytes, start: int) -> list[int] | None:
    """Return the serial types in a header, if all are of integers and blobs."""
    end, at, types = start + data[start], start + 1, list[int]()
    while at < end <= len(data) and len(types) < _MAX_COLUMNS:
        kind = 0
        while at < end:
            byte = data[at]
            kind, at = kind << 7 | byte & ~_VARINT_BIT, at + 1
            if not byte & _VARINT_BIT:
                break
        is_blob = kind >= _FIRST_BLOB and kind % 2 == 0
        if not (is_blob or kind in _INTEGER_SIZES or kind in _CONSTANTS):
            return None
        types.append(kind)
    return types if at == end else None
