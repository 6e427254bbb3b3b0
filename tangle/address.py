"""Addresses, and their text form for people: bech32m with the prefix `tw`.

Source: BIP-350 (bech32m), BIP-173 (alphabet, checksum, rules of case and length).
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Annotated, Final, NewType

import msgspec

from tangle.errors import InvalidAddressError
from tangle.hashing import HASH_SIZE, digest

PREFIX: Final = "tw"
MAX_TEXT_SIZE: Final = 90
"""Beyond this length the checksum no longer finds every error of four characters (BIP-173)."""

Address = NewType("Address", bytes)
"""BLAKE2b-256 of a public key, 32 bytes."""

AddressField = Annotated[Address, msgspec.Meta(min_length=HASH_SIZE, max_length=HASH_SIZE)]
"""An address as a field of a canonical struct."""

ADDRESSES_REMEMBERED: Final = 4_096
"""Of the keys asked for last: each transaction asks some times for its issuer's."""

_ALPHABET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_CHECKSUM_SIZE: Final = 6
_CHECKSUM_CONSTANT: Final = 0x2BC830A3
_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


@lru_cache(maxsize=ADDRESSES_REMEMBERED)
def address_of(public_key: bytes) -> Address:
    """Return the address that the owner of `public_key` is paid at."""
    return Address(digest(public_key))


def encode_address(address: Address) -> str:
    """Return the text form, 61 characters in lower case."""
    return encode_bech32m(PREFIX, bytes_to_symbols(address))


def decode_address(text: str) -> Address:
    """Return the address that `text` spells, in lower or in upper case.

    Raises:
        InvalidAddressError: Not bech32m, another prefix, or not 32 bytes.
    """
    prefix, symbols = decode_bech32m(text)
    if prefix != PREFIX:
        raise InvalidAddressError(f"address {text!r}: the prefix is {prefix!r}, not {PREFIX!r}")
    try:
        data = symbols_to_bytes(symbols)
    except ValueError as error:
        raise InvalidAddressError(f"address {text!r}: {error}") from error
    if len(data) != HASH_SIZE:
        raise InvalidAddressError(f"address {text!r}: {len(data)} bytes, not {HASH_SIZE}")
    return Address(data)


def encode_bech32m(prefix: str, symbols: Sequence[int]) -> str:
    """Return `prefix`, the separator `1`, the 5-bit `symbols` and their checksum."""
    polymod = _polymod([*_expanded(prefix), *symbols, *bytes(_CHECKSUM_SIZE)]) ^ _CHECKSUM_CONSTANT
    checksum = [polymod >> 5 * (_CHECKSUM_SIZE - 1 - at) & 31 for at in range(_CHECKSUM_SIZE)]
    return f"{prefix}1" + "".join(_ALPHABET[symbol] for symbol in (*symbols, *checksum))


def decode_bech32m(text: str) -> tuple[str, list[int]]:
    """Return the prefix in lower case and the 5-bit symbols, without the checksum.

    Raises:
        InvalidAddressError: Names `text` (shortened if it is too long) and the broken rule.
    """
    shown = repr(text if len(text) <= MAX_TEXT_SIZE else text[:MAX_TEXT_SIZE] + "…")
    if len(text) > MAX_TEXT_SIZE:
        raise InvalidAddressError(
            f"address {shown}: {len(text)} characters, at most {MAX_TEXT_SIZE} are allowed"
        )
    if not all("!" <= character <= "~" for character in text):
        raise InvalidAddressError(f"address {shown}: only printable ASCII is allowed")
    lower = text.lower()
    if text not in (lower, text.upper()):
        raise InvalidAddressError(f"address {shown}: upper and lower case are mixed")
    prefix, separator, data = lower.rpartition("1")
    if not separator or not prefix:
        raise InvalidAddressError(f"address {shown}: no prefix before a separator '1'")
    symbols = [_ALPHABET.find(character) for character in data]
    if len(symbols) < _CHECKSUM_SIZE or -1 in symbols:
        raise InvalidAddressError(
            f"address {shown}: after the last '1' come at least {_CHECKSUM_SIZE} characters"
            f" of {_ALPHABET!r}"
        )
    if _polymod([*_expanded(prefix), *symbols]) != _CHECKSUM_CONSTANT:
        raise InvalidAddressError(f"address {shown}: the checksum does not match, check the typing")
    return prefix, symbols[:-_CHECKSUM_SIZE]


def bytes_to_symbols(data: bytes) -> list[int]:
    """Return `data` as 5-bit symbols, the last one padded with zero bits."""
    padding = -len(data) * 8 % 5
    number = int.from_bytes(data, "big") << padding
    count = (len(data) * 8 + padding) // 5
    return [number >> 5 * at & 31 for at in reversed(range(count))]


def symbols_to_bytes(symbols: Sequence[int]) -> bytes:
    """Return the bytes that 5-bit `symbols` spell.

    Raises:
        ValueError: The padding is a whole symbol or not zero: a second spelling.
    """
    size, padding = divmod(len(symbols) * 5, 8)
    number = 0
    for symbol in symbols:
        number = number << 5 | symbol
    if padding >= 5 or number & (1 << padding) - 1:
        raise ValueError(f"padding of {padding} bits: fewer than 5 are allowed, all zero")
    return (number >> padding).to_bytes(size, "big")


def _expanded(prefix: str) -> list[int]:
    return [*(ord(letter) >> 5 for letter in prefix), 0, *(ord(letter) & 31 for letter in prefix)]


def _polymod(symbols: Iterable[int]) -> int:
    checksum = 1
    for symbol in symbols:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ symbol
        for bit, generator in enumerate(_GENERATOR):
            if top >> bit & 1:
                checksum ^= generator
    return checksum
