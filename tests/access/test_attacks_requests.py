"""Attacks on requests, scope, context, quotas and thresholds, by their numbers in the design.

None takes an argument: `test_mutation.py` runs them all against a matcher with one check less.
"""

from dataclasses import replace

import msgspec

from access.codes import Code
from access.requests.granting import AcknowledgeRevocation, RegisterGrant, revocation_status
from access.requests.receipt import SignedReceipt, receipt_message
from access.requests.records import grant, salt_hash
from access.requests.requesting import Activate
from access.streams.stream import chunk, chunk_key
from access.tokens.dact import (
    Limits,
    Place,
    Resource,
    Threshold,
    Window,
)
from access.tokens.evidence import Evidence
from tangle.codec import encode
from tangle.outcomes import Reason
from tangle.rows import Draft
from tests.access.asking import FAR_MS, asked, context_of
from tests.access.world import (
    COHORT,
    DAY_MS,
    HOUR_MS,
    NODE_KEYS,
    NODES,
    NOW_MS,
    OWNER,
    SKEW_MS,
    SLOT_MS,
    STATION,
    STRANGER,
    N,
    World,
    address,
    new_world,
)

# Subject and node.


def test_attack_d5_a_stolen_document_is_worth_nothing_to_its_thief() -> None:
    world = new_world()
    shown = world.granted()
    made = world.request(shown, signer=STRANGER)

    assert world.code(world.ask(made)) is Code.DENY_SUBJECT


def test_attack_d5_a_thief_cannot_use_the_subjects_request_either() -> None:
    world = new_world()
    made = world.request(world.granted())
    thief = replace(made, signer=STRANGER)

    assert world.code(world.ask(thief)) is Code.DENY_SIG
    assert world.code(world.ask(made, kem_key=bytes(32))) is Code.DENY_SIG


def test_attack_r2_an_ask_for_one_node_is_refused_by_another() -> None:
    world = new_world()
    data = world.ask(world.request(world.granted()), node=1)

    assert world.code(data, node=1) is Code.ALLOW
    assert world.code(data, node=2) is Code.DENY_SIG


def test_attack_r2_an_ask_of_another_network_is_refused() -> None:
    world = new_world()
    made = world.request(world.granted())

    assert world.code(world.ask(made, genesis_hash=bytes(32))) is Code.DENY_SIG


def test_attack_d9_evidence_other_than_the_ledger_has_is_refused() -> None:
    world = new_world()
    made = world.request(world.granted(actions=("read", "settle")))
    other = Evidence("settle", "charging", None)

    assert world.code(world.ask(made, evidence=other)) is Code.DENY_SIG
    assert world.code(world.ask(made, evidence_salt=bytes(16))) is Code.DENY_SIG


# Replay.


def test_attack_r1_the_same_ask_is_answered_once() -> None:
    world = new_world()
    data = world.ask(world.request(world.granted()))

    assert world.answer(data).receipt.receipt.code is Code.ALLOW
    again = world.answer(data)

    assert again.receipt.receipt.code is Code.DENY_REPLAY
    assert again.partials == ()


def test_attack_r1_another_request_with_the_same_nonce_is_refused() -> None:
    world = new_world()
    shown = world.granted()
    first, second = (world.request(shown, chunks=[one], nonce=bytes(16)) for one in (0, 1))

    assert world.answer(world.ask(first)).receipt.receipt.code is Code.ALLOW
    assert world.code(world.ask(second)) is Code.DENY_REPLAY


# Scope.


def test_attack_d8_a_chunk_that_is_partly_outside_is_refused() -> None:
    world = new_world()
    shown = world.granted()
    first_ms = NOW_MS - DAY_MS
    late = world.dact(resource=Resource(world.vault, world.stream, first_ms + 1, FAR_MS))
    early = world.dact(
        resource=Resource(world.vault, world.stream, first_ms, first_ms + SLOT_MS - 1)
    )

    assert asked(world, shown, chunks=[0, 7]) is Code.ALLOW
    assert asked(world, shown, chunks=[7, 8]) is Code.DENY_SCOPE
    assert asked(world, world.registered(world.signed(late)), chunks=[0]) is Code.DENY_SCOPE
    assert asked(world, world.registered(world.signed(early)), chunks=[0]) is Code.DENY_SCOPE


