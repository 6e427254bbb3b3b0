"""Reads of the energy layer: totals, members, votes, and the market."""

from typing import Annotated, Final

from fastapi import APIRouter, Query

from api.http.energy_forms import (
    CandlesJson,
    DepthJson,
    EnergyJson,
    MemberJson,
    OrdersJson,
    SettlementJson,
    TradesJson,
    VotesJson,
)
from api.http.energy_views import (
    depth_json,
    energy_json,
    member_json,
    orders_json,
    votes_json,
)
from api.http.routes import API, PROBLEMS, Service
from api.http.trade_reads import candles_json, parse_place, trades_json
from energy.units import DURATION, MINUTE_MS, parse
from tangle.address import decode_address
from tangle.errors import InvalidRequestError

MAX_LEVELS: Final = 1_000
MAX_ORDERS: Final = 1_000
MAX_TRADES: Final = 1_000
MAX_CANDLES: Final = 1_000
MIN_SPAN_MS: Final = MINUTE_MS

router = APIRouter(prefix=API, tags=["energy"], responses=PROBLEMS)


@router.get("/energy", operation_id="getEnergy")
async def get_energy(service: Service) -> EnergyJson:
    """Return tokens, energy, storage units and rules after the last applied milestone."""
    return energy_json(service.ledger())


@router.get("/members/{address}", operation_id="getMember")
async def get_member(service: Service, address: str) -> MemberJson:
    """Return all that the ledger holds for one address: zeroes where it holds nothing."""
    return member_json(service.ledger(), decode_address(address))


@router.get("/votes", operation_id="getVotes")
async def get_votes(service: Service) -> VotesJson:
    """Return the open votes, their ballots, and what each would do if it passed now."""
    return votes_json(service.ledger())


@router.get("/settlement", operation_id="getSettlement")
async def get_settlement(service: Service) -> SettlementJson:
    """Return what all homes settled at this node come to together, if the node tells."""
    return await service.settled()


@router.get("/market/depth", operation_id="getDepth")
async def get_depth(
    service: Service, levels: Annotated[int, Query(ge=1, le=MAX_LEVELS)] = 10
) -> DepthJson:
    """Return the best price levels of both sides of the book."""
    return depth_json(service.ledger(), levels)


@router.get("/market/orders", operation_id="getOrders")
async def get_orders(
    service: Service,
    address: str | None = None,
    limit: Annotated[int, Query(ge=1, le=MAX_ORDERS)] = 100,
) -> OrdersJson:
    """Return open orders in the order of the book, of one owner or of all."""
    owner = None if address is None else decode_address(address)
    return orders_json(service.ledger(), owner, limit)


@router.get("/market/trades", operation_id="getTrades")
async def get_trades(
    service: Service,
    limit: Annotated[int, Query(ge=1, le=MAX_TRADES)] = 100,
    before: str | None = None,
) -> TradesJson:
    """Return the last trades, the newest first; `before` goes on where `next` said."""
    return await trades_json(service, None if before is None else parse_place(before), limit)


@router.get("/market/candles", operation_id="getCandles")
async def get_candles(
    service: Service,
    span: str = "1h",
    limit: Annotated[int, Query(ge=1, le=MAX_CANDLES)] = 48,
) -> CandlesJson:
    """Return one candle for each span of ledger time that has trades, the last ones."""
    span_ms = parse(span, DURATION)
    if span_ms < MIN_SPAN_MS:
        raise InvalidRequestError(f"span {span!r}: at least {MIN_SPAN_MS} ms")
    return await candles_json(service, span_ms, limit)
