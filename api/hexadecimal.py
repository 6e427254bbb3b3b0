"""Bytes in text: lower-case hex, of a stated size."""

import re
from typing import Final

from tangle.errors import InvalidRequestError

_HEX: Final = re.compile(r"(?:[0-9a-f]{2})*\Z")
_MAX_SHOWN: Final = 80


def shown(value: object) -> str:
    """Return `value` for an error message: quoted, and cut when long."""
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}… ({len(text)} characters)"


def from_hex(text: str, what: str, *, size: int | None = None, at_most: int | None = None) -> bytes:
    """Return the bytes that `text` spells.

    Args:
        text: Lower-case hex digits, two for a byte, nothing else.
        what: Name of the value, for the message.
        size: Exactly this many bytes.
        at_most: No more than this many bytes.

    Raises:
        InvalidRequestError: Not hex, or another size.
    """
    if not _HEX.match(text):
        raise InvalidRequestError(
            f"{what} {shown(text)}: must be lower-case hex digits, two for a byte"
        )
    data = bytes.fromhex(text)
    if size is not None and len(data) != size:
        raise InvalidRequestError(f"{what} {shown(text)}: {len(data)} bytes, must be {size}")
    if at_most is not None and len(data) > at_most:
        raise InvalidRequestError(f"{what} of {len(data)} bytes: at most {at_most}")
    return data
