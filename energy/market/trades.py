"""Trades as events say them, and what charts make of them: candles."""

from collections.abc import Iterable
from itertools import groupby
from typing import Final, NamedTuple

from energy.market.book import Order
from energy.market.matching import Fill
from tangle.address import Address
from tangle.outcomes import Event

TRADED: Final = "market.traded"


class Trade(NamedTuple):
    """One fill: the fields of an event `market.traded`."""

    buyer: Address
    seller: Address
    buy_order: str
    """Id in hexadecimal, as `sell_order`."""

    sell_order: str
    amount_uent: int
    price_ueur: int
    """Per ENT."""

    paid_ueur: int
    """By the buyer to the seller: amount · price, rounded down."""


class Candle(NamedTuple):
    """The trades of one span of ledger time; prices in µEUR per ENT."""

    start_ms: int
    open_ueur: int
    high_ueur: int
    low_ueur: int
    close_ueur: int
    amount_uent: int
    paid_ueur: int
    trades: int


def traded(newcomer: Order, fill: Fill) -> Event:
    """Return what the contract reports of a trade."""
    resting = fill.resting
    is_buy = newcomer.place.side == "buy"
    bid, ask = (newcomer, resting) if is_buy else (resting, newcomer)
    return Event(
        TRADED,
        (
            ("buyer", bid.owner),
            ("seller", ask.owner),
            ("buy_order", bid.order_id.hex()),
            ("sell_order", ask.order_id.hex()),
            ("amount_uent", fill.amount_uent),
            ("price_ueur", fill.price_ueur),
            ("paid_ueur", fill.paid_ueur),
        ),
    )


def trades_of(events: Iterable[Event]) -> list[Trade]:
    """Return the trades among the events of an operation, in their order."""
    return [Trade(**dict(one.fields)) for one in events if one.name == TRADED]  # type: ignore[arg-type] # the fields are those that `traded` wrote


def candles(trades: Iterable[tuple[int, Trade]], span_ms: int) -> list[Candle]:
    """Return one candle for each span that has trades.

    Args:
        trades: Ledger time of the milestone and trade, in order of the ledger.
        span_ms: Length of a span; spans start at its multiples.
    """
    found = []
    for number, group in groupby(trades, key=lambda timed: timed[0] // span_ms):
        inside = [trade for _, trade in group]
        prices = [one.price_ueur for one in inside]
        found.append(
            Candle(
                number * span_ms,
                prices[0],
                max(prices),
                min(prices),
                prices[-1],
                sum(one.amount_uent for one in inside),
                sum(one.paid_ueur for one in inside),
                len(inside),
            )
        )
    return found
