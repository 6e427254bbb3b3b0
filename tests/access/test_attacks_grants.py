"""Attacks on documents, signatures, delegation, time and clocks, by their numbers in the design.

None takes an argument: `test_mutation.py` runs them all against a matcher with one check less.
"""

from dataclasses import replace

import msgspec

from access.codes import Code
from access.identity.life_cycle import RevokeKeys
from access.tokens.dact import (
    Dact,
    Place,
    ShownGrant,
    SignedDact,
    Window,
)
from tangle.codec import encode
from tangle.keys import SigningKey
from tangle.outcomes import Reason
from tests.access.asking import FAR_MS, asked, context_of
from tests.access.world import (
    DAY_MS,
    HOUR_MS,
    MAX_STALE_MS,
    NEIGHBOUR,
    NOW_MS,
    OWNER,
    SKEW_MS,
    STATION,
    STRANGER,
    SUBJECT,
    World,
    address,
    new_world,
    next_key,
)

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


def test_attack_d10_nobody_enters_for_the_owner_what_it_signed_and_did_not_enter() -> None:
    world = new_world()
    other = world.granted()
    signed = world.signed(world.dact())

    # the ledger takes it as passed on from another grant: it cannot see the document
    smuggled = world.registered(signed, SUBJECT, parent=world.id_of(other))
    made, call = world.drafted(smuggled, grant=world.id_of(smuggled, SUBJECT))
    world.must(world.do(call))

    assert world.code(world.ask(made)) is Code.DENY_DELEGATION


def test_attack_d10_a_parent_that_was_smuggled_in_is_none() -> None:
    world = new_world()
    other = world.granted()
    dact = world.dact(actions=("delegate", "read"), depth=2)
    smuggled = world.registered(world.signed(dact), SUBJECT, parent=world.id_of(other))
    below = msgspec.structs.replace(
        dact,
        subject=address(NEIGHBOUR),
        actions=("read",),
        parent=world.id_of(smuggled, SUBJECT),
        depth=1,
    )
    child = world.registered(world.signed(below, grantor=SUBJECT, subject=NEIGHBOUR), SUBJECT)

    assert asked_by_neighbour(world, child, smuggled) is Code.DENY_DELEGATION


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
