"""What all routes share: the service they call, and how their errors are documented."""

from typing import Annotated, Any, Final

from fastapi import Depends
from starlette.requests import HTTPConnection

from api.http.problems import Problem
from api.http.service import NodeService

API: Final = "/api/v1"

PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    "default": {
        "description": "A problem (RFC 9457): what was sent, and the rule it breaks",
        "model": Problem,
    }
}
"""For every route; also keeps the framework from documenting answers that are never given."""


def service_of(connection: HTTPConnection) -> NodeService:
    """Return the node that the application was made for."""
    service: NodeService = connection.app.state.service
    return service


Service = Annotated[NodeService, Depends(service_of)]
