"""The data access control token: what an owner grants to whom, under which conditions.

A document beside the ledger, signed by who grants and by who is granted, so that it is worth
nothing to a thief without the subject's key. The ledger has a salted commitment to it alone.
"""

from itertools import pairwise
from typing import Annotated, Final, Literal

import msgspec

from access.requests.records import NonceField
from access.tokens.zones import MINUTES_OF_DAY, Zone
from tangle.address import AddressField
from tangle.codec import Decoder, encode
from tangle.hashing import digest, domain
from tangle.keys import SignatureField
from tangle.transaction import Counter, HashField, Label

VERSION: Final = 1
MAX_DEPTH: Final = 3
"""How often a grant can be passed on: each link costs a node two signatures to check."""

MAX_WINDOWS: Final = 8
MAX_PLACES: Final = 32
MAX_DACT_SIZE: Final = 4_096
SALT_SIZE: Final = 32
_DACT: Final = domain("access.dact")
_ACCEPT: Final = domain("access.dact-accept")
_COMMITMENT: Final = domain("access.dact-commitment")

Action = Literal["delegate", "read", "settle", "verify"]
Purpose = Literal["audit", "balancing", "billing", "charging", "research"]
Minute = Annotated[int, msgspec.Meta(ge=0, lt=MINUTES_OF_DAY)]
Flag = Annotated[int, msgspec.Meta(ge=0, le=1)]


class Resource(msgspec.Struct, frozen=True, array_like=True):
    """Which data: one stream, and an interval of the time it is about."""

    vault: HashField
    stream: HashField
    from_ms: Counter
    to_ms: Counter
    """Half open."""


class Window(msgspec.Struct, frozen=True, array_like=True):
    """A time of day; over midnight if it ends before it begins."""

    from_minute: Minute
    to_minute: Minute
    """Half open."""

    def __post_init__(self) -> None:
        if self.from_minute == self.to_minute:
            raise ValueError("a window of no minutes: leave the list empty for the whole day")


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where access may happen: in the presence of which stations."""

    kind: Literal["any", "region", "station"]
    ids: Annotated[tuple[AddressField, ...], msgspec.Meta(max_length=MAX_PLACES)]
    """Whose presence statements count, ascending; none for `any`."""

    def __post_init__(self) -> None:
        if (self.kind == "any") == bool(self.ids):
            raise ValueError(f"a place of kind {self.kind!r} with {len(self.ids)} ids")
        if not all(low < high for low, high in pairwise(self.ids)):
            raise ValueError("ids of places must be distinct and in ascending order")


class AccessContext(msgspec.Struct, frozen=True, array_like=True):
    """When, where and what for access may happen."""

    not_before_ms: Counter
    not_after_ms: Counter
    """Half open."""

    zone: Zone
    daily: Annotated[tuple[Window, ...], msgspec.Meta(max_length=MAX_WINDOWS)]
    """Times of day; the whole day if there are none."""

    place: Place
    purpose: Purpose
    session: HashField | None
    """Of charging, if the grant is for one only: the presence statement names it."""

    def __post_init__(self) -> None:
        if self.session is not None and self.place.kind == "any":
            raise ValueError("a session without a place: nobody would say that it is this one")


class Threshold(msgspec.Struct, frozen=True, array_like=True):
    """Which nodes must agree. The vault's own threshold cannot be lowered."""

    cohort: Label
    generation: Counter
    k: Annotated[int, msgspec.Meta(ge=1, le=64)]
    n: Annotated[int, msgspec.Meta(ge=1, le=64)]


class Limits(msgspec.Struct, frozen=True, array_like=True):
    """How much: counted in the order of the ledger."""

    max_uses: Counter
    max_chunks: Counter
    per_hour: Counter
    """Requests within one hour of ledger time."""


class Obligations(msgspec.Struct, frozen=True, array_like=True):
    """What a reader promises. Declared; no machine enforces it."""

    retention_ms: Counter
    onward_sharing: Flag


class Dact(msgspec.Struct, frozen=True, array_like=True):
    """The document."""

    version: Literal[1]
    genesis_hash: HashField
    nonce: NonceField
    issued_at_ms: Counter
    owner: AddressField
    """Of the vault, in every link."""

    subject: AddressField
    resource: Resource
    actions: Annotated[tuple[Action, ...], msgspec.Meta(min_length=1, max_length=4)]
    """Strictly ascending."""

    context: AccessContext
    threshold: Threshold
    limits: Limits
    min_addresses: Literal[2]
    """Distinct hash addresses that a service node must be shown: a chunk has two."""

    offline_grace_ms: Counter
    """By how much a node's view may be older than its cohort allows; 0 for not at all."""

    parent: HashField | None
    """Id of the grant that this one passes on."""

    depth: Annotated[int, msgspec.Meta(ge=0, le=MAX_DEPTH)]
    """How often it may still be passed on."""

    obligations: Obligations

    def __post_init__(self) -> None:
        if not all(low < high for low, high in pairwise(self.actions)):
            raise ValueError("actions must be distinct and in ascending order")


class SignedDact(msgspec.Struct, frozen=True, array_like=True):
    """A document under both signatures."""

    dact: Dact
    grantor_signature: SignatureField
    """The owner's; of a grant passed on, its parent's subject's."""

    subject_signature: SignatureField


class ShownGrant(msgspec.Struct, frozen=True, array_like=True):
    """What shows that a document is the one the ledger commits to."""

    signed: SignedDact
    salt: Annotated[bytes, msgspec.Meta(min_length=SALT_SIZE, max_length=SALT_SIZE)]


_dacts: Final = Decoder(SignedDact, "DACT", MAX_DACT_SIZE)


def decode_dact(data: bytes) -> SignedDact:
    """Parse canonical bytes. Raises `MalformedBytesError`; checks no signature."""
    return _dacts.decode(data)


def grant_message(dact: Dact) -> bytes:
    """Return the bytes that who grants signs."""
    return _DACT + encode(dact)


def acceptance_message(dact: Dact) -> bytes:
    """Return the bytes that the subject signs: never the same as a grant of its own."""
    return _ACCEPT + encode(dact)


def commitment(signed: SignedDact, salt: bytes) -> bytes:
    """Return what the ledger holds of a document and its signatures."""
    return digest(_COMMITMENT + encode(signed) + salt)
