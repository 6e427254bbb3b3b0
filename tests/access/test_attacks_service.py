"""Attacks on service nodes, receipts and records of them, by their numbers in the design."""

import json
from typing import Final

import msgspec

from access.codes import Code
from access.matching.certification import (
    NO_POLICY,
    CertificationNode,
    Remember,
    SealAndSend,
    SendOpen,
)
from access.matching.gathering import gather, sought
from access.matching.message import decode_answer
from access.matching.serving import (
    Fetch,
    Serve,
    ServiceVantage,
    SignedFetch,
    StoredChunk,
    fetch_message,
    judge_fetch,
)
from access.requests.receipt import (
    NO_RECEIPT,
    SignedReceipt,
    decode_receipt,
    first_gap,
    receipt_message,
)
from access.requests.requesting import Activate, Served
from access.streams.rules import EraseChunks, OpenStream
from access.streams.sealing import (
    Addresses,
    PrivacyRecord,
    open_addresses,
    open_privacy,
    open_readings,
    seal_chunk,
)
from access.streams.stream import stream_id
from access.threshold.feldman import MAX_THRESHOLD
from tangle.codec import encode
from tangle.hashing import digest
from tangle.keys import SigningKey, is_signed
from tangle.outcomes import Reason
from tangle.transaction import MAX_CALL_SIZE
from tests.access.world import (
    DAY_MS,
    GENESIS_HASH,
    METER,
    NEIGHBOUR,
    NODE_KEYS,
    NODES,
    NOW_MS,
    OWNER,
    SKEW_MS,
    SLOT_MS,
    STATION,
    STRANGER,
    SUBJECT,
    Made,
    World,
    address,
    new_world,
    next_key,
)
from tests.community import edge_key

SERVICE: Final = edge_key(6)
NONCE: Final = b"n" * 32
RECORD: Final = PrivacyRecord(bytes(16), "a", "b", "", 0)


def stored(world: World) -> dict[bytes, StoredChunk]:
    found: dict[bytes, StoredChunk] = {}
    for number, sealed in world.sealed.items():
        both = frozenset({digest(sealed.data), digest(sealed.privacy)})
        found |= dict.fromkeys(both, StoredChunk(world.stream, number, both))
    return found


def active(world: World) -> Made:
    made = world.request(world.granted())
    world.must(world.activate(made, world.answers(made)))
    return made


def fetched(
    world: World, made: Made, *, signer: SigningKey = SUBJECT, **changed: object
) -> Serve | Code:
    """Return what the service node makes of a fetch of the second chunk."""
    sealed = world.sealed[1]
    both = (digest(sealed.data), digest(sealed.privacy))
    fetch = Fetch(GENESIS_HASH, address(SERVICE), made.request, 1, both, NONCE)
    fetch = msgspec.structs.replace(fetch, **changed)
    data = encode(SignedFetch(fetch, signer.sign(fetch_message(fetch))))
    return judge_fetch(data, service(world))


def service(world: World, **changed: object) -> ServiceVantage:
    usual = {
        "node": address(SERVICE),
        "rows": world.rows,
        "now_ms": world.now_ms,
        "nonces": {NONCE},
        "stored": stored(world),
    }
    return ServiceVantage(**{**usual, **changed})  # type: ignore[arg-type] # fields by name


def test_the_seven_steps_end_with_the_readings_and_the_owners_record() -> None:
    world = new_world()
    made = world.request(world.granted())  # steps 1 and 2
    answers = world.answers(made, (2, 4, 5))  # 3 and 4
    world.must(world.activate(made, answers))  # 5
    wanted = sought(world.rows, made.request, 1)
    assert wanted is not None
    key = gather(world.rows, wanted, answers).result  # 6
    assert isinstance(key, bytes)
    one = wanted.chunk
    addresses = open_addresses(key, wanted.label, one.key_commitment, one.sealed_addresses)
    assert isinstance(addresses, Addresses)

    served = fetched(world, made, addresses=(addresses.data, addresses.privacy))  # 7

    assert isinstance(served, Serve)
    assert (served.kem_key, served.nonce) == (made.kem_key, NONCE)
    sealed = world.sealed[1]
    got = open_readings(key, wanted.label, one.root, addresses.data, sealed.data)
    assert got == [(1, b"reading 1")]
    record = open_privacy(addresses.privacy, sealed.privacy)
    assert isinstance(record, PrivacyRecord)
    assert record.terms == "delete it"
    report = world.must(world.do(Served((made.request,)), SERVICE))
    assert [event.name for event in report.events] == ["access.served"]


