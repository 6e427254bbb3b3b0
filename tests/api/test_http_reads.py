from typing import Any

import pytest
from fastapi import FastAPI

from access.device import Claim, claim_registration, register_operation
from api.http.app import create_app
from api.node.node_service import NodeApi
from coordinator.issuer import sign_milestone
from devices.reading import Reading, encode_reading, salted_leaf, sign_reading
from edge.journal.entries import Arrival, Batch, TakenReading
from edge.journal.sealing import SaltedReading, seal, sealing_key
from energy.transfer import TransferEeuro, transfer_operation
from tangle.address import address_of, encode_address
from tangle.effects import Halted
from tangle.genesis import genesis_hash
from tangle.merkle import merkle_root
from tangle.transaction import MAX_INTEGER, ReadingBatch, TransactionId, decode, transaction_id
from tests.api.asking import ask
from tests.api.small_node import (
    ALICE,
    BOB,
    COORDINATOR,
    EDGE,
    GENESIS,
    METER,
    NETWORK,
    PEER,
    START_MS,
    SmallNode,
    api_of,
)

METER_ADDRESS = address_of(METER.public)


def get(app: FastAPI, path: str, **headers: str) -> dict[str, Any]:
    answer = ask(app, "GET", path, headers=headers)
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


def submitted(node: SmallNode, data: bytes) -> str:
    node.take_in(data)
    return transaction_id(decode(data).transaction).hex()


def register_meter(node: SmallNode) -> None:
    claim = Claim(
        genesis_hash(GENESIS),
        METER.public,
        "meter",
        address_of(ALICE.public),
        address_of(EDGE.public),
    )
    call = claim_registration(claim, METER)
    submitted(node, node.signed(register_operation(call), EDGE, 0))
    node.confirm()


def taken_readings(first: int, last: int) -> tuple[list[TakenReading], bytes]:
    """Return sealed readings of the meter, and the root that commits to them."""
    taken, leaves = [], []
    for sequence in range(first, last + 1):
        reading = Reading(
            NETWORK,
            METER_ADDRESS,
            sequence,
            START_MS + sequence,
            START_MS + sequence + 1,
            1_000 + sequence,
            2_000 + sequence,
            "measured",
        )
        signed = encode_reading(sign_reading(reading, METER))
        content = SaltedReading(bytes([sequence]) * 32, signed)
        nonce = sequence.to_bytes(24, "big")
        taken.append(seal(sealing_key(EDGE), METER_ADDRESS, sequence, content, nonce))
        leaves.append(salted_leaf(content.salt, signed))
    return taken, merkle_root(leaves)


def test_info_says_who_the_node_is_and_how_far_it_is(node: SmallNode, app: FastAPI) -> None:
    submitted(node, node.signed())
    node.confirm()
    node.take_in(node.signed(sequence=1))

    info = get(app, "/api/v1/info")

    assert info == {
        "network": NETWORK.hex(),
        "name": "test-net",
        "node": EDGE.public.hex(),
        "alias": "south",
        "role": "edge",
        "version": "1.2.3",
        "work_per_byte": 1,
        "confirmed_index": 1,
        "confirmed_id": node.core.confirmed_id.hex(),
        "confirmed_at_ms": START_MS + 2_000,
        "state_root": node.core.state_root.hex(),
        "ledger_time_ms": START_MS + 2_000,
        "tips": 1,
        "pending": 2,
        "waiting": 0,
        "transactions": 3,
        "milestones": 1,
        "halted": None,
        "milestones_behind": 0,
        "catch_up_ms": None,
        "joining": None,
    }


def test_info_says_why_confirmation_stopped(node: SmallNode, app: FastAPI) -> None:
    node.core.halted = Halted(7, TransactionId(b"h" * 32), "two milestones", ())

    halted = get(app, "/api/v1/info")["halted"]

    assert halted == {"index": 7, "milestone_id": "68" * 32, "report": "two milestones"}


def test_tips_are_two_ascending_parents(node: SmallNode, app: FastAPI) -> None:
    tips = get(app, "/api/v1/tips")

    first, second = node.select_parents()
    assert tips == {"parents": [first.hex(), second.hex()], "milestone_index": 0, "more_bits": 0}


