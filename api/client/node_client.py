"""Asks one node over HTTP. Answers are typed and bounded; every failure says what to do next."""

import http.client
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar
from urllib.parse import urlencode, urlsplit

import msgspec

from api.client.answers import (
    AddressAnswer,
    DevicesAnswer,
    ErasedAnswer,
    InfoAnswer,
    MilestoneAnswer,
    PageAnswer,
    ProofAnswer,
    QueryAnswer,
    RefusalAnswer,
    ResultsAnswer,
    TipsAnswer,
    TransactionAnswer,
)
from api.exit_codes import ExitCode
from api.failures import CommandError, Failure, FailureCode
from api.hexadecimal import from_hex

MAX_ANSWER_SIZE: Final = 64 * 2**20
"""Bytes: the devices of 100,000 meters."""

DEFAULT_TIMEOUT_S: Final = 10.0
DEFAULT_PORT: Final = 80
OK: Final = 200
FIRST_ERROR: Final = 400
NOT_FOUND: Final = 404
UNAVAILABLE: Final = (429, 503)

OF_THE_STORE: Final = frozenset({"STORAGE", "DAMAGED_STORE", "INTERNAL_ERROR"})
"""Refusals after which a node stops, in the middle of its work: they promise nothing."""

BEFORE_ANYTHING: Final = frozenset({"QUEUE_FULL"})
"""Refusals of a whole request by a door that is too busy to look at it."""

A = TypeVar("A")


class NotTakenError(CommandError):
    """A node refused a transaction before it took it in: nobody else has it."""

    def __init__(self, failure: Failure, retry_after_s: int | None) -> None:
        super().__init__(failure)
        self.retry_after_s = retry_after_s
        """When it may be taken; `None` for never, as it is."""


@dataclass(frozen=True, slots=True)
class Response:
    """What came back: the status, and the body as it is."""

    status: int
    body: bytes