def test_attack_d8_another_stream_and_another_action_are_refused() -> None:
    world = new_world()
    other = world.dact(resource=msgspec.structs.replace(world.dact().resource, stream=bytes(32)))
    shown = world.registered(world.signed(other))

    assert asked(world, shown) is Code.DENY_SCOPE
    for action in ("settle", "verify", "delegate"):
        evidence = Evidence(action, "charging", None)
        assert asked(world, world.granted(), evidence=evidence) is Code.DENY_SCOPE
    both = world.granted(actions=("delegate", "read"))
    assert asked(world, both, evidence=Evidence("delegate", "charging", None)) is Code.DENY_SCOPE


def test_an_erased_chunk_is_opened_by_nobody() -> None:
    world = new_world()
    made = world.request(world.granted(), chunks=[0])
    world.rows.put({chunk_key(world.stream, 0): b"\x90"})

    assert chunk(world.rows, world.stream, 0) is None
    assert world.code(world.ask(made)) is Code.DENY_SCOPE


# Context.


def test_attack_d9_another_purpose_is_refused() -> None:
    world = new_world()

    code = asked(world, world.granted(), evidence=Evidence("read", "research", None))

    assert code is Code.DENY_CONTEXT


def test_attack_d9_presence_must_be_the_stations_fresh_and_of_this_session() -> None:
    world = new_world()
    session = b"s" * 32
    place = Place("station", (address(STATION),))
    shown = world.granted(
        context=context_of(world, place=place, session=session),
        limits=Limits(100, 100, 100),
    )
    good = world.presence(session)
    said = good.presence
    forged = type(good)(said, STRANGER.sign(b"x"))
    by_other = msgspec.structs.replace(said, station=address(STRANGER))
    cases = {
        "good": (good, Code.ALLOW),
        "none": (None, Code.DENY_CONTEXT),
        "forged": (forged, Code.DENY_CONTEXT),
        "another station": (type(good)(by_other, good.signature), Code.DENY_CONTEXT),
        "another session": (world.presence(b"t" * 32), Code.DENY_CONTEXT),
        "another subject": (world.presence(session, subject=address(OWNER)), Code.DENY_CONTEXT),
        "another network": (world.presence(session, genesis_hash=bytes(32)), Code.DENY_CONTEXT),
        "old": (
            world.presence(session, at_ms=NOW_MS + SKEW_MS - 300_001),
            Code.DENY_CONTEXT,
        ),
        "just in time": (world.presence(session, at_ms=NOW_MS + SKEW_MS - 300_000), Code.ALLOW),
        "of the future": (world.presence(session, at_ms=NOW_MS + SKEW_MS + 1), Code.DENY_CONTEXT),
    }
    for name, (presence, code) in cases.items():
        evidence = Evidence("read", "charging", presence)
        assert asked(world, shown, evidence=evidence, chunks=[0]) is code, name


def test_attack_d9_outside_the_daily_window_is_refused() -> None:
    world = new_world()
    minute = NOW_MS // 60_000 % 1_440

    for window, code in (
        (Window(minute - 1, minute + 2), Code.ALLOW),
        (Window(minute, minute + 2), Code.ALLOW),
        (Window(minute + 1, minute + 9), Code.DENY_CONTEXT),
        (Window(minute - 9, minute), Code.DENY_CONTEXT),
        (Window(minute + 2, minute + 1), Code.ALLOW),
        (Window(minute + 1, minute - 1), Code.DENY_CONTEXT),
    ):
        context = context_of(world, daily=(window,))
        assert asked(world, world.granted(context=context)) is code, window


# Quota.


def test_attack_r9_a_flood_is_refused_and_others_go_on() -> None:
    world = new_world()
    shown, other = world.granted(limits=Limits(100, 1_000, 2)), world.granted()

    codes = [asked(world, shown) for _ in range(4)]

    assert codes == [Code.ALLOW, Code.ALLOW, Code.DENY_QUOTA, Code.DENY_QUOTA]
    assert asked(world, other) is Code.ALLOW
    world.now_ms += HOUR_MS
    assert asked(world, shown) is Code.ALLOW


def test_attack_r8_uses_are_counted_in_the_order_of_the_ledger() -> None:
    world = new_world()
    shown = world.granted(limits=Limits(1, 100, 5))
    first, second = world.request(shown), world.request(shown)

    for node in range(1, N + 1):  # whatever node, and whichever is shown first
        assert world.code(world.ask(second, node), node) is Code.DENY_QUOTA
        assert world.code(world.ask(first, node), node) is Code.ALLOW


