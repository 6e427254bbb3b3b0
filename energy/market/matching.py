"""The matching of one newcomer with the book: price, then time (ENERGY §5)."""

from collections.abc import Iterator
from typing import NamedTuple

from energy.market.book import Order, has_expired
from energy.market.pricing import Pricing, paid, trade_price


class Fill(NamedTuple):
    """One trade of a newcomer with an order that was there."""

    resting: Order
    """As it was before."""

    amount_uent: int
    price_ueur: int
    paid_ueur: int


class Matched(NamedTuple):
    """What becomes of a newcomer and of those it met."""

    fills: tuple[Fill, ...]
    """In the order they happened."""

    left_uent: int
    """What of the newcomer is not traded."""

    met_itself: bool
    """Whether it stopped at an order of its own owner, so that what is left is cancelled."""

    expired: tuple[Order, ...]
    """Orders it met that are no more."""


def match_newcomer(
    newcomer: Order, opposite: Iterator[Order], rule: Pricing, timestamp_ms: int
) -> Matched:
    """Return the trades of a newcomer.

    Args:
        newcomer: The order that arrives, not in the book.
        opposite: The other side of the book, best price first, then oldest; read no further than
            needed.
        rule: How a trade is priced.
        timestamp_ms: Ledger time of the milestone.
    """
    left_uent = newcomer.left_uent
    fills: list[Fill] = []
    expired: list[Order] = []
    for resting in opposite:
        if not _do_meet(newcomer, resting):
            break
        if has_expired(resting, timestamp_ms):
            expired.append(resting)
            continue
        if resting.owner == newcomer.owner:
            return Matched(tuple(fills), left_uent, met_itself=True, expired=tuple(expired))
        amount_uent = min(left_uent, resting.left_uent)
        price_ueur = _price(rule, newcomer, resting)
        fills.append(Fill(resting, amount_uent, price_ueur, paid(amount_uent, price_ueur)))
        left_uent -= amount_uent
        if not left_uent:
            break
    return Matched(tuple(fills), left_uent, met_itself=False, expired=tuple(expired))


def _do_meet(newcomer: Order, resting: Order) -> bool:
    if newcomer.place.side == "buy":
        return resting.place.price_ueur <= newcomer.place.price_ueur
    return resting.place.price_ueur >= newcomer.place.price_ueur


def _price(rule: Pricing, newcomer: Order, resting: Order) -> int:
    there, here = resting.place.price_ueur, newcomer.place.price_ueur
    if newcomer.place.side == "buy":
        return trade_price(rule, there, bid_ueur=here, ask_ueur=there)
    return trade_price(rule, there, bid_ueur=there, ask_ueur=here)
