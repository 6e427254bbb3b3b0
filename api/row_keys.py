"""Keys of rows in text: `coordinators`, `balance/eeuro/tw1…`, or `0x` and hex digits."""

import re
from typing import Final

from api.hexadecimal import from_hex, shown
from tangle.address import PREFIX, Address, decode_address, encode_address
from tangle.errors import InvalidAddressError, InvalidRequestError
from tangle.hashing import HASH_SIZE
from tangle.proofs import MAX_KEY_SIZE

HEX_PREFIX: Final = "0x"
_ADDRESS_START: Final = f"{PREFIX}1"
_PLAIN: Final = re.compile(r"[!-~]+\Z")


def parse_row_key(text: str) -> bytes:
    """Return the key that `text` names.

    Raises:
        InvalidRequestError: Not printable, not hex after `0x`, or too long.
        InvalidAddressError: The last part begins as an address and is none.
    """
    if text.startswith(HEX_PREFIX):
        key = from_hex(text.removeprefix(HEX_PREFIX), "row key", at_most=MAX_KEY_SIZE)
    elif not _PLAIN.match(text):
        raise InvalidRequestError(f"row key {shown(text)}: must be printable ASCII")
    else:
        family, slash, last = text.rpartition("/")
        is_address = bool(slash) and last.startswith(_ADDRESS_START)
        tail = bytes(decode_address(last)) if is_address else last.encode("ascii")
        key = (family + slash).encode("ascii") + tail
    if not 1 <= len(key) <= MAX_KEY_SIZE:
        raise InvalidRequestError(f"row key of {len(key)} bytes: from 1 to {MAX_KEY_SIZE}")
    return key


def row_key_text(key: bytes) -> str:
    """Return the text that names `key`, as readable as it can be."""
    for text in _readable(key):
        try:
            if parse_row_key(text) == key:
                return text
        except (InvalidRequestError, InvalidAddressError):
            continue
    return HEX_PREFIX + key.hex()


def _readable(key: bytes) -> list[str]:
    candidates = []
    family, last = key[:-HASH_SIZE], key[-HASH_SIZE:]
    if family.endswith(b"/") and len(last) == HASH_SIZE and family.isascii():
        candidates.append(family.decode("ascii") + encode_address(Address(last)))
    if key.isascii():
        candidates.append(key.decode("ascii"))
    return candidates
