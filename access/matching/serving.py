"""A service node (M7): what it hands out, to whom, and on which activation."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec

from access.codes import Code
from access.identity.idot import signing_key
from access.requests.records import Request, grant, request
from tangle.accounts import network_hash
from tangle.address import Address, AddressField
from tangle.codec import Decoder, encode
from tangle.errors import MalformedBytesError
from tangle.hashing import domain
from tangle.keys import SignatureField, is_signed
from tangle.rows import RowReader
from tangle.transaction import Counter, HashField

MAX_FETCH_SIZE: Final = 1_024
MIN_ADDRESSES: Final = 2
"""The data and the owner's privacy record: one does not go without the other."""

MAX_ADDRESSES: Final = 8
_FETCH: Final = domain("access.fetch")


class Fetch(msgspec.Struct, frozen=True, array_like=True):
    """What a requester asks a service node for."""

    genesis_hash: HashField
    node: AddressField
    request: HashField
    chunk: Counter
    addresses: Annotated[tuple[HashField, ...], msgspec.Meta(max_length=MAX_ADDRESSES)]
    nonce: HashField
    """That this node gave out for this fetch, and takes once."""


class SignedFetch(msgspec.Struct, frozen=True, array_like=True):
    """A fetch under the requester's signature."""

    fetch: Fetch
    signature: SignatureField


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """Which addresses a service node stored together, for which chunk."""

    stream: bytes
    number: int
    addresses: AbstractSet[bytes]


@dataclass(frozen=True, slots=True)
class ServiceVantage:
    """What a service node knows beside the message."""

    node: Address
    rows: RowReader
    now_ms: int
    """The later of own clock and last milestone."""

    nonces: AbstractSet[bytes]
    """Given out and not used."""

    stored: Mapping[bytes, StoredChunk]
    """By address."""


@dataclass(frozen=True, slots=True)
class Serve:
    """Hand out what lies at the addresses, sealed to the request's key."""

    request: bytes
    kem_key: bytes
    addresses: tuple[bytes, ...]
    nonce: bytes
    """Used up with this."""


_fetches: Final = Decoder(SignedFetch, "fetch", MAX_FETCH_SIZE)


def fetch_message(fetch: Fetch) -> bytes:
    """Return the bytes that a requester signs."""
    return _FETCH + encode(fetch)


def judge_fetch(data: bytes, at: ServiceVantage) -> Serve | Code:
    """Decide what to hand out; any bytes may come."""
    try:
        signed = _fetches.decode(data)
    except MalformedBytesError:
        return Code.DENY_PARSE
    fetch = signed.fetch
    asked = request(at.rows, fetch.request)
    if asked is None:
        return Code.DENY_UNCONFIRMED
    code = _inactive(at, asked) or _unsigned(at, signed, asked) or _misplaced(at, fetch, asked)
    if code is not None:
        return code
    return Serve(fetch.request, asked.kem_key, fetch.addresses, fetch.nonce)


def _inactive(at: ServiceVantage, asked: Request) -> Code | None:
    held = grant(at.rows, asked.grant)
    if asked.activated_at_ms is None:
        return Code.DENY_INACTIVE
    if held is None or held.revocation is not None:
        return Code.DENY_REVOKED
    return Code.DENY_EXPIRED if at.now_ms >= held.not_after_ms else None


def _unsigned(at: ServiceVantage, signed: SignedFetch, asked: Request) -> Code | None:
    fetch = signed.fetch
    if (fetch.genesis_hash, fetch.node) != (network_hash(at.rows), at.node):
        return Code.DENY_SIG
    key = signing_key(at.rows, Address(asked.requester))
    if key is None or not is_signed(key, fetch_message(fetch), signed.signature):
        return Code.DENY_SUBJECT
    return None if fetch.nonce in at.nonces else Code.DENY_REPLAY


def _misplaced(at: ServiceVantage, fetch: Fetch, asked: Request) -> Code | None:
    if fetch.chunk not in asked.chunks:
        return Code.DENY_SCOPE
    if len(set(fetch.addresses)) < max(MIN_ADDRESSES, len(fetch.addresses)):
        return Code.DENY_ADDRESSES
    for address in fetch.addresses:
        where = at.stored.get(address)
        if where is None or (where.stream, where.number) != (asked.stream, fetch.chunk):
            return Code.DENY_ADDRESSES
    return None
