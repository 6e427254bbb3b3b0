"""Named questions over HTTP, and what a contract reported of an operation."""

import pytest
from fastapi import FastAPI

from energy.transfer import TransferEeuro, transfer_operation
from tangle.address import address_of, encode_address
from tangle.transaction import decode, transaction_id
from tests.api.asking import ask
from tests.api.small_node import ALICE, BOB, SmallNode

ADDRESS = encode_address(address_of(ALICE.public))


def test_named_questions_are_answered_from_one_state(node: SmallNode, app: FastAPI) -> None:
    answer = ask(app, "GET", f"/api/v1/query?key=total.eeuro&key={ADDRESS}.eeuro&key=orders")

    shown = answer.json()
    assert answer.status_code == 200
    assert shown["index"] == node.core.confirmed_index
    assert shown["answers"]["orders"] == []
    assert shown["answers"][f"{ADDRESS}.eeuro"].endswith(" EUR")
    assert shown["answers"]["total.eeuro"] not in ("0 EUR", "")


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("/api/v1/query?key=total.gold", "total"),
        ("/api/v1/query?key=nobody.ent", "nobody"),
        ("/api/v1/query?" + "&".join(["key=rate"] * 65), "64"),
        ("/api/v1/query", "key"),
    ],
)
def test_a_question_that_is_none_is_refused(app: FastAPI, path: str, rule: str) -> None:
    refused = ask(app, "GET", path)

    assert refused.status_code in (400, 422)
    assert rule in refused.text


def test_an_applied_operation_shows_what_its_contract_reported(
    node: SmallNode, app: FastAPI
) -> None:
    payee = address_of(BOB.public)
    data = node.signed(transfer_operation(TransferEeuro(payee, 7)))
    node.take_in(data)
    node.confirm()
    tx_id = transaction_id(decode(data).transaction).hex()

    shown = ask(app, "GET", f"/api/v1/transactions/{tx_id}").json()

    assert shown["events"] == [
        {
            "name": "transfer.moved",
            "fields": {"from": ADDRESS, "to": encode_address(payee), "amount_ueur": 7},
        }
    ]
