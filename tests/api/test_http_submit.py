import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest
from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.types import Message

from api.http import routes_submit
from api.http.problems import MAX_DETAIL_LENGTH
from api.http.routes_submit import read_body
from api.http.service import Submitted
from api.http.submissions import MAX_BATCH, MAX_BODY_SIZE
from api.node.node_service import NodeApi
from energy.transfer import TransferEeuro, transfer_operation
from tangle.address import address_of
from tangle.codec import encode
from tangle.errors import DamagedStoreError
from tangle.outcomes import State
from tangle.transaction import (
    MAX_DATA_SIZE,
    Data,
    Operation,
    ReadingBatch,
    Transaction,
    decode,
    sign,
    transaction_id,
)
from tests.api.asking import ask, post
from tests.api.small_node import ALICE, BOB, METER, NOTE, STRANGER, SmallNode, nonce_of, seal

BYTES = "application/octet-stream"
BATCH = "application/vnd.tanglewatt.batch"
JSON = "application/json"


def fields_of(transaction: Transaction) -> dict[str, Any]:
    payload: dict[str, Any]
    match transaction.payload:
        case Data(label, data):
            payload = {"type": "data", "label": label, "data": data.hex()}
        case Operation(contract, call):
            payload = {"type": "operation", "contract": contract, "call": call.hex()}
        case ReadingBatch(meter, first, last, root):
            payload = {
                "type": "readings",
                "meter": meter.hex(),
                "first_sequence": first,
                "last_sequence": last,
                "root": root.hex(),
            }
        case _:
            raise AssertionError(transaction.payload)
    return {
        "version": transaction.version,
        "network": transaction.network.hex(),
        "parents": [parent.hex() for parent in transaction.parents],
        "issuer": transaction.issuer.hex(),
        "sequence": transaction.sequence,
        "issued_at_ms": transaction.issued_at_ms,
        "payload": payload,
    }


def item_of(transaction: Transaction, nonce: bytes | None = None) -> dict[str, Any]:
    item = {"fields": fields_of(transaction), "signature": sign(transaction, ALICE).hex()}
    return item if nonce is None else {**item, "nonce": nonce.hex()}


def body_of(*items: object, work: bool = False) -> bytes:
    return json.dumps({"transactions": items, "work": work}).encode()


def ids_and_states(answer: httpx.Response) -> list[tuple[str, str]]:
    return [(one["id"], one["state"]) for one in answer.json()["results"]]


def test_the_bytes_of_one_transaction_are_taken_and_durable(node: SmallNode, app: FastAPI) -> None:
    data = node.signed()
    tx_id = transaction_id(decode(data).transaction)

    answer = post(app, data, BYTES)

    assert answer.status_code == 200
    assert ids_and_states(answer) == [(tx_id.hex(), State.TIP)]
    assert node.journal.transaction(tx_id) is not None


def test_the_same_bytes_again_are_no_error(node: SmallNode, app: FastAPI) -> None:
    data = node.signed()
    first = post(app, data, BYTES)
    node.confirm()

    again = post(app, data, BYTES)

    assert ids_and_states(again) == [(first.json()["results"][0]["id"], State.NO_VALUE)]


@pytest.mark.parametrize("form", ["batch", "json"])
def test_a_batch_is_taken_in_its_order(node: SmallNode, app: FastAPI, form: str) -> None:
    all_data = [node.signed(sequence=sequence) for sequence in range(3)]
    if form == "batch":
        answer = post(app, encode(all_data), BATCH)
    else:
        answer = post(app, body_of(*({"bytes": data.hex()} for data in all_data)), JSON)

    ids = [transaction_id(decode(data).transaction).hex() for data in all_data]
    assert [tx_id for tx_id, _ in ids_and_states(answer)] == ids


def test_a_full_batch_is_taken(node: SmallNode, app: FastAPI) -> None:
    data = node.signed()

    answer = post(app, encode([data] * MAX_BATCH), BATCH)

    assert len(answer.json()["results"]) == MAX_BATCH


