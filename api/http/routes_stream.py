"""The WebSocket: frames of what happens, a few a second, for as long as the client stays."""

import asyncio
from typing import Final

import msgspec
from fastapi import APIRouter
from starlette.websockets import WebSocket, WebSocketDisconnect

from api.http.problems import problem_of, problem_response
from api.http.routes import API, Service
from api.http.stream import Subscription
from tangle.errors import QueueFullError

FRAME_INTERVAL_S: Final = 0.15
"""Between two frames of one client: fast enough for an eye, slow enough for a phone."""

router = APIRouter()


@router.websocket(f"{API}/stream")
@router.websocket("/stream")
async def stream(websocket: WebSocket, service: Service) -> None:
    """Send `stream.Frame` as JSON text until the client leaves. What it sends is not read."""
    try:
        subscription = service.subscribe()
    except QueueFullError as error:
        await websocket.send_denial_response(problem_response(problem_of(error)))
        return
    with subscription:
        await websocket.accept()
        async with asyncio.TaskGroup() as group:
            sender = group.create_task(_send_frames(websocket, subscription))
            await _disconnected(websocket)
            sender.cancel()


async def _send_frames(websocket: WebSocket, subscription: Subscription) -> None:
    while True:
        await subscription.wait_for_news()
        try:
            await websocket.send_text(msgspec.json.encode(subscription.take()).decode())
        except WebSocketDisconnect:
            return
        await asyncio.sleep(FRAME_INTERVAL_S)


async def _disconnected(websocket: WebSocket) -> None:
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass
