"""What nodes say to each other of slot sums: who asks for them, and what only the asker opens.

Slot sums are a load curve. So a frame carries them sealed to the key of who asked; whoever
passes it on, or overhears it, sees which unit they are for and a size in steps of some kilobytes.
"""

from typing import Annotated, Final

import msgspec

from tangle.address import AddressField
from tangle.transaction import Counter

MAX_SEALED_SIZE: Final = 960 * 2**10
"""Bytes: one frame with its overhead. A member's month in slots of a minute needs less."""


class SumsQuery(msgspec.Struct, frozen=True, array_like=True, tag="sums-query"):
    """The settling edge of a unit asks a home edge for what it has not got yet."""

    unit: AddressField
    counted_ms: Counter
    """Sums of periods that end by then are counted, durably: they need not be kept."""

    after_ms: Counter
    """Asked for is the first period with sums that ends after it. Ledger time, as all here."""


class SumsAnswer(msgspec.Struct, frozen=True, array_like=True, tag="sums-answer"):
    """One part of what a home edge answers."""

    unit: AddressField
    sealed: Annotated[bytes, msgspec.Meta(min_length=1, max_length=MAX_SEALED_SIZE)]
    """See `edge.settlement.sealed_sums`."""


SumsBody = SumsQuery | SumsAnswer