@pytest.mark.parametrize(
    "payload",
    [
        NOTE,
        transfer_operation(TransferEeuro(address_of(BOB.public), 7)),
        ReadingBatch(address_of(METER.public), 0, 3, bytes(32)),
    ],
)
def test_the_node_does_the_work_for_signed_fields(
    node: SmallNode, app: FastAPI, payload: Data | Operation | ReadingBatch
) -> None:
    transaction = node.draft(payload)

    answer = post(app, body_of(item_of(transaction), work=True), JSON)

    assert ids_and_states(answer) == [(transaction_id(transaction).hex(), State.TIP)]
    assert node.worked == 1


def test_fields_with_a_nonce_need_no_work_of_the_node(node: SmallNode, app: FastAPI) -> None:
    transaction = node.draft()

    answer = post(app, body_of(item_of(transaction, nonce_of(transaction))), JSON)

    assert ids_and_states(answer) == [(transaction_id(transaction).hex(), State.TIP)]
    assert node.worked == 0


def test_a_damaged_journal_is_not_blamed_on_an_item(
    node: SmallNode, service: NodeApi, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def damaged(data: bytes) -> Submitted:
        raise DamagedStoreError(f"no place for {len(data)} bytes")

    monkeypatch.setattr(service, "submit", damaged)

    answer = post(app, node.signed(), BYTES)

    assert (answer.status_code, answer.json()["code"]) == (500, "DAMAGED_STORE")


def test_one_bad_item_hides_no_other_result(node: SmallNode, app: FastAPI) -> None:
    good = [{"bytes": node.signed(sequence=sequence).hex()} for sequence in range(2)]
    forged = {**item_of(node.draft(sequence=2)), "signature": "00" * 64}

    answer = post(app, body_of(good[0], {"byte": "00"}, 7, forged, good[1], work=True), JSON)

    results = answer.json()["results"]
    assert answer.status_code == 200
    assert [one.get("state") for one in results] == ["tip", None, None, None, "tip"]
    codes = [one["problem"]["code"] for one in results[1:4]]
    assert codes == ["INVALID_REQUEST", "INVALID_REQUEST", "BAD_SIGNATURE"]
    assert node.worked == 0


def test_a_batch_of_which_nothing_is_taken_is_a_problem_with_all_results(
    node: SmallNode, app: FastAPI
) -> None:
    ahead = msgspec.structs.replace(node.draft(), issued_at_ms=node.clock_ms + 10**9)

    answer = post(app, encode([seal(ahead, ALICE), b"\x00"]), BATCH)

    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"
    assert answer.json()["code"] == "TOO_FAR_AHEAD"
    codes = [one["problem"]["code"] for one in answer.json()["results"]]
    assert codes == ["TOO_FAR_AHEAD", "MALFORMED_BYTES"]


def replaced(data: bytes, **changes: object) -> bytes:
    """Return a transaction with other fields, signed and worked anew by Alice."""
    return seal(msgspec.structs.replace(decode(data).transaction, **changes), ALICE)


def reground(data: bytes) -> bytes:
    """Return a transaction whose nonce carries no work."""
    signed = decode(data)
    for number in range(256):
        witness = msgspec.structs.replace(signed.witness, nonce=bytes([number] * 8))
        if encode(witness) != encode(signed.witness):
            return encode(msgspec.structs.replace(signed, witness=witness))
    raise AssertionError


BAD_BYTES: dict[str, tuple[Callable[[bytes], bytes], str, str]] = {
    "empty": (lambda _: b"", "MALFORMED_BYTES", "transaction of 0 bytes"),
    "truncated": (lambda data: data[:-1], "MALFORMED_BYTES", "truncated"),
    "trailing": (lambda data: data + b"\x00", "MALFORMED_BYTES", "trailing"),
    "over-long": (lambda _: bytes(32_769), "MALFORMED_BYTES", "32769 bytes: the maximum is 32768"),
    "non-canonical": (
        lambda data: b"\xdc\x00\x02" + data[1:],
        "MALFORMED_BYTES",
        "not the canonical spelling",
    ),
    "wrong network": (
        lambda data: replaced(data, network=bytes(8)),
        "WRONG_NETWORK",
        "network 0000000000000000: this is",
    ),
    "wrong version": (
        lambda data: replaced(data, version=9),
        "WRONG_NETWORK",
        "protocol version 9: this is 1",
    ),
    "one parent": (
        lambda data: replaced(data, parents=decode(data).transaction.parents[:1]),
        "BAD_PARENTS",
        "1 parents: from 2 to 2",
    ),
    "wrongly signed": (
        lambda data: seal(decode(data).transaction, BOB),
        "BAD_SIGNATURE",
        "is not by key",
    ),
    "no work": (reground, "MISSING_WORK", "leading zero bits of work:"),
    "unknown contract": (
        lambda data: replaced(data, payload=Operation("magic", b"")),
        "BAD_PAYLOAD",
        "contract 'magic': there are device, transfer",
    ),
}


@pytest.mark.parametrize("name", BAD_BYTES)
def test_bad_bytes_are_a_problem_that_names_value_and_rule(
    node: SmallNode, app: FastAPI, name: str
) -> None:
    spoil, code, words = BAD_BYTES[name]

    answer = post(app, spoil(node.signed()), BYTES)

    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["code"], problem["status"]) == (code, 400)
    assert words in problem["detail"]
    assert problem["title"]
    assert len(node.core.graph) == 2  # the entry points