def test_attack_s1_two_distinct_addresses_of_this_chunk_or_nothing() -> None:
    world = new_world()
    made = active(world)
    mine, other = world.sealed[1], world.sealed[0]
    data, privacy = digest(mine.data), digest(mine.privacy)
    refused = [
        (),
        (data,),
        (data, data),
        (data, privacy, data),
        (data, digest(other.privacy)),
        (digest(other.data), digest(other.privacy)),
        (data, bytes(32)),
    ]

    assert isinstance(fetched(world, made, addresses=(privacy, data)), Serve)
    for addresses in refused:
        assert fetched(world, made, addresses=addresses) is Code.DENY_ADDRESSES, addresses
    assert fetched(world, made, chunk=5) is Code.DENY_SCOPE


def test_attack_s2_addresses_are_nowhere_on_the_ledger_and_need_an_activation() -> None:
    world = new_world()
    made = world.request(world.granted())
    whole = b"".join(key + value for key, value in world.rows.scan(b""))

    for sealed in world.sealed.values():
        assert digest(sealed.data) not in whole
        assert digest(sealed.privacy) not in whole
    assert fetched(world, made) is Code.DENY_INACTIVE
    assert fetched(world, made, request=bytes(32)) is Code.DENY_UNCONFIRMED


def test_attack_s2_the_address_of_a_privacy_record_cannot_be_guessed() -> None:
    world = new_world()
    one = PrivacyRecord(b"a" * 16, "someone", "charging", "delete it", DAY_MS)
    two = msgspec.structs.replace(one, salt=b"b" * 16)
    label, public = world.label(20), world.held_vault().public

    first, second = (
        seal_chunk(public, label, [(0, b"x")], record, bytes(range(128))) for record in (one, two)
    )

    assert digest(first.privacy) != digest(second.privacy)


def test_attack_s3_a_service_node_that_alters_anything_is_noticed() -> None:
    world = new_world()
    made = world.request(world.granted())
    wanted = sought(world.rows, made.request, 1)
    assert wanted is not None
    key = gather(world.rows, wanted, world.answers(made)).result
    assert isinstance(key, bytes)
    one, sealed = wanted.chunk, world.sealed[1]
    address_of_data = digest(sealed.data)

    for bad in (b"", sealed.data[:-1], sealed.data + b"\x00", world.sealed[0].data):
        got = open_readings(key, wanted.label, one.root, address_of_data, bad)
        assert got is Code.DAMAGED
        # even if it had been stored so from the start: the device signed another root
        forced = open_readings(key, wanted.label, one.root, digest(bad), bad)
        assert forced is Code.DAMAGED
    for bad in (b"", sealed.privacy[:-1]):
        assert open_privacy(digest(sealed.privacy), bad) is Code.DAMAGED
        assert open_privacy(digest(bad), bad) is Code.DAMAGED
    wrong = open_readings(bytes(32), wanted.label, one.root, address_of_data, sealed.data)
    assert wrong is Code.DAMAGED


def test_attack_s4_an_activation_serves_its_requester_alone_and_each_nonce_once() -> None:
    world = new_world()
    made = active(world)

    assert fetched(world, made, signer=STRANGER) is Code.DENY_SUBJECT
    assert fetched(world, made, nonce=bytes(32)) is Code.DENY_REPLAY
    assert fetched(world, made, node=NODES[0]) is Code.DENY_SIG
    assert fetched(world, made, genesis_hash=bytes(32)) is Code.DENY_SIG
    for bad in (b"", bytes(2_000), b"\x93"):
        assert judge_fetch(bad, service(world)) is Code.DENY_PARSE
    world.must(world.rotate(address(SUBJECT), next_key(SUBJECT)))
    assert fetched(world, made) is Code.DENY_SUBJECT