def test_attack_r8_chunks_are_counted_too_and_strangers_use_up_nothing() -> None:
    world = new_world()
    shown = world.granted(limits=Limits(100, 3, 100))

    assert asked(world, shown, chunks=[0, 1], signer=STRANGER) is Code.DENY_SUBJECT
    assert asked(world, shown, chunks=[0, 1]) is Code.ALLOW
    assert asked(world, shown, chunks=[0, 1]) is Code.DENY_QUOTA
    shown = world.granted(limits=Limits(100, 3, 100))
    assert asked(world, shown, chunks=[0, 1]) is Code.ALLOW
    assert asked(world, shown, chunks=[0]) is Code.ALLOW
    assert asked(world, shown, chunks=[0]) is Code.DENY_QUOTA


# Threshold.


def test_attack_t11_no_token_lowers_the_threshold_or_names_another_cohort() -> None:
    world = new_world()
    for said in (
        Threshold(COHORT, 1, 1, N),
        Threshold(COHORT, 1, 4, N),  # the ledger has three
        Threshold(COHORT, 1, 3, N - 1),
        Threshold(COHORT, 2, 3, N),
        Threshold("other", 1, 3, N),
    ):
        shown = world.registered(world.signed(world.dact(threshold=said)), k=3)
        assert asked(world, shown) is Code.DENY_THRESHOLD, said


def test_attack_t11_the_ledger_registers_no_lower_threshold() -> None:
    world = new_world()
    call = RegisterGrant(
        salt_hash(bytes(32)), bytes(32), world.vault, 2, FAR_MS, address(OWNER), None
    )

    assert world.do(call, OWNER) is Reason.OUT_OF_RANGE


def test_attack_t12_a_higher_threshold_needs_as_many_receipts() -> None:
    world = new_world()
    shown = world.granted(threshold=Threshold(COHORT, 1, 4, N))
    made = world.request(shown)
    answers = world.answers(made, (1, 2, 3, 4))

    assert world.activate(made, answers[:3]) is Reason.BELOW_THRESHOLD
    assert world.activate(made, [*answers[:3], answers[0]]) is Reason.BELOW_THRESHOLD
    world.must(world.activate(made, answers))


# Capsules.


def _planted(world: World, number: int, capsule_of: int) -> None:
    """Put the capsule of another chunk into a chunk, as a false device would."""
    held, victim = (
        chunk(world.rows, world.stream, number),
        chunk(world.rows, world.stream, capsule_of),
    )
    assert held is not None
    assert victim is not None
    row = msgspec.structs.replace(held, capsule=victim.capsule)
    world.rows.put({chunk_key(world.stream, number): encode(row)})


def test_attack_c1_a_capsule_copied_into_another_chunk_is_refused() -> None:
    world = new_world()
    _planted(world, 0, capsule_of=5)

    assert asked(world, world.granted(), chunks=[0]) is Code.DENY_CAPSULE
    assert asked(world, world.granted(), chunks=[1]) is Code.ALLOW


def test_attack_c4_a_mauled_capsule_is_refused() -> None:
    world = new_world()
    held = chunk(world.rows, world.stream, 0)
    assert held is not None
    made = world.request(world.granted(limits=Limits(100, 500, 100)), chunks=[0])

    for at in range(0, 128, 5):
        altered = bytearray(held.capsule)
        altered[at] ^= 1 << at % 8
        row = msgspec.structs.replace(held, capsule=bytes(altered))
        world.rows.put({chunk_key(world.stream, 0): encode(row)})
        assert world.code(world.ask(made)) is Code.DENY_CAPSULE, at


# Order, and what is not kept.


def test_attack_d12_the_same_subject_in_another_moment_gets_another_answer() -> None:
    world = new_world()
    data = world.ask(world.request(world.granted()))

    assert world.code(data) is Code.ALLOW
    world.now_ms += 2 * DAY_MS
    assert world.code(data) is Code.DENY_EXPIRED
    world.now_ms -= 2 * DAY_MS
    assert world.code(data) is Code.ALLOW


