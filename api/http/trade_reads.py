"""Trades and candles for an answer: slices of the past until there is enough, or the work ends."""

import re
from collections.abc import Callable, Sequence
from typing import Final

from api.hexadecimal import shown
from api.http.energy_forms import CandleJson, CandlesJson, TradeJson, TradesJson
from api.http.service import NodeService, PlacedTrade, TradePlace
from energy.market.trades import candles
from tangle.address import encode_address
from tangle.errors import InvalidRequestError
from tangle.transaction import MAX_INTEGER

MAX_SLICES: Final = 10
"""Stretches of the past that one request looks at: a network that trades seldom has many without
a trade, and nobody may let a node read its whole journal."""

_PLACE: Final = re.compile(r"([0-9]{1,19})-([0-9]{1,10})-([0-9]{1,10})")


def parse_place(text: str) -> TradePlace:
    """Return the place that `next` of an earlier answer named. Raises `InvalidRequestError`."""
    found = _PLACE.fullmatch(text)
    place = None if found is None else TradePlace(*(int(part) for part in found.groups()))
    if place is None or place.milestone > MAX_INTEGER:
        raise InvalidRequestError(f"before {shown(text)}: must be the `next` of an answer")
    return place


async def trades_json(service: NodeService, before: TradePlace | None, most: int) -> TradesJson:
    """Return the last trades before a place, at most so many; fewer if they are far apart."""
    found, rest, _ = await _collected(service, before, lambda trades: len(trades) > most)
    if len(found) > most:
        found, rest = found[:most], found[most - 1].place
    return TradesJson([_trade_json(one) for one in found], None if rest is None else _text(rest))


async def candles_json(service: NodeService, span_ms: int, most: int) -> CandlesJson:
    """Return the candles of the last spans that have trades, at most so many."""

    def has_enough(trades: Sequence[PlacedTrade]) -> bool:
        return len({one.timestamp_ms // span_ms for one in trades}) > most

    found, _, since_ms = await _collected(service, None, has_enough)
    timed = [(one.timestamp_ms, one.trade) for one in reversed(found)]
    made = candles(timed, span_ms)
    shown_ = [CandleJson(*one) for one in made[-most:]]
    return CandlesJson(span_ms, None if len(made) > most else since_ms, shown_)


async def _collected(
    service: NodeService,
    before: TradePlace | None,
    is_enough: Callable[[Sequence[PlacedTrade]], bool],
) -> tuple[list[PlacedTrade], TradePlace | None, int | None]:
    """Return trades, the newest first, where to go on, and how far back was looked."""
    found: list[PlacedTrade] = []
    since_ms: int | None = None
    for _ in range(MAX_SLICES):
        part = await service.trades(before)
        found += part.trades
        before, since_ms = part.next, part.since_ms
        if before is None or is_enough(found):
            break
    return found, before, since_ms


def _trade_json(placed: PlacedTrade) -> TradeJson:
    trade = placed.trade
    return TradeJson(
        id=placed.tx_id.hex(),
        index=placed.place.milestone,
        timestamp_ms=placed.timestamp_ms,
        buyer=encode_address(trade.buyer),
        seller=encode_address(trade.seller),
        buy_order=trade.buy_order,
        sell_order=trade.sell_order,
        amount_uent=trade.amount_uent,
        price_ueur=trade.price_ueur,
        paid_ueur=trade.paid_ueur,
    )


def _text(place: TradePlace) -> str:
    return "-".join(str(part) for part in place)
