"""Reads of the ledger: the node, tips, transactions, milestones, addresses, meters, peers."""

import re
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response
from starlette.exceptions import HTTPException

from api.hexadecimal import from_hex, shown
from api.http.json_forms import (
    AddressJson,
    DevicesJson,
    InfoJson,
    MilestoneJson,
    PeersJson,
    QueryJson,
    TipsJson,
    TransactionJson,
)
from api.http.problems import PrunedError
from api.http.routes import API, PROBLEMS, Service
from api.http.views import (
    address_json,
    device_json,
    info_json,
    milestone_json,
    peer_json,
    transaction_json,
)
from tangle.address import decode_address
from tangle.errors import InvalidRequestError
from tangle.hashing import HASH_SIZE
from tangle.keys import KEY_SIZE, PublicKey
from tangle.transaction import MAX_INTEGER, TransactionId

BYTES_TYPE: Final = "application/octet-stream"

MAX_QUERIES: Final = 64
"""Keys in one request."""

_INDEX: Final = re.compile(r"[1-9][0-9]{0,18}\Z")

router = APIRouter(prefix=API, tags=["ledger"], responses=PROBLEMS)


@router.get("/info", operation_id="getInfo")
async def get_info(service: Service) -> InfoJson:
    """Return the node at this moment."""
    return info_json(await service.info())


@router.get("/tips", operation_id="getTips")
async def get_tips(service: Service, issuer: str | None = None) -> TipsJson:
    """Return two parents for a new transaction; 503 while the node has none."""
    more_bits = 0
    if issuer is not None:
        more_bits = service.more_bits(PublicKey(from_hex(issuer, "issuer", size=KEY_SIZE)))
    first, second = service.select_parents()
    info = await service.info()
    return TipsJson((first.hex(), second.hex()), info.confirmed_index, more_bits)


@router.get(
    "/transactions/{tx_id}",
    operation_id="getTransaction",
    responses={200: {"content": {BYTES_TYPE: {}}}},
    response_model=TransactionJson,
)
async def get_transaction(
    service: Service, request: Request, tx_id: str, *, confidence: bool = False
) -> TransactionJson | Response:
    """Return one transaction, or with `Accept: application/octet-stream` its canonical bytes."""
    wanted = TransactionId(from_hex(tx_id, "transaction id", size=HASH_SIZE))
    view = await service.transaction(wanted, with_confidence=confidence)
    if view is None:
        through = await service.pruned_through()
        if through:
            raise PrunedError(
                f"transaction {tx_id}: not here; this node keeps nothing that milestones up to "
                f"{through} reference, ask an archive node"
            )
        raise HTTPException(404, f"transaction {tx_id}: this node does not have it")
    if request.headers.get("accept", "").strip().lower() == BYTES_TYPE:
        return Response(view.data, media_type=BYTES_TYPE)
    return transaction_json(view, service.rules.contracts)


@router.get("/milestones/{index}", operation_id="getMilestone")
async def get_milestone(service: Service, index: str) -> MilestoneJson:
    """Return the applied milestone of an index, or the `latest` one."""
    wanted = None if index == "latest" else _index(index)
    view = await service.milestone(wanted)
    if view is None:
        through = await service.pruned_through()
        if wanted is not None and wanted <= through:
            raise PrunedError(
                f"milestone {index}: this node keeps nothing up to milestone {through}, ask an "
                "archive node"
            )
        newest = (await service.info()).confirmed_index
        raise HTTPException(404, f"milestone {index}: the last applied one is {newest}")
    return milestone_json(view)


@router.get("/addresses/{address}", operation_id="getAddress")
async def get_address(service: Service, address: str) -> AddressJson:
    """Return what the ledger holds for an address: zeroes where it holds nothing."""
    wanted = decode_address(address)
    return address_json(wanted, service.address(wanted))


@router.get("/query", operation_id="query")
async def query(
    service: Service, key: Annotated[list[str], Query(min_length=1, max_length=MAX_QUERIES)]
) -> QueryJson:
    """Return what the ledger says to named questions after the last applied milestone."""
    info = await service.info()
    return QueryJson(info.confirmed_index, {one: service.query(one) for one in key})


@router.get("/devices", operation_id="getDevices")
async def get_devices(service: Service) -> DevicesJson:
    """Return all meters that ledger or journal know."""
    return DevicesJson([device_json(one) for one in await service.devices()])


@router.get("/peers", operation_id="getPeers")
async def get_peers(service: Service) -> PeersJson:
    """Return the configured peers, as this node sees them."""
    return PeersJson([peer_json(one) for one in service.peers()])


def _index(text: str) -> int:
    if not _INDEX.match(text) or int(text) > MAX_INTEGER:
        raise InvalidRequestError(
            f"milestone index {shown(text)}: must be 'latest' or from 1 to {MAX_INTEGER}"
        )
    return int(text)