def test_attack_r5_the_requesters_clock_counts_nowhere() -> None:
    world = new_world()
    shown = world.granted()

    for claimed_ms in (0, NOW_MS - DAY_MS, NOW_MS + 10 * DAY_MS):
        assert asked(world, shown, issued_at_ms=claimed_ms) is Code.ALLOW


def test_attack_v1_v2_a_revocation_is_effective_once_n_minus_k_plus_one_nodes_know() -> None:
    world = new_world()
    shown = world.granted()
    world.must(world.revoke(shown))
    identifier, seen = world.id_of(shown), []
    for node in NODE_KEYS:
        held = grant(world.rows, identifier)
        assert held is not None
        seen.append(revocation_status(held, 3, N))
        world.must(world.do(AcknowledgeRevocation(identifier), node))

    assert seen == ["pending", "pending", "pending", "effective", "effective"]
    assert world.do(AcknowledgeRevocation(identifier), NODE_KEYS[0]) is Reason.EXISTS
    assert world.do(AcknowledgeRevocation(identifier), STRANGER) is Reason.NOT_ALLOWED


def test_attack_v2_nodes_that_do_not_know_yet_still_open() -> None:
    """Why a status of `pending` must not be shown as revoked."""
    world = new_world()
    shown = world.granted()
    made = world.request(shown)
    before = world.rows
    late = World(world.rng, Draft(before))
    late.must(late.revoke(shown))

    assert world.code(world.ask(made, 1), 1, rows=late.rows) is Code.DENY_REVOKED
    for node in (2, 3, 4):
        assert world.code(world.ask(made, node), node) is Code.ALLOW


def test_attack_v5_a_stranger_revokes_nothing_and_no_revocation_hits_another_grant() -> None:
    world = new_world()
    shown, again = world.granted(), world.granted()

    assert world.revoke(shown, STRANGER) is Reason.NOT_ALLOWED
    world.must(world.revoke(shown))
    assert world.revoke(shown) is Reason.REVOKED

    assert asked(world, again) is Code.ALLOW


# Defence in depth: what the ledger refuses as well.


def test_an_activation_counts_each_node_of_the_cohort_once() -> None:
    world = new_world()
    made = world.request(world.granted())
    answers = world.answers(made)
    receipts = [one.receipt for one in answers]
    other = world.request(world.granted())
    elsewhere = world.answers(other)[2].receipt

    twice = Activate(made.request, (receipts[0], receipts[1], receipts[1]))
    foreign = Activate(made.request, (receipts[0], receipts[1], elsewhere))
    forged = Activate(
        made.request, (receipts[0], receipts[1], type(receipts[2])(receipts[2].receipt, bytes(64)))
    )
    for call in (twice, foreign, forged):
        assert world.do(call) is Reason.BELOW_THRESHOLD
    world.must(world.activate(made, answers))
    assert world.activate(made, answers) is Reason.EXISTS


def test_a_receipt_for_another_request_or_under_another_grant_activates_nothing() -> None:
    world = new_world()
    shown = world.granted()
    made, other = world.request(shown), world.request(shown)
    answers = world.answers(made)
    receipts = [one.receipt for one in answers[:2]]
    false_node = NODE_KEYS[2]
    # signed by the node itself: a false one, or one that another request was shown to
    elsewhere = world.answer(world.ask(other, 3), 3).receipt
    policy = msgspec.structs.replace(answers[2].receipt.receipt, policy=bytes(32))
    network = msgspec.structs.replace(answers[2].receipt.receipt, genesis_hash=bytes(32))

    for bad in (
        elsewhere,
        SignedReceipt(policy, false_node.sign(receipt_message(policy))),
        SignedReceipt(network, false_node.sign(receipt_message(network))),
    ):
        call = Activate(made.request, (*receipts, bad))
        assert world.do(call) is Reason.BELOW_THRESHOLD


def test_a_denial_activates_nothing() -> None:
    world = new_world()
    made = world.request(world.granted(limits=Limits(0, 0, 0)))
    answers = world.answers(made)

    assert {one.receipt.receipt.code for one in answers} == {Code.DENY_QUOTA}
    assert world.activate(made, answers) is Reason.BELOW_THRESHOLD


def test_a_node_that_left_the_cohort_activates_nothing() -> None:
    world = new_world()
    made = world.request(world.granted())
    answers = world.answers(made)

    world.set_cohort(NODES[1:])

    assert world.activate(made, answers) is Reason.BELOW_THRESHOLD
