"""One spelling of bytes: canonical MessagePack.

Structs are arrays in field order, unions carry a short string tag, integers and lengths take
their shortest form; there are no floats, no maps and no trailing bytes. What decodes but does
not encode to the very same bytes is refused, so a meaning never has two ids.
"""

from collections.abc import Callable
from typing import Final, Generic, TypeVar

import msgspec

from tangle.errors import MalformedBytesError

T = TypeVar("T")

_encoder: Final = msgspec.msgpack.Encoder()


encode: Final[Callable[[object], bytes]] = _encoder.encode
"""Returns the canonical bytes of a frozen struct (or of what such structs are made of). No function
around it: every row of every operation comes by here."""


class Decoder(Generic[T]):
    """Parses the canonical bytes of one type, up to a stated size."""

    def __init__(self, kind: type[T], name: str, max_size: int) -> None:
        self._decoder = msgspec.msgpack.Decoder(kind)
        self._name = name
        self._max_size = max_size

    def read(self, row: bytes) -> T:
        """Return the value of a row of the ledger, without asking for the one spelling again.

        Rows are written by `encode`, and those of others stand under a signed root. It takes a
        third of the time of `decode`.

        Raises:
            MalformedBytesError: Not the type, or out of a field's range.
        """
        try:
            return self._decoder.decode(row)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise MalformedBytesError(f"{self._name} of {len(row)} bytes: {error}") from error

    def decode(self, data: bytes) -> T:
        """Return the value `data` spells.

        Raises:
            MalformedBytesError: Too long, not the type, out of a field's range, or not the
                canonical spelling.
        """
        if len(data) > self._max_size:
            raise MalformedBytesError(
                f"{self._name} of {len(data)} bytes: the maximum is {self._max_size}"
            )
        try:
            value = self._decoder.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise MalformedBytesError(f"{self._name} of {len(data)} bytes: {error}") from error
        if _encoder.encode(value) != data:
            raise MalformedBytesError(
                f"{self._name} of {len(data)} bytes is not the canonical spelling of its value"
            )
        return value
