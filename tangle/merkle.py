"""The Merkle tree hash of TIP-4, and proofs that a leaf is under a root.

Leaf = H(00 ‖ leaf), node = H(01 ‖ left ‖ right), a list of n > 1 split at the largest power of
two below n, the empty list = H(nothing). Pairing neighbours level by level, with an odd last one
carried up as it is, is the same tree without recursion.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Final

import msgspec

from tangle.codec import Decoder
from tangle.errors import InvalidProofError
from tangle.hashing import digest
from tangle.transaction import HashField

MAX_LEVELS: Final = 32
MAX_LEAVES: Final = 2**MAX_LEVELS
MAX_PROOF_SIZE: Final = 2_048
"""More than 32 siblings of 34 bytes and two integers take."""

_LEAF: Final = b"\x00"
_NODE: Final = b"\x01"


class MerkleProof(msgspec.Struct, frozen=True, array_like=True):
    """The siblings between a leaf and the root.

    `index` and `count` say only which way to go at each level. They are not under the root, so a
    proof shows *that* a leaf is there, not *where*.
    """

    index: Annotated[int, msgspec.Meta(ge=0, lt=MAX_LEAVES)]
    """Position of the leaf, from 0."""

    count: Annotated[int, msgspec.Meta(ge=1, le=MAX_LEAVES)]
    """Leaves in the whole tree."""

    siblings: Annotated[tuple[HashField, ...], msgspec.Meta(max_length=MAX_LEVELS)]
    """From the leaf upwards."""


_decoder: Final = Decoder(MerkleProof, "Merkle proof", MAX_PROOF_SIZE)


def decode_merkle_proof(data: bytes) -> MerkleProof:
    """Parse canonical bytes. Raises `MalformedBytesError`; proves nothing yet."""
    return _decoder.decode(data)


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """Return the root over `leaves` in their order, 32 bytes."""
    level = [digest(_LEAF + leaf) for leaf in leaves]
    while len(level) > 1:
        level = _level_above(level)
    return level[0] if level else digest(b"")


def prove_inclusion(leaves: Sequence[bytes], position: int) -> MerkleProof:
    """Return the proof of `leaves[position]`; a position outside the list is a bug."""
    assert 0 <= position < len(leaves), f"leaf {position} of {len(leaves)}"
    level = [digest(_LEAF + leaf) for leaf in leaves]
    siblings = []
    for has_sibling, at in _way_up(position, len(leaves)):
        if has_sibling:
            siblings.append(level[at ^ 1])
        level = _level_above(level)
    return MerkleProof(position, len(leaves), tuple(siblings))


def verify_inclusion(leaf: bytes, proof: MerkleProof, root: bytes) -> None:
    """Check that `leaf` is one of the leaves under `root`.

    Raises:
        InvalidProofError: An index beyond the count, a sibling too many or too few, or another
            root.
    """
    if proof.index >= proof.count:
        raise InvalidProofError(f"leaf {proof.index} of {proof.count}: they are counted from 0")
    way = [at for has_sibling, at in _way_up(proof.index, proof.count) if has_sibling]
    if len(way) != len(proof.siblings):
        raise InvalidProofError(
            f"{len(proof.siblings)} siblings: leaf {proof.index} of {proof.count} has {len(way)}"
        )
    hashed = digest(_LEAF + leaf)
    for at, sibling in zip(way, proof.siblings, strict=True):
        hashed = digest(_NODE + (sibling + hashed if at & 1 else hashed + sibling))
    if hashed != root:
        raise InvalidProofError(f"the proof leads to root {hashed.hex()}, not to {root.hex()}")


def _level_above(level: list[bytes]) -> list[bytes]:
    neighbours = zip(level[::2], level[1::2], strict=False)  # an odd last one has none
    above = [digest(_NODE + left + right) for left, right in neighbours]
    if len(level) % 2:
        above.append(level[-1])
    return above


def _way_up(position: int, count: int) -> Iterator[tuple[bool, int]]:
    """Yield, from the leaf level to below the root, whether there is a sibling, and where."""
    while count > 1:
        yield position ^ 1 < count, position
        position, count = position // 2, (count + 1) // 2
