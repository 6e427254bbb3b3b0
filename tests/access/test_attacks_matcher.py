"""Attacks on the matcher, by their numbers in the design: each has its exact code.

None takes an argument: `test_mutation.py` runs them all against a matcher with one check less.
"""

from dataclasses import replace
from typing import Final

import msgspec

from access.codes import Code
from access.identity.life_cycle import RevokeKeys
from access.requests.granting import AcknowledgeRevocation, RegisterGrant, revocation_status
from access.requests.records import grant, salt_hash
from access.requests.requesting import Activate
from access.streams.stream import chunk, chunk_key
from access.tokens.dact import (
    AccessContext,
    Dact,
    Limits,
    Place,
    Resource,
    ShownGrant,
    SignedDact,
    Threshold,
    Window,
)
from access.tokens.evidence import Evidence
from tangle.codec import encode
from tangle.keys import SigningKey
from tangle.outcomes import Reason
from tangle.rows import Draft
from tests.access.world import (
    COHORT,
    DAY_MS,
    HOUR_MS,
    MAX_STALE_MS,
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
    N,
    World,
    address,
    new_world,
    next_key,
)

FAR_MS: Final = NOW_MS + DAY_MS


def context_of(world: World, **changed: object) -> AccessContext:
    return msgspec.structs.replace(world.dact().context, **changed)


def asked(world: World, shown: ShownGrant, **changed: object) -> Code:
    """Return what the first node says to a new request under a grant."""
    return world.code(world.ask(world.request(shown, **changed)))  # type: ignore[arg-type]


# Parse.


def test_attack_d3_another_spelling_of_an_ask_is_refused() -> None:
    world = new_world()
    data = world.ask(world.request(world.granted()))
    # array of two in three bytes, and in five, instead of one
    spellings = [b"\xdc\x00\x02" + data[1:], b"\xdd\x00\x00\x00\x02" + data[1:]]

    assert world.code(data) is Code.ALLOW
    for other in spellings:
        assert world.code(other) is Code.DENY_PARSE


def test_attack_d3_what_is_no_ask_is_refused() -> None:
    world = new_world()
    data = world.ask(world.request(world.granted()))
    nested = b"\x91" * 20_000
    huge = b"\xdd\xff\xff\xff\xff" + bytes(100)
    floats = encode([0.5, 0.5])

    for bad in (b"", b"\xc1", nested, huge, floats, data[:-1], data + b"\x00", bytes(2**20)):
        assert world.code(bad) is Code.DENY_PARSE


# The ledger's view.


def test_attack_b_a_request_that_is_not_on_the_ledger_is_refused() -> None:
    world = new_world()
    made, _ = world.drafted(world.granted())

    assert world.code(world.ask(made)) is Code.DENY_UNCONFIRMED


def test_attack_r7_a_node_cut_off_from_the_ledger_denies() -> None:
    world = new_world()
    data = world.ask(world.request(world.granted()))
    stale = {"view_age_ms": MAX_STALE_MS + 1, "now_ms": NOW_MS + MAX_STALE_MS + 1}
    fresh = {"view_age_ms": MAX_STALE_MS, "now_ms": NOW_MS + MAX_STALE_MS}

    assert world.code(data, **fresh) is Code.ALLOW
    assert world.code(data, **stale) is Code.DENY_STALE


def test_attack_r7_a_grant_with_grace_is_released_offline_and_flagged() -> None:
    world = new_world()
    data = world.ask(world.request(world.granted(offline_grace_ms=HOUR_MS)))
    age_ms = MAX_STALE_MS + HOUR_MS
    edge = {"view_age_ms": age_ms, "now_ms": NOW_MS + age_ms}
    beyond = {"view_age_ms": age_ms + 1, "now_ms": NOW_MS + age_ms + 1}

    assert world.code(data, **beyond) is Code.DENY_STALE
    assert world.code(data, **edge, offline_releases=5) is Code.DENY_QUOTA
    assert world.code(data, **edge, offline_releases=4) is Code.ALLOW
    assert world.answer(data, **edge).receipt.receipt.is_offline == 1


def test_attack_r6_a_node_with_a_wrong_clock_denies() -> None:
    world = new_world()
    data = world.ask(world.request(world.granted()))

    for wrong_ms in (HOUR_MS, -HOUR_MS, SKEW_MS + 1, -SKEW_MS - 1):
        assert world.code(data, now_ms=NOW_MS + wrong_ms) is Code.DENY_CLOCK
    for right_ms in (SKEW_MS, -SKEW_MS):
        assert world.code(data, now_ms=NOW_MS + right_ms) is Code.ALLOW


# Registration.


def test_attack_d1_a_grant_that_was_never_registered_is_refused() -> None:
    world = new_world()
    registered = world.granted()
    other = ShownGrant(world.signed(world.dact()), world.rng.randbytes(32))
    request = world.request(registered)
    shown = replace(request, grants=(other,))

    assert world.code(world.ask(shown)) is Code.DENY_NOT_REGISTERED


