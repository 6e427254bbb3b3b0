"""Rows of the CTT contract: the collection, its tokens, and what each member has on them.

A member's account row says in one place how much of its energy may be consumed, and whether it
signed to be interrupted when nothing is left: a relay obeys a state proof of that one row.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from tangle.address import Address, AddressField
from tangle.codec import Decoder, encode
from tangle.rows import RowReader
from tangle.transaction import Counter

COLLECTION_KEY: Final = b"ctt/collection"
TOKEN_PREFIX: Final = b"ctt/token/"
ACCOUNT_PREFIX: Final = b"ctt/account/"
METER_PREFIX: Final = b"ctt/meter/"
_CLAIM_PREFIX: Final = b"ctt/claim/"
PROPOSAL_PREFIX: Final = b"ctt/proposal/"
_HELD_PREFIX: Final = b"ctt/held/"
_CHARGED_PREFIX: Final = b"ctt/charged/"
_ROOM_PREFIX: Final = b"ctt/room/"

Changes = dict[bytes, bytes | None]

_ID_SIZE: Final = 8
_MAX_ROW_SIZE: Final = 1_024


class Collection(msgspec.Struct, frozen=True, array_like=True):
    """The one collection of a network."""

    admin: AddressField
    """Sets the supply, and is paid for new tokens."""

    operator: AddressField
    """Sets capacities and confirms meters."""

    max_tokens: Counter
    """MET: how many tokens there may be."""

    capacity_wh: Counter
    """CET: of tokens made from now on."""

    price_ueur: Counter
    """Of a new, empty token."""

    made: Counter
    """How many there are; the next one's number."""


class Sale(msgspec.Struct, frozen=True, array_like=True):
    """What a seller asks."""

    token_price_ueur: Counter
    energy_price_ueur: Counter
    """µEUR per kWh on board."""


class CttToken(msgspec.Struct, frozen=True, array_like=True):
    """One energy account."""

    owner: AddressField
    capacity_wh: Counter
    energy_wh: Counter
    """On board; travels with the token."""

    sale: Sale | None
    """While it is on sale, nothing is taken from it or charged to it."""

    approved: AddressField | None
    """Who beside the owner may transfer it."""


class Account(msgspec.Struct, frozen=True, array_like=True):
    """What a member has. Gone when it says nothing."""

    available_wh: Counter = 0
    """On own tokens that are not on sale."""

    limit_w: Counter | None = None
    """Signed by the member: what it may still draw when nothing is available, 0 for nothing;
    `None` if it is never interrupted."""

    uncovered_wh: Counter = 0
    """Consumed in all when no token had anything: billed at the residual tariff."""


class CttMeter(msgspec.Struct, frozen=True, array_like=True):
    """A confirmed meter: the key that charges and depletes a prosumer's tokens."""

    prosumer: AddressField
    next_report: Counter
    """Number of its next report: none counts twice."""


class Claim(msgspec.Struct, frozen=True, array_like=True):
    """A prosumer says that a meter is its own; counts once the operator confirms it."""

    registered_at_ms: Counter


class Proposal(msgspec.Struct, frozen=True, array_like=True):
    """On which terms a voter wants the collection. Gone once there is one."""

    admin: AddressField
    operator: AddressField
    max_tokens: Counter
    capacity_wh: Counter
    price_ueur: Counter


class Held(msgspec.Struct, frozen=True, array_like=True):
    """An entry of an index from owners to tokens: all, those with energy, those with room."""


_collections: Final = Decoder(Collection, "CTT collection row", _MAX_ROW_SIZE)
_tokens: Final = Decoder(CttToken, "CTT token row", _MAX_ROW_SIZE)
_accounts: Final = Decoder(Account, "CTT account row", _MAX_ROW_SIZE)
_meters: Final = Decoder(CttMeter, "CTT meter row", _MAX_ROW_SIZE)
_proposals: Final = Decoder(Proposal, "CTT proposal row", _MAX_ROW_SIZE)
_claims: Final = Decoder(Claim, "CTT claim row", _MAX_ROW_SIZE)

_NO_ACCOUNT: Final = Account()
_HELD: Final = encode(Held())


def collection(rows: RowReader) -> Collection | None:
    """Return the collection, if one was created."""
    value = rows.get(COLLECTION_KEY)
    return None if value is None else _collections.read(value)


