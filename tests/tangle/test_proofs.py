"""Proofs over states and milestones made by hand: what holds, and what no longer does."""

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tangle.accounts import COORDINATORS_KEY, Token, balance_key
from tangle.address import Address, address_of
from tangle.anchors import Anchor
from tangle.codec import encode
from tangle.errors import InvalidError, InvalidProofError, MalformedBytesError
from tangle.genesis import Genesis, entry_points
from tangle.hashing import digest, domain
from tangle.merkle import merkle_root
from tangle.proofs import (
    AddressProof,
    Proof,
    RowProof,
    TransactionProof,
    decode_proof,
    encode_proof,
    prove_address,
    prove_row,
    prove_transaction,
)
from tangle.proven import (
    ProvenAddress,
    ProvenRow,
    ProvenTransaction,
    verify_address_proof,
    verify_proof,
    verify_row_proof,
    verify_transaction_proof,
)
from tangle.rows import Rows
from tangle.transaction import IssuerWitness, SignedTransaction, TransactionId
from tangle.trie import Trie
from tangle.verification import parse
from tests.community import COINS_UEUR, START_MS, Maker, key, member_key
from tests.tangle.anchoring import (
    FIRST_KEYS,
    GENESIS,
    ROWS,
    SECOND_KEYS,
    THIRD_KEYS,
    Said,
    genesis_of,
    milestone_bytes,
    named,
    rotated,
)

MAKE = Maker(GENESIS)
G, H = entry_points(GENESIS)
ALICE = address_of(member_key(0).public)
NOBODY = address_of(key(1).public)
PAYMENT = MAKE.transfer(member_key(0), 0, (G, H), address_of(member_key(1).public), 5)
OTHERS = tuple(MAKE.transaction(member_key(1), number, (G, H)).tx_id for number in range(4))
REFERENCED = (*OTHERS[:3], PAYMENT.tx_id, OTHERS[3])
APPLIED = (OTHERS[0], PAYMENT.tx_id)
SAID = Said(41, ROWS, REFERENCED, APPLIED)
ANCHOR = Anchor((), milestone_bytes(SAID))
TRIE, STATE = Trie.of(ROWS), Rows(ROWS)
EEURO_KEY = balance_key(Token.EEURO, ALICE)

TRANSACTION = prove_transaction(ANCHOR, (PAYMENT.tx_id, PAYMENT.data), REFERENCED, APPLIED)
ROW = prove_row(ANCHOR, TRIE, STATE, EEURO_KEY)
ABSENT = prove_row(ANCHOR, TRIE, STATE, balance_key(Token.ENT, ALICE))
ADDRESS = prove_address(ANCHOR, TRIE, STATE, ALICE)
PROOFS: tuple[Proof, ...] = (TRANSACTION, ROW, ABSENT, ADDRESS)


def resealed(body: bytes) -> bytes:
    """Return the bytes of a proof whose maker computed the checksum anew."""
    return b"\x92" + body + b"\xc4\x20" + digest(domain("proof") + body)


def refusal(proof: Proof) -> str:
    with pytest.raises(InvalidProofError) as refused:
        verify_proof(proof, GENESIS)
    return str(refused.value)


# What is proven.


def test_a_payee_learns_that_a_payment_was_applied() -> None:
    proven = verify_transaction_proof(TRANSACTION, GENESIS)

    assert proven == ProvenTransaction(
        proven.milestone, PAYMENT.tx_id, PAYMENT.transaction, is_applied=True
    )
    assert (proven.milestone.index, proven.milestone.timestamp_ms) == (41, START_MS + 82_000)
    assert proven.milestone.milestone_id == parse(ANCHOR.milestone).tx_id


def test_without_the_applied_part_a_transaction_is_referenced_and_no_more() -> None:
    proof = prove_transaction(ANCHOR, (PAYMENT.tx_id, PAYMENT.data), REFERENCED, ())

    proven = verify_transaction_proof(proof, GENESIS)

    assert not proven.is_applied
    assert proven.tx_id == PAYMENT.tx_id


def test_a_milestone_is_proven_under_a_later_one() -> None:
    earlier = parse(milestone_bytes(Said(40)))
    anchor = Anchor((), milestone_bytes(Said(41, ROWS, (earlier.tx_id,))))

    proven = verify_transaction_proof(
        prove_transaction(anchor, (earlier.tx_id, earlier.data), (earlier.tx_id,), ()), GENESIS
    )

    assert proven.transaction == earlier.transaction


def test_a_row_is_present_with_its_value_or_absent() -> None:
    present, absent = verify_row_proof(ROW, GENESIS), verify_row_proof(ABSENT, GENESIS)

    assert present == ProvenRow(present.milestone, EEURO_KEY, ROWS[EEURO_KEY])
    assert absent.value is None


