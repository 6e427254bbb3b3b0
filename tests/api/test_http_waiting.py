"""A transaction that is not final says what it waits for, attached or not."""

from typing import Any

import pytest
from fastapi import FastAPI

from api.node.transaction_views import MAX_CONFIDENCES
from tangle.effects import Halted, PeerId
from tangle.transaction import (
    VERSION,
    Transaction,
    TransactionId,
    decode,
    transaction_id,
)
from tests.api.asking import ask
from tests.api.small_node import ALICE, NETWORK, NOTE, START_MS, STRANGER, SmallNode, seal

PEER = PeerId(b"p" * 32)
NOWHERE = TransactionId(b"\xff" * 32)


def shown(app: FastAPI, data: bytes, query: str = "") -> dict[str, Any]:
    tx_id = transaction_id(decode(data).transaction).hex()
    answer = ask(app, "GET", f"/api/v1/transactions/{tx_id}{query}")
    assert answer.status_code == 200
    body: dict[str, Any] = answer.json()
    return body


def test_what_lacks_parents_names_them(node: SmallNode, app: FastAPI) -> None:
    parents = (node.core.confirmed_id, NOWHERE)
    orphan = Transaction(VERSION, NETWORK, parents, ALICE.public, 0, START_MS, NOTE)
    data = seal(orphan, ALICE)
    node.core.receive(PEER, data, node.now())

    body = shown(app, data)

    assert (body["state"], body["waits_for"]) == ("waiting", "parents")
    assert body["missing"] == [NOWHERE.hex()]
    assert (body["attached_at_ms"], body["expected_index"]) == (None, None)
    assert body["bytes"] == data.hex()


def test_what_is_held_says_for_what(node: SmallNode, app: FastAPI) -> None:
    stranger = node.signed(key=STRANGER)
    node.clock_ms += 10_000_000
    early = node.signed(sequence=1)
    node.clock_ms -= 10_000_000
    for data in (stranger, early):
        node.core.receive(PEER, data, node.now())

    assert shown(app, stranger)["waits_for"] == "issuer"
    assert shown(app, early)["waits_for"] == "clock"


def test_what_waits_for_its_turn_is_found_too(node: SmallNode, app: FastAPI) -> None:
    data = node.signed()
    node.in_queue[transaction_id(decode(data).transaction)] = data

    assert shown(app, data)["waits_for"] == "turn"
    assert ask(app, "GET", "/api/v1/info").json()["waiting"] == 1


def test_an_approved_one_waits_for_the_next_milestone_and_then_for_nothing(
    node: SmallNode, app: FastAPI
) -> None:
    below = node.signed()
    node.take_in(below)
    node.take_in(node.signed(sequence=1))

    before = shown(app, below)
    node.confirm()
    after = shown(app, below)

    assert (before["waits_for"], before["expected_index"]) == ("milestone", 1)
    assert before["expected_at_ms"] == START_MS + 2_000
    assert (after["waits_for"], after["expected_index"], after["expected_at_ms"]) == (None,) * 3


def test_a_late_coordinator_is_expected_now(node: SmallNode, app: FastAPI) -> None:
    data = node.signed()
    node.take_in(data)
    node.clock_ms += 60_000

    assert shown(app, data)["expected_at_ms"] == START_MS + 60_000


def test_when_confirmation_stopped_an_operator_is_waited_for(node: SmallNode, app: FastAPI) -> None:
    data = node.signed()
    node.take_in(data)
    node.core.halted = Halted(1, NOWHERE, "a test", ())

    body = shown(app, data)

    assert (body["waits_for"], body["expected_index"]) == ("operator", None)


def test_confidence_is_told_when_asked_for_and_remembered(node: SmallNode, app: FastAPI) -> None:
    data = node.signed()
    node.take_in(data)
    node.take_in(node.signed(sequence=1))

    assert shown(app, data)["confidence"] is None
    assert shown(app, data, "?confidence=true")["confidence"] == 100


def test_only_so_many_confidences_are_computed_between_milestones(
    node: SmallNode, app: FastAPI
) -> None:
    all_data = [node.signed(sequence=number) for number in range(MAX_CONFIDENCES + 1)]
    for data in all_data:
        node.take_in(data)

    known = [shown(app, data, "?confidence=true")["confidence"] for data in all_data]
    again = shown(app, all_data[0], "?confidence=true")["confidence"]
    node.confirm()
    later = shown(app, all_data[-1], "?confidence=true")["confidence"]

    assert None not in known[:-1]
    assert known[-1] is None
    assert (again, later) == (known[0], 100)


def test_a_large_window_has_no_confidence(
    node: SmallNode, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = node.signed()
    node.take_in(data)
    monkeypatch.setattr("api.node.transaction_views.MAX_CONFIDENCE_WINDOW", 2)

    assert shown(app, data, "?confidence=true")["confidence"] is None


def test_what_nobody_has_seen_is_not_found(app: FastAPI) -> None:
    assert ask(app, "GET", f"/api/v1/transactions/{NOWHERE.hex()}").status_code == 404
