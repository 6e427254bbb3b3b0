from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tangle.codec import encode
from tangle.errors import BadParentsError, BadPayloadError, MalformedBytesError
from tangle.hashing import digest
from tangle.keys import SigningKey, is_signed
from tangle.transaction import (
    MAX_CALL_SIZE,
    MAX_COORDINATOR_KEYS,
    MAX_DATA_SIZE,
    MAX_INTEGER,
    MAX_MILESTONE_PARENTS,
    MAX_TRANSACTION_SIZE,
    MILESTONE_ISSUER,
    VERSION,
    Data,
    IssuerWitness,
    KeySignature,
    Milestone,
    MilestoneWitness,
    Operation,
    Payload,
    ReadingBatch,
    SignedTransaction,
    Transaction,
    TransactionId,
    Witness,
    decode,
    decode_fields,
    preimage,
    sign,
    transaction_id,
    verify_shape,
)
from tangle.work import find_nonce, verify_work
from tests.vectors import load

VECTORS = load("transactions")
KEY = SigningKey(bytes(range(32)))
IDS = tuple(sorted(TransactionId(digest(bytes([number]))) for number in range(10)))
BATCH = ReadingBatch(IDS[5], 3, 9, IDS[6])
DATA = Data("note", b"abc")
SOME = (IDS[1], IDS[2], IDS[3], IDS[4])
MILESTONE = Milestone(7, 1_000, IDS[1], IDS[2], IDS[3], IDS[4])


def issued(payload: Payload = DATA, **changes: object) -> Transaction:
    plain = Transaction(VERSION, bytes(8), IDS[:2], KEY.public, 5, 1_000, payload)
    return msgspec.structs.replace(plain, **changes)


def milestone(payload: Milestone = MILESTONE, **changes: object) -> Transaction:
    plain = Transaction(VERSION, bytes(8), IDS[:3], MILESTONE_ISSUER, 7, 1_000, payload)
    return msgspec.structs.replace(plain, **changes)


def signed(transaction: Transaction, witness: Witness | None = None) -> SignedTransaction:
    return SignedTransaction(transaction, witness or IssuerWitness(bytes(64), bytes(8)))


hashes = st.binary(min_size=32, max_size=32)
counters = st.integers(0, MAX_INTEGER)
labels = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=64)
payloads = (
    st.builds(Data, labels, st.binary(max_size=300))
    | st.builds(ReadingBatch, hashes, counters, counters, hashes)
    | st.builds(Operation, labels, st.binary(max_size=300))
    | st.builds(Milestone, st.integers(1, MAX_INTEGER), counters, hashes, hashes, hashes, hashes)
)
transactions = st.builds(
    Transaction,
    st.integers(0, 255),
    st.binary(min_size=8, max_size=8),
    st.lists(hashes, max_size=8).map(tuple),
    hashes,
    counters,
    counters,
    payloads,
)
signatures = st.binary(min_size=64, max_size=64)
witnesses = st.builds(IssuerWitness, signatures, st.binary(min_size=8, max_size=8)) | st.builds(
    MilestoneWitness,
    st.lists(st.builds(KeySignature, hashes, signatures), min_size=1, max_size=3).map(tuple),
)


@given(transactions, witnesses)
def test_a_transaction_is_read_back_from_its_bytes(
    transaction: Transaction, witness: Witness
) -> None:
    whole = SignedTransaction(transaction, witness)

    assert decode(encode(whole)) == whole
    assert decode_fields(encode(transaction)) == transaction


@given(transactions, transactions)
def test_two_acts_never_share_an_id(first: Transaction, second: Transaction) -> None:
    assert (transaction_id(first) == transaction_id(second)) == (first == second)


@given(transactions, witnesses, witnesses)
def test_no_witness_is_a_part_of_the_id(
    transaction: Transaction, first: Witness, second: Witness
) -> None:
    ids = {
        transaction_id(decode(encode(SignedTransaction(transaction, witness))).transaction)
        for witness in (first, second)
    }

    assert ids == {transaction_id(transaction)}


def test_grinding_the_nonce_anew_keeps_the_id_and_the_work_valid() -> None:
    transaction = issued()
    tx_id = transaction_id(transaction)
    first = find_nonce(tx_id, 8)
    second = find_nonce(tx_id, 8, start=int.from_bytes(first, "big") + 1)
    signature = sign(transaction, KEY)

    copies = [
        decode(encode(signed(transaction, IssuerWitness(signature, nonce))))
        for nonce in (first, second)
    ]

    assert copies[0] != copies[1]
    for copy in copies:
        assert transaction_id(copy.transaction) == tx_id
        assert isinstance(copy.witness, IssuerWitness)
        verify_work(tx_id, copy.witness.nonce, 8)
        assert is_signed(KEY.public, preimage(copy.transaction), copy.witness.signature)


