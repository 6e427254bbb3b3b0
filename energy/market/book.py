"""The order book as rows: each side in order of price, then of place.

A row of the book lies at `market/sell/` or `market/buy/`, then the price (8 bytes, for a buy order
the distance to the highest price, so that the best order of either side comes first), then the
milestone index (8 bytes) and the place within it (4 bytes) at which it was posted. Beside it stand
`market/order/ID`, which finds it by its id, and, if it expires, `market/expiry/TIME/ID`.
"""

from collections.abc import Iterator
from itertools import groupby, islice
from typing import Annotated, Final, Literal, NamedTuple

import msgspec

from energy.market.pricing import locked_for
from tangle.accounts import Token
from tangle.address import AddressField
from tangle.codec import Decoder, encode
from tangle.rows import RowReader
from tangle.transaction import MAX_INTEGER, Counter, TransactionId, TransactionIdField

Side = Literal["buy", "sell"]

SELL_PREFIX: Final = b"market/sell/"
BUY_PREFIX: Final = b"market/buy/"
ORDER_PREFIX: Final = b"market/order/"
EXPIRY_PREFIX: Final = b"market/expiry/"

NEVER: Final = 0
"""Stands where an order has no expiry."""

_ENT: Final = Token.ENT  # to look a member of an enum up takes longer than to add two amounts
_EEURO: Final = Token.EEURO

MAX_POSITION: Final = 2**32 - 1
MAX_DEPTH_ORDERS: Final = 10_000
"""Of one side that `depth` looks at: adding up a book has an end."""

_MAX_ROW_SIZE: Final = 512
_TIME_SIZE: Final = 8


class OrderPlace(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where in the book an order stands: what its key says."""

    side: Side
    price_ueur: Counter
    """Per ENT: the least a seller takes, the most a buyer pays."""

    index: Counter
    """Of the milestone it was posted in."""

    position: Annotated[int, msgspec.Meta(ge=0, le=MAX_POSITION)]
    """In white-flag order within that milestone."""


class Order(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An open order, or what a newcomer wants."""

    order_id: TransactionIdField
    owner: AddressField
    place: OrderPlace
    left_uent: Counter
    """What is not traded yet."""

    expires_at_ms: Counter
    """Ledger time from which on it is no more, or `NEVER`."""


class Level(NamedTuple):
    """All orders of one side at one price."""

    price_ueur: int
    amount_uent: int
    orders: int


_orders: Final = Decoder(Order, "order row", _MAX_ROW_SIZE)
_places: Final = Decoder(OrderPlace, "order place row", _MAX_ROW_SIZE)


def book_key(place: OrderPlace) -> bytes:
    """Return the key of an order's row in the book."""
    is_sell = place.side == "sell"
    rank = place.price_ueur if is_sell else MAX_INTEGER - place.price_ueur
    order = rank << 96 | place.index << 32 | place.position
    return (SELL_PREFIX if is_sell else BUY_PREFIX) + order.to_bytes(20, "big")


def expiry_key(order: Order) -> bytes:
    """Return the key under which an order waits for its expiry."""
    return EXPIRY_PREFIX + order.expires_at_ms.to_bytes(_TIME_SIZE, "big") + order.order_id


def with_order(order: Order) -> dict[bytes, bytes | None]:
    """Return the rows that put an order in the book."""
    place = encode(order.place)
    rows: dict[bytes, bytes | None] = {
        book_key(order.place): encode(order),
        ORDER_PREFIX + order.order_id: place,
    }
    if order.expires_at_ms != NEVER:
        rows[expiry_key(order)] = place
    return rows


def with_rest(order: Order) -> dict[bytes, bytes | None]:
    """Return the row that says how much of an order in the book is left."""
    return {book_key(order.place): encode(order)}


def without_order(order: Order) -> dict[bytes, bytes | None]:
    """Return the rows that take an order out of the book."""
    rows: dict[bytes, bytes | None] = {
        book_key(order.place): None,
        ORDER_PREFIX + order.order_id: None,
    }
    if order.expires_at_ms != NEVER:
        rows[expiry_key(order)] = None
    return rows


def locked_by(order: Order) -> tuple[Token, int]:
    """Return what an order keeps locked of its owner, in base units."""
    if order.place.side == "sell":
        return _ENT, order.left_uent
    return _EEURO, locked_for(order.left_uent, order.place.price_ueur)


def has_expired(order: Order, timestamp_ms: int) -> bool:
    """Return whether an order is no more at a moment of ledger time."""
    return order.expires_at_ms != NEVER and order.expires_at_ms <= timestamp_ms


def find_order(rows: RowReader, order_id: TransactionId) -> Order | None:
    """Return an open order by its id, or `None`."""
    value = rows.get(ORDER_PREFIX + order_id)
    return None if value is None else _at_place(rows, value)


def side_of_book(rows: RowReader, side: Side) -> Iterator[Order]:
    """Yield the open orders of a side, the best price first, then the oldest. Lazy."""
    get, read = rows.get, _orders.read
    for key in rows.walk(SELL_PREFIX if side == "sell" else BUY_PREFIX):
        value = get(key)
        assert value is not None, f"order {key.hex()} is in order without a row"
        yield read(value)


def expired_orders(rows: RowReader, timestamp_ms: int) -> Iterator[Order]:
    """Yield the orders that are no more at `timestamp_ms`, in order of expiry, then of id."""
    for key, value in rows.scan(EXPIRY_PREFIX):
        at = key[len(EXPIRY_PREFIX) : len(EXPIRY_PREFIX) + _TIME_SIZE]
        if int.from_bytes(at, "big") > timestamp_ms:
            return
        yield _at_place(rows, value)


def depth(rows: RowReader, side: Side, levels: int) -> list[Level]:
    """Return the best price levels of a side, at most so many.

    Of a side with more than `MAX_DEPTH_ORDERS` orders only these are counted, the best ones.
    """
    found = []
    best = islice(side_of_book(rows, side), MAX_DEPTH_ORDERS)
    for price, orders in islice(groupby(best, key=lambda one: one.place.price_ueur), levels):
        amounts = [one.left_uent for one in orders]
        found.append(Level(price, sum(amounts), len(amounts)))
    return found


def decode_row(key: bytes, value: bytes) -> msgspec.Struct | None:
    """Return what a row of the book says; `None` for a row of another kind.

    Raises:
        MalformedBytesError: The value is none of that key.
    """
    if key.startswith((SELL_PREFIX, BUY_PREFIX)):
        return _orders.decode(value)
    if key.startswith((ORDER_PREFIX, EXPIRY_PREFIX)):
        return _places.decode(value)
    return None


def _at_place(rows: RowReader, place: bytes) -> Order:
    value = rows.get(book_key(_places.read(place)))
    assert value is not None, f"an order is in an index and not in the book, at {place.hex()}"
    return _orders.read(value)