def test_a_pending_transaction_is_shown_decoded(node: SmallNode, app: FastAPI) -> None:
    data = node.signed()
    tx_id = submitted(node, data)
    child = submitted(node, node.signed(sequence=1))

    shown = get(app, f"/api/v1/transactions/{tx_id}")

    assert shown == {
        "id": tx_id,
        "state": "pending",
        "reason": None,
        "parents": [parent.hex() for parent in decode(data).transaction.parents],
        "children": [child],
        "issuer": ALICE.public.hex(),
        "issuer_address": encode_address(address_of(ALICE.public)),
        "sequence": 0,
        "issued_at_ms": START_MS,
        "payload": {"type": "data", "label": "note", "data": b"hello".hex()},
        "milestone_index": None,
        "waits_for": "milestone",
        "missing": [],
        "expected_index": 1,
        "expected_at_ms": START_MS + 2_000,
        "confidence": None,
        "attached_at_ms": START_MS,
        "events": [],
        "cumulative_weight": 2,
        "bytes": data.hex(),
    }


def test_an_applied_operation_shows_its_call_by_name(node: SmallNode, app: FastAPI) -> None:
    call = transfer_operation(TransferEeuro(address_of(BOB.public), 7))
    tx_id = submitted(node, node.signed(call))
    node.confirm()

    shown = get(app, f"/api/v1/transactions/{tx_id}")

    assert (shown["state"], shown["milestone_index"]) == ("applied", 1)
    assert shown["payload"]["fields"] == {
        "call": "eeuro",
        "to": address_of(BOB.public).hex(),
        "amount_ueur": 7,
    }


def test_an_ignored_operation_says_why(node: SmallNode, app: FastAPI) -> None:
    call = transfer_operation(TransferEeuro(address_of(BOB.public), 10**12))
    tx_id = submitted(node, node.signed(call))
    node.confirm()

    shown = get(app, f"/api/v1/transactions/{tx_id}")

    assert (shown["state"], shown["reason"]) == ("ignored", "INSUFFICIENT_EEURO")


def test_a_reading_batch_shows_its_meter_as_an_address(node: SmallNode, app: FastAPI) -> None:
    tx_id = submitted(node, node.signed(ReadingBatch(METER_ADDRESS, 2, 5, bytes(32))))

    payload = get(app, f"/api/v1/transactions/{tx_id}")["payload"]

    assert payload == {
        "type": "readings",
        "meter": encode_address(METER_ADDRESS),
        "first_sequence": 2,
        "last_sequence": 5,
        "root": "00" * 32,
    }


def test_the_canonical_bytes_are_given_when_asked_for(node: SmallNode, app: FastAPI) -> None:
    data = node.signed()
    tx_id = submitted(node, data)

    answer = ask(
        app,
        "GET",
        f"/api/v1/transactions/{tx_id}",
        headers={"Accept": "application/octet-stream"},
    )

    assert answer.content == data
    assert answer.headers["Content-Type"] == "application/octet-stream"


def test_a_transaction_whose_milestone_is_not_durable_yet_is_pending(
    node: SmallNode, app: FastAPI
) -> None:
    tx_id = submitted(node, node.signed())
    draft = node.core.draft_milestone(
        (*node.select_parents(), node.core.confirmed_id), START_MS + 1
    )
    node.core.submit(sign_milestone(draft, (COORDINATOR,)).data, node.now())

    assert node.core.confirmed_index == 1
    assert get(app, f"/api/v1/transactions/{tx_id}")["state"] == "pending"


def test_a_journalled_transaction_that_the_core_gave_up_is_expired(
    node: SmallNode, app: FastAPI
) -> None:
    data = node.signed()
    tx_id = transaction_id(decode(data).transaction)
    node.journal.commit(Batch((Arrival(tx_id, data, START_MS),)))

    shown = get(app, f"/api/v1/transactions/{tx_id.hex()}")

    assert (shown["state"], shown["children"], shown["cumulative_weight"]) == ("expired", [], None)


def test_a_milestone_is_found_by_index_and_as_the_latest(node: SmallNode, app: FastAPI) -> None:
    submitted(node, node.signed())
    submitted(
        node,
        node.signed(transfer_operation(TransferEeuro(address_of(BOB.public), 7)), sequence=1),
    )
    submitted(
        node,
        node.signed(transfer_operation(TransferEeuro(address_of(BOB.public), 10**12)), sequence=2),
    )
    tx_id = node.confirm()

    latest = get(app, "/api/v1/milestones/latest")

    assert latest == get(app, "/api/v1/milestones/1")
    assert latest["id"] == tx_id.hex()
    assert latest["state_root"] == node.core.state_root.hex()
    assert latest["signers"] == [COORDINATOR.public.hex()]
    counts = [latest[name] for name in ("referenced", "applied", "no_value", "ignored")]
    assert counts == [3, 1, 1, 1]