def test_what_is_signed_is_not_valid_without_its_domain() -> None:
    transaction = issued()

    signature = sign(transaction, KEY)

    assert is_signed(KEY.public, b"tanglewatt/transaction/1\0" + encode(transaction), signature)
    assert not is_signed(KEY.public, encode(transaction), signature)


@pytest.mark.parametrize("case", VECTORS["accepted"], ids=lambda case: case["name"])
def test_a_transaction_of_the_vector_is_the_same_everywhere(case: dict[str, Any]) -> None:
    data = bytes.fromhex(case["bytes"])

    whole = decode(data)

    tx_id = transaction_id(whole.transaction)
    assert encode(whole) == data
    assert tx_id.hex() == case["id"]
    assert len(encode(whole.transaction)) == case["signed_size"]
    for key in case["keys"]:
        by = SigningKey(bytes.fromhex(key["seed"]))
        assert sign(whole.transaction, by).hex() == key["signature"]
        assert is_signed(by.public, preimage(whole.transaction), bytes.fromhex(key["signature"]))
    if isinstance(whole.witness, IssuerWitness):
        verify_shape(whole.transaction, "issuer")
        verify_work(tx_id, whole.witness.nonce, case["work_bits"])
        assert whole.witness.nonce.hex() == case["nonce"]
    else:
        verify_shape(whole.transaction, "milestone")


@pytest.mark.parametrize("case", VECTORS["refused"], ids=lambda case: case["rule"])
def test_another_spelling_of_a_transaction_is_refused(case: dict[str, str]) -> None:
    with pytest.raises(MalformedBytesError):
        decode(bytes.fromhex(case["bytes"]))


def many_signatures(count: int) -> MilestoneWitness:
    return MilestoneWitness((KeySignature(KEY.public, bytes(64)),) * count)


@pytest.mark.parametrize(
    "whole",
    [
        pytest.param(signed(issued(version=256)), id="version of two bytes"),
        pytest.param(signed(issued(version=-1)), id="negative version"),
        pytest.param(signed(issued(network=bytes(7))), id="short network"),
        pytest.param(signed(issued(network=bytes(9))), id="long network"),
        pytest.param(signed(issued(parents=IDS[:9])), id="9 parents"),
        pytest.param(signed(issued(parents=(IDS[0], IDS[1][:31]))), id="short parent"),
        pytest.param(signed(issued(parents=(IDS[0], IDS[1] + b"\0"))), id="long parent"),
        pytest.param(signed(issued(issuer=bytes(31))), id="short issuer"),
        pytest.param(signed(issued(issuer=bytes(33))), id="long issuer"),
        pytest.param(signed(issued(sequence=-1)), id="negative sequence"),
        pytest.param(signed(issued(sequence=2**63)), id="sequence too large"),
        pytest.param(signed(issued(issued_at_ms=-1)), id="negative time"),
        pytest.param(signed(issued(issued_at_ms=2**63)), id="time too large"),
        pytest.param(signed(issued(Data("", b""))), id="empty label"),
        pytest.param(signed(issued(Data("n" * 65, b""))), id="long label"),
        pytest.param(signed(issued(Data("é", b""))), id="label that is not ASCII"),
        pytest.param(signed(issued(Data("n", bytes(MAX_DATA_SIZE + 1)))), id="long data"),
        pytest.param(signed(issued(Operation("n", bytes(MAX_CALL_SIZE + 1)))), id="long call"),
        pytest.param(signed(issued(Operation("a b", b""))), id="contract with a space"),
        pytest.param(signed(issued(ReadingBatch(bytes(31), 0, 0, IDS[0]))), id="short meter"),
        pytest.param(signed(issued(ReadingBatch(IDS[0], 0, 0, bytes(33)))), id="long root"),
        pytest.param(signed(issued(ReadingBatch(IDS[0], -1, 0, IDS[0]))), id="negative reading"),
        pytest.param(signed(issued(ReadingBatch(IDS[0], 0, 2**63, IDS[0]))), id="large reading"),
        pytest.param(signed(milestone(Milestone(0, 1, *SOME))), id="milestone 0"),
        pytest.param(signed(milestone(Milestone(1, -1, *SOME))), id="milestone before time"),
        pytest.param(
            signed(milestone(Milestone(1, 1, *SOME[:3], bytes(31)))), id="short state root"
        ),
        pytest.param(signed(issued(), IssuerWitness(bytes(63), bytes(8))), id="short signature"),
        pytest.param(signed(issued(), IssuerWitness(bytes(65), bytes(8))), id="long signature"),
        pytest.param(signed(issued(), IssuerWitness(bytes(64), bytes(7))), id="short nonce"),
        pytest.param(signed(issued(), IssuerWitness(bytes(64), bytes(9))), id="long nonce"),
        pytest.param(signed(milestone(), many_signatures(0)), id="no signature"),
        pytest.param(
            signed(milestone(), many_signatures(MAX_COORDINATOR_KEYS + 1)), id="33 signatures"
        ),
    ],
)
def test_a_field_outside_its_limits_does_not_decode(whole: SignedTransaction) -> None:
    with pytest.raises(MalformedBytesError):
        decode(encode(whole))


