"""What a trade costs: the price between two orders that meet, and the amounts that follow.

All in integers: µENT, µEUR, and prices in µEUR per ENT.
"""

from enum import StrEnum
from typing import Final

from energy.parameters import TRADE_PRICES, parameters
from energy.units import UENT_PER_ENT
from tangle.rows import RowReader

LOT_UENT: Final = 1_000
"""Amounts are multiples of it, so that no fill is worth less than a µEUR."""

MIN_PRICE_UEUR: Final = 1_000
"""Per ENT: 0.001 eEuro. One lot at this price costs exactly 1 µEUR."""


class Pricing(StrEnum):
    """Whose price a trade takes, of two that meet or cross. A parameter of the network."""

    RESTING = "resting"
    """The order's that was there first."""

    MID = "mid"
    """Half of both prices, rounded down (PowerChain thesis, 2.2.2)."""

    ASK = "ask"
    """The seller's (PowerChain thesis, 6.5)."""


_BY_INDEX: Final = tuple(Pricing(name) for name in TRADE_PRICES)


def pricing(rows: RowReader) -> Pricing:
    """Return the rule of this network: its parameter `trade_price`."""
    return _BY_INDEX[parameters(rows).trade_price]


def trade_price(rule: Pricing, resting_ueur: int, bid_ueur: int, ask_ueur: int) -> int:
    """Return the price of a trade; never above the bid, never below the ask.

    Args:
        rule: Of the network.
        resting_ueur: The one of the two prices that was there first.
        bid_ueur: What the buyer would pay per ENT.
        ask_ueur: What the seller wants per ENT, at most as much.
    """
    match rule:
        case Pricing.RESTING:
            return resting_ueur
        case Pricing.MID:
            return (bid_ueur + ask_ueur) // 2
        case Pricing.ASK:
            return ask_ueur


def paid(amount_uent: int, price_ueur: int) -> int:
    """Return what a fill costs in µEUR, rounded down: in the buyer's favour."""
    return amount_uent * price_ueur // UENT_PER_ENT


def locked_for(left_uent: int, price_ueur: int) -> int:
    """Return what a buy order locks in µEUR, rounded up: enough for every way to fill it.

    For any split of `left_uent` into fills, ⌈a + b⌉ − ⌈b⌉ ≥ ⌊a⌋: what a fill releases covers what
    it costs, at any price up to the order's own.
    """
    return -(-left_uent * price_ueur // UENT_PER_ENT)
