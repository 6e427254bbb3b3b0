"""What can be called of the `energy` contract."""

from typing import Final

import msgspec

from tangle.address import AddressField
from tangle.codec import Decoder, encode
from tangle.transaction import MAX_CALL_SIZE, Counter, Operation

NAME: Final = "energy"


class Connect(msgspec.Struct, frozen=True, array_like=True, tag="connect"):
    """A member joins a unit. Signed anew, it replaces what was signed before."""

    unit: AddressField
    edge: AddressField
    """Address of the node that settles for the unit."""

    limit_uent: Counter = 0
    """Of free ENT, what may be taken in all for energy drawn beyond sessions. A lower one than
    before holds once no report of what was drawn until now can come any more."""


class OpenSession(msgspec.Struct, frozen=True, array_like=True, tag="open_session"):
    """A member sets energy of a unit aside."""

    unit: AddressField
    amount_uent: Counter


class CloseSession(msgspec.Struct, frozen=True, array_like=True, tag="close_session"):
    """A member sets no energy aside any more; what is left returns after late reports."""

    unit: AddressField


class Produced(msgspec.Struct, frozen=True, array_like=True, tag="produced"):
    """A unit, or its delegated key, reports that a member charged it."""

    member: AddressField
    energy_wh: Counter
    """Before the unit's own loss."""

    report: Counter | None = None
    """Its number among the reports of the unit; by default the lowest unused one."""

    interval_end_ms: Counter | None = None
    """Ledger time at which it was over; by default the milestone's."""

    unit: AddressField | None = None
    """For which unit; by default the issuer itself. A delegated key names it."""


class Consumed(msgspec.Struct, frozen=True, array_like=True, tag="consumed"):
    """A unit, or its delegated key, reports that a member drew energy from it."""

    member: AddressField
    energy_wh: Counter
    report: Counter | None = None
    interval_end_ms: Counter | None = None
    unit: AddressField | None = None


class Actual(msgspec.Struct, frozen=True, array_like=True, tag="actual"):
    """A unit reports what it really holds."""

    energy_wh: Counter


class Reported(msgspec.Struct, frozen=True, array_like=True, tag="reported"):
    """A unit, or its delegated key, has reported all that was drawn in intervals up to a time."""

    through_ms: Counter
    """Ledger time: the end of the last of them."""

    unit: AddressField | None = None


class Delegate(msgspec.Struct, frozen=True, array_like=True, tag="delegate"):
    """A unit lets another key report what was produced and consumed; or nobody any more."""

    to: AddressField | None


EnergyCall = (
    Connect | OpenSession | CloseSession | Produced | Consumed | Actual | Reported | Delegate
)

decoder: Final[Decoder[EnergyCall]] = Decoder(EnergyCall, "energy call", MAX_CALL_SIZE)  # type: ignore[arg-type] # a union is no type[T] to mypy


def energy_operation(call: EnergyCall) -> Operation:
    """Return the payload that calls this contract."""
    return Operation(NAME, encode(call))