def test_a_milestone_is_a_transaction_without_a_single_issuer(
    node: SmallNode, app: FastAPI
) -> None:
    tx_id = node.confirm()

    shown = get(app, f"/api/v1/transactions/{tx_id.hex()}")

    assert shown["issuer_address"] is None
    assert shown["payload"]["type"] == "milestone"
    assert shown["payload"]["state_root"] == node.core.state_root.hex()


def test_an_address_shows_what_the_ledger_holds(node: SmallNode, app: FastAPI) -> None:
    submitted(node, node.signed(transfer_operation(TransferEeuro(address_of(BOB.public), 7))))
    node.confirm()
    alice = encode_address(address_of(ALICE.public))

    shown = get(app, f"/api/v1/addresses/{alice}")

    assert shown == {
        "address": alice,
        "ent_uent": 0,
        "eeuro_ueur": 4_999_993,
        "next_sequence": 1,
        "identity": {
            "key": ALICE.public.hex(),
            "role": "member",
            "owner": None,
            "edge": None,
        },
    }


def test_an_address_that_holds_nothing_is_all_zeroes(app: FastAPI) -> None:
    shown = get(app, f"/api/v1/addresses/{encode_address(METER_ADDRESS)}")

    assert (shown["eeuro_ueur"], shown["next_sequence"], shown["identity"]) == (0, 0, None)


def test_a_registered_meter_is_a_device_before_its_first_reading(
    node: SmallNode, app: FastAPI
) -> None:
    register_meter(node)

    shown = get(app, "/api/v1/devices")

    assert shown["devices"] == [
        {
            "address": encode_address(METER_ADDRESS),
            "owner": encode_address(address_of(ALICE.public)),
            "edge": encode_address(address_of(EDGE.public)),
            "registered": True,
            "confirmed": 0,
            "twice": 0,
            "ranges": [],
            "journalled": None,
            "audited": None,
            "pruned": 0,
            "relay": None,
        }
    ]


def test_the_home_edge_audits_the_commitments_milestone_by_milestone(node: SmallNode) -> None:
    app = create_app(api_of(node, sealing_key(EDGE)))
    register_meter(node)
    taken, root = taken_readings(0, 2)
    node.journal.commit(Batch(readings=tuple(taken)))
    before = get(app, "/api/v1/devices")["devices"][0]
    submitted(node, node.signed(ReadingBatch(METER_ADDRESS, 0, 2, root), EDGE, 1))
    node.confirm()
    first = get(app, "/api/v1/devices")["devices"][0]
    forged, _ = taken_readings(3, 4)
    node.journal.commit(Batch(readings=tuple(forged)))
    submitted(node, node.signed(ReadingBatch(METER_ADDRESS, 3, 4, bytes(32)), EDGE, 2))
    repeated = submitted(node, node.signed(ReadingBatch(METER_ADDRESS, 0, 2, root), EDGE, 3))
    node.confirm()

    second = get(app, "/api/v1/devices")["devices"][0]

    assert second == get(app, "/api/v1/devices")["devices"][0]
    journalled = {
        "count": 3,
        "through": 2,
        "import_wh": 1_002,
        "export_wh": 2_002,
        "lost": 0,
        "forgotten": 0,
    }
    assert (before["confirmed"], before["audited"], before["journalled"]) == (0, 0, journalled)
    assert (first["confirmed"], first["audited"], first["ranges"]) == (3, 3, [[0, 2]])
    assert (second["confirmed"], second["audited"], second["ranges"]) == (5, 3, [[0, 4]])
    assert second["twice"] == 0
    assert get(app, f"/api/v1/transactions/{repeated}")["state"] == "ignored"


def test_a_restarted_node_counts_the_same(node: SmallNode) -> None:
    register_meter(node)
    taken, root = taken_readings(0, 2)
    node.journal.commit(Batch(readings=tuple(taken)))
    submitted(node, node.signed(ReadingBatch(METER_ADDRESS, 0, 2, root), EDGE, 1))
    node.confirm()

    shown = get(create_app(api_of(node, sealing_key(EDGE))), "/api/v1/devices")["devices"][0]

    assert (shown["confirmed"], shown["audited"]) == (3, 3)