def test_an_unknown_issuer_is_asked_to_come_again(node: SmallNode, app: FastAPI) -> None:
    answer = post(app, node.signed(key=STRANGER), BYTES)

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.json()["code"] == "UNKNOWN_ISSUER"


BAD_ITEMS = {
    "bad hex": ({"bytes": "0g"}, "transactions[0].bytes '0g': must be lower-case hex digits"),
    "upper case": ({"bytes": "AB"}, "'AB': must be lower-case hex digits"),
    "odd hex": ({"bytes": "abc"}, "'abc': must be lower-case hex digits"),
    "bytes of a wrong type": ({"bytes": 5}, "bytes 5: Expected `str | null`, got `int`"),
    "unknown field": ({"byte": "00"}, "transactions[0]: Object contains unknown field `byte`"),
    "nothing": ({}, "must have either bytes, or fields and signature"),
    "both": ({"bytes": "00", "nonce": "00"}, "has bytes, so it must have nothing else"),
    "a list": ([], "transactions[0]: Expected `object`, got `array`"),
}


@pytest.mark.parametrize("name", BAD_ITEMS)
def test_an_item_of_another_form_is_named(app: FastAPI, name: str) -> None:
    item, words = BAD_ITEMS[name]

    answer = post(app, body_of(item), JSON)

    assert answer.status_code == 400
    assert answer.json()["code"] == "INVALID_REQUEST"
    assert words in answer.json()["detail"]


BAD_FIELDS: dict[str, tuple[list[Any], object, str]] = {
    "negative": (["sequence"], -1, "fields.sequence -1: Expected `int` >= 0"),
    "too large": (["sequence"], 2**63, "fields.sequence 9223372036854775808: Expected `int` <="),
    "fraction": (["sequence"], 1.5, "fields.sequence 1.5: Expected `int`, got `float`"),
    "text": (["version"], "1", "fields.version '1': Expected `int`, got `str`"),
    "short network": (["network"], "00", "fields.network '00': 1 bytes, must be 8"),
    "short parent": (["parents", 1], "00", "fields.parents[1] '00': 1 bytes, must be 32"),
    "parent no text": (["parents", 1], None, "fields.parents[1] None: Expected `str`"),
    "nine parents": (["parents"], ["00" * 32] * 9, "of length <= 8"),
    "long issuer": (["issuer"], "00" * 33, "33 bytes, must be 32"),
    "unknown payload": (["payload", "type"], "gift", "payload.type 'gift': Invalid value"),
    "a milestone": (["payload", "type"], "milestone", "'milestone': Invalid value"),
    "label with a space": (["payload", "label"], "a b", "payload.label 'a b': Expected `str`"),
    "long data": (
        ["payload", "data"],
        "00" * (MAX_DATA_SIZE + 1),
        f"data of {MAX_DATA_SIZE + 1} bytes: at most {MAX_DATA_SIZE}",
    ),
    "unknown field": (["payload", "extra"], 1, "unknown field `extra`"),
}