def test_attack_v4_a_service_node_stops_with_the_revocation_and_with_the_end() -> None:
    world = new_world()
    shown = world.granted()
    made = world.request(shown)
    world.must(world.activate(made, world.answers(made)))

    assert isinstance(fetched(world, made), Serve)
    world.now_ms += DAY_MS
    assert fetched(world, made) is Code.DENY_EXPIRED
    world.must(world.revoke(shown))
    assert fetched(world, made) is Code.DENY_REVOKED


def test_attack_v3_what_was_opened_stays_known_and_nothing_new_is() -> None:
    """Stated in docs/access.md: a key that somebody has cannot be taken back."""
    world = new_world()
    shown = world.granted()
    made = world.request(shown)
    answers = world.answers(made)
    wanted = sought(world.rows, made.request, 1)
    assert wanted is not None
    world.must(world.revoke(shown))

    assert isinstance(gather(world.rows, wanted, answers).result, bytes)
    _, call = world.drafted(shown, chunks=[2])
    assert world.do(call) is Reason.REVOKED


def test_attack_s5_no_secret_is_in_any_row_event_receipt_or_text() -> None:
    canary = b"CANARY-4711"
    world = new_world()
    sealed = world.add_chunk(20, [(0, canary)])
    made = world.request(world.granted())
    answers = world.answers(made)
    changed = world.must(world.activate(made, answers))
    secret = world.polynomial.secret
    rows = b"".join(key + value for key, value in world.rows.scan(b""))
    texts = json.dumps([repr(world.nodes), repr(answers), repr(changed), repr(sealed)])
    subject, purpose = address(SUBJECT), b"charging"

    for hidden in (canary, secret, encode(made.grants[0].signed.dact), made.grants[0].salt):
        assert hidden not in rows
        assert hidden.hex() not in texts
    assert canary not in sealed.data
    assert canary.decode() not in texts
    # who is granted what, before they ask, and what for, is on no row of a grant
    grants = b"".join(value for _, value in world.rows.scan(b"access/grant/"))
    assert bytes(subject) not in grants
    assert purpose not in rows


# Receipts.


def receive(node: CertificationNode, world: World, data: bytes) -> tuple[Remember, object]:
    remember, send = node.receive(data, world.vantage(1), bytes(64))
    assert isinstance(remember, Remember)
    return remember, send


def test_attack_u1_a_nodes_receipt_says_what_it_did() -> None:
    world = new_world()
    made = world.request(world.granted())

    remember, send = receive(world.nodes[0], world, world.ask(made))

    assert isinstance(send, SealAndSend)
    receipt = send.answer.receipt.receipt
    assert send.answer.receipt == remember.receipt
    assert is_signed(NODE_KEYS[0].public, receipt_message(receipt), remember.receipt.signature)
    assert (receipt.code, receipt.request, receipt.ledger_index) == (Code.ALLOW, made.request, 1)
    assert remember.replay_key is not None
    assert remember.until_ms == NOW_MS + DAY_MS + SKEW_MS
    world.now_ms = remember.until_ms - 2 * SKEW_MS
    assert world.code(world.ask(made)) is Code.DENY_EXPIRED
    assert decode_receipt(encode(remember.receipt)) == remember.receipt
    assert decode_answer(encode(send.answer)) == send.answer


def test_attack_u2_a_receipt_that_is_missing_or_moved_leaves_a_gap() -> None:
    world = new_world()
    data = world.ask(world.request(world.granted()))
    receipts = tuple(
        receive(world.nodes[0], world, each)[0].receipt.receipt for each in (data, b"", data, b"")
    )

    assert first_gap(receipts) is None
    assert first_gap(()) is None
    assert first_gap((receipts[0], *receipts[2:])) == 1
    assert first_gap((receipts[0], receipts[2], receipts[1], receipts[3])) == 1
    altered = msgspec.structs.replace(receipts[1], code=Code.ALLOW)
    assert first_gap((receipts[0], altered, *receipts[2:])) == 2