def test_attack_d1_another_salt_is_refused() -> None:
    world = new_world()
    shown = world.granted()
    request = world.request(shown)
    salted = ShownGrant(shown.signed, bytes(32))

    other = replace(request, grants=(salted,))

    assert world.code(world.ask(other)) is Code.DENY_NOT_REGISTERED


def _widened_afterwards(world: World) -> tuple[Dact, ...]:
    dact = world.dact()
    limits = msgspec.structs.replace(dact.limits, max_uses=11)
    resource = msgspec.structs.replace(dact.resource, to_ms=NOW_MS)
    return (
        msgspec.structs.replace(dact, limits=limits),
        msgspec.structs.replace(dact, resource=resource),
        msgspec.structs.replace(dact, actions=("read", "settle")),
    )


def test_attack_d2_a_document_other_than_the_registered_one_is_refused() -> None:
    world = new_world()
    shown = world.granted()
    request = world.request(shown)

    for wider in _widened_afterwards(world):
        # even signed by both anew: the ledger commits to another one
        other = ShownGrant(world.signed(wider), shown.salt)
        altered = replace(request, grants=(other,))
        assert world.code(world.ask(altered)) is Code.DENY_MISMATCH


# Signatures and owners.


def test_attack_d4_a_grant_signed_by_somebody_else_is_refused() -> None:
    world = new_world()
    forged = world.signed(world.dact(), grantor=STRANGER)
    unaccepted = world.signed(world.dact(), subject=STRANGER)

    for bad in (forged, unaccepted):
        assert asked(world, world.registered(bad)) is Code.DENY_SIG


def test_attack_d4_the_owner_of_another_vault_grants_nothing() -> None:
    world = new_world()
    mine = world.signed(world.dact(owner=address(STRANGER)), grantor=STRANGER)

    assert asked(world, world.registered(mine)) is Code.DENY_OWNER


def test_attack_d6_a_signature_of_another_kind_is_refused() -> None:
    world = new_world()
    dact = world.dact()
    good = world.signed(dact)
    swapped = SignedDact(dact, good.subject_signature, good.grantor_signature)

    assert asked(world, world.registered(swapped)) is Code.DENY_SIG


def test_attack_d6_a_grant_to_oneself_needs_both_kinds_of_signature() -> None:
    world = new_world()
    dact = world.dact(subject=address(OWNER))
    good = world.signed(dact, OWNER, OWNER)
    twice = SignedDact(dact, good.grantor_signature, good.grantor_signature)

    made = world.request(world.registered(twice), signer=OWNER)

    assert world.code(world.ask(made)) is Code.DENY_SIG


def delegated(
    world: World, *, parent: Dact | None = None, **changed: object
) -> tuple[ShownGrant, ShownGrant]:
    """Return a grant that the subject passes on to the neighbour, and the one it comes from."""
    above = parent or world.dact(actions=("delegate", "read"), depth=2)
    above_shown = world.registered(world.signed(above))
    usual = {
        "subject": address(NEIGHBOUR),
        "actions": ("read",),
        "parent": world.id_of(above_shown),
        "depth": 1,
        "nonce": bytes(16),
    }
    below = msgspec.structs.replace(above, **{**usual, **changed})
    signed = world.signed(below, grantor=SUBJECT, subject=NEIGHBOUR)
    return world.registered(signed, SUBJECT), above_shown


def asked_by_neighbour(world: World, *grants: ShownGrant) -> Code:
    made = world.request(*grants, signer=NEIGHBOUR)
    return world.code(world.ask(made))


def test_a_grant_that_is_passed_on_is_allowed() -> None:
    world = new_world()

    assert asked_by_neighbour(world, *delegated(world)) is Code.ALLOW


def test_attack_d10_a_child_wider_than_its_parent_is_refused_whatever_is_wider() -> None:
    world = new_world()
    daily = (Window(0, 600),)
    place = Place("station", (address(STATION),))
    parent = world.dact(
        actions=("delegate", "read"),
        depth=2,
        context=context_of(world, daily=daily, place=place, session=bytes(32)),
        offline_grace_ms=5,
        min_addresses=3,
    )
    one, other = parent.resource, parent.context
    change = msgspec.structs.replace
    wider: list[dict[str, object]] = [
        {"resource": change(one, from_ms=one.from_ms - 1)},
        {"resource": change(one, to_ms=one.to_ms + 1)},
        {"actions": ("read", "settle")},
        {"context": change(other, not_before_ms=other.not_before_ms - 1)},
        {"context": change(other, not_after_ms=other.not_after_ms + 1)},
        {"context": change(other, daily=(Window(0, 601),))},
        {"context": change(other, daily=())},
        {"context": change(other, zone="CET")},
        {"context": change(other, place=Place("any", ()), session=None)},
        {"context": change(other, place=Place("station", (address(NEIGHBOUR),)))},
        {"context": change(other, place=Place("region", place.ids))},
        {"context": change(other, purpose="research")},
        {"context": change(other, session=None)},
        {"limits": change(parent.limits, max_uses=11)},
        {"limits": change(parent.limits, max_chunks=101)},
        {"limits": change(parent.limits, per_hour=6)},
        {"min_addresses": 2},
        {"offline_grace_ms": 6},
        {"depth": 2},
        {"obligations": change(parent.obligations, onward_sharing=1)},
        {"obligations": change(parent.obligations, retention_ms=31 * DAY_MS)},
        {"parent": None},
    ]
    for field in wider:
        if "parent" in field:
            child, above = delegated(world, parent=parent, depth=1)
            orphan = msgspec.structs.replace(child.signed.dact, parent=None)
            signed = world.signed(orphan, grantor=SUBJECT, subject=NEIGHBOUR)
            grants = (world.registered(signed, SUBJECT, parent=world.id_of(above)), above)
        else:
            grants = delegated(world, parent=parent, **field)
        assert asked_by_neighbour(world, *grants) is Code.DENY_DELEGATION, field


