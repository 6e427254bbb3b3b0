"""The `market` contract: sell and buy orders, and their end (ENERGY §5)."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

import msgspec

from energy.locked import SHORTAGE
from energy.market.book import (
    NEVER,
    Order,
    OrderPlace,
    Side,
    expired_orders,
    find_order,
    has_expired,
    locked_by,
    side_of_book,
    with_order,
    with_rest,
    without_order,
)
from energy.market.matching import Fill, Matched, match_newcomer
from energy.market.pricing import LOT_UENT, MIN_PRICE_UEUR, locked_for, pricing
from energy.market.trades import traded
from tangle.accounts import Token, amount_at, balance, balance_key, balance_row, locked_key
from tangle.address import Address
from tangle.codec import Decoder, encode
from tangle.contracts import Changed, Context, Contract
from tangle.outcomes import Event, Reason
from tangle.rows import RowReader
from tangle.transaction import MAX_CALL_SIZE, Counter, Operation, TransactionIdField

NAME: Final = "market"

_ENT: Final = Token.ENT  # to look a member of an enum up takes longer than to add two amounts
_EEURO: Final = Token.EEURO


class Sell(msgspec.Struct, frozen=True, array_like=True, tag="sell"):
    """Offer ENT; what no one wants yet stays in the book."""

    amount_uent: Counter
    price_ueur: Counter
    """Per ENT, the least to take."""

    expires_at_ms: Counter = NEVER
    """Ledger time from which on the order is no more; `NEVER` stays until cancelled."""


class Buy(msgspec.Struct, frozen=True, array_like=True, tag="buy"):
    """Ask for ENT; what no one offers yet stays in the book."""

    amount_uent: Counter
    price_ueur: Counter
    """Per ENT, the most to pay."""

    expires_at_ms: Counter = NEVER
    """Ledger time from which on the order is no more; `NEVER` stays until cancelled."""


class Cancel(msgspec.Struct, frozen=True, array_like=True, tag="cancel"):
    """Take one's own order out of the book."""

    order: TransactionIdField
    """Id of the transaction that posted it."""


MarketCall = Sell | Buy | Cancel

_decoder: Final[Decoder[MarketCall]] = Decoder(MarketCall, "market call", MAX_CALL_SIZE)  # type: ignore[arg-type] # a union is no type[T] to mypy

_Moves = defaultdict[bytes, int]
"""What is added to the rows of balances and locks, by key."""


def market_operation(call: MarketCall) -> Operation:
    """Return the payload that calls this contract."""
    return Operation(NAME, encode(call))


def apply_market(rows: RowReader, call: MarketCall, context: Context) -> Changed | Reason:
    """Post an order and trade what it meets, or cancel one.

    Returns:
        The changed book, balances and locks. Or, of an order: `TOO_SMALL` (less than a lot, or
        below the lowest price), `OUT_OF_RANGE` (no whole lots), `EXPIRED` (it would be no more at
        once), `INSUFFICIENT_ENT` or `INSUFFICIENT_EEURO` (not enough free to lock). Of a cancel:
        `UNKNOWN_ORDER`, `NOT_YOURS`, `EXPIRED` (it ends with this milestone anyway).
    """
    match call:
        case Sell():
            return _post(rows, "sell", call, context)
        case Buy():
            return _post(rows, "buy", call, context)
        case Cancel():
            return _cancel(rows, call, context)


def end_market(rows: RowReader, _index: int, timestamp_ms: int) -> Changed:
    """Return the book without the orders that are no more, their tokens free again."""
    moves: _Moves = defaultdict(int)
    changes: dict[bytes, bytes | None] = {}
    events = []
    for order in expired_orders(rows, timestamp_ms):
        changes.update(without_order(order))
        _release(moves, order)
        events.append(_order_event("market.expired", order))
    return Changed({**changes, **_moved(rows, moves)}, tuple(events))


def _post(rows: RowReader, side: Side, call: Sell | Buy, context: Context) -> Changed | Reason:
    if call.amount_uent < LOT_UENT or call.price_ueur < MIN_PRICE_UEUR:
        return Reason.TOO_SMALL
    if call.amount_uent % LOT_UENT:
        return Reason.OUT_OF_RANGE
    place = OrderPlace(side, call.price_ueur, context.index, context.position)
    order = Order(context.tx_id, context.address, place, call.amount_uent, call.expires_at_ms)
    if has_expired(order, context.timestamp_ms):
        return Reason.EXPIRED
    token, amount = locked_by(order)
    if balance(rows, token, context.address) < amount:
        return SHORTAGE[token]
    opposite = side_of_book(rows, "buy" if side == "sell" else "sell")
    matched = match_newcomer(order, opposite, pricing(rows), context.timestamp_ms)
    return _settled(rows, order, matched)


