"""Slot sums under a seal that only the settling edge opens. Pure, but for the seal's own key.

libsodium's sealed box, to the X25519 form of the settling edge's Ed25519 node key. Who sealed it,
the signature of the frame says; the content names both ends, so that nobody can pass off another's
answer as his own. Sizes are padded: they would say how much a home uses.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Final

import msgspec
from nacl import bindings
from nacl.exceptions import CryptoError

from edge.mesh.slot_sums import MAX_SEALED_SIZE
from energy.settlement.sums import MemberSlots, SlotSums
from tangle.address import AddressField
from tangle.codec import Decoder, encode
from tangle.errors import MalformedBytesError
from tangle.keys import SigningKey
from tangle.transaction import Counter

PART_SIZE: Final = 256 * 2**10
"""Bytes of members in one part, unless one alone has more: a slow link carries it in a second."""

MAX_PARTS: Final = 256
"""Of one period, which is a day at most: 64 MiB, ten thousand homes in slots of five minutes."""

PAD_SIZE: Final = 4_096
"""A home's day is a tenth of it: a small node's answers are all of one size."""

MAX_SLOT_WH: Final = 1_000_000_000
"""1 GWh in a slot: no home, and far from what could not be counted."""


class SumsPart(msgspec.Struct, frozen=True, array_like=True):
    """One part of an answer: of at most one period."""

    home: AddressField
    """The node that answers."""

    settler: AddressField
    """The node that asked."""

    unit: AddressField
    after_ms: Counter
    """Of the query."""

    through_ms: Counter
    """With this period, the asker has all that was fixed up to then: ledger time."""

    end_ms: Counter
    """When the period ended; 0 if there is none."""

    part: Counter
    parts: Annotated[int, msgspec.Meta(ge=1, le=MAX_PARTS)]
    sums: SlotSums | None
    """`None` if there is no period after the one asked for."""

    def __post_init__(self) -> None:
        """Refuse what does not fit together."""
        if self.part >= self.parts:
            raise ValueError(f"part {self.part} of {self.parts}")
        if self.sums is None:
            return
        if not self.after_ms < self.end_ms <= self.through_ms:
            raise ValueError(
                f"a period that ends at {self.end_ms}, after {self.after_ms}, through"
                f" {self.through_ms} ms: they must ascend"
            )
        _verify_sums(self.sums, self.end_ms)


_decoder: Final = Decoder(SumsPart, "slot sums", MAX_SEALED_SIZE)


def _verify_sums(sums: SlotSums, end_ms: int) -> None:
    for one in sums.members:
        count = len(one.import_wh)
        if not count or sums.start_ms + count * sums.slot_ms != end_ms:
            raise ValueError(
                f"{count} slots of {sums.slot_ms} ms from {sums.start_ms} ms: they must end"
                f" at {end_ms} ms"
            )
        most_wh = max(*one.import_wh, *one.export_wh)
        if most_wh > MAX_SLOT_WH:
            raise ValueError(f"{most_wh} Wh in one slot: at most {MAX_SLOT_WH}")


def cut(members: Sequence[MemberSlots]) -> Iterator[tuple[MemberSlots, ...]]:
    """Yield members in their order, as many at a time as fit one part; at least one part."""
    batch: list[MemberSlots] = []
    size = 0
    for one in members:
        more = len(encode(one))
        if batch and size + more > PART_SIZE:
            yield tuple(batch)
            batch, size = [], 0
        batch.append(one)
        size += more
    yield tuple(batch)


def seal_part(part: SumsPart, settler_key: bytes) -> bytes:
    """Return a part as only the node of `settler_key`, an Ed25519 public key, can read it."""
    padded = bindings.sodium_pad(encode(part), PAD_SIZE)
    public = bindings.crypto_sign_ed25519_pk_to_curve25519(settler_key)
    return bindings.crypto_box_seal(padded, public)


def open_part(sealed: bytes, key: SigningKey) -> SumsPart:
    """Return what was sealed to the node of `key`.

    Raises:
        MalformedBytesError: It was sealed to another, was altered, or is no part within the limits.
    """
    public, secret = bindings.crypto_sign_seed_keypair(key.seed)
    try:
        padded = bindings.crypto_box_seal_open(
            sealed,
            bindings.crypto_sign_ed25519_pk_to_curve25519(public),
            bindings.crypto_sign_ed25519_sk_to_curve25519(secret),
        )
        content = bindings.sodium_unpad(padded, PAD_SIZE)
    except (CryptoError, ValueError) as error:
        raise MalformedBytesError("sealed sums do not open with this node's key") from error
    return _decoder.decode(content)
