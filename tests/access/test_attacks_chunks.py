"""Attacks on dealers, capsules and chunks, by their numbers in the design."""

import random
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from access.codes import Code
from access.matching.gathering import gather, sought
from access.streams.sealing import (
    ChunkLabel,
    PrivacyRecord,
    chunk_keys,
    label_bytes,
    open_addresses,
    open_readings,
    seal_chunk,
)
from access.threshold import feldman, group, scalars, tdh2
from access.vaults.dealing import (
    Complaint,
    Expected,
    ShareDelivery,
    ShareStatement,
    deliveries,
    is_justified,
    receive_share,
    share_message,
)
from access.vaults.rules import Acknowledge, Complain, Deal, Open, Retire
from access.vaults.vault import Sharing, acknowledgements_needed, vault, vault_id
from tangle.errors import InvalidError
from tangle.outcomes import Reason
from tests.access.opening import LABEL, key_of, opened
from tests.access.world import (
    COHORT,
    GENESIS_HASH,
    NODE_KEYS,
    OWNER,
    STRANGER,
    K,
    N,
    World,
    address,
    new_world,
)

# Dealing.


def pending(world: World, k: int = K) -> tuple[feldman.Polynomial, bytes, Sharing]:
    """Return a vault that is dealt, and acknowledged by nobody."""
    polynomial = feldman.new_polynomial(k, world.rng.randbytes(feldman.entropy_size(k)))
    commitments = feldman.commit(polynomial)
    world.must(world.do(Deal(COHORT, 1, 1, commitments), OWNER))
    identifier = vault_id(GENESIS_HASH, address(OWNER), COHORT, 1, commitments[0])
    return polynomial, identifier, Sharing(1, commitments, ())


def test_attack_t9_a_wrong_share_is_proven_and_the_vault_never_opens() -> None:
    world = new_world()
    polynomial, identifier, sharing = pending(world)
    statement = ShareStatement(identifier, 1, 2, feldman.deal(polynomial, 3))
    wrong = ShareDelivery(statement, OWNER.sign(share_message(statement)))
    expected = Expected(identifier, sharing, 2, OWNER.public)

    complaint = receive_share(wrong, expected)

    assert isinstance(complaint, Complaint)
    assert is_justified(complaint.delivery, expected)
    world.must(world.do(Complain(complaint.delivery)))
    held = vault(world.rows, identifier)
    assert held is not None
    assert held.state == "broken"
    assert world.do(Open(identifier, 1), OWNER) is Reason.NOT_ACTIVE


def test_attack_t9_an_honest_dealer_cannot_be_accused() -> None:
    world = new_world()
    polynomial, identifier, sharing = pending(world)
    good = deliveries(polynomial, identifier, 1, N, OWNER)[0]
    made_up = ShareStatement(identifier, 1, 1, scalars.scalar_of(5))
    forged = ShareDelivery(made_up, STRANGER.sign(share_message(made_up)))

    for delivery in (good, forged):
        assert world.do(Complain(delivery)) is Reason.BAD_PROOF
    elsewhere = ShareStatement(bytes(32), 1, 1, scalars.scalar_of(5))
    signed = ShareDelivery(elsewhere, OWNER.sign(share_message(elsewhere)))
    assert world.do(Complain(signed)) is Reason.NO_SUCH_OBJECT
    with pytest.raises(InvalidError):
        receive_share(forged, Expected(identifier, sharing, 1, OWNER.public))
    with pytest.raises(InvalidError):
        receive_share(good, Expected(identifier, sharing, 2, OWNER.public))


def test_a_vault_opens_without_missing_nodes_only_with_enough_acknowledgements() -> None:
    world = new_world()
    _, identifier, _ = pending(world)
    assert acknowledgements_needed(K, N) == 3
    for node in NODE_KEYS[:2]:
        world.must(world.do(_ack(identifier), node))

    assert world.do(Open(identifier, 1), OWNER) is Reason.BELOW_THRESHOLD
    world.must(world.do(_ack(identifier), NODE_KEYS[2]))
    assert world.do(Open(identifier, 1), STRANGER) is Reason.NOT_ALLOWED
    world.must(world.do(Open(identifier, 1), OWNER))

    held = vault(world.rows, identifier)
    assert held is not None
    assert held.sharing is not None
    assert (held.state, held.sharing.acknowledged) == ("active", (1, 2, 3))
    assert world.do(_ack(identifier), NODE_KEYS[2]) is Reason.EXISTS
    world.must(world.do(_ack(identifier), NODE_KEYS[3]))
    assert world.do(_ack(identifier, 7), NODE_KEYS[4]) is Reason.NO_SUCH_OBJECT
    assert world.do(_ack(identifier), STRANGER) is Reason.NOT_ALLOWED


