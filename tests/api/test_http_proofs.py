"""Proofs that a small real node gives over HTTP, checked as a stranger with genesis would."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from typing_extensions import override

from api.commands.proof_files import parse_proof_hex
from api.node.node_service import NodeApi
from api.node.proving import proved, transaction_proof
from edge.journal.entries import StoredMilestone, StoredTransaction
from edge.journal.journal import Journal
from energy.transfer import TransferEeuro, transfer_operation
from tangle.accounts import COORDINATORS_KEY, NETWORK_KEY, Token, balance_key, identity_key
from tangle.address import address_of, encode_address
from tangle.errors import NotProvableError
from tangle.genesis import genesis_hash
from tangle.node import NodeCore
from tangle.proofs import MAX_KEY_SIZE
from tangle.proven import (
    Proven,
    ProvenAddress,
    ProvenRow,
    ProvenTransaction,
    verify_proof,
)
from tangle.transaction import TransactionId, decode, transaction_id
from tests.api.asking import ask
from tests.api.small_node import ALICE, BOB, GENESIS, NETWORK, START_MS, STRANGER, SmallNode

ALICE_ADDRESS = address_of(ALICE.public)
BOB_ADDRESS = address_of(BOB.public)
TO_BOB = transfer_operation(TransferEeuro(BOB_ADDRESS, 2_000_000))
TOO_MUCH = transfer_operation(TransferEeuro(BOB_ADDRESS, 9_000_000))


def given(app: FastAPI, path: str) -> tuple[dict[str, Any], Proven]:
    """Return the summary that the node gives, and what its proof proves to a stranger."""
    answer = ask(app, "GET", f"/api/v1/proofs/{path}")
    assert answer.status_code == 200, answer.text
    file = answer.json()
    return file["about"], verify_proof(parse_proof_hex(file["proof"]), GENESIS)


def refused(app: FastAPI, path: str) -> tuple[int, str, str]:
    answer = ask(app, "GET", f"/api/v1/proofs/{path}")
    problem = answer.json()
    return answer.status_code, problem["code"], problem["detail"]


def submitted(node: SmallNode, data: bytes) -> TransactionId:
    node.take_in(data)
    return transaction_id(decode(data).transaction)


def test_an_applied_payment_is_proven_with_all_it_says(node: SmallNode, app: FastAPI) -> None:
    tx_id = submitted(node, node.signed(TO_BOB))
    submitted(node, node.signed(sequence=1))
    milestone_id = node.confirm()
    node.confirm()

    about, proven = given(app, f"transactions/{tx_id.hex()}")

    assert isinstance(proven, ProvenTransaction)
    assert (proven.tx_id, proven.is_applied, proven.milestone.index) == (tx_id, True, 1)
    assert about == {
        "kind": "transaction",
        "network": NETWORK.hex(),
        "milestone": {
            "index": 1,
            "id": milestone_id.hex(),
            "timestamp_ms": START_MS + 2_000,
            "rotations": 0,
        },
        "id": tx_id.hex(),
        "outcome": "applied",
        "issuer": ALICE.public.hex(),
        "issuer_address": encode_address(ALICE_ADDRESS),
        "sequence": 0,
        "issued_at_ms": START_MS,
        "payload": {
            "type": "operation",
            "contract": "transfer",
            "call": TO_BOB.call.hex(),
            "fields": {"call": "eeuro", "to": BOB_ADDRESS.hex(), "amount_ueur": 2_000_000},
        },
    }


def test_an_ignored_payment_and_a_note_are_referenced_and_no_more(
    node: SmallNode, app: FastAPI
) -> None:
    ignored = submitted(node, node.signed(TOO_MUCH))
    note = submitted(node, node.signed(sequence=1))
    node.confirm()

    for tx_id in (ignored, note):
        about, proven = given(app, f"transactions/{tx_id.hex()}")

        assert isinstance(proven, ProvenTransaction)
        assert not proven.is_applied
        assert about["outcome"] == "referenced"


def test_a_milestone_is_proven_by_the_next(node: SmallNode, app: FastAPI) -> None:
    first = node.confirm()
    node.confirm()

    about, proven = given(app, f"transactions/{first.hex()}")

    assert proven.milestone.index == 2
    assert (about["issuer_address"], about["payload"]["type"]) == (None, "milestone")


def test_what_no_milestone_references_is_not_provable_yet(node: SmallNode, app: FastAPI) -> None:
    tx_id = submitted(node, node.signed())

    status, code, detail = refused(app, f"transactions/{tx_id.hex()}")

    assert (status, code) == (503, "NOT_PROVABLE")
    assert detail == f"transaction {tx_id.hex()}: no milestone references it"


def test_an_address_is_proven_after_the_last_milestone(node: SmallNode, app: FastAPI) -> None:
    submitted(node, node.signed(TO_BOB))
    node.confirm()
    submitted(node, node.signed(TO_BOB, sequence=1))  # not confirmed: not there yet

    about, proven = given(app, f"addresses/{encode_address(ALICE_ADDRESS)}")

    assert isinstance(proven, ProvenAddress)
    assert (proven.eeuro_ueur, proven.next_sequence) == (3_000_000, 1)
    assert (about["eeuro_ueur"], about["identity"]["role"]) == (3_000_000, "member")
    assert (about["identity"]["owner"], about["identity"]["edge"]) == (None, None)


def test_a_stranger_provably_holds_nothing(node: SmallNode, app: FastAPI) -> None:
    node.confirm()
    stranger = encode_address(address_of(STRANGER.public))

    about, proven = given(app, f"addresses/{stranger}")

    assert isinstance(proven, ProvenAddress)
    assert about | {"milestone": None, "network": None} == {
        "kind": "address",
        "network": None,
        "milestone": None,
        "address": stranger,
        "ent_uent": 0,
        "eeuro_ueur": 0,
        "next_sequence": 0,
        "identity": None,
    }


@pytest.mark.parametrize(
    ("key", "name", "value", "fields"),
    [
        (
            balance_key(Token.EEURO, ALICE_ADDRESS),
            f"balance/eeuro/{encode_address(ALICE_ADDRESS)}",
            b"\x91\xce\x00\x4c\x4b\x40",
            {"amount": 5_000_000},
        ),
        (
            balance_key(Token.ENT, ALICE_ADDRESS),
            f"balance/ent/{encode_address(ALICE_ADDRESS)}",
            None,
            None,
        ),
        (
            COORDINATORS_KEY,
            "coordinators",
            None,
            {"keys": [GENESIS.coordinator_keys[0].hex()], "quorum": 1},
        ),
        (NETWORK_KEY, "network", genesis_hash(GENESIS), None),
        (b"\xff\x00", "0xff00", None, None),
    ],
)
def test_a_row_is_proven_or_that_there_is_none(
    node: SmallNode, app: FastAPI, key: bytes, name: str, value: bytes | None, fields: object
) -> None:
    node.confirm()

    about, proven = given(app, f"rows/{key.hex()}")

    assert isinstance(proven, ProvenRow)
    assert (proven.key, proven.value) == (key, node.core.row(key))
    assert (about["key"], about["name"], about["fields"]) == (key.hex(), name, fields)
    if key != COORDINATORS_KEY:
        assert about["value"] == (None if value is None else value.hex())


def test_before_the_first_milestone_no_row_is_provable(app: FastAPI) -> None:
    status, code, detail = refused(app, f"rows/{COORDINATORS_KEY.hex()}")

    assert (status, code) == (503, "NOT_PROVABLE")
    assert detail.startswith("rows after milestone 0: that milestone is not here")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (f"transactions/{'00' * 32}", 404, "NOT_FOUND"),
        ("transactions/00", 400, "INVALID_REQUEST"),
        ("addresses/tw1nobody", 400, "INVALID_ADDRESS"),
        ("rows/", 404, "NOT_FOUND"),
        ("rows/0", 400, "INVALID_REQUEST"),
        (f"rows/{'00' * (MAX_KEY_SIZE + 1)}", 400, "INVALID_REQUEST"),
    ],
)
def test_what_cannot_be_asked_for_is_said(app: FastAPI, path: str, status: int, code: str) -> None:
    assert refused(app, path)[:2] == (status, code)


def test_a_node_proves_the_same_after_a_restart(node: SmallNode, service: NodeApi) -> None:
    tx_id = submitted(node, node.signed(TO_BOB))
    node.confirm()
    before = asyncio.run(service.prove_row(identity_key(BOB_ADDRESS)))

    restored = node.journal.restore(GENESIS, GENESIS.parameters.reference_depth)
    node.core = NodeCore(GENESIS, node.core.rules.contracts, restored)

    assert asyncio.run(service.prove_row(identity_key(BOB_ADDRESS))) == before
    proof = transaction_proof(node.journal, tx_id)
    assert proof is not None
    assert isinstance(verify_proof(proof, GENESIS), ProvenTransaction)


class PrunedJournal(Journal):
    """A journal from which the transactions of old milestones are gone, or the milestones too."""

    keeps_milestones = True

    @override
    def milestone(self, index: int) -> StoredMilestone | None:
        return super().milestone(index) if self.keeps_milestones else None

    @override
    def referenced_by(self, index: int) -> list[StoredTransaction]:
        return super().referenced_by(index)[:1]


@pytest.fixture
def pruned(node: SmallNode) -> tuple[PrunedJournal, TransactionId]:
    first = submitted(node, node.signed())
    submitted(node, node.signed(sequence=1))
    node.confirm()
    folder: Path = node.folder
    node.journal.close()
    node.journal = PrunedJournal(folder, NETWORK)
    return node.journal, first


def test_what_was_pruned_in_part_is_not_handed_out_as_a_proof(
    pruned: tuple[PrunedJournal, TransactionId],
) -> None:
    journal, tx_id = pruned
    proof = transaction_proof(journal, tx_id)
    assert proof is not None

    with pytest.raises(NotProvableError, match="does not prove it: inclusion root"):
        proved(proof, GENESIS)


def test_a_transaction_whose_milestone_was_pruned_is_not_provable(
    pruned: tuple[PrunedJournal, TransactionId],
) -> None:
    journal, tx_id = pruned
    journal.keeps_milestones = False

    with pytest.raises(NotProvableError, match="milestone 1, which references it, is not here"):
        transaction_proof(journal, tx_id)