def token_key(number: int) -> bytes:
    """Return the key of a token's row."""
    return TOKEN_PREFIX + number.to_bytes(_ID_SIZE)


def token(rows: RowReader, number: int) -> CttToken | None:
    """Return a token, if there is one of that number."""
    value = rows.get(token_key(number))
    return None if value is None else _tokens.read(value)


def token_rows(number: int, before: CttToken | None, after: CttToken) -> Changes:
    """Return the rows of a new or changed token: itself, and what leads to it.

    Args:
        number: Of the token.
        before: As the rows have it; `None` for a new one.
        after: As it is to be.
    """
    gone = () if before is None else _entries(number, before)
    rows: Changes = dict.fromkeys(gone)
    rows.update(dict.fromkeys(_entries(number, after), _HELD))
    rows[token_key(number)] = encode(after)
    return rows


def tokens_of(rows: RowReader, owner: Address) -> list[int]:
    """Return the numbers of an owner's tokens, ascending."""
    return list(_numbers(rows, _HELD_PREFIX, owner))


def charged_tokens(rows: RowReader, owner: Address) -> Iterator[int]:
    """Yield the numbers of an owner's tokens that energy can be taken from, ascending. Lazy."""
    return _numbers(rows, _CHARGED_PREFIX, owner)


def tokens_with_room(rows: RowReader, owner: Address) -> Iterator[int]:
    """Yield the numbers of an owner's tokens that can be charged, ascending. Lazy."""
    return _numbers(rows, _ROOM_PREFIX, owner)


def _numbers(rows: RowReader, prefix: bytes, owner: Address) -> Iterator[int]:
    whole = prefix + owner + b"/"
    for key in rows.walk(whole):
        yield int.from_bytes(key.removeprefix(whole))


def _entries(number: int, one: CttToken) -> list[bytes]:
    """Return the keys under which a token is found: by its owner, and by who reports for it."""
    prefixes = [_HELD_PREFIX]
    if one.sale is None and one.energy_wh:
        prefixes.append(_CHARGED_PREFIX)
    if one.sale is None and one.energy_wh < one.capacity_wh:
        prefixes.append(_ROOM_PREFIX)
    tail = one.owner + b"/" + number.to_bytes(_ID_SIZE)
    return [prefix + tail for prefix in prefixes]


def account_key(address: Address) -> bytes:
    """Return the key of a member's account row: what a state proof for a relay is about."""
    return ACCOUNT_PREFIX + address


def account(rows: RowReader, address: Address) -> Account:
    """Return what a member has."""
    value = rows.get(account_key(address))
    return _NO_ACCOUNT if value is None else _accounts.read(value)


def account_row(one: Account) -> bytes | None:
    """Return the value of an account row; none for one that says nothing."""
    return None if one == _NO_ACCOUNT else encode(one)


def decode_account(value: bytes | None) -> Account:
    """Return what a proven account row says; `None` for a proven absence.

    Raises:
        MalformedBytesError: It is no account row.
    """
    return _NO_ACCOUNT if value is None else _accounts.decode(value)


def meter_key(meter: Address) -> bytes:
    """Return the key of a confirmed meter's row."""
    return METER_PREFIX + meter


def ctt_meter(rows: RowReader, meter: Address) -> CttMeter | None:
    """Return a confirmed meter."""
    value = rows.get(meter_key(meter))
    return None if value is None else _meters.read(value)


def claim_key(meter: Address, prosumer: Address) -> bytes:
    """Return the key of a prosumer's claim to a meter: nobody blocks another's by an own one."""
    return _CLAIM_PREFIX + meter + b"/" + prosumer


def decode_ctt_row(key: bytes, value: bytes) -> msgspec.Struct | None:
    """Return what a row of this contract says; `None` for a row of another kind.

    Raises:
        MalformedBytesError: The value is none of that key.
    """
    if key == COLLECTION_KEY:
        return _collections.decode(value)
    for prefix, decoder in (
        (TOKEN_PREFIX, _tokens),
        (ACCOUNT_PREFIX, _accounts),
        (METER_PREFIX, _meters),
        (_CLAIM_PREFIX, _claims),
        (PROPOSAL_PREFIX, _proposals),
    ):
        if key.startswith(prefix):
            row: msgspec.Struct = decoder.decode(value)
            return row
    return None