def test_a_node_without_the_readings_counts_and_does_not_audit(
    node: SmallNode, app: FastAPI
) -> None:
    register_meter(node)
    submitted(node, node.signed(ReadingBatch(METER_ADDRESS, 0, 2, bytes(32)), EDGE, 1))
    node.confirm()

    shown = get(app, "/api/v1/devices")["devices"][0]

    assert (shown["confirmed"], shown["journalled"], shown["audited"]) == (3, None, None)


def test_a_damaged_journal_is_the_nodes_fault(node: SmallNode) -> None:
    app = create_app(api_of(node, sealing_key(BOB)))
    node.journal.commit(Batch(readings=tuple(taken_readings(0, 0)[0])))

    answer = ask(app, "GET", "/api/v1/devices")

    assert (answer.status_code, answer.json()["code"]) == (500, "DAMAGED_STORE")


def test_peers_are_shown(app: FastAPI) -> None:
    shown = get(app, "/api/v1/peers")

    assert shown["peers"] == [
        {
            "peer": PEER.peer.hex(),
            "alias": "north",
            "connected": True,
            "last_heard_ms": START_MS,
            "confirmed_index": 0,
            "standing": 100,
            "banned_until_ms": None,
        }
    ]


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("transactions/00", 400, "transaction id '00': 1 bytes, must be 32"),
        ("transactions/zz", 400, "'zz': must be lower-case hex digits"),
        (f"transactions/{'00' * 32}", 404, "this node does not have it"),
        ("milestones/1", 404, "milestone 1: the last applied one is 0"),
        ("milestones/latest", 404, "the last applied one is 0"),
        ("milestones/0", 400, "milestone index '0': must be 'latest' or from 1"),
        ("milestones/-1", 400, "'-1'"),
        ("milestones/newest", 400, "'newest'"),
        (f"milestones/{MAX_INTEGER + 1}", 400, f"must be 'latest' or from 1 to {MAX_INTEGER}"),
        (f"milestones/{MAX_INTEGER}", 404, "the last applied one is 0"),
        ("addresses/tw1qqqq", 400, "tw1qqqq"),
        ("addresses/alice", 400, "alice"),
        ("nothing", 404, "GET /api/v1/nothing: not found"),
    ],
)
def test_what_is_not_there_or_no_name_is_a_problem(
    app: FastAPI, path: str, status: int, words: str
) -> None:
    answer = ask(app, "GET", f"/api/v1/{path}")

    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert words in answer.json()["detail"]
    assert set(answer.json()) == {"type", "title", "status", "detail", "code"}


def test_another_method_is_405_with_the_allowed_ones(app: FastAPI) -> None:
    answer = ask(app, "DELETE", "/api/v1/info")

    assert (answer.status_code, answer.json()["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert answer.headers["Allow"] == "GET"


def test_the_process_is_live_and_the_node_ready(app: FastAPI) -> None:
    assert get(app, "/health/live") == {"status": "pass"}

    ready = get(app, "/health/ready")

    again = get(app, "/health")
    # Details hold times and free bytes of the moment: what is judged stays.
    judged = [(check["name"], check["status"]) for check in ready["checks"]]
    assert judged == [(check["name"], check["status"]) for check in again["checks"]]
    names = [name for name, _ in judged]
    names_wanted = "storage sync peers coordinator clock disk certificate signing settlement"
    assert names == names_wanted.split()


def test_a_node_that_stopped_confirming_is_not_ready_and_still_live(
    node: SmallNode, app: FastAPI
) -> None:
    node.core.halted = Halted(7, TransactionId(b"h" * 32), "two milestones", ())

    ready = ask(app, "GET", "/health/ready")

    assert (ready.status_code, ready.json()["status"]) == (503, "fail")
    assert "two milestones" in ready.text
    assert ask(app, "GET", "/health/live").status_code == 200


def test_a_bug_is_500_without_a_trace(service: NodeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise AssertionError("secret words")

    monkeypatch.setattr(service, "peers", broken)

    answer = ask(create_app(service), "GET", "/api/v1/peers")

    assert (answer.status_code, answer.json()["code"]) == (500, "INTERNAL_ERROR")
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text


def test_a_query_of_a_wrong_type_is_a_problem_and_never_422(service: NodeApi) -> None:
    app = create_app(service)

    @app.get("/typed")
    async def typed(number: int) -> int:
        return number

    answer = ask(app, "GET", "/typed?number=x")

    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST")
    assert answer.json()["detail"].startswith("number 'x': ")
