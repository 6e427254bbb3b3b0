"""Snapshots this node holds: their list, and the newest full one as a file."""

from typing import Final

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse

from api.http.json_forms import SnapshotsJson
from api.http.routes import API, PROBLEMS, Service
from api.http.views import snapshot_json

SNAPSHOT_TYPE: Final = "application/vnd.tanglewatt.snapshot"

router = APIRouter(prefix=API, tags=["ledger"], responses=PROBLEMS)


@router.get("/snapshots", operation_id="getSnapshots")
async def get_snapshots(service: Service) -> SnapshotsJson:
    """Return the snapshots that this node holds, the newest first."""
    return SnapshotsJson([snapshot_json(one) for one in await service.snapshots()])


@router.get(
    "/snapshots/latest",
    operation_id="getLatestSnapshot",
    responses={200: {"content": {SNAPSHOT_TYPE: {}}}},
    response_class=FileResponse,
)
async def get_latest_snapshot(service: Service) -> FileResponse:
    """Return the newest full snapshot as it lies on disk."""
    full = [one for one in await service.snapshots() if one.header.kind == "full"]
    if not full:
        raise HTTPException(404, "this node holds no snapshot yet")
    newest = full[0]
    headers = {"ETag": f'"{newest.file_hash.hex()}"'}
    return FileResponse(
        newest.path, media_type=SNAPSHOT_TYPE, filename=newest.path.name, headers=headers
    )
