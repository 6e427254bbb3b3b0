"""A door asks more work of who sends much, says so, and asks nobody else."""

from fastapi import FastAPI

from edge.node.local_difficulty import FREE_BURST
from tangle.codec import encode
from tangle.transaction import IssuerWitness, SignedTransaction, decode, sign, transaction_id
from tangle.work import find_nonce, required_bits
from tests.api.asking import ask, post
from tests.api.small_node import ALICE, BOB, SmallNode
from tests.api.test_http_submit import BATCH, BYTES, JSON, body_of, item_of


def fill(node: SmallNode, app: FastAPI, count: int = FREE_BURST) -> None:
    """Take in what is free, with no more work than the network asks."""
    answer = post(app, encode([node.signed(sequence=number) for number in range(count)]), BATCH)
    assert answer.status_code == 200
    assert all("id" in one for one in answer.json()["results"])


def poor(node: SmallNode, sequence: int) -> bytes:
    """Return bytes with exactly the work of the network."""
    transaction = node.draft(sequence=sequence)
    bits, tx_id = required_bits(len(encode(transaction)), 1), transaction_id(transaction)
    nonce = find_nonce(tx_id, bits)
    while nonce == find_nonce(tx_id, bits + 1, int.from_bytes(nonce, "big")):
        nonce = find_nonce(tx_id, bits, int.from_bytes(nonce, "big") + 1)
    return encode(SignedTransaction(transaction, IssuerWitness(sign(transaction, ALICE), nonce)))


def test_who_sends_much_is_asked_for_more_work_and_told_when_to_retry(
    node: SmallNode, app: FastAPI
) -> None:
    fill(node, app)
    data = poor(node, FREE_BURST)

    refused = post(app, data, BYTES)
    node.clock_ms += 1_000
    later = post(app, data, BYTES)

    problem = refused.json()["results"][0]["problem"]
    bits = required_bits(len(encode(decode(data).transaction)), 1)
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "1"
    assert refused.json()["code"] == problem["code"] == "MORE_WORK_NEEDED"
    assert (problem["bits_found"], problem["bits_asked"]) == (bits, bits + 1)
    assert problem["retry_after_s"] == 1
    assert later.status_code == 200


def test_more_work_is_taken_at_once_and_others_are_asked_for_nothing(
    node: SmallNode, app: FastAPI
) -> None:
    fill(node, app)
    transaction = node.draft(sequence=FREE_BURST)
    bits = required_bits(len(encode(transaction)), 1) + 1
    nonce = find_nonce(transaction_id(transaction), bits)

    rich = post(app, body_of(item_of(transaction, nonce)), JSON)
    other = post(app, node.signed(key=BOB), BYTES)

    assert (rich.status_code, other.status_code) == (200, 200)


def test_the_node_does_not_do_the_work_that_its_door_asks_for(
    node: SmallNode, app: FastAPI
) -> None:
    fill(node, app)
    worked = node.worked

    refused = post(app, body_of(item_of(node.draft(sequence=FREE_BURST)), work=True), JSON)

    assert refused.json()["code"] == "MORE_WORK_NEEDED"
    assert node.worked == worked


def test_the_same_bytes_again_count_once_and_a_refusal_counts_nothing(
    node: SmallNode, app: FastAPI
) -> None:
    fill(node, app, FREE_BURST - 2)
    data = node.signed(sequence=0)
    post(app, data, BYTES)
    post(app, data, BYTES)
    post(app, data[:-1] + b"x", BYTES)

    tips = ask(app, "GET", f"/api/v1/tips?issuer={ALICE.public.hex()}").json()

    assert tips["more_bits"] == 0  # one more, and it would be 1


def test_tips_tell_what_work_an_issuer_needs(node: SmallNode, app: FastAPI) -> None:
    fill(node, app)

    hers = ask(app, "GET", f"/api/v1/tips?issuer={ALICE.public.hex()}").json()
    his = ask(app, "GET", f"/api/v1/tips?issuer={BOB.public.hex()}").json()
    nonsense = ask(app, "GET", "/api/v1/tips?issuer=me")

    assert (hers["more_bits"], his["more_bits"]) == (1, 0)
    assert nonsense.status_code == 400
