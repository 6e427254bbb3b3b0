"""Whether the process lives, and whether the node is ready."""

from fastapi import APIRouter, Response

from api.http.json_forms import HealthJson, LiveJson
from api.http.routes import PROBLEMS, Service
from api.http.service import CheckStatus
from api.http.views import health_json

router = APIRouter(tags=["health"], responses=PROBLEMS)


@router.get("/health/live", operation_id="getLive")
async def get_live() -> LiveJson:
    """Answer 200 while the loop turns."""
    return LiveJson("pass")


@router.get("/health/ready", operation_id="getReady", responses={503: {"model": HealthJson}})
@router.get("/health", operation_id="getHealth", responses={503: {"model": HealthJson}})
async def get_ready(service: Service, response: Response) -> HealthJson:
    """Answer 200, or 503 if a check fails; the checks in both cases."""
    health = health_json(service.checks())
    if health.status is CheckStatus.FAIL:
        response.status_code = 503
    return health
