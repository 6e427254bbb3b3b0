"""Attacks on shares, partials and capsules, by their numbers in the design."""

import itertools
import random
from typing import Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from access.codes import Code
from access.matching.gathering import BadPartial, Sought, gather, is_evidence, sought
from access.matching.message import Answer, NumberedPartial
from access.requests.receipt import receipt_message
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
from tangle.codec import encode
from tangle.errors import GroupError, InvalidError
from tangle.merkle import merkle_root
from tangle.outcomes import Reason
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

LABEL: Final = b"label"


def opened(seed: int = 1) -> tuple[feldman.Polynomial, tuple[bytes, ...], bytes, bytes]:
    """Return a polynomial, its commitments, a capsule and the key in it."""
    rng = random.Random(seed)
    polynomial = feldman.new_polynomial(K, rng.randbytes(feldman.entropy_size(K)))
    commitments = feldman.commit(polynomial)
    capsule, key = tdh2.encapsulate(commitments[0], LABEL, rng.randbytes(128))
    return polynomial, commitments, capsule, key


def partial(polynomial: feldman.Polynomial, capsule: bytes, index: int) -> bytes:
    return tdh2.make_partial(capsule, LABEL, index, feldman.deal(polynomial, index), bytes(64))


# Threshold.


@given(st.integers(0, 2**32), st.sets(st.integers(1, N), min_size=1, max_size=K - 1))
def test_attack_t1_fewer_than_k_partials_give_another_key(seed: int, indexes: set[int]) -> None:
    polynomial, _, capsule, key = opened(seed)

    wrong = tdh2.combine(
        {one: partial(polynomial, capsule, one) for one in indexes}, capsule, LABEL
    )

    assert wrong != key
    assert chunk_keys(wrong).commitment != chunk_keys(key).commitment


@given(st.integers(0, 2**32), st.integers(1, 2**200))
def test_attack_t1_every_secret_fits_what_k_minus_one_nodes_know(seed: int, guess: int) -> None:
    """Perfect secrecy: for any secret there is a polynomial through it and k − 1 known shares."""
    polynomial, *_ = opened(seed)
    known = {index: feldman.deal(polynomial, index) for index in (2, 5)}
    points = {0: scalars.scalar_of(guess), **known}
    # the value at a third index, by Lagrange, and back to zero from the three
    third = _interpolated(points, 1)

    indexes = (1, 2, 5)
    shares = {1: third, **known}
    secret = scalars.ZERO
    for index in indexes:
        part = scalars.times(scalars.lagrange(indexes, index), shares[index])
        secret = scalars.plus(secret, part)
    assert secret == scalars.scalar_of(guess)


def _interpolated(points: dict[int, bytes], at: int) -> bytes:
    whole = scalars.ZERO
    for one, value in points.items():
        above = below = 1
        for other in points:
            if other != one:
                above, below = above * (at - other), below * (one - other)
        factor = scalars.scalar_of(above * pow(below, -1, scalars.ORDER))
        whole = scalars.plus(whole, scalars.times(factor, value))
    return whole


@settings(max_examples=25)
@given(st.integers(0, 2**32))
def test_attack_t2_every_k_nodes_open_the_same_key(seed: int) -> None:
    polynomial, _, capsule, key = opened(seed)
    partials = {one: partial(polynomial, capsule, one) for one in range(1, N + 1)}

    for chosen in itertools.combinations(partials, K):
        assert tdh2.combine({one: partials[one] for one in chosen}, capsule, LABEL) == key


def gathering(world: World, number: int = 1) -> tuple[Sought, list[Answer]]:
    made = world.request(world.granted(), chunks=[number, 2])
    wanted = sought(world.rows, made.request, number)
    assert wanted is not None
    return wanted, world.answers(made, (1, 2, 3, 4, 5))


def resigned(answer: Answer, node: int, partials: tuple[NumberedPartial, ...]) -> Answer:
    """Return what a false node would send: other partials, under its own signature."""
    root = merkle_root([encode(one) for one in partials])
    receipt = msgspec.structs.replace(answer.receipt.receipt, partials=root)
    signature = NODE_KEYS[node - 1].sign(receipt_message(receipt))
    return Answer(type(answer.receipt)(receipt, signature), partials)


def with_partial(answer: Answer, node: int, bad: bytes) -> Answer:
    return resigned(answer, node, (NumberedPartial(1, bad), *answer.partials[1:]))


def key_of(world: World, number: int) -> bytes:
    """Return the key of a chunk from the owner's secret, which no protocol does."""
    label, sealed = label_bytes(world.label(number)), world.sealed[number]
    shared = group.multiply(world.polynomial.secret, sealed.capsule[:32])
    return tdh2._key(shared, sealed.capsule, label)