def _ack(identifier: bytes, number: int = 1) -> Acknowledge:
    return Acknowledge(identifier, number)


def test_attack_t10_shares_of_before_and_after_a_refresh_do_not_mix() -> None:
    world = new_world()
    made = world.request(world.granted())
    before = world.answers(made, (1, 2))
    new = feldman.refreshed_polynomial(
        world.polynomial, world.rng.randbytes(feldman.entropy_size(K))
    )
    assert world.deal(new, 2) == world.vault
    after_request = world.request(world.granted())
    after = world.answers(after_request, (1, 2, 3))

    wanted = sought(world.rows, made.request, 1)
    renewed = sought(world.rows, after_request.request, 1)

    assert wanted is not None
    assert renewed is not None
    mixed = gather(world.rows, wanted, before)
    assert [one.code for one in mixed.rejected] == [Code.BAD_PARTIAL] * 2
    assert gather(world.rows, renewed, after).result == key_of(world, 1)
    assert world.nodes[0].held() == {world.vault: 2}
    old = {one: feldman.deal(world.polynomial, one) for one in (1, 2)}
    label, capsule = label_bytes(world.label(1)), world.sealed[1].capsule
    partials = {
        **{
            one: tdh2.make_partial(capsule, label, one, share, bytes(64))
            for one, share in old.items()
        },
        3: tdh2.make_partial(capsule, label, 3, feldman.deal(new, 3), bytes(64)),
    }
    assert tdh2.combine(partials, capsule, label) != key_of(world, 1)


def test_attack_t10_a_node_without_the_present_share_denies_and_an_erased_one_too() -> None:
    world = new_world()
    made = world.request(world.granted())
    world.nodes[0].erase(world.vault)

    answer = world.answer(world.ask(made))

    assert answer.receipt.receipt.code is Code.DENY_THRESHOLD
    assert answer.partials == ()
    assert world.nodes[0].held() == {}


def test_attack_t10_a_node_that_kept_an_old_share_denies() -> None:
    world = new_world()
    old = world.nodes[0]._shares[world.vault]
    world.deal(
        feldman.refreshed_polynomial(
            world.polynomial, world.rng.randbytes(feldman.entropy_size(K))
        ),
        2,
    )
    world.nodes[0].hold(world.vault, old)
    made = world.request(world.granted())

    codes = [world.answer(world.ask(made, node), node).receipt.receipt.code for node in (1, 2)]

    assert codes == [Code.DENY_THRESHOLD, Code.ALLOW]


def test_a_deal_keeps_to_its_rules() -> None:
    world = new_world()
    commitments = feldman.commit(world.polynomial)
    points = tuple(group.hash_to_point(bytes([one])) for one in range(N + 1))
    refused = [
        (Deal("other", 1, 1, commitments), OWNER, Reason.NO_SUCH_OBJECT),
        (Deal(COHORT, 2, 1, points[:K]), OWNER, Reason.OUT_OF_RANGE),
        (Deal(COHORT, 1, 2, points[:K]), OWNER, Reason.OUT_OF_RANGE),
        (Deal(COHORT, 1, 1, points), OWNER, Reason.OUT_OF_RANGE),
        (Deal(COHORT, 1, 1, (*points[:2], bytes(32))), OWNER, Reason.BAD_PROOF),
        (Deal(COHORT, 1, 3, commitments), OWNER, Reason.OUT_OF_RANGE),
        (Deal(COHORT, 1, 2, commitments[:2]), OWNER, Reason.OUT_OF_RANGE),
    ]
    for call, issuer, reason in refused:
        assert world.do(call, issuer) is reason
    world.must(world.do(Deal(COHORT, 1, 2, commitments), OWNER))
    assert world.do(Deal(COHORT, 1, 2, commitments), OWNER) is Reason.EXISTS
    world.must(world.do(Retire(world.vault), OWNER))
    assert world.do(Deal(COHORT, 1, 2, commitments), OWNER) is Reason.NOT_ACTIVE
    assert world.do(Retire(bytes(32)), OWNER) is Reason.NO_SUCH_OBJECT


def test_attack_t13_k_nodes_that_collude_open_everything_without_a_trace() -> None:
    """The limit of the design, stated in docs/access.md: k nodes need no request."""
    world = new_world()
    before = dict(world.rows.scan(b""))
    shares = {one: world.nodes[one - 1]._shares[world.vault].share for one in (1, 3, 5)}
    label, sealed = label_bytes(world.label(4)), world.sealed[4]
    partials = {
        one: tdh2.make_partial(sealed.capsule, label, one, share, bytes(64))
        for one, share in shares.items()
    }

    key = tdh2.combine(partials, sealed.capsule, label)

    addresses = open_addresses(key, world.label(4), sealed.key_commitment, sealed.sealed_addresses)
    assert not isinstance(addresses, Code)
    opened_readings = open_readings(key, world.label(4), sealed.root, addresses.data, sealed.data)
    assert opened_readings == [(4, b"reading 4")]
    assert dict(world.rows.scan(b"")) == before