@pytest.mark.parametrize(
    "whole",
    [
        pytest.param(signed(issued(version=0)), id="version 0"),
        pytest.param(signed(issued(version=255)), id="version 255"),
        pytest.param(signed(issued(parents=())), id="no parents"),
        pytest.param(signed(issued(sequence=MAX_INTEGER)), id="last sequence"),
        pytest.param(signed(issued(Data("~" * 64, bytes(MAX_DATA_SIZE)))), id="longest data"),
        pytest.param(signed(issued(Operation("!", bytes(MAX_CALL_SIZE)))), id="longest call"),
        pytest.param(
            signed(milestone(parents=IDS[:8]), many_signatures(MAX_COORDINATOR_KEYS)),
            id="largest milestone",
        ),
    ],
)
def test_a_field_at_its_limit_decodes(whole: SignedTransaction) -> None:
    assert decode(encode(whole)) == whole
    assert len(encode(whole)) <= MAX_TRANSACTION_SIZE


def test_more_bytes_than_a_transaction_may_have_are_refused() -> None:
    with pytest.raises(MalformedBytesError, match="32769 bytes: the maximum is 32768"):
        decode(bytes(MAX_TRANSACTION_SIZE + 1))


def test_signed_fields_alone_are_no_whole_transaction() -> None:
    with pytest.raises(MalformedBytesError):
        decode(encode(issued()))
    with pytest.raises(MalformedBytesError):
        decode_fields(encode(signed(issued())))


@pytest.mark.parametrize(
    ("transaction", "kind", "error"),
    [
        pytest.param(issued(parents=()), "issuer", BadParentsError, id="no parents"),
        pytest.param(issued(parents=IDS[:1]), "issuer", BadParentsError, id="one parent"),
        pytest.param(issued(parents=IDS[:3]), "issuer", BadParentsError, id="three parents"),
        pytest.param(issued(parents=IDS[1::-1]), "issuer", BadParentsError, id="unsorted"),
        pytest.param(issued(parents=IDS[:1] * 2), "issuer", BadParentsError, id="repeated"),
        pytest.param(
            milestone(parents=IDS[1:2]), "milestone", BadParentsError, id="milestone, one parent"
        ),
        pytest.param(
            milestone(parents=IDS[:9]), "milestone", BadParentsError, id="milestone, 9 parents"
        ),
        pytest.param(
            milestone(parents=(*IDS[1:4], IDS[0])), "milestone", BadParentsError, id="late unsorted"
        ),
        pytest.param(
            milestone(parents=(IDS[1], *IDS[1:3])), "milestone", BadParentsError, id="late repeated"
        ),
        pytest.param(
            milestone(parents=IDS[2:5]), "milestone", BadParentsError, id="previous not approved"
        ),
        pytest.param(
            issued(issuer=MILESTONE_ISSUER), "issuer", BadPayloadError, id="reserved issuer"
        ),
        pytest.param(
            issued(BATCH, issuer=MILESTONE_ISSUER), "issuer", BadPayloadError, id="reserved, batch"
        ),
        pytest.param(
            issued(ReadingBatch(IDS[0], 9, 8, IDS[1])), "issuer", BadPayloadError, id="backwards"
        ),
        pytest.param(
            milestone(parents=IDS[:2]), "issuer", BadPayloadError, id="milestone by an issuer"
        ),
        pytest.param(issued(), "milestone", BadPayloadError, id="data by coordinators"),
        pytest.param(milestone(issuer=KEY.public), "milestone", BadPayloadError, id="issuer"),
        pytest.param(
            milestone(sequence=8), "milestone", BadPayloadError, id="index repeated wrong"
        ),
        pytest.param(
            milestone(issued_at_ms=1_001), "milestone", BadPayloadError, id="time repeated wrong"
        ),
    ],
)
def test_a_contradiction_is_refused(
    transaction: Transaction,
    kind: Literal["issuer", "milestone"],
    error: type[BadParentsError] | type[BadPayloadError],
) -> None:
    with pytest.raises(error):
        verify_shape(transaction, kind)


@pytest.mark.parametrize(
    ("transaction", "kind"),
    [
        pytest.param(issued(), "issuer", id="data"),
        pytest.param(issued(BATCH), "issuer", id="batch"),
        pytest.param(issued(ReadingBatch(IDS[0], 9, 9, IDS[1])), "issuer", id="one reading"),
        pytest.param(issued(Operation("transfer", b"")), "issuer", id="operation"),
        pytest.param(milestone(parents=IDS[:2]), "milestone", id="milestone, 2 parents"),
        pytest.param(
            milestone(parents=IDS[:MAX_MILESTONE_PARENTS]), "milestone", id="milestone, 8 parents"
        ),
    ],
)
def test_what_contradicts_nothing_passes(
    transaction: Transaction, kind: Literal["issuer", "milestone"]
) -> None:
    verify_shape(transaction, kind)
