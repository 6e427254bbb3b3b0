"""Who is who in a community: members, voters, and devices that they vouch for."""

from typing import Final

import msgspec

from tangle.accounts import IDENTITY_PREFIX, decode_identity, identity
from tangle.address import Address
from tangle.codec import encode
from tangle.rows import RowReader

CONFIRMED_PREFIX: Final = b"governance/confirmed/"


class Confirmed(msgspec.Struct, frozen=True, array_like=True):
    """Says nothing: that the row is there is what counts."""


CONFIRMED_ROW: Final = encode(Confirmed())
"""Value of the row of a device that voters vouch for."""


def is_member(rows: RowReader, address: Address) -> bool:
    """Return whether tokens may be minted for `address`: registered, and not a device."""
    known = identity(rows, address)
    return known is not None and known.role != "meter"


def is_voter(rows: RowReader, address: Address) -> bool:
    """Return whether `address` votes at this moment. Costs one row, however many there are."""
    known = identity(rows, address)
    return known is not None and known.role == "voter"


def voters(rows: RowReader) -> frozenset[Address]:
    """Return who votes at this moment."""
    return frozenset(
        Address(key.removeprefix(IDENTITY_PREFIX))
        for key, value in rows.scan(IDENTITY_PREFIX)
        if decode_identity(value).role == "voter"
    )


def is_confirmed(rows: RowReader, device: Address) -> bool:
    """Return whether the voters vouch for a device."""
    return rows.get(CONFIRMED_PREFIX + device) is not None