def _cancel(rows: RowReader, call: Cancel, context: Context) -> Changed | Reason:
    order = find_order(rows, call.order)
    if order is None:
        return Reason.UNKNOWN_ORDER
    if order.owner != context.address:
        return Reason.NOT_YOURS
    if has_expired(order, context.timestamp_ms):
        return Reason.EXPIRED
    moves: _Moves = defaultdict(int)
    _release(moves, order)
    changes = {**without_order(order), **_moved(rows, moves)}
    return Changed(changes, (_order_event("market.cancelled", order),))


def _settled(rows: RowReader, newcomer: Order, matched: Matched) -> Changed:
    """Return what a newcomer's trades change, and what becomes of the rest of it."""
    moves: _Moves = defaultdict(int)
    changes: dict[bytes, bytes | None] = {}
    events: list[Event] = []
    for order in matched.expired:
        changes.update(without_order(order))
        _release(moves, order)
        events.append(_order_event("market.expired", order))
    for fill in matched.fills:
        rest = _rest(fill.resting, fill.resting.left_uent - fill.amount_uent)
        changes.update(with_rest(rest) if rest.left_uent else without_order(rest))
        _move_resting(moves, fill)
        events.append(traded(newcomer, fill))
    left_uent = 0 if matched.is_stopped else matched.left_uent
    rest = newcomer if left_uent == newcomer.left_uent else _rest(newcomer, left_uent)
    _move_newcomer(moves, newcomer, matched, rest)
    if rest.left_uent:
        changes.update(with_order(rest))
        events.append(_order_event("market.posted", rest))
    elif matched.is_stopped:
        events.append(_order_event("market.cancelled", _rest(newcomer, matched.left_uent)))
    changes.update(_moved(rows, moves))
    return Changed(changes, tuple(events))


def _rest(order: Order, left_uent: int) -> Order:
    return Order(order.order_id, order.owner, order.place, left_uent, order.expires_at_ms)


def _move_resting(moves: _Moves, fill: Fill) -> None:
    """Move what a fill takes from the order that was there, and what it brings its owner."""
    resting, price_ueur = fill.resting, fill.resting.place.price_ueur
    if resting.place.side == "sell":
        moves[locked_key(_ENT, resting.owner)] -= fill.amount_uent
        moves[balance_key(_EEURO, resting.owner)] += fill.paid_ueur
        return
    released_ueur = locked_for(resting.left_uent, price_ueur) - locked_for(
        resting.left_uent - fill.amount_uent, price_ueur
    )
    moves[locked_key(_EEURO, resting.owner)] -= released_ueur
    moves[balance_key(_EEURO, resting.owner)] += released_ueur - fill.paid_ueur
    moves[balance_key(_ENT, resting.owner)] += fill.amount_uent


def _move_newcomer(moves: _Moves, newcomer: Order, matched: Matched, rest: Order) -> None:
    """Move what all its trades take from a newcomer and bring it, and lock what it leaves open.

    Its surplus needs no release: it was never locked longer than this one operation.
    """
    owner, paid_ueur = newcomer.owner, matched.paid_ueur
    traded_uent = newcomer.left_uent - matched.left_uent
    token, locked = locked_by(rest)
    if token is _ENT:
        spent, gained, other = traded_uent, paid_ueur, _EEURO
    else:
        spent, gained, other = paid_ueur, traded_uent, _ENT
    moves[balance_key(token, owner)] -= locked + spent
    moves[locked_key(token, owner)] += locked
    moves[balance_key(other, owner)] += gained


def _release(moves: _Moves, order: Order) -> None:
    token, amount = locked_by(order)
    moves[locked_key(token, order.owner)] -= amount
    moves[balance_key(token, order.owner)] += amount


def _moved(rows: RowReader, moves: _Moves) -> Mapping[bytes, bytes | None]:
    """Return the balances and locks after moves, each row written once."""
    return {key: balance_row(amount_at(rows, key) + by) for key, by in moves.items() if by}


def _order_event(name: str, order: Order) -> Event:
    return Event(
        name,
        (
            ("order", order.order_id.hex()),
            ("owner", Address(order.owner)),
            ("side", order.place.side),
            ("left_uent", order.left_uent),
            ("price_ueur", order.place.price_ueur),
        ),
    )


CONTRACT: Final = Contract(NAME, _decoder.decode, apply_market, end_market)
