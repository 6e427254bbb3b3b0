"""A checksum in every row of the journal.

SQLite keeps none, so a page with other content, or an older page, looks to it like any other.

A row's last column is the checksum of all before it and of its table's name. So a value that was
changed, a row of another table and a row under another key are found when the row is read.
"""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any, Final

from tangle.codec import encode
from tangle.errors import MalformedBytesError

SUM_SIZE: Final = 8
"""Bytes: this is against disks, not against people, who could compute it anew."""

_fresh: Final = blake2b(digest_size=SUM_SIZE)
"""Hash of nothing yet: to copy it takes half as long as to make one."""

Row = tuple[Any, ...]
"""As SQLite hands it out: a damaged page may hold any type in any column."""


def row_sum(table: str, content: Row) -> int:
    """Return the checksum of a row, as SQLite keeps integers: 64 bits, signed.

    Raises:
        MalformedBytesError: A value has no canonical bytes, which no value has that we write.
    """
    try:
        data = encode((table, *content))
    except (UnicodeEncodeError, OverflowError, TypeError) as error:
        raise MalformedBytesError(f"a row of {table} holds what was never written") from error
    hashed = _fresh.copy()
    hashed.update(data)
    return int.from_bytes(hashed.digest(), "big", signed=True)


def summed(table: str, *content: object) -> Row:
    """Return a row as it is stored: its content, then its checksum."""
    return (*content, row_sum(table, content))


def all_summed(table: str, rows: Iterable[Row]) -> list[Row]:
    """Return rows of one table as they are stored, in their order. As `summed`, for many."""
    return [(*row, row_sum(table, row)) for row in rows]


def verified(table: str, row: Row) -> Row:
    """Return the content of a stored row.

    Raises:
        MalformedBytesError: The row is not what was written.
    """
    content = row[:-1]
    if row_sum(table, content) != row[-1]:
        raise MalformedBytesError(f"a row of {table} is not what was written: {_named(content)}")
    return content


def _named(content: Row) -> str:
    """Return what tells a row from others, short enough for a message."""
    first = content[0] if content else None
    return first.hex()[:64] if isinstance(first, bytes) else repr(first)[:64]