def test_attack_t3_a_false_partial_is_proven_and_the_next_node_is_used() -> None:
    world = new_world()
    wanted, answers = gathering(world)
    honest = answers[0].partials[0].partial
    d, proof = honest[2:34], honest[34:]
    negated = group.subtract(group.IDENTITY, d)
    false = {
        "random": group.hash_to_point(b"random"),
        "negated": negated,
        "doubled": group.add(d, d),
        "no point": bytes(32),
    }
    for name, other in false.items():
        bad = with_partial(answers[0], 1, honest[:2] + other + proof)

        got = gather(world.rows, wanted, [bad, *answers[1:4]])

        assert got.result == key_of(world, 1), name
        (rejected,) = got.rejected
        assert (rejected.code, rejected.node) == (Code.BAD_PARTIAL, address(NODE_KEYS[0]))
        assert rejected.evidence is not None
        assert is_evidence(world.rows, rejected.evidence)
        assert gather(world.rows, wanted, [bad, *answers[1:3]]).result is Code.BELOW_THRESHOLD


def test_attack_t3_nobody_is_accused_of_what_is_right() -> None:
    world = new_world()
    wanted, answers = gathering(world)
    bad = with_partial(answers[0], 1, bytes(98))
    got = gather(world.rows, wanted, [bad])
    evidence = got.rejected[0].evidence
    assert evidence is not None
    from_honest = BadPartial(answers[0].receipt, answers[0].partials[0], evidence.inclusion)
    unsigned = type(evidence.receipt)(evidence.receipt.receipt, bytes(64))

    assert is_evidence(world.rows, evidence)
    assert not is_evidence(world.rows, from_honest)
    assert not is_evidence(world.rows, msgspec.structs.replace(evidence, receipt=unsigned))
    other = NumberedPartial(1, b"\x00" * 97 + b"\x01")
    assert not is_evidence(world.rows, msgspec.structs.replace(evidence, partial=other))
    assert not is_evidence(
        world.rows, msgspec.structs.replace(evidence, partial=NumberedPartial(77, bytes(98)))
    )


def test_attack_t4_a_partial_of_another_chunk_is_refused() -> None:
    world = new_world()
    wanted, answers = gathering(world)
    other = answers[0].partials[1].partial
    replayed = with_partial(answers[0], 1, other)

    got = gather(world.rows, wanted, [replayed, *answers[1:4]])

    assert got.rejected[0].code is Code.BAD_PARTIAL
    assert got.result == key_of(world, 1)


def test_attack_t5_another_index_and_a_second_answer_do_not_count() -> None:
    world = new_world()
    wanted, answers = gathering(world)
    stolen = with_partial(answers[0], 1, answers[1].partials[0].partial)
    renumbered = with_partial(answers[0], 1, b"\x00\x02" + answers[0].partials[0].partial[2:])

    for bad in (stolen, renumbered):
        assert gather(world.rows, wanted, [bad]).rejected[0].code is Code.BAD_PARTIAL
    twice = gather(world.rows, wanted, [answers[0], answers[0], answers[1]])
    assert [one.code for one in twice.rejected] == [Code.DUPLICATE_INDEX]
    assert twice.result is Code.BELOW_THRESHOLD


def test_an_answer_of_a_stranger_or_for_another_request_does_not_count() -> None:
    world = new_world()
    wanted, answers = gathering(world)
    another = world.request(world.granted(), chunks=[1, 2])
    foreign = world.answer(world.ask(another, 1), 1)
    unbound = Answer(answers[1].receipt, answers[0].partials)
    signature = STRANGER.sign(receipt_message(answers[2].receipt.receipt))
    forged = Answer(
        type(answers[2].receipt)(answers[2].receipt.receipt, signature), answers[2].partials
    )

    got = gather(world.rows, wanted, [foreign, unbound, forged])

    assert [one.code for one in got.rejected] == [Code.BAD_PARTIAL] * 3
    assert [one.evidence for one in got.rejected] == [None] * 3
    assert sought(world.rows, bytes(32), 1) is None
    assert sought(world.rows, another.request, 99) is None


BAD_SCALARS: Final = {
    "zero": bytes(32),
    "order": scalars.ORDER.to_bytes(32, "little"),
    "above the order": (scalars.ORDER + 1).to_bytes(32, "little"),
    "all ones": b"\xff" * 32,
}
BAD_POINTS: Final = {
    "identity": group.IDENTITY,
    "order two": (2**255 - 20).to_bytes(32, "little"),
    "order four": bytes(32),
    "not canonical": (2**255 - 19 + 1).to_bytes(32, "little"),
    "not on the curve": b"\x02" + bytes(31),
    "short": bytes(31),
}