def test_an_address_holds_what_its_rows_say() -> None:
    proven = verify_address_proof(ADDRESS, GENESIS)

    assert (proven.ent_uent, proven.eeuro_ueur, proven.next_sequence) == (0, COINS_UEUR, 0)
    assert proven.identity is not None
    assert proven.identity.role == "member"


def test_an_address_that_nobody_knows_provably_holds_nothing() -> None:
    proven = verify_address_proof(prove_address(ANCHOR, TRIE, STATE, NOBODY), GENESIS)

    assert proven == ProvenAddress(proven.milestone, NOBODY, 0, 0, 0, None)


@pytest.mark.parametrize("index", [21, 400])
def test_proofs_hold_over_two_rotations(index: int) -> None:
    rotations = (
        rotated(10, named(SECOND_KEYS)),
        rotated(20, named(THIRD_KEYS), SECOND_KEYS[1:]),
    )
    rows = {**ROWS, COORDINATORS_KEY: named(THIRD_KEYS)}
    said = replace(SAID, index=index, rows=rows)
    anchor = Anchor(rotations, milestone_bytes(said, THIRD_KEYS))
    trie, state = Trie.of(rows), Rows(rows)

    proofs = (
        prove_transaction(anchor, (PAYMENT.tx_id, PAYMENT.data), REFERENCED, APPLIED),
        prove_row(anchor, trie, state, EEURO_KEY),
        prove_address(anchor, trie, state, ALICE),
    )

    for proof in proofs:
        proven = verify_proof(decode_proof(encode_proof(proof)), GENESIS)
        assert proven.milestone.index == index
        unfounded = msgspec.structs.replace(proof, anchor=Anchor((), anchor.milestone))
        assert "is no coordinator key" in refusal(unfounded) or "signatures" in refusal(unfounded)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.binary(max_size=2), st.binary(max_size=3), min_size=1, max_size=30),
    st.binary(max_size=2),
)
def test_any_row_of_any_state_is_proven_as_it_is(rows: dict[bytes, bytes], wanted: bytes) -> None:
    anchor = Anchor((), milestone_bytes(Said(3, rows)))
    proof = prove_row(anchor, Trie.of(rows), Rows(rows), wanted)

    proven = verify_proof(decode_proof(encode_proof(proof)), GENESIS)

    assert proven == ProvenRow(proven.milestone, wanted, rows.get(wanted))


# What is refused.


@pytest.mark.parametrize("proof", PROOFS, ids=["transaction", "row", "absent", "address"])
@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_a_proof_with_any_byte_changed_is_refused(proof: Proof, data: st.DataObject) -> None:
    sent = encode_proof(proof)
    at = data.draw(st.integers(0, len(sent) - 1))
    changed = bytearray(sent)
    changed[at] ^= data.draw(st.integers(1, 255))

    with pytest.raises((InvalidProofError, MalformedBytesError)):
        verify_proof(decode_proof(bytes(changed)), GENESIS)


@pytest.mark.parametrize("proof", PROOFS, ids=["transaction", "row", "absent", "address"])
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_who_also_mends_the_checksum_still_proves_only_what_is_true(
    proof: Proof, data: st.DataObject
) -> None:
    body = bytearray(encode(proof))
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] ^= data.draw(st.integers(1, 255))

    try:
        proven = verify_proof(decode_proof(resealed(bytes(body))), GENESIS)
    except InvalidError:
        return

    assert is_true(proven)


def is_true(proven: ProvenTransaction | ProvenRow | ProvenAddress) -> bool:
    match proven:
        case ProvenTransaction():
            return proven.tx_id in (APPLIED if proven.is_applied else REFERENCED)
        case ProvenRow():
            return proven.value == ROWS.get(proven.key)
        case ProvenAddress():
            held = verify_address_proof(
                prove_address(ANCHOR, TRIE, STATE, Address(proven.address)), GENESIS
            )
            return proven == held


@pytest.mark.parametrize("proof", PROOFS, ids=["transaction", "row", "absent", "address"])
def test_a_proof_cut_short_or_lengthened_is_no_proof(proof: Proof) -> None:
    sent = encode_proof(proof)

    for size in range(0, len(sent), 7):
        with pytest.raises(MalformedBytesError):
            decode_proof(sent[:size])
    with pytest.raises(MalformedBytesError):
        decode_proof(sent + b"\0")


def test_another_checksum_is_named() -> None:
    sent = encode_proof(ROW)

    with pytest.raises(InvalidProofError, match=r"the checksum is .*, of these bytes it would be"):
        decode_proof(sent[:-1] + bytes([sent[-1] ^ 1]))


@pytest.mark.parametrize(
    ("foreign", "words"),
    [
        (genesis_of(name="other"), "milestone: network"),
        (genesis_of(SECOND_KEYS), "milestone: network"),
    ],
)
def test_a_proof_says_nothing_about_another_network(foreign: Genesis, words: str) -> None:
    for proof in PROOFS:
        with pytest.raises(InvalidProofError, match=words):
            verify_proof(proof, foreign)


