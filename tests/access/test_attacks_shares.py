"""Attacks on shares and partials, by their numbers in the design."""

import itertools
from typing import Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from access.codes import Code
from access.matching.gathering import BadPartial, gather, is_evidence, sought
from access.matching.message import Answer, NumberedPartial
from access.requests.receipt import receipt_message
from access.streams.sealing import (
    chunk_keys,
)
from access.threshold import feldman, group, scalars, tdh2
from access.vaults.dealing import (
    ShareStatement,
)
from tangle.errors import GroupError, InvalidError
from tests.access.opening import LABEL, gathering, key_of, opened, partial, with_partial
from tests.access.world import (
    NODE_KEYS,
    STRANGER,
    K,
    N,
    address,
    new_world,
)

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
