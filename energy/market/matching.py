"""The matching of one newcomer with the book: price, then time (ENERGY §5)."""

from collections.abc import Iterator
from typing import Final

import msgspec

from energy.market.book import Order, has_expired
from energy.market.pricing import Pricing, paid, trade_price

MAX_MET: Final = 1_000
"""Orders that one newcomer may meet: the work of an operation, and what it reports, has an end."""


class Fill(msgspec.Struct, frozen=True, gc=False):
    """One trade of a newcomer with an order that was there."""

    resting: Order
    """As it was before."""

    amount_uent: int
    price_ueur: int
    paid_ueur: int


class Matched(msgspec.Struct, frozen=True, gc=False):
    """What becomes of a newcomer and of those it met."""

    fills: tuple[Fill, ...]
    """In the order they happened."""

    left_uent: int
    """What of the newcomer is not traded."""

    paid_ueur: int
    """In all its trades."""

    is_stopped: bool
    """Whether it stopped at an order of its own owner, or after `MAX_MET`, with another to meet: so
    that what is left is cancelled."""

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
    left_uent, paid_ueur = newcomer.left_uent, 0
    is_buy, limit_ueur = newcomer.place.side == "buy", newcomer.place.price_ueur
    fills: list[Fill] = []
    expired: list[Order] = []
    is_stopped = False
    for resting in opposite:
        there_ueur = resting.place.price_ueur
        if there_ueur > limit_ueur if is_buy else there_ueur < limit_ueur:
            break
        if len(fills) + len(expired) == MAX_MET:
            is_stopped = True
            break
        if has_expired(resting, timestamp_ms):
            expired.append(resting)
            continue
        if resting.owner == newcomer.owner:
            is_stopped = True
            break
        amount_uent = min(left_uent, resting.left_uent)
        bid_ueur, ask_ueur = (limit_ueur, there_ueur) if is_buy else (there_ueur, limit_ueur)
        price_ueur = trade_price(rule, there_ueur, bid_ueur, ask_ueur)
        cost_ueur = paid(amount_uent, price_ueur)
        fills.append(Fill(resting, amount_uent, price_ueur, cost_ueur))
        paid_ueur += cost_ueur
        left_uent -= amount_uent
        if not left_uent:
            break
    return Matched(tuple(fills), left_uent, paid_ueur, is_stopped, tuple(expired))
