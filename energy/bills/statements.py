"""What settlement made of a member's days, as a node states it to the member or to an issuer."""

from typing import Annotated, Final

import msgspec

from energy.bills.covered import NetDay, OwnerDay
from energy.bills.sums import Regime
from tangle.address import AddressField
from tangle.codec import Decoder, encode
from tangle.transaction import Counter

MAX_STATEMENT_SIZE: Final = 16 * 2**20
MAX_STATED_MS: Final = 400 * 24 * 3_600_000
"""Of one statement: some more than a year."""


class StatedPoint(msgspec.Struct, frozen=True, array_like=True):
    """For what the node takes one of the member's meters."""

    meter: AddressField
    regime: Regime
    is_production: bool
    """Behind the home's grid meter: what it counts as export is production."""

    replaces: AddressField | None
    """The meter in whose place it was put."""

    is_of_unit: bool = False
    """A storage unit's own: what it counts is not the home's."""


class StatedLate(msgspec.Struct, frozen=True, array_like=True):
    """One of the member's meters that told too late of a period."""

    meter: AddressField
    end_ms: Counter
    """Of the period."""

    counted_ms: Counter
    """Up to which reading it was counted then: the rest is in the next period."""


class StatedUnit(msgspec.Struct, frozen=True, array_like=True):
    """How far one storage unit is settled here, and what of it is its owner's."""

    unit: AddressField
    through_ms: Counter
    """Up to when all its reports are applied."""

    own: tuple[OwnerDay, ...] = ()
    """To the owner alone."""


class Statement(msgspec.Struct, frozen=True, array_like=True):
    """What one node knows of one member's days."""

    zone: Annotated[str, msgspec.Meta(max_length=64)]
    """Whose midnights part the days."""

    slot_ms: Counter
    through_ms: Counter
    """Up to when the meters homed here are netted; 0 at a node that settles none."""

    points: tuple[StatedPoint, ...]
    days: tuple[NetDay, ...]
    """Of the meters homed here."""

    of_units: tuple[AddressField, ...]
    """Storage units whose members' those days are."""

    units: tuple[StatedUnit, ...]
    """All that are settled here."""

    late: tuple[StatedLate, ...] = ()


_statements: Final = Decoder(Statement, "statement", MAX_STATEMENT_SIZE)


def encode_statement(statement: Statement) -> bytes:
    """Return the canonical bytes of a statement."""
    return encode(statement)


def decode_statement(data: bytes) -> Statement:
    """Parse canonical bytes. Raises `MalformedBytesError`."""
    return _statements.decode(data)