def test_a_node_goes_on_with_its_receipts_after_a_restart() -> None:
    world = new_world()
    first, _ = receive(world.nodes[0], world, b"")
    restarted = CertificationNode(NODE_KEYS[0], {}, first.receipt.receipt)

    second, _ = receive(restarted, world, b"")

    assert first_gap((first.receipt.receipt, second.receipt.receipt)) is None
    assert first.receipt.receipt.previous == NO_RECEIPT


def test_attack_r3_after_a_restart_what_was_answered_is_answered_no_more() -> None:
    world = new_world()
    data = world.ask(world.request(world.granted()))
    first, _ = receive(world.nodes[0], world, data)
    assert first.replay_key is not None
    durable = {first.replay_key}
    shares = dict(world.nodes[0]._shares)
    restarted = CertificationNode(NODE_KEYS[0], shares, first.receipt.receipt)

    remember, send = restarted.receive(data, world.vantage(1, answered=durable), bytes(64))

    assert isinstance(send, SealAndSend)
    assert send.answer.receipt.receipt.code is Code.DENY_REPLAY
    assert isinstance(remember, Remember)
    assert remember.replay_key is None


def test_attack_r4_an_answer_is_sealed_to_the_key_that_the_ledger_has() -> None:
    world = new_world()
    made = world.request(world.granted())

    _, send = receive(world.nodes[0], world, world.ask(made))

    assert isinstance(send, SealAndSend)
    assert send.kem_key == made.kem_key


def test_a_denial_of_what_nobody_asked_on_the_ledger_is_sent_open_and_says_nothing() -> None:
    world = new_world()
    made, _ = world.drafted(world.granted())

    for data, request in ((b"", NO_RECEIPT), (world.ask(made), made.request)):
        remember, send = receive(world.nodes[0], world, data)
        assert isinstance(send, SendOpen)
        assert send.receipt == remember.receipt
        assert send.receipt.receipt.policy == NO_POLICY
        assert send.receipt.receipt.request == request


# Streams on the ledger.


def test_attack_c3_a_chunk_for_another_vault_or_generation_is_refused() -> None:
    world = new_world()
    label = world.label(30)
    sealed = seal_chunk(world.held_vault().public, label, [], RECORD, bytes(range(128)))
    change = msgspec.structs.replace

    for other in (change(label, vault=bytes(32)), change(label, generation=2)):
        assert world.do(world.chunk_call(other, sealed)) is Reason.WRONG_VAULT
    no_stream = change(label, stream=bytes(32))
    assert world.do(world.chunk_call(no_stream, sealed)) is Reason.NO_SUCH_OBJECT
    for from_ms, to_ms in ((5, 5), (6, 5), (0, SLOT_MS + 1)):
        timed = change(label, from_ms=from_ms, to_ms=to_ms)
        assert world.do(world.chunk_call(timed, sealed)) is Reason.OUT_OF_RANGE
    assert world.do(world.chunk_call(label, sealed, STRANGER)) is Reason.BAD_PROOF
    world.must(world.do(world.chunk_call(label, sealed)))
    assert world.do(world.chunk_call(label, sealed)) is Reason.EXISTS


def test_a_device_that_was_offline_may_seal_for_the_vault_before_for_a_while() -> None:
    world = new_world()
    old = world.vault
    label = world.label(40)
    sealed = seal_chunk(world.held_vault().public, label, [], RECORD, bytes(range(128)))
    rotated = type(world.polynomial)(tuple(reversed(world.polynomial.coefficients)))
    new = world.deal(rotated, 1)
    moved = OpenStream(address(METER), "15min", SLOT_MS, new, 1_000)
    world.must(world.do(moved, OWNER))

    world.now_ms += 999
    world.must(world.do(world.chunk_call(label, sealed)))
    world.now_ms += 1
    late = msgspec.structs.replace(label, number=41)
    assert world.do(world.chunk_call(late, sealed)) is Reason.WRONG_VAULT
    assert (world.vault, new != old) == (old, True)


