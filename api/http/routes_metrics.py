"""What an operator's monitoring reads."""

from fastapi import APIRouter, Response

from api.http.exposition import CONTENT_TYPE, exposition
from api.http.routes import PROBLEMS, Service

router = APIRouter(tags=["health"], responses=PROBLEMS)


@router.get(
    "/metrics",
    operation_id="getMetrics",
    response_class=Response,
    responses={200: {"content": {CONTENT_TYPE: {"schema": {"type": "string"}}}}},
)
async def get_metrics(service: Service) -> Response:
    """Return the node's metrics in Prometheus' text format."""
    return Response(exposition(await service.metrics()), media_type=CONTENT_TYPE)
