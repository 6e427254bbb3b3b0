"""A wallet and a node that does not take all at once: numbers are neither lost nor doubled."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from typing_extensions import override

from api.client import issuing
from api.client.issuing import Issuer, issue
from api.client.node_client import NodeClient, NotTakenError, Response
from api.client.sequence_file import MAX_FREE, NOTE_SIZE, release_sequence, reserve_sequence
from api.failures import CommandError
from energy.transfer import TransferEeuro, transfer_operation
from tangle.address import address_of, encode_address
from tangle.keys import SigningKey

KEY: Final = SigningKey(bytes(32))
NETWORK: Final = "ab" * 8
OPERATION: Final = transfer_operation(TransferEeuro(address_of(bytes(32)), 5))
TAKEN: Final = (200, {"results": [{"id": "ff" * 32, "state": "tip"}]})

Answer = tuple[int, dict[str, Any]] | OSError


def refusal(status: int, code: str, **more: object) -> Answer:
    problem = {"code": code, "detail": code.lower(), **more}
    return status, {**problem, "results": [{"problem": problem}]}


class Node(NodeClient):
    """A node that answers each submission as it was told to."""

    def __init__(self, *answers: Answer, more_bits: tuple[int, ...] = ()) -> None:
        super().__init__("http://127.0.0.1:1")
        self.answers = list(answers)
        self.more_bits = list(more_bits)
        self.posted: list[dict[str, Any]] = []

    @override
    def ask(self, method: str, path: str, body: bytes | None = None) -> Response:
        status, said = self._answer(path, body)
        return Response(status, json.dumps(said).encode())

    def _answer(self, path: str, body: bytes | None) -> tuple[int, dict[str, Any]]:
        if body is not None:
            self.posted.append(json.loads(body)["transactions"][0])
            answer = self.answers.pop(0)
            if isinstance(answer, OSError):
                raise answer
            return answer
        if path.startswith("/api/v1/tips"):
            bits = self.more_bits.pop(0) if self.more_bits else 0
            return 200, {"parents": ["22" * 32, "11" * 32], "milestone_index": 5, "more_bits": bits}
        if path.startswith("/api/v1/addresses"):
            address = encode_address(address_of(KEY.public))
            return 200, {"address": address, "ent_uent": 0, "eeuro_ueur": 5, "next_sequence": 7}
        return 200, {
            "network": NETWORK,
            "name": "net",
            "node": "cd",
            "alias": "edge-1",
            "role": "edge",
            "confirmed_index": 5,
            "confirmed_id": "ef",
            "state_root": "aa",
            "transactions": 9,
            "milestones": 5,
            "ledger_time_ms": 1_000,
        }

    @property
    def sequences(self) -> list[int]:
        return [one["fields"]["sequence"] for one in self.posted]


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, for_s: float) -> None:
        self.now_s += for_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr(issuing, "time", made)
    return made


@pytest.fixture
def sender(tmp_path: Path) -> Issuer:
    return Issuer(KEY, tmp_path / "next")


def next_number(sender: Issuer) -> int:
    return reserve_sequence(sender.sequence_file, NETWORK, 7)


@pytest.mark.parametrize(
    ("answer", "waited_s"),
    [
        pytest.param(refusal(429, "MORE_WORK_NEEDED", retry_after_s=4), 4, id="more work"),
        pytest.param(refusal(503, "NO_TIPS"), 1, id="not now"),
        pytest.param((503, {"code": "QUEUE_FULL", "detail": "64 requests"}), 1, id="at the door"),
    ],
)
def test_what_is_not_taken_now_is_offered_again_under_its_number(
    clock: Time, sender: Issuer, answer: Answer, waited_s: int
) -> None:
    node = Node(answer, TAKEN)

    issue(node, sender, OPERATION, None)

    assert node.sequences == [7, 7]
    assert clock.now_s == waited_s
    assert next_number(sender) == 8


def test_the_work_that_a_door_asks_for_is_done_before_it_is_offered_again(
    clock: Time, sender: Issuer
) -> None:
    node = Node(refusal(429, "MORE_WORK_NEEDED", retry_after_s=1), TAKEN, more_bits=(0, 1))

    issue(node, sender, OPERATION, None)

    assert ["nonce" in one for one in node.posted] == [False, True]
    assert clock.now_s == 1


def test_work_there_is_no_time_for_is_waited_out(clock: Time, sender: Issuer) -> None:
    node = Node(TAKEN, more_bits=(40, 40, 0))

    issue(node, sender, OPERATION, None)

    assert node.sequences == [7]
    assert clock.now_s == 2


@pytest.mark.parametrize(
    ("answers", "patience_s"),
    [
        pytest.param([refusal(400, "BAD_SIGNATURE")], 30.0, id="invalid"),
        pytest.param([refusal(503, "NO_TIPS")] * 4, 3.0, id="never in time"),
        pytest.param([refusal(429, "MORE_WORK_NEEDED", retry_after_s=60)], 30.0, id="too long"),
    ],
)
def test_a_number_that_certainly_nobody_has_is_used_again(
    clock: Time, sender: Issuer, answers: list[Answer], patience_s: float
) -> None:
    with pytest.raises(NotTakenError):
        issue(Node(*answers), sender, OPERATION, None, patience_s)

    assert clock.now_s <= patience_s
    assert [next_number(sender), next_number(sender)] == [7, 8]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(TimeoutError("timed out"), id="no answer"),
        pytest.param((500, {"code": "INTERNAL_ERROR"}), id="a fault of the node"),
        pytest.param((503, {"title": "busy"}), id="no word of the transaction"),
        pytest.param(refusal(503, "STORAGE"), id="a full disk"),
        pytest.param((200, {"results": []}), id="no result"),
    ],
)
def test_a_number_whose_fate_is_unknown_stays_used(
    clock: Time, sender: Issuer, answer: Answer
) -> None:
    with pytest.raises(CommandError, match="may have been taken all the same"):
        issue(Node(answer), sender, OPERATION, None)

    assert clock.now_s == 0
    assert next_number(sender) == 8


def test_a_number_is_given_back_when_there_was_nothing_to_offer(
    sender: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Node(TAKEN)

    monkeypatch.setattr(node, "ask", _failing_at_tips(node.ask))
    with pytest.raises(CommandError):
        issue(node, sender, OPERATION, None)

    assert next_number(sender) == 7


def _failing_at_tips(ask: Callable[..., Response]) -> Callable[..., Response]:
    def failing(method: str, path: str, body: bytes | None = None) -> Response:
        if path.startswith("/api/v1/tips"):
            raise ConnectionResetError("gone")
        return ask(method, path, body)

    return failing


def test_what_was_given_back_goes_first_and_what_the_ledger_used_is_forgotten(
    tmp_path: Path,
) -> None:
    file = tmp_path / "next"
    for _ in range(4):
        reserve_sequence(file, "n", 5)
    for number in (7, 5, 6):
        release_sequence(file, "n", number)

    assert [reserve_sequence(file, "n", ledger_next) for ledger_next in (5, 7, 7, 7)] == [
        5,
        7,
        9,
        10,
    ]


def test_a_note_remembers_so_many_and_has_room_for_the_largest(tmp_path: Path) -> None:
    file, top = tmp_path / "next", 2**63 - 1
    reserve_sequence(file, "ab" * 8, top - 1)
    for number in range(MAX_FREE + 4):
        release_sequence(file, "ab" * 8, top - 30 + number)

    assert file.stat().st_size == NOTE_SIZE
    assert reserve_sequence(file, "ab" * 8, top - 30) == top - 30