def test_a_stream_is_opened_by_the_devices_owner_for_an_own_vault() -> None:
    world = new_world()
    opened = OpenStream(address(METER), "day", DAY_MS, world.vault, 0)
    change = msgspec.structs.replace

    assert world.do(opened, STRANGER) is Reason.NOT_ALLOWED
    assert world.do(change(opened, vault=bytes(32)), OWNER) is Reason.NO_SUCH_OBJECT
    assert world.do(change(opened, device=bytes(32)), OWNER) is Reason.UNKNOWN_MEMBER
    assert world.do(change(opened, device=address(STATION)), NEIGHBOUR) is Reason.NOT_ALLOWED
    world.must(world.do(opened, OWNER))
    assert stream_id(GENESIS_HASH, address(METER), "day") != world.stream


def test_erased_chunks_are_gone_for_good_and_cannot_be_entered_again() -> None:
    world = new_world()
    label, sealed = world.label(3), world.sealed[3]
    whole = sealed.capsule

    assert world.do(EraseChunks(world.stream, 3, 4), STRANGER) is Reason.NOT_ALLOWED
    assert world.do(EraseChunks(bytes(32), 3, 4), OWNER) is Reason.NO_SUCH_OBJECT
    assert world.do(EraseChunks(world.stream, 4, 3), OWNER) is Reason.OUT_OF_RANGE
    assert world.do(EraseChunks(world.stream, 0, 1_024), OWNER) is Reason.OUT_OF_RANGE
    assert world.do(EraseChunks(world.stream, 50, 60), OWNER) is Reason.NO_SUCH_OBJECT
    world.must(world.do(EraseChunks(world.stream, 3, 4), OWNER))

    assert whole not in b"".join(value for _, value in world.rows.scan(b"access/chunk/"))
    assert world.do(world.chunk_call(label, sealed)) is Reason.EXISTS
    _, call = world.drafted(world.granted(), chunks=[3])
    assert world.do(call) is Reason.NO_SUCH_OBJECT


# Requests on the ledger.


def test_a_request_keeps_to_the_rules_of_the_ledger() -> None:
    world = new_world()
    shown = world.granted()
    made, call = world.drafted(shown)
    forged = msgspec.structs.replace(call, signature=bytes(64))
    _, foreign = world.drafted(shown, genesis_hash=bytes(32))
    _, unknown = world.drafted(shown, grant=bytes(32))
    _, missing = world.drafted(shown, chunks=[99])
    _, nobody = world.drafted(shown, requester=address(SigningKey(bytes(32))))

    for bad, reason in (
        (forged, Reason.BAD_PROOF),
        (foreign, Reason.BAD_PROOF),
        (nobody, Reason.BAD_PROOF),
        (unknown, Reason.NO_SUCH_OBJECT),
        (missing, Reason.NO_SUCH_OBJECT),
    ):
        assert world.do(bad) is reason
    world.must(world.do(call))
    assert world.do(call) is Reason.EXISTS
    world.now_ms += DAY_MS
    _, late = world.drafted(shown)
    assert world.do(late) is Reason.EXPIRED
    receipts = [one.receipt for one in world.answers(made)]
    assert world.do(Activate(made.request, tuple(receipts))) is Reason.EXPIRED
    assert world.do(Activate(bytes(32), tuple(receipts))) is Reason.NO_SUCH_OBJECT


def test_only_a_service_node_reports_and_only_what_is_active() -> None:
    world = new_world()
    made = world.request(world.granted())

    assert world.do(Served((made.request,)), STRANGER) is Reason.NOT_ALLOWED
    assert world.do(Served((bytes(32),)), SERVICE) is Reason.NO_SUCH_OBJECT
    assert world.do(Served((made.request,)), SERVICE) is Reason.NOT_ACTIVE


def test_an_activation_of_the_highest_threshold_fits_an_operation() -> None:
    world = new_world()
    (answer,) = world.answers(world.request(world.granted()), (1,))
    receipt = msgspec.structs.replace(
        answer.receipt.receipt, number=2**63 - 1, ledger_index=2**63 - 1
    )
    call = Activate(bytes(32), (SignedReceipt(receipt, bytes(64)),) * MAX_THRESHOLD)

    assert len(encode(call)) <= MAX_CALL_SIZE
