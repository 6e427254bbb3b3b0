"""The status page: one file, no other host, nothing inline that its policy does not name."""

import re
from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from typing import Final

from fastapi import APIRouter, Response

from api.http.routes import PROBLEMS

_INLINE: Final = re.compile(rb"<(script|style)>(.*?)</\1>", re.DOTALL)

router = APIRouter(include_in_schema=False, responses=PROBLEMS)


def content_policy(page: bytes) -> str:
    """Return the Content-Security-Policy of `page`: its own script and style, by their hashes."""
    hashes: dict[bytes, list[str]] = {b"script": [], b"style": []}
    for kind, text in _INLINE.findall(page):
        hashes[kind].append(f"'sha256-{b64encode(sha256(text).digest()).decode()}'")
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {' '.join(hashes[b'script'])}",
            f"style-src {' '.join(hashes[b'style'])}",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


PAGE: Final = (files("api") / "static" / "status.html").read_bytes()
_HEADERS: Final = {"Content-Security-Policy": content_policy(PAGE), "Cache-Control": "no-cache"}


@router.get("/")
async def get_page() -> Response:
    """Return the status page."""
    return Response(PAGE, media_type="text/html", headers=_HEADERS)