def test_attack_d10_a_grant_that_allows_no_passing_on_is_not_passed_on() -> None:
    world = new_world()
    without_action = world.dact(actions=("read",), depth=2)
    without_depth = world.dact(actions=("delegate", "read"), depth=0)

    for parent in (without_action, without_depth):
        grants = delegated(world, parent=parent, depth=0)
        assert asked_by_neighbour(world, *grants) is Code.DENY_DELEGATION


def test_attack_d10_the_child_of_a_revoked_grant_is_refused() -> None:
    world = new_world()
    child, parent = delegated(world)
    made = world.request(child, parent, signer=NEIGHBOUR)

    assert world.code(world.ask(made)) is Code.ALLOW
    world.must(world.revoke(parent))

    assert world.code(world.ask(made)) is Code.DENY_DELEGATION


# Time, revocation, keys.


def test_attack_d7_time_is_half_open_to_the_millisecond() -> None:
    world = new_world()
    begins, ends = NOW_MS - SKEW_MS, NOW_MS + SKEW_MS
    for not_before, not_after, code in (
        (NOW_MS - SKEW_MS, FAR_MS, Code.ALLOW),
        (NOW_MS, FAR_MS, Code.ALLOW),
        (NOW_MS + 1, FAR_MS, Code.DENY_NOT_YET),
        (begins, ends + 1, Code.ALLOW),
        (begins, ends, Code.DENY_EXPIRED),
        (begins, ends - 1, Code.DENY_EXPIRED),
    ):
        context = context_of(world, not_before_ms=not_before, not_after_ms=not_after)
        assert asked(world, world.granted(context=context)) is code, (not_before, not_after)


def test_attack_d7_a_grant_ends_when_the_ledger_says_so_too() -> None:
    world = new_world()
    shown = world.registered(world.signed(world.dact()), not_after_ms=NOW_MS + SKEW_MS)

    assert asked(world, shown) is Code.DENY_EXPIRED


def test_attack_v4_a_request_before_the_revocation_is_refused_after_it() -> None:
    world = new_world()
    shown = world.granted()
    made = world.request(shown)
    answers = world.answers(made)

    world.must(world.revoke(shown))

    assert world.code(world.ask(made, 4), 4) is Code.DENY_REVOKED
    assert world.activate(made, answers) is Reason.REVOKED
    _, call = world.drafted(shown)
    assert world.do(call) is Reason.REVOKED


def test_attack_v6_keys_outside_their_time_are_refused() -> None:
    world = new_world()
    late = SigningKey(b"late" + bytes(28))
    world.register(late, address(NEIGHBOUR))
    world.must(world.publish(late, NEIGHBOUR, not_after_ms=NOW_MS + SKEW_MS))
    dact = world.dact(subject=address(late))
    made = world.request(world.registered(world.signed(dact, subject=late)), signer=late)

    assert world.code(world.ask(made)) is Code.DENY_IDENTITY


def test_attack_v6_a_rotated_key_is_refused() -> None:
    world = new_world()
    shown = world.granted()
    made = world.request(shown)

    world.must(world.rotate(address(SUBJECT), next_key(SUBJECT)))

    assert world.code(world.ask(made)) is Code.DENY_SIG
    _, call = world.drafted(shown)
    assert world.do(call) is Reason.BAD_PROOF
    dact = world.dact()
    again = world.registered(world.signed(dact, subject=next_key(SUBJECT)))
    new = world.request(again, signer=next_key(SUBJECT), requester=address(SUBJECT))
    assert world.code(world.ask(new)) is Code.ALLOW


def test_attack_v6_a_revoked_key_is_refused() -> None:
    world = new_world()
    made = world.request(world.granted())

    world.must(world.device(RevokeKeys(address(SUBJECT)), SUBJECT))

    assert world.code(world.ask(made)) is Code.DENY_SIG


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
