"""Errors as clients see them: problem+json (RFC 9457) with a stable code."""

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import msgspec
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from tangle.errors import (
    DamagedStoreError,
    InvalidError,
    MoreWorkNeededError,
    UnavailableError,
)

_log = structlog.stdlib.get_logger(__name__)

PROBLEM_TYPE: Final = "application/problem+json"
RETRY_AFTER_S: Final = 1
"""What is unavailable is retried after this: half a milestone interval."""

MAX_DETAIL_LENGTH: Final = 600
"""Characters: a detail quotes what was sent, and what was sent may be long."""

_WORDS: Final = re.compile(r"[A-Z][a-z]*")

_HTTP_CODES: Final = {
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    408: "BODY_TOO_SLOW",
    413: "BODY_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    421: "MISDIRECTED_REQUEST",
    500: "INTERNAL_ERROR",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a request, or one item of it, was refused (RFC 9457)."""

    type: str
    """`urn:tanglewatt:problem:` and the code."""

    title: str
    """The kind of problem: the same for every problem of one code."""

    status: int
    detail: str
    """This problem: the value and the rule it breaks."""

    code: str
    """Stable, for programs: `MALFORMED_BYTES`, `NOT_FOUND`."""


@dataclass(frozen=True, slots=True)
class WorkProblem(Problem):
    """This door asks more work of who sends much."""

    bits_found: int
    bits_asked: int
    retry_after_s: int
    """After which what was found is enough, if its issuer sends nothing else."""


def problem(code: str, status: int, detail: str) -> Problem:
    """Return a problem; a long detail is cut."""
    if len(detail) > MAX_DETAIL_LENGTH:
        detail = detail[: MAX_DETAIL_LENGTH - 1] + "…"
    title = code.replace("_", " ").capitalize()
    return Problem(f"urn:tanglewatt:problem:{code}", title, status, detail, code)


def problem_of(error: InvalidError | UnavailableError) -> Problem:
    """Return what a client is told of one of our own errors.

    The code is the error's name: `MissingWorkError` is `MISSING_WORK`. What is invalid is 400,
    what is unavailable 503, and 429 for an issuer of whom more work is asked.
    """
    words = _WORDS.findall(type(error).__name__.removesuffix("Error"))
    code = "_".join(words).upper()
    if isinstance(error, MoreWorkNeededError):
        plain = problem(code, HTTPStatus.TOO_MANY_REQUESTS, str(error))
        after_s = max(RETRY_AFTER_S, -(-error.retry_ms // 1_000))
        said = (plain.type, plain.title, plain.status, plain.detail, plain.code)
        return WorkProblem(*said, error.bits_found, error.bits_asked, after_s)
    status = 400 if isinstance(error, InvalidError) else 503
    return problem(code, status, str(error))


def http_problem(status: int, detail: str) -> Problem:
    """Return the problem of a refusal that HTTP itself has a status for."""
    return problem(_HTTP_CODES.get(status) or HTTPStatus(status).name, status, detail)


def problem_response(problem: Problem, content: bytes | None = None) -> Response:
    """Return the response that says `problem`.

    Args:
        problem: What to say.
        content: The body, where it says more than the problem; else the problem alone.
    """
    body = msgspec.json.encode(problem) if content is None else content
    response = Response(body, problem.status, media_type=PROBLEM_TYPE)
    if problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    if isinstance(problem, WorkProblem):
        response.headers["Retry-After"] = str(problem.retry_after_s)
    return response


class PrunedError(HTTPException):
    """What is asked for is not here, and this node drops what is old."""

    def __init__(self, detail: str) -> None:
        super().__init__(404, detail)


def add_problem_handlers(app: FastAPI) -> None:
    """Make every error of `app` a problem: ours, the framework's and our bugs."""
    app.add_exception_handler(InvalidError, _answer_own)
    app.add_exception_handler(DamagedStoreError, _answer_damage)
    app.add_exception_handler(UnavailableError, _answer_own)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(RequestValidationError, _answer_validation)
    app.add_exception_handler(Exception, _answer_bug)


def _answer_own(request: Request, error: Exception) -> Response:
    assert isinstance(error, InvalidError | UnavailableError), request.url.path
    return problem_response(problem_of(error))


def _answer_damage(request: Request, error: Exception) -> Response:
    # Invalid, but ours and not the client's: nothing they send differently helps.
    _log.error("store.damaged", path=request.url.path, exc_info=error)
    return problem_response(problem("DAMAGED_STORE", 500, "this node's journal is damaged"))


def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), request.url.path
    detail = str(error.detail)
    if detail == HTTPStatus(error.status_code).phrase:
        detail = f"{request.method} {request.url.path}: {detail.lower()}"
    if isinstance(error, PrunedError):
        return problem_response(problem("PRUNED", error.status_code, detail))
    response = problem_response(http_problem(error.status_code, detail))
    response.headers.update(error.headers or {})
    return response


def _answer_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError), request.url.path
    words = "; ".join(f"{one['loc'][-1]} {one['input']!r}: {one['msg']}" for one in error.errors())
    return problem_response(problem("INVALID_REQUEST", 400, words))


def _answer_bug(request: Request, error: Exception) -> Response:
    # The framework raises the error again after this answer, so that the log has its trace.
    detail = f"{request.method} {request.url.path} met a fault of this node: see its log"
    del error
    return problem_response(http_problem(500, detail))