# Capsules and chunks.


PRIVACY: Final = PrivacyRecord(bytes(16), "someone", "charging", "", 0)


def plain_label(number: int = 0, stream: bytes = bytes(32)) -> ChunkLabel:
    return ChunkLabel(GENESIS_HASH, stream, number, 0, 1, bytes(32), COHORT, 1)


@given(st.integers(0, 8 * 128 - 1))
def test_attack_c4_a_capsule_with_any_other_bit_is_refused(bit: int) -> None:
    _, _, capsule, _ = opened()
    altered = bytearray(capsule)
    altered[bit // 8] ^= 1 << bit % 8

    assert not tdh2.is_capsule(bytes(altered), LABEL)


def test_attack_c5_a_partial_of_another_stream_opens_nothing() -> None:
    polynomial, commitments, _, _ = opened()
    fine, coarse = plain_label(0, b"f" * 32), plain_label(0, b"d" * 32)
    sealed = seal_chunk(commitments[0], coarse, [(0, b"day")], PRIVACY, bytes(range(128)))

    assert tdh2.is_capsule(sealed.capsule, label_bytes(coarse))
    assert not tdh2.is_capsule(sealed.capsule, label_bytes(fine))
    shares = {one: feldman.deal(polynomial, one) for one in (1, 2, 3)}
    partials = {
        one: tdh2.make_partial(sealed.capsule, label_bytes(fine), one, share, bytes(64))
        for one, share in shares.items()
    }
    key = tdh2.combine(partials, sealed.capsule, label_bytes(fine))
    assert (
        open_addresses(key, coarse, sealed.key_commitment, sealed.sealed_addresses)
        is Code.WRONG_KEY
    )


def test_attack_c6_a_ciphertext_opens_under_the_committed_key_only() -> None:
    _, commitments, _, _ = opened()
    label = plain_label()
    sealed = seal_chunk(commitments[0], label, [(0, b"day")], PRIVACY, bytes(range(128)))

    for key in (bytes(32), b"\xff" * 32):
        got = open_addresses(key, label, sealed.key_commitment, sealed.sealed_addresses)
        assert got is Code.WRONG_KEY
        forced = open_addresses(key, label, chunk_keys(key).commitment, sealed.sealed_addresses)
        assert forced is Code.DAMAGED


def test_attack_c7_no_key_and_nonce_repeat_over_ten_thousand_restarts() -> None:
    """A device keeps no nonce over a power cut: it begins a new chunk with a new key."""
    rng = random.Random("restarts")
    _, commitments, _, _ = opened()
    used: set[tuple[bytes, int]] = set()
    sealed = 0
    for segment in range(10_000):
        label = label_bytes(plain_label(0))  # the worst case: it does not even count its chunks
        _, key = tdh2.encapsulate(commitments[0], label, rng.randbytes(128))
        # whatever was written before the cut, its numbers start again
        for sequence in range(rng.randrange(3) if segment else 3):
            used.add((key, sequence))
            sealed += 1

    assert len(used) == sealed


@given(
    st.lists(st.tuples(st.integers(0, 2**62), st.binary(max_size=200)), max_size=12),
    st.integers(0, 2**32),
)
def test_what_was_sealed_is_opened(readings: list[tuple[int, bytes]], seed: int) -> None:
    rng = random.Random(seed)
    ordered = sorted(dict(readings).items())
    _, commitments, _, _ = opened()
    label = plain_label(seed)
    entropy = rng.randbytes(128)
    sealed = seal_chunk(commitments[0], label, ordered, PRIVACY, entropy)
    _, key = tdh2.encapsulate(commitments[0], label_bytes(label), entropy)

    addresses = open_addresses(key, label, sealed.key_commitment, sealed.sealed_addresses)

    assert not isinstance(addresses, Code)
    assert open_readings(key, label, sealed.root, addresses.data, sealed.data) == ordered


@pytest.mark.parametrize(
    "readings",
    [
        pytest.param([(1, b""), (1, b"")], id="a number twice"),
        pytest.param([(2, b""), (1, b"")], id="descending"),
        pytest.param([(0, bytes(1_009))], id="too long"),
        pytest.param([(one, b"") for one in range(4_097)], id="too many"),
    ],
)
def test_what_cannot_be_sealed_is_refused(readings: list[tuple[int, bytes]]) -> None:
    _, commitments, _, _ = opened()

    with pytest.raises(InvalidError):
        seal_chunk(commitments[0], plain_label(), readings, PRIVACY, bytes(128))
