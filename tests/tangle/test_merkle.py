import pytest
from hypothesis import given
from hypothesis import strategies as st

from tangle.codec import encode
from tangle.errors import InvalidProofError, MalformedBytesError
from tangle.hashing import digest
from tangle.merkle import (
    MAX_PROOF_SIZE,
    MerkleProof,
    decode_merkle_proof,
    merkle_root,
    prove_inclusion,
    verify_inclusion,
)
from tests.vectors import load

TIP_4 = load("merkle")
LEAVES = [bytes.fromhex(leaf) for leaf in TIP_4["leaves"]]
ROOT = merkle_root(LEAVES)

leaf_lists = st.lists(st.binary(max_size=40), min_size=1, max_size=40)


def by_definition(leaves: list[bytes]) -> bytes:
    """TIP-4 word for word."""
    if not leaves:
        return digest(b"")
    if len(leaves) == 1:
        return digest(b"\0" + leaves[0])
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return digest(b"\1" + by_definition(leaves[:split]) + by_definition(leaves[split:]))


@pytest.mark.parametrize(("count", "root"), TIP_4["roots"].items())
def test_the_root_is_that_of_tip_4(count: str, root: str) -> None:
    assert merkle_root(LEAVES[: int(count)]).hex() == root


@given(st.lists(st.binary(max_size=40), max_size=70))
def test_the_root_follows_the_definition(leaves: list[bytes]) -> None:
    assert merkle_root(leaves) == by_definition(leaves)


@given(leaf_lists)
def test_every_leaf_is_proven_and_its_proof_survives_the_wire(leaves: list[bytes]) -> None:
    root = merkle_root(leaves)

    for position, leaf in enumerate(leaves):
        proof = decode_merkle_proof(encode(prove_inclusion(leaves, position)))
        verify_inclusion(leaf, proof, root)


@given(leaf_lists, st.data())
def test_nothing_else_is_proven(leaves: list[bytes], data: st.DataObject) -> None:
    proof = prove_inclusion(leaves, data.draw(st.integers(0, len(leaves) - 1)))
    other = data.draw(st.binary(max_size=40).filter(lambda leaf: leaf not in leaves))

    with pytest.raises(InvalidProofError, match="leads to root"):
        verify_inclusion(other, proof, merkle_root(leaves))


@given(st.lists(st.binary(max_size=8), min_size=2, max_size=20), st.data())
def test_a_changed_sibling_or_root_is_refused(leaves: list[bytes], data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(leaves) - 1))
    proof, root = prove_inclusion(leaves, position), merkle_root(leaves)
    level = data.draw(st.integers(0, len(proof.siblings) - 1))
    siblings = list(proof.siblings)
    siblings[level] = digest(siblings[level])

    with pytest.raises(InvalidProofError):
        verify_inclusion(
            leaves[position], MerkleProof(proof.index, proof.count, tuple(siblings)), root
        )
    with pytest.raises(InvalidProofError):
        verify_inclusion(leaves[position], proof, digest(root))


def test_a_leaf_beyond_the_count_is_refused_though_its_path_exists() -> None:
    eight = [*LEAVES, b"eighth"]
    siblings = prove_inclusion(eight, 7).siblings

    with pytest.raises(InvalidProofError, match="counted from 0"):
        verify_inclusion(b"eighth", MerkleProof(7, 7, siblings), merkle_root(eight))


def test_an_inner_node_is_no_leaf() -> None:
    left = digest(b"\0" + LEAVES[0]) + digest(b"\0" + LEAVES[1])
    right = prove_inclusion(LEAVES[:4], 0).siblings[1]

    with pytest.raises(InvalidProofError):
        verify_inclusion(left, MerkleProof(0, 2, (right,)), merkle_root(LEAVES[:4]))


@pytest.mark.parametrize(
    ("proof", "message"),
    [
        pytest.param(MerkleProof(7, 7, ()), "leaf 7 of 7", id="index beyond the count"),
        pytest.param(
            MerkleProof(0, 7, prove_inclusion(LEAVES, 0).siblings[:2]), "2 siblings", id="too few"
        ),
        pytest.param(
            MerkleProof(0, 7, (*prove_inclusion(LEAVES, 0).siblings, bytes(32))),
            "4 siblings",
            id="too many",
        ),
        pytest.param(
            MerkleProof(1, 7, prove_inclusion(LEAVES, 0).siblings), "leads to root", id="wrong side"
        ),
    ],
)
def test_a_proof_of_another_shape_is_refused(proof: MerkleProof, message: str) -> None:
    with pytest.raises(InvalidProofError, match=message):
        verify_inclusion(LEAVES[0], proof, ROOT)


@pytest.mark.parametrize(
    "proof",
    [
        pytest.param(MerkleProof(0, 0, ()), id="no leaves"),
        pytest.param(MerkleProof(-1, 1, ()), id="negative index"),
        pytest.param(MerkleProof(0, 2**32 + 1, ()), id="too many leaves"),
        pytest.param(MerkleProof(0, 2**32, (bytes(32),) * 33), id="too many levels"),
        pytest.param(MerkleProof(0, 2, (bytes(31),)), id="short sibling"),
    ],
)
def test_bytes_outside_the_limits_do_not_decode(proof: MerkleProof) -> None:
    with pytest.raises(MalformedBytesError):
        decode_merkle_proof(encode(proof))


def test_the_largest_proof_fits() -> None:
    largest = MerkleProof(2**32 - 1, 2**32, (bytes(32),) * 32)

    assert decode_merkle_proof(encode(largest)) == largest
    assert len(encode(largest)) <= MAX_PROOF_SIZE


@pytest.mark.parametrize("position", [-1, 7])
def test_a_proof_of_what_is_not_there_is_a_bug_of_the_caller(position: int) -> None:
    with pytest.raises(AssertionError):
        prove_inclusion(LEAVES, position)
