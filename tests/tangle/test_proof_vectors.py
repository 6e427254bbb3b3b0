from typing import Any

import pytest

from tangle.errors import InvalidProofError
from tangle.genesis import decode_genesis
from tangle.proofs import decode_proof
from tangle.proven import ProvenAddress, ProvenRow, ProvenTransaction, verify_proof
from tests.vectors import load

VECTORS = load("proofs")
GENESIS = decode_genesis(bytes.fromhex(VECTORS["genesis"]))

WORDS = {  # how the refusal names what differs
    "the checksum is of the proof": "the checksum is",
    "a quorum of the keys must sign": "milestone: milestone 5: 1 signatures, 2 are needed",
    "keys hold no longer than to their rotation": "milestone: milestone 25: .* no coordinator key",
    "keys do not hold at their own rotation": "milestone: milestone 10: .* no coordinator key",
    "no rotation is left out": "rotation 0: milestone 20: .* no coordinator key",
    "rotations are in order": "rotation 0: milestone 20: .* no coordinator key",
    "a rotation is before the milestone": "is not later",
    "a rotation changes the keys": "rotation 1: the coordinator keys are the same",
    "a quorum is more than half of the keys": "rotation 1: a quorum of 1 of 2",
    "the row of a rotation is under its state root": "rotation 1: the proof leads to root",
    "the network is that of genesis": "milestone: network",
    "the transaction is under the inclusion root": "inclusion root: the proof leads to root",
    "the issuer signed the transaction": "transaction: signature",
    "an applied transaction is under the applied root": "applied root:",
    "a row that is there is not absent": "ends in its row: it is present",
}


@pytest.mark.parametrize("case", VECTORS["accepted"], ids=lambda case: case["name"])
def test_an_accepted_vector_proves_what_it_says(case: dict[str, Any]) -> None:
    proven = verify_proof(decode_proof(bytes.fromhex(case["bytes"])), GENESIS)

    milestone = proven.milestone
    assert (milestone.index, milestone.timestamp_ms) == (case["index"], case["timestamp_ms"])
    match proven:
        case ProvenTransaction():
            assert (proven.tx_id.hex(), proven.is_applied) == (case["id"], case["applied"])
        case ProvenRow():
            value = None if proven.value is None else proven.value.hex()
            assert (proven.key.hex(), value) == (case["key"], case["value"])
        case ProvenAddress():
            assert proven.address.hex() == case["address"]
            assert proven.eeuro_ueur == case["eeuro_ueur"]
            assert (proven.ent_uent, proven.next_sequence) == (0, 0)
            assert (None if proven.identity is None else proven.identity.role) == case["role"]


@pytest.mark.parametrize("case", VECTORS["refused"], ids=lambda case: case["rule"])
def test_a_refused_vector_breaks_its_rule_and_no_other(case: dict[str, str]) -> None:
    with pytest.raises(InvalidProofError, match=WORDS[case["rule"]]):
        verify_proof(decode_proof(bytes.fromhex(case["bytes"])), GENESIS)