class NodeClient:
    """One node's HTTP door. Blocking; a connection for each question, so it may be shared."""

    def __init__(self, url: str, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        self._host, self._port = _host_and_port(url)
        self.url = url.rstrip("/")
        self._timeout_s = timeout_s

    def ask(self, method: str, path: str, body: bytes | None = None) -> Response:
        """Send one request and read the whole answer.

        Raises:
            OSError: No connection, or it broke.
            http.client.HTTPException: What came back is not HTTP.
        """
        connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            data = response.read(MAX_ANSWER_SIZE + 1)
            if len(data) > MAX_ANSWER_SIZE:
                raise http.client.HTTPException(f"{path}: more than {MAX_ANSWER_SIZE} bytes")
            return Response(response.status, data)
        finally:
            connection.close()

    def is_ready(self) -> bool:
        """Return whether the node says that it is ready."""
        try:
            return self.ask("GET", "/health/ready").status == OK
        except (OSError, http.client.HTTPException):
            return False

    def info(self) -> InfoAnswer:
        """Return who the node is and how far it has confirmed."""
        return self._get("/api/v1/info", InfoAnswer)

    def tips(self, issuer: str) -> TipsAnswer:
        """Return two parents for a new transaction of `issuer` (hex), and what work it needs."""
        return self._get(f"/api/v1/tips?issuer={issuer}", TipsAnswer)

    def devices(self) -> DevicesAnswer:
        """Return the registered devices and what is confirmed of each."""
        return self._get("/api/v1/devices", DevicesAnswer)

    def query(self, keys: Sequence[str]) -> QueryAnswer:
        """Return what the ledger says to named questions, in plain units."""
        asked = urlencode([("key", key) for key in keys])
        return self._get(f"/api/v1/query?{asked}", QueryAnswer)

    def transaction(self, tx_id: str) -> TransactionAnswer:
        """Return where a transaction stands."""
        return self._get(f"/api/v1/transactions/{tx_id}", TransactionAnswer)

    def milestone(self, index: int) -> MilestoneAnswer:
        """Return an applied milestone."""
        return self._get(f"/api/v1/milestones/{index}", MilestoneAnswer)

    def address(self, address: str) -> AddressAnswer:
        """Return what an address holds."""
        return self._get(f"/api/v1/addresses/{address}", AddressAnswer)

    def proof(self, path: str) -> ProofAnswer:
        """Return a proof: `transactions/ID`, `addresses/ADDRESS` or `rows/HEX`."""
        return self._get(f"/api/v1/proofs/{path}", ProofAnswer)

    def reading_proof(self, request: bytes) -> ProofAnswer:
        """Return the proof of one reading; `request` is signed by who may see it."""
        return self._get(f"/api/v1/readings/{request.hex()}", ProofAnswer)

    def span(self, request: bytes) -> bytes:
        """Return a page of what a home node has; `request` is signed by who may see it."""
        path = f"/api/v1/spans/{request.hex()}"
        return from_hex(self._get(path, PageAnswer).page, "page", at_most=MAX_ANSWER_SIZE)

    def erase_readings(self, request: bytes) -> int:
        """Have readings deleted; `request` is signed by who may ask. Return how many were."""
        path = f"/api/v1/readings/{request.hex()}"
        return self._decoded(self._reach("DELETE", path), path, ErasedAnswer).erased

    def submit(self, transaction: Mapping[str, object]) -> str:
        """Post one signed transaction in JSON and let the node do its work; return the id.

        Raises:
            NotTakenError: The node refused it, so that it is certainly nowhere.
            CommandError: Anything else. It may have been taken.
        """
        path = "/api/v1/transactions"
        body = json.dumps({"transactions": [transaction], "work": True}).encode("utf-8")
        response = self._reach("POST", path, body)
        if response.status >= FIRST_ERROR:
            raise _not_taken(self.url + path, response)
        answer = self._decoded(response, path, ResultsAnswer)
        if len(answer.results) != 1 or not answer.results[0].id:
            raise self._unexpected(path, f"{len(answer.results)} results for one transaction")
        return answer.results[0].id

    def answer(self, path: str, kind: type[A]) -> A:
        """Return the answer to `/api/v1/` and what follows it, as a record that commands know."""
        return self._get(f"/api/v1/{path}", kind)

    def document(self, path: str) -> object | None:
        """Return any JSON answer, decoded; `None` if the node does not know `path`."""
        response = self._reach("GET", path)
        return None if response.status == NOT_FOUND else self._decoded(response, path, object)

    def _get(self, path: str, kind: type[A]) -> A:
        return self._decoded(self._reach("GET", path), path, kind)

    def _reach(self, method: str, path: str, body: bytes | None = None) -> Response:
        try:
            return self.ask(method, path, body)
        except (OSError, http.client.HTTPException) as error:
            raise CommandError(
                Failure(
                    FailureCode.UNREACHABLE,
                    ExitCode.NOT_RUNNING,
                    f"no answer from the node at {self.url}",
                    str(error) or type(error).__name__,
                    "start the network with `tanglewatt up`, or name another node with --node",
                )
            ) from error

    def _decoded(self, response: Response, path: str, kind: type[A]) -> A:
        if response.status >= FIRST_ERROR:
            raise _refused(self.url + path, response)
        try:
            return msgspec.json.decode(response.body, type=kind)
        except msgspec.MsgspecError as error:
            raise self._unexpected(path, str(error)) from error

    def _unexpected(self, path: str, why: str) -> CommandError:
        return CommandError(
            Failure(
                FailureCode.UNEXPECTED_ANSWER,
                ExitCode.FAILED,
                f"{self.url}{path} answers what this version does not understand",
                why,
                "check that it is a node of Tanglewatt, of the version `tanglewatt version`",
            )
        )


def _refused(where: str, response: Response) -> CommandError:
    try:
        problem = msgspec.json.decode(response.body, type=RefusalAnswer)
    except msgspec.MsgspecError:
        problem = RefusalAnswer(detail=response.body[:200].decode("utf-8", "replace"))
    why = problem.detail or problem.title or "no reason given"
    if response.status == NOT_FOUND:
        code, exit_code, next_step = FailureCode.NOT_FOUND, ExitCode.NOT_FOUND, "check the id"
    elif response.status in UNAVAILABLE:
        code, exit_code = FailureCode.UNREACHABLE, ExitCode.UNHEALTHY
        next_step = "try again in a few seconds; see `tanglewatt status`"
    else:
        code, exit_code = FailureCode.REFUSED, ExitCode.REFUSED
        next_step = "correct what the reason names"
    what = f"{where} answers {response.status} {problem.code}".rstrip()
    return CommandError(Failure(code, exit_code, what, why, next_step))


def _not_taken(where: str, response: Response) -> CommandError:
    """Return why a transaction was not taken, as far as the node knows that it was not."""
    error = _refused(where, response)
    try:
        results = msgspec.json.decode(response.body, type=ResultsAnswer).results
        whole = msgspec.json.decode(response.body, type=RefusalAnswer)
    except msgspec.MsgspecError:
        return error
    problem = results[0].problem if len(results) == 1 else None
    if problem is None and whole.code in BEFORE_ANYTHING:
        problem = whole
    if problem is None or problem.code in OF_THE_STORE:
        return error
    is_for_now = response.status in UNAVAILABLE
    return NotTakenError(error.failure, max(1, problem.retry_after_s) if is_for_now else None)


def _host_and_port(url: str) -> tuple[str, int]:
    """Return where a node answers. Raises `CommandError` for what is no `http://HOST:PORT`."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or DEFAULT_PORT
    except ValueError as error:  # a bracket that is not closed, a port that is none
        raise _no_node(url) from error
    if parts.scheme != "http" or not host or parts.path.strip("/"):
        raise _no_node(url)
    return host, port


def _no_node(url: str) -> CommandError:
    return CommandError(
        Failure(
            FailureCode.BAD_ARGUMENT,
            ExitCode.USAGE,
            f"{url!r} is not the address of a node",
            "it must be http://HOST:PORT",
            "see the URLs that `tanglewatt status` prints",
        )
    )