@pytest.mark.parametrize("name", BAD_FIELDS)
def test_a_field_that_breaks_its_rule_is_named_with_its_value(
    node: SmallNode, app: FastAPI, name: str
) -> None:
    path, value, words = BAD_FIELDS[name]
    item = item_of(node.draft(), bytes(8))
    place: Any = item["fields"]
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value

    answer = post(app, body_of(item), JSON)

    assert answer.status_code == 400
    assert words in answer.json()["detail"]
    assert node.worked == 0


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"signature": "00"}, "INVALID_REQUEST", "signature '00': 1 bytes, must be 64"),
        ({"nonce": "00"}, "INVALID_REQUEST", "nonce '00': 1 bytes, must be 8"),
        ({"signature": None}, "INVALID_REQUEST", "either bytes, or fields and signature"),
        ({}, "MISSING_WORK", "has no nonce, and work is false"),
    ],
)
def test_a_witness_that_is_not_whole_is_refused(
    node: SmallNode, app: FastAPI, change: dict[str, Any], code: str, words: str
) -> None:
    answer = post(app, body_of({**item_of(node.draft()), **change}), JSON)

    assert answer.json()["code"] == code
    assert words in answer.json()["detail"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"network": bytes(8)}, "WRONG_NETWORK"),
        ({"payload": Operation("magic", b"")}, "BAD_PAYLOAD"),
        ({"payload": Operation("transfer", b"\x00")}, "BAD_PAYLOAD"),
    ],
)
def test_the_node_does_no_work_for_what_the_rules_forbid(
    node: SmallNode, app: FastAPI, change: dict[str, Any], code: str
) -> None:
    transaction = msgspec.structs.replace(node.draft(), **change)

    answer = post(app, body_of(item_of(transaction), work=True), JSON)

    assert answer.json()["code"] == code
    assert node.worked == 0


