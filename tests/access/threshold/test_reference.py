"""The fast threshold scheme says what the slow one says, byte for byte."""

import os
import random
from typing import Final

import pytest

from access.threshold import feldman, group, scalars, tdh2
from tangle.errors import GroupError
from tests.access.threshold import reference_group as slow_group
from tests.access.threshold import reference_tdh2 as slow

CASES: Final = 20_000 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 1_000
BATCHES: Final = 10
"""Parts of the cases, so that several processes share them."""


@pytest.mark.parametrize("batch", range(BATCHES))
def test_random_cases_agree_with_plain_integers(batch: int) -> None:
    rng = random.Random(f"tdh2 {batch}")
    for _ in range(CASES // BATCHES):
        _agree(rng)


def _agree(rng: random.Random) -> None:
    n = rng.randint(1, 7)
    k = rng.randint(1, min(n, 4))
    label = rng.randbytes(rng.randint(0, 90))
    polynomial = feldman.new_polynomial(k, rng.randbytes(feldman.entropy_size(k)))
    commitments = feldman.commit(polynomial)
    coefficients = [int.from_bytes(one, "little") for one in polynomial.coefficients]
    entropy = rng.randbytes(tdh2.ENCAPSULATION_ENTROPY)

    capsule, key = tdh2.encapsulate(commitments[0], label, entropy)

    public = slow_group.decode(commitments[0])
    assert (capsule, key) == slow.encapsulate(public, label, entropy)
    chosen = rng.sample(range(1, n + 1), k)
    partials = {one: _partial(rng, polynomial, capsule, label, one) for one in chosen}
    checked = chosen[0]
    share = slow.share(coefficients, checked)
    verification = slow_group.multiply(share, slow_group.BASE)
    assert feldman.deal(polynomial, checked) == slow.scalar(share)
    assert feldman.verification_key(commitments, checked) == slow_group.encode(verification)
    assert slow.is_partial(partials[checked], capsule, label, verification)
    points = {one: slow_group.decode(partial[2:34]) for one, partial in partials.items()}
    assert slow.combine(points, capsule, label) == key
    assert tdh2.combine(partials, capsule, label) == key


def _partial(
    rng: random.Random, polynomial: feldman.Polynomial, capsule: bytes, label: bytes, index: int
) -> bytes:
    share = feldman.deal(polynomial, index)
    return tdh2.make_partial(capsule, label, index, share, rng.randbytes(tdh2.PARTIAL_ENTROPY))


@pytest.mark.parametrize("case", range(20))
def test_altered_capsules_and_partials_are_judged_alike(case: int) -> None:
    rng = random.Random(f"altered {case}")
    polynomial = feldman.new_polynomial(2, rng.randbytes(feldman.entropy_size(2)))
    commitments = feldman.commit(polynomial)
    capsule, _ = tdh2.encapsulate(commitments[0], b"label", rng.randbytes(128))
    partial = _partial(rng, polynomial, capsule, b"label", 1)
    verification = feldman.verification_key(commitments, 1)
    # of the scalars alone: an altered point is mostly none, which only the fast one refuses
    bit = rng.randrange(8 * 60)
    altered = bytearray(capsule)
    altered[64 + bit // 8] ^= 1 << bit % 8
    forged = bytearray(partial)
    forged[34 + bit // 8] ^= 1 << bit % 8

    assert slow.is_capsule(capsule, b"label")
    assert tdh2.is_capsule(capsule, b"label")
    assert not slow.is_capsule(bytes(altered), b"label")
    assert not tdh2.is_capsule(bytes(altered), b"label")
    point = slow_group.decode(verification)
    assert not slow.is_partial(bytes(forged), capsule, b"label", point)
    assert not tdh2.is_partial(bytes(forged), capsule, b"label", verification)


def test_points_outside_the_subgroup_are_refused() -> None:
    honest = slow_group.multiply(12345, slow_group.BASE)

    for torsion in slow_group.small_order_points()[1:]:
        mixed = slow_group.encode(slow_group.add(honest, torsion))
        small = slow_group.encode(torsion)
        for bad in (mixed, small):
            assert not slow_group.is_prime_order(bad)
            assert not group.is_point(bad)
            with pytest.raises(GroupError):
                group.multiply(scalars.scalar_of(8), bad)
    assert group.is_point(slow_group.encode(honest))


def test_random_bytes_are_points_for_both_or_for_neither() -> None:
    rng = random.Random("points")
    for _ in range(200):
        data = rng.randbytes(32)

        assert group.is_point(data) == slow_group.is_prime_order(data)


def test_sums_and_products_agree() -> None:
    rng = random.Random("sums")
    for _ in range(30):
        one, other = rng.randrange(1, slow_group.L), rng.randrange(1, slow_group.L)
        fast_one = group.multiply_base(scalars.scalar_of(one))
        fast_other = group.multiply_base(scalars.scalar_of(other))
        slow_one = slow_group.multiply(one, slow_group.BASE)
        slow_other = slow_group.multiply(other, slow_group.BASE)

        assert fast_one == slow_group.encode(slow_one)
        assert group.add(fast_one, fast_other) == slow_group.encode(
            slow_group.add(slow_one, slow_other)
        )
        assert group.subtract(fast_one, fast_other) == slow_group.encode(
            slow_group.add(slow_one, slow_group.negate(slow_other))
        )
        assert group.multiply(scalars.scalar_of(other), fast_one) == slow_group.encode(
            slow_group.multiply(other, slow_one)
        )


def test_the_second_base_is_a_point_of_its_own() -> None:
    assert slow_group.is_prime_order(tdh2.SECOND_BASE)
    assert slow_group.decode(tdh2.SECOND_BASE) == slow.SECOND