@pytest.mark.parametrize("name", BAD_POINTS)
def test_attack_t6_a_point_that_is_none_is_refused_everywhere(name: str) -> None:
    bad = BAD_POINTS[name]
    polynomial, commitments, capsule, _ = opened()
    good = partial(polynomial, capsule, 1)

    assert not group.is_point(bad)
    assert not feldman.are_commitments((*commitments[:2], bad))
    for commitments_with in ((bad, *commitments[1:]), (*commitments[:2], bad)):
        with pytest.raises(GroupError):
            feldman.verification_key(commitments_with, 2)
    with pytest.raises(GroupError):
        tdh2.encapsulate(bad, LABEL, bytes(range(128)))
    assert not tdh2.is_capsule(bad + capsule[32:], LABEL)
    assert not tdh2.is_capsule(capsule[:32] + bad + capsule[64:], LABEL)
    key = feldman.verification_key(commitments, 1)
    assert not tdh2.is_partial(good[:2] + bad + good[34:], capsule, LABEL, key)
    assert not tdh2.is_partial(good, capsule, LABEL, bad)


@pytest.mark.parametrize("name", BAD_SCALARS)
def test_attack_t6_a_scalar_that_is_not_reduced_or_zero_is_refused(name: str) -> None:
    bad = BAD_SCALARS[name]
    polynomial, commitments, capsule, _ = opened()
    good = partial(polynomial, capsule, 1)
    key = feldman.verification_key(commitments, 1)

    assert not scalars.is_scalar(bad)
    assert not tdh2.is_capsule(capsule[:64] + bad + capsule[96:], LABEL)
    assert not tdh2.is_capsule(capsule[:96] + bad, LABEL)
    assert not tdh2.is_partial(good[:34] + bad + good[66:], capsule, LABEL, key)
    assert not tdh2.is_partial(good[:66] + bad, capsule, LABEL, key)
    assert not feldman.is_consistent(commitments, 1, bad)


def test_attack_t6_a_scalar_with_the_order_added_is_no_second_spelling() -> None:
    _, _, capsule, _ = opened()
    e = int.from_bytes(capsule[64:96], "little") + scalars.ORDER

    assert e < 2**256
    assert not tdh2.is_capsule(capsule[:64] + e.to_bytes(32, "little") + capsule[96:], LABEL)


@given(st.binary(max_size=130), st.binary(max_size=100))
def test_any_bytes_are_judged_without_an_exception(capsule: bytes, claimed: bytes) -> None:
    _, commitments, good, _ = opened()

    assert not tdh2.is_capsule(capsule, LABEL)
    assert not tdh2.is_partial(claimed, good, LABEL, feldman.verification_key(commitments, 1))
    assert 0 <= tdh2.partial_index(claimed) <= scalars.MAX_INDEX


def test_commitments_that_cancel_out_are_refused() -> None:
    one = group.multiply_base(scalars.scalar_of(7))
    negated = group.subtract(group.IDENTITY, one)

    with pytest.raises(GroupError):
        feldman.verification_key((negated, one), 1)
    assert not feldman.is_consistent((negated, one), 1, scalars.scalar_of(7))
    with pytest.raises(GroupError):
        feldman.verification_key((one, negated, one, negated), 1)


def test_partials_that_cancel_out_are_no_key() -> None:
    polynomial, _, capsule, _ = opened()
    d = partial(polynomial, capsule, 1)[2:34]
    # with indexes 1 and 2 the first counts twice and the second minus once
    double = group.add(d, d)

    with pytest.raises(GroupError):
        tdh2.combine(
            {1: b"\x00\x01" + d + bytes(64), 2: b"\x00\x02" + double + bytes(64)}, capsule, LABEL
        )


@pytest.mark.parametrize("size", [0, 63, 129])
def test_too_few_random_bytes_are_refused(size: int) -> None:
    polynomial, commitments, capsule, _ = opened()

    with pytest.raises(InvalidError):
        tdh2.encapsulate(commitments[0], LABEL, bytes(size))
    with pytest.raises(InvalidError):
        tdh2.make_partial(capsule, LABEL, 1, feldman.deal(polynomial, 1), bytes(size))
    with pytest.raises(InvalidError):
        feldman.new_polynomial(3, bytes(size))


def test_a_polynomial_needs_a_threshold_in_range_and_real_random_bytes() -> None:
    for k in (0, feldman.MAX_THRESHOLD + 1):
        with pytest.raises(InvalidError, match="threshold"):
            feldman.new_polynomial(k, bytes(64 * k))
    with pytest.raises(InvalidError, match="not random"):
        feldman.new_polynomial(2, bytes(128))
    one, minus_one = scalars.scalar_of(1), scalars.scalar_of(-1)
    with pytest.raises(InvalidError, match="zero"):
        feldman.deal(feldman.Polynomial((one, minus_one)), 1)


def test_secrets_are_not_printed() -> None:
    polynomial, *_ = opened()
    statement = ShareStatement(bytes(32), 1, 1, feldman.deal(polynomial, 1))

    shown = f"{polynomial!r} {statement!r}"

    assert polynomial.secret.hex() not in shown
    assert repr(statement.share) not in shown
    assert repr(polynomial.secret) not in shown


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
