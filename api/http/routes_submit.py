"""Posting transactions: read the body within bounds, do the work if asked, submit in order."""

import asyncio
from typing import Any, Final, assert_never

import msgspec
from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from api.hexadecimal import shown
from api.http.json_forms import AcceptedJson, RefusedAllJson, RefusedJson, ResultsJson
from api.http.problems import problem_of, problem_response
from api.http.routes import API, PROBLEMS, Service
from api.http.service import NodeService
from api.http.submissions import (
    MAX_BATCH,
    MAX_BODY_SIZE,
    Complete,
    Item,
    ItemForm,
    Unreadable,
    Unworked,
    completed,
    parse_batch,
    parse_json,
    verify_unworked,
)
from tangle.errors import DamagedStoreError, InvalidError, UnavailableError

BYTES_TYPE: Final = "application/octet-stream"
BATCH_TYPE: Final = "application/vnd.tanglewatt.batch"
JSON_TYPE: Final = "application/json"

BODY_TIMEOUT_S: Final = 30
"""For a whole body: who sends slower must not hold a place."""

MAX_DISCARDED_SIZE: Final = 16 * MAX_BODY_SIZE
"""Bytes of a refused body that are read and dropped, so that its sender gets to the answer."""

ITEM_SCHEMAS: Final = msgspec.json.schema_components(
    [ItemForm], ref_template="#/components/schemas/{name}"
)[1]
"""What the OpenAPI document says of a transaction in JSON, by name."""

_BATCH_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["transactions"],
    "additionalProperties": False,
    "properties": {
        "transactions": {
            "type": "array",
            "minItems": 1,
            "maxItems": MAX_BATCH,
            "items": {"$ref": "#/components/schemas/ItemForm"},
        },
        "work": {"type": "boolean", "default": False},
    },
}
_REQUEST_BODY: Final[dict[str, Any]] = {
    "required": True,
    "content": {
        JSON_TYPE: {"schema": _BATCH_SCHEMA},
        BYTES_TYPE: {"schema": {"type": "string", "format": "binary"}},
        BATCH_TYPE: {"schema": {"type": "string", "format": "binary"}},
    },
}

router = APIRouter(prefix=API, tags=["ledger"], responses=PROBLEMS)


@router.post(
    "/transactions",
    operation_id="postTransactions",
    response_model=ResultsJson,
    responses={status: {"model": RefusedAllJson} for status in (400, 429, 503)},
    openapi_extra={"requestBody": _REQUEST_BODY},
)
async def post_transactions(request: Request, service: Service) -> Response:
    """Take in one transaction, or up to 512; what is accepted is durable.

    Each gets its own result. The status is 200 unless nothing at all was accepted: then it is
    that of the first problem.
    """
    body = await read_body(request)
    items = _parsed(request.headers.get("content-type", ""), body)
    results = await _submit_all(service, items, request.app.state.work_turn)
    refused = [one for one in results if isinstance(one, RefusedJson)]
    if len(refused) < len(results):
        return Response(msgspec.json.encode(ResultsJson(results)), media_type=JSON_TYPE)
    first = refused[0].problem
    answer = RefusedAllJson(
        first.type, first.title, first.status, first.detail, first.code, refused
    )
    return problem_response(first, msgspec.json.encode(answer))


async def read_body(request: Request) -> bytes:
    """Return the whole body of a request, never more than `MAX_BODY_SIZE`.

    Raises:
        HTTPException: 413 too large, 408 too slow, 400 cut off.
    """
    declared = int(request.headers.get("content-length", 0))
    if declared > MAX_DISCARDED_SIZE:
        raise _too_large(declared)
    body, size = bytearray(), 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for chunk in request.stream():
                size += len(chunk)
                if size <= MAX_BODY_SIZE:
                    body += chunk
                if size > MAX_DISCARDED_SIZE:
                    break
    except TimeoutError as error:
        raise HTTPException(408, f"body: {size} bytes in {BODY_TIMEOUT_S} s") from error
    except ClientDisconnect as error:
        raise HTTPException(400, f"body: cut off after {size} bytes") from error
    if size > MAX_BODY_SIZE:
        raise _too_large(size)
    return bytes(body)


def _too_large(size: int) -> HTTPException:
    return HTTPException(413, f"body of {size} bytes: the maximum is {MAX_BODY_SIZE}")


def _parsed(content_type: str, body: bytes) -> tuple[Item, ...]:
    kind = content_type.partition(";")[0].strip().lower()
    if kind == JSON_TYPE:
        return parse_json(body)
    if kind == BYTES_TYPE:
        return (Complete(body),)
    if kind == BATCH_TYPE:
        return parse_batch(body)
    known = ", ".join((JSON_TYPE, BYTES_TYPE, BATCH_TYPE))
    raise HTTPException(415, f"Content-Type {shown(content_type)}: must be one of {known}")


async def _submit_all(
    service: NodeService, items: tuple[Item, ...], work_turn: asyncio.Lock
) -> list[AcceptedJson | RefusedJson]:
    """Submit one after the other, and let the node do what else is due in between."""
    results: list[AcceptedJson | RefusedJson] = []
    for item in items:
        results.append(await _submit(service, item, work_turn))
        await asyncio.sleep(0)
    return results


async def _submit(
    service: NodeService, item: Item, work_turn: asyncio.Lock
) -> AcceptedJson | RefusedJson:
    try:
        submitted = await service.submit(await _bytes_of(service, item, work_turn))
    except DamagedStoreError:
        raise  # ours, not the item's
    except (InvalidError, UnavailableError) as error:
        return RefusedJson(problem_of(error))
    return AcceptedJson(submitted.tx_id.hex(), submitted.state)


async def _bytes_of(service: NodeService, item: Item, work_turn: asyncio.Lock) -> bytes:
    match item:
        case Complete(data):
            return data
        case Unreadable(error):
            raise error
        case Unworked(transaction):
            verify_unworked(item, service.rules)
            async with work_turn:  # one at a time: work for clients takes one core, not all
                nonce = await service.work(transaction)
            return completed(item, nonce)
        case _:
            assert_never(item)
