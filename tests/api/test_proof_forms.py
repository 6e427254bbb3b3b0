"""Summaries of what a node of another version would read otherwise."""

import pytest

from api.proof_forms import about
from energy.bank import BANKER_KEY, Banker
from energy.ctt.rows import ACCOUNT_PREFIX, Account
from tangle.accounts import COORDINATORS_KEY, READINGS_PREFIX
from tangle.address import Address
from tangle.anchors import ProvenMilestone
from tangle.codec import encode
from tangle.proven import ProvenRow, ProvenTransaction
from tangle.ranges import ReadingRange, ReadingRanges
from tangle.transaction import (
    VERSION,
    Milestone,
    Operation,
    Payload,
    ReadingBatch,
    Transaction,
    TransactionId,
)
from tests.api.small_node import ALICE, NETWORK
from tests.community import CONTRACTS

ID = TransactionId(bytes(32))
MILESTONE = ProvenMilestone(ID, Milestone(7, 9, ID, ID, ID, ID), 2)


def shown_payload(payload: Payload) -> object:
    transaction = Transaction(VERSION, NETWORK, (ID, ID), ALICE.public, 0, 0, payload)
    proven = ProvenTransaction(MILESTONE, ID, transaction, is_applied=False)
    return about(proven, NETWORK, CONTRACTS)["payload"]


def test_the_milestone_says_how_often_the_keys_changed_before_it() -> None:
    shown = about(ProvenRow(MILESTONE, b"k", None), NETWORK, CONTRACTS)

    assert shown["milestone"] == {
        "index": 7,
        "id": "00" * 32,
        "timestamp_ms": 9,
        "rotations": 2,
    }


@pytest.mark.parametrize("operation", [Operation("gone", b"\x01"), Operation("transfer", b"\x01")])
def test_a_call_that_this_version_cannot_read_is_shown_as_bytes(operation: Operation) -> None:
    assert shown_payload(operation) == {
        "type": "operation",
        "contract": operation.contract,
        "call": "01",
        "fields": None,
    }


def test_a_reading_batch_is_shown_by_its_fields() -> None:
    assert shown_payload(ReadingBatch(ID, 3, 9, ID)) == {
        "type": "readings",
        "meter": "00" * 32,
        "first_sequence": 3,
        "last_sequence": 9,
        "root": "00" * 32,
    }


@pytest.mark.parametrize(
    ("key", "value", "fields"),
    [
        (COORDINATORS_KEY, b"?", None),
        (b"market/1", b"\x91\x01", None),
        (
            READINGS_PREFIX + bytes(32),
            encode(ReadingRanges((ReadingRange(0, 4),))),
            {"taken": [{"first": 0, "last": 4}]},
        ),
        (
            ACCOUNT_PREFIX + bytes(32),
            encode(Account(7, 500, 0)),
            {"available_wh": 7, "limit_w": 500, "uncovered_wh": 0},
        ),
        (BANKER_KEY, encode(Banker(Address(bytes(32)))), {"address": "00" * 32}),
    ],
)
def test_the_fields_of_a_row_are_named_if_this_version_can_read_them(
    key: bytes, value: bytes, fields: object
) -> None:
    shown = about(ProvenRow(MILESTONE, key, value), NETWORK, CONTRACTS)

    assert (shown["value"], shown["fields"]) == (value.hex(), fields)
