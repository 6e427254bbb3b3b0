"""The HTTP application of one node: all its routes, behind the door."""

import asyncio
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.http import (
    routes_energy,
    routes_health,
    routes_ledger,
    routes_metrics,
    routes_page,
    routes_proofs,
    routes_readings,
    routes_snapshots,
    routes_stream,
    routes_submit,
)
from api.http.door import Door
from api.http.problems import add_problem_handlers
from api.http.service import NodeService

OPENAPI_PATH: Final = "/api/openapi.json"


def create_app(service: NodeService, hosts: Iterable[str] = ()) -> FastAPI:
    """Return the application that answers for `service`.

    Args:
        service: The node.
        hosts: Names, beside those of loopback, under which people reach it: what a `Host`
            header may say.
    """
    app = FastAPI(
        title="Tanglewatt",
        version=version("tanglewatt"),
        openapi_url=OPENAPI_PATH,
        docs_url=None,  # the framework's pages load their scripts from another host
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.service = service
    app.state.work_turn = asyncio.Lock()
    add_problem_handlers(app)
    app.add_middleware(Door, hosts=tuple(hosts))
    parts = (
        routes_health,
        routes_ledger,
        routes_energy,
        routes_metrics,
        routes_proofs,
        routes_readings,
        routes_snapshots,
        routes_submit,
        routes_stream,
        routes_page,
    )
    for part in parts:
        app.include_router(part.router)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _openapi(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document, with the forms that are parsed without the framework."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, routes=app.routes)
        document["components"]["schemas"] |= routes_submit.ITEM_SCHEMAS
        app.openapi_schema = document
    return app.openapi_schema