def test_a_milestone_of_one_signature_too_few_proves_nothing() -> None:
    weak = Anchor((), milestone_bytes(SAID, FIRST_KEYS[:1]))

    for proof in PROOFS:
        assert "1 signatures, 2 are needed" in refusal(msgspec.structs.replace(proof, anchor=weak))


def changed_transaction(**changes: object) -> TransactionProof:
    return msgspec.structs.replace(TRANSACTION, **changes)


def other_payment() -> bytes:
    return MAKE.transfer(member_key(0), 1, (G, H), address_of(member_key(2).public), 5).data


def unsigned_payment() -> bytes:
    witness = parse(PAYMENT.data).witness
    assert isinstance(witness, IssuerWitness)
    forged = IssuerWitness(bytes(64), witness.nonce)
    return encode(SignedTransaction(PAYMENT.transaction, forged))


@pytest.mark.parametrize(
    ("proof", "words"),
    [
        (changed_transaction(transaction=other_payment()), "inclusion root: the proof leads to"),
        (changed_transaction(transaction=unsigned_payment()), "transaction: signature"),
        (changed_transaction(transaction=b"junk"), "transaction: transaction of 4 bytes"),
        (changed_transaction(transaction=milestone_bytes(SAID)), "milestone 41 is not before 41"),
        (
            changed_transaction(transaction=milestone_bytes(Said(40), FIRST_KEYS[:1])),
            "transaction: milestone 40: 1 signatures",
        ),
        (
            changed_transaction(
                transaction=Maker(genesis_of(name="other"))
                .transaction(member_key(0), 0, (G, H))
                .data
            ),
            "transaction: network",
        ),
        (changed_transaction(inclusion=TRANSACTION.applied), "inclusion root"),
        (changed_transaction(applied=TRANSACTION.inclusion), "applied root"),
        (
            prove_transaction(ANCHOR, (PAYMENT.tx_id, PAYMENT.data), REFERENCED, (PAYMENT.tx_id,)),
            "applied root: the proof leads to",
        ),
    ],
)
def test_a_transaction_that_is_not_under_the_roots_is_refused(
    proof: TransactionProof, words: str
) -> None:
    assert words in refusal(proof)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ent": ADDRESS.eeuro}, "row under the state root of milestone 41"),
        ({"eeuro": ADDRESS.ent}, "row under the state root of milestone 41"),
        ({"address": NOBODY}, "row under the state root of milestone 41"),
        ({"identity": ADDRESS.sequence}, "row under the state root of milestone 41"),
    ],
)
def test_the_rows_of_an_address_are_held_against_its_own_keys(
    changes: dict[str, object], words: str
) -> None:
    assert words in refusal(msgspec.structs.replace(ADDRESS, **changes))


def test_a_present_row_cannot_be_left_out_and_an_absent_one_not_be_made_up() -> None:
    without = msgspec.structs.replace(ROW.row, value=None)
    made_up = msgspec.structs.replace(ABSENT.row, value=b"\x91\x01")

    assert "it is present" in refusal(msgspec.structs.replace(ROW, row=without))
    assert "row under the state root" in refusal(msgspec.structs.replace(ABSENT, row=made_up))


def test_a_row_that_is_no_balance_is_refused_as_the_balance_of_an_address() -> None:
    rows = {**ROWS, EEURO_KEY: b"much"}
    anchor = Anchor((), milestone_bytes(Said(41, rows)))
    proof: AddressProof = prove_address(anchor, Trie.of(rows), Rows(rows), ALICE)

    assert "value of a row: balance row" in refusal(proof)


def test_a_row_of_an_older_state_is_refused() -> None:
    older = Trie.of({**ROWS, b"more": b"1"})
    proof: RowProof = prove_row(ANCHOR, older, STATE, EEURO_KEY)

    assert "the proof leads to root" in refusal(proof)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.data())
def test_every_transaction_of_a_milestone_is_proven_and_no_other(
    count: int, data: st.DataObject
) -> None:
    position = data.draw(st.integers(0, count))
    ids = [TransactionId(digest(bytes([number]))) for number in range(count)]
    ids.insert(position, PAYMENT.tx_id)
    said = Said(5, ROWS, tuple(ids), (PAYMENT.tx_id,))
    anchor = Anchor((), milestone_bytes(said))
    proof = prove_transaction(anchor, (PAYMENT.tx_id, PAYMENT.data), ids, said.applied)

    proven = verify_transaction_proof(proof, GENESIS)

    assert proven.milestone.payload.inclusion_root == merkle_root(ids)
    assert "inclusion root" in refusal(msgspec.structs.replace(proof, transaction=other_payment()))
