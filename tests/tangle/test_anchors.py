"""The chain of coordinator keys, over milestones signed by hand."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tangle.accounts import COORDINATORS_KEY
from tangle.anchors import (
    MAX_ROTATIONS,
    MAX_VALUE_SIZE,
    Anchor,
    Rotation,
    follow_rotations,
    prove_rotation,
    verify_anchor,
)
from tangle.codec import encode
from tangle.errors import InvalidProofError
from tangle.genesis import entry_points
from tangle.hashing import digest
from tangle.keys import SigningKey
from tangle.proofs import MAX_PROOF_SIZE
from tangle.transaction import MAX_COORDINATOR_KEYS, MAX_MILESTONE_PARENTS, MAX_TRANSACTION_SIZE
from tangle.trie import MAX_PROOF_SIZE as MAX_PATH_SIZE
from tangle.trie import Trie
from tests.community import Maker, key
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

TO_SECOND = rotated(10, named(SECOND_KEYS))
TO_THIRD = rotated(20, named(THIRD_KEYS), SECOND_KEYS[1:])


def refusal(anchor: Anchor) -> str:
    with pytest.raises(InvalidProofError) as refused:
        verify_anchor(anchor, GENESIS)
    return str(refused.value)


def test_a_milestone_counts_with_a_quorum_of_the_keys_of_genesis() -> None:
    proven, keyring = verify_anchor(Anchor((), milestone_bytes(Said(7))), GENESIS)

    assert (proven.index, proven.payload.state_root) == (7, Trie.of(ROWS).root)
    assert keyring.at(7).keys == GENESIS.coordinator_keys


@pytest.mark.parametrize(
    ("index", "rotations", "signers"),
    [
        (10, (), FIRST_KEYS[:2]),
        (11, (TO_SECOND,), SECOND_KEYS[:2]),
        (20, (TO_SECOND,), SECOND_KEYS),
        (21, (TO_SECOND, TO_THIRD), THIRD_KEYS),
        (4_000, (TO_SECOND, TO_THIRD), THIRD_KEYS),
    ],
)
def test_keys_hold_from_the_milestone_after_their_rotation_on(
    index: int, rotations: tuple[Rotation, ...], signers: tuple[SigningKey, ...]
) -> None:
    data = milestone_bytes(Said(index), signers)

    proven, _ = verify_anchor(Anchor(rotations, data), GENESIS)

    assert proven.index == index


def test_a_keyring_tells_whose_turn_an_index_is() -> None:
    keyring, milestones = follow_rotations((TO_SECOND, TO_THIRD), GENESIS)

    assert [one.index for one in milestones] == [10, 20]
    assert [len(keyring.at(index).keys) for index in (1, 10, 11, 20, 21)] == [3, 3, 3, 3, 1]
    assert keyring.at(10).keys == GENESIS.coordinator_keys
    assert keyring.at(11).keys == tuple(sorted(one.public for one in SECOND_KEYS))


@pytest.mark.parametrize(
    ("rotations", "index", "signers", "words"),
    [
        ((), 7, FIRST_KEYS[:1], "milestone: milestone 7: 1 signatures, 2 are needed"),
        ((), 7, (FIRST_KEYS[0], key(999)), "is no coordinator key"),
        ((), 11, SECOND_KEYS[:2], "is no coordinator key"),
        ((TO_SECOND,), 11, FIRST_KEYS[:2], "is no coordinator key"),
        ((TO_SECOND,), 21, THIRD_KEYS, "1 signatures, 2 are needed"),
        ((TO_SECOND, TO_THIRD), 21, SECOND_KEYS, "is no coordinator key"),
        ((TO_THIRD,), 21, THIRD_KEYS, "rotation 0: milestone 20"),
        ((TO_THIRD, TO_SECOND), 21, THIRD_KEYS, "rotation 0: milestone 20"),
        ((TO_SECOND,), 10, FIRST_KEYS, "milestone 10 of"),
        ((TO_SECOND,), 9, FIRST_KEYS, "comes after the rotation under milestone 10"),
        ((TO_SECOND, TO_SECOND), 21, SECOND_KEYS, "rotation 1: the coordinator keys are the same"),
    ],
)
def test_a_milestone_by_other_keys_than_those_of_its_index_does_not_count(
    rotations: tuple[Rotation, ...], index: int, signers: tuple[SigningKey, ...], words: str
) -> None:
    data = milestone_bytes(Said(index), signers)

    assert words in refusal(Anchor(rotations, data))


def test_a_rotation_before_the_one_it_follows_is_refused() -> None:
    # by keys that hold at index 9, and later by the clock: it is the index that tells
    again = rotated(9, named(THIRD_KEYS), FIRST_KEYS, later_ms=10_000)

    words = refusal(Anchor((TO_SECOND, again), milestone_bytes(Said(30), THIRD_KEYS)))

    assert "milestone 9 of" in words
    assert "comes after the rotation under milestone 10" in words


def test_a_milestone_that_is_not_later_than_the_rotation_is_refused() -> None:
    early = milestone_bytes(Said(11, later_ms=-2_000), SECOND_KEYS)

    assert "is not later" in refusal(Anchor((TO_SECOND,), early))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (named(FIRST_KEYS), "the same as before"),
        (named(FIRST_KEYS, 1), "a quorum of 1 of 3"),
        (named(SECOND_KEYS, 4), "a quorum of 4 of 3"),
        (named((), 0), "a quorum of 0 of 0"),
        (encode([[SECOND_KEYS[0].public] * 2, 2]), "not distinct and ascending"),
        (encode([sorted((one.public for one in SECOND_KEYS), reverse=True), 2]), "not distinct"),
        (b"keys", "coordinators row"),
    ],
)
def test_a_row_that_names_no_fit_keys_is_refused(value: bytes, words: str) -> None:
    words_of = refusal(Anchor((rotated(10, value),), milestone_bytes(Said(11), SECOND_KEYS)))

    assert words_of.startswith("rotation 0: ")
    assert words in words_of


def test_keys_may_stay_while_the_quorum_changes() -> None:
    anchor = Anchor((rotated(10, named(FIRST_KEYS, 3)),), milestone_bytes(Said(11), FIRST_KEYS))

    proven, keyring = verify_anchor(anchor, GENESIS)

    assert keyring.at(proven.index).quorum == 3


def test_a_row_that_is_not_under_the_state_root_is_refused() -> None:
    rows = {**ROWS, COORDINATORS_KEY: named(SECOND_KEYS)}
    data = milestone_bytes(Said(10, rows))
    other = prove_rotation(data, Trie.of(rows), named(THIRD_KEYS))
    elsewhere = prove_rotation(milestone_bytes(Said(10)), Trie.of(rows), named(SECOND_KEYS))
    last = milestone_bytes(Said(11), SECOND_KEYS)

    assert "rotation 0: the value of key b'coordinators'" in refusal(Anchor((other,), last))
    assert "rotation 0: the proof leads to root" in refusal(Anchor((elsewhere,), last))


def test_another_network_is_refused() -> None:
    foreign = genesis_of(name="other")
    data = milestone_bytes(Said(7, genesis=foreign))

    verify_anchor(Anchor((), data), foreign)

    assert "milestone: network" in refusal(Anchor((), data))


def test_what_is_no_milestone_is_refused() -> None:
    note = Maker(GENESIS).transaction(key(200), 0, entry_points(GENESIS))

    assert "is no milestone" in refusal(Anchor((), note.data))
    assert "milestone: transaction of 4 bytes" in refusal(Anchor((), b"junk"))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=6), st.data())
def test_any_chain_leads_to_the_keys_it_names_and_no_link_may_be_missing(
    sizes: list[int], data: st.DataObject
) -> None:
    turns: list[tuple[SigningKey, ...]] = [FIRST_KEYS]
    turns += [
        tuple(key(1_000 + 10 * number + one) for one in range(size))
        for number, size in enumerate(sizes)
    ]
    rotations = tuple(
        rotated(10 * (number + 1), named(after), before)
        for number, (before, after) in enumerate(pairwise(turns))
    )
    last = milestone_bytes(Said(1_000), turns[-1])
    missing = data.draw(st.integers(0, len(rotations) - 1))

    proven, keyring = verify_anchor(Anchor(rotations, last), GENESIS)
    broken = Anchor(rotations[:missing] + rotations[missing + 1 :], last)

    assert keyring.at(proven.index).keys == tuple(sorted(one.public for one in turns[-1]))
    refusal(broken)


def test_the_longest_chain_of_the_largest_rotations_fits_a_proof() -> None:
    keys_size = 2 + MAX_COORDINATOR_KEYS * 34 + 2
    signatures_size = MAX_COORDINATOR_KEYS * (34 + 66 + 1)
    milestone_size = 512 + MAX_MILESTONE_PARENTS * 34 + signatures_size
    rotation_size = milestone_size + MAX_PATH_SIZE + keys_size + 16

    assert milestone_size < MAX_TRANSACTION_SIZE
    most = MAX_ROTATIONS * rotation_size + 4 * (MAX_VALUE_SIZE + MAX_PATH_SIZE)
    assert most < MAX_PROOF_SIZE


def test_the_network_of_a_keyring_is_that_of_genesis() -> None:
    keyring, milestones = follow_rotations((), GENESIS)

    assert milestones == []
    assert keyring.network == digest(b"tanglewatt/genesis/1\0" + encode(GENESIS))[:8]