BAD_BODIES = {
    "empty": (b"", JSON, "Input data was truncated"),
    "no JSON": (b"{", JSON, "body: "),
    "no UTF-8": (b'{"transactions":"\xff"}', JSON, "Expected `array`, got `str`"),
    "a fault before a fault": (b'{"work":1,', JSON, "Expected `bool`, got `int` - at `$.work`"),
    "no UTF-8 in an item": (b'{"transactions":[{"bytes":"\xff"}]}', JSON, "transactions[0]: "),
    "no object": (b"[]", JSON, "body: Expected `object`, got `array`"),
    "no list": (b'{"transactions":{}}', JSON, "transactions {}: Expected `array`, got `object`"),
    "missing": (b'{"work":true}', JSON, "missing required field `transactions`"),
    "work of a wrong type": (
        b'{"transactions":[],"work":1}',
        JSON,
        "work 1: Expected `bool`, got `int`",
    ),
    "unknown field": (b'{"transactions":[],"fee":1}', JSON, "unknown field `fee`"),
    "deep nesting": (
        b'{"transactions":[' + b"[" * 100_000 + b"]" * 100_000 + b"]}",
        JSON,
        "maximum recursion depth",
    ),
    "no item": (b'{"transactions":[]}', JSON, "0 transactions in one request: from 1 to 512"),
    "batch of 513": (body_of(*[{}] * 513), JSON, "513 transactions in one request: from 1 to 512"),
    "bytes batch of 513": (encode([b"\x00"] * 513), BATCH, "513 transactions"),
    "bytes batch of none": (encode([]), BATCH, "0 transactions in one request"),
    "bytes batch cut": (
        encode([b"\x00"] * 3)[:-1],
        BATCH,
        "batch of 9 bytes: Input data was truncated",
    ),
    "bytes batch of text": (encode(["a"]), BATCH, "Expected `bytes`, got `str`"),
    "bytes batch long form": (b"\xdc\x00\x01\xc4\x01\x00", BATCH, "not the canonical spelling"),
    "bytes batch that lies": (b"\xdd\xff\xff\xff\xff", BATCH, "truncated"),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_body_of_another_form_is_refused_whole(app: FastAPI, name: str) -> None:
    body, content_type, words = BAD_BODIES[name]

    answer = post(app, body, content_type)

    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert words in answer.json()["detail"]
    assert len(answer.json()["detail"]) <= MAX_DETAIL_LENGTH


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded"])
def test_another_content_type_is_415(app: FastAPI, content_type: str) -> None:
    answer = post(app, b"{}", content_type)

    assert (answer.status_code, answer.json()["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert JSON in answer.json()["detail"]


def test_a_charset_beside_the_content_type_is_allowed(node: SmallNode, app: FastAPI) -> None:
    body = body_of({"bytes": node.signed().hex()})

    answer = post(app, body, "Application/JSON; charset=utf-8")

    assert answer.status_code == 200


@pytest.mark.parametrize("content_type", [JSON, BYTES, BATCH])
def test_ten_megabytes_are_413_and_never_parsed(app: FastAPI, content_type: str) -> None:
    answer = post(app, bytes(10_000_000), content_type)

    assert (answer.status_code, answer.json()["code"]) == (413, "BODY_TOO_LARGE")
    assert answer.json()["detail"] == "body of 10000000 bytes: the maximum is 4194304"


def test_a_body_of_the_maximum_is_parsed_and_one_byte_more_is_not(app: FastAPI) -> None:
    at_limit = post(app, bytes(MAX_BODY_SIZE), BYTES)
    above = post(app, bytes(MAX_BODY_SIZE + 1), BYTES)

    assert (at_limit.status_code, above.status_code) == (400, 413)


def test_a_declared_size_beyond_all_measure_is_refused_unread(app: FastAPI) -> None:
    headers = {"Content-Type": BYTES, "Content-Length": str(10**12)}

    answer = ask(app, "POST", "/api/v1/transactions", content=b"", headers=headers)

    assert answer.status_code == 413
    assert "1000000000000 bytes" in answer.json()["detail"]


def test_a_quoted_value_is_cut(app: FastAPI) -> None:
    answer = post(app, body_of({"x" * 100_000: 1}), JSON)

    assert len(answer.json()["detail"]) == MAX_DETAIL_LENGTH


def test_a_client_that_leaves_in_the_middle_of_a_body_is_no_fault_of_ours() -> None:
    arrivals: list[Message] = [
        {"type": "http.request", "body": b"abc", "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Message:
        return arrivals.pop(0)

    request = Request({"type": "http", "headers": []}, receive)

    with pytest.raises(HTTPException) as refused:
        asyncio.run(read_body(request))

    assert (refused.value.status_code, refused.value.detail) == (400, "body: cut off after 3 bytes")


def test_a_body_without_end_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes_submit, "MAX_DISCARDED_SIZE", MAX_BODY_SIZE + 10)
    read = 0

    async def receive() -> Message:
        nonlocal read
        read += 1
        return {"type": "http.request", "body": bytes(1_000_000), "more_body": True}

    with pytest.raises(HTTPException) as refused:
        asyncio.run(read_body(Request({"type": "http", "headers": []}, receive)))

    assert refused.value.status_code == 413
    assert read == 5
