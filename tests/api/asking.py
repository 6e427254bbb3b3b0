"""Asks an application without a socket."""

import asyncio
from collections.abc import Mapping, Sequence

import httpx
from fastapi import FastAPI

LOCAL = "http://127.0.0.1:8080"


def ask(
    app: FastAPI,
    method: str,
    path: str,
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    content: bytes | None = None,
) -> httpx.Response:
    """Send one request, as a program on the same machine would."""

    async def sent() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=LOCAL) as client:
            return await client.request(method, path, headers=headers, content=content)

    return asyncio.run(sent())


def post(app: FastAPI, body: bytes, content_type: str) -> httpx.Response:
    return ask(
        app, "POST", "/api/v1/transactions", content=body, headers={"Content-Type": content_type}
    )
