"""The state trie: one root over all rows of the ledger, and proofs of presence and absence.

Rows lie at the path that the bits of BLAKE2b-256(key) spell, from the most significant on, 0 to
the left. A subtree without rows hashes to 32 zero bytes, one with exactly one row *is* that leaf,
wherever it stands: leaf = H(00 ‖ key hash ‖ H(value)); any other is H(01 ‖ left ‖ right).

An inner node may thus have an empty side: two rows whose hashes share 20 bits lie below a chain
of nodes, and nothing skips it. If a node could stand for several bits, its hash would not say for
which, and a prover could hang a subtree below a wrong prefix and "prove" that a row is absent.
As it is, the length of a proof is the depth, and every bit of the key is checked on the way down.

Nodes are immutable and shared: a trie is a value, and an update costs the changed paths only.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec

from tangle.codec import Decoder
from tangle.errors import InvalidProofError
from tangle.hashing import HASH_SIZE, digest
from tangle.transaction import HashField

EMPTY_ROOT: Final = bytes(HASH_SIZE)
KEY_BITS: Final = HASH_SIZE * 8
MAX_PROOF_SIZE: Final = 9_216
"""More than 256 siblings of 34 bytes and a leaf take."""

_LEAF: Final = b"\x00"
_NODE: Final = b"\x01"


class ProvenLeaf(msgspec.Struct, frozen=True, array_like=True):
    """The row at the end of a path."""

    key_hash: HashField
    value_hash: HashField


class StateProof(msgspec.Struct, frozen=True, array_like=True):
    """The path of one key: what stands beside it, and what it ends in."""

    siblings: Annotated[tuple[HashField, ...], msgspec.Meta(max_length=KEY_BITS)]
    """Hashes beside the path, from the root downwards."""

    leaf: ProvenLeaf | None
    """Where the path ends: the row itself, another row that is alone there, or nothing."""


_decoder: Final = Decoder(StateProof, "state proof", MAX_PROOF_SIZE)


class _Leaf(msgspec.Struct, frozen=True, eq=False, gc=False):
    hash: bytes
    key_hash: bytes
    value_hash: bytes


class _Inner(msgspec.Struct, frozen=True, eq=False, gc=False):
    hash: bytes
    left: "_Leaf | _Inner | None"
    right: "_Leaf | _Inner | None"


_Node = _Leaf | _Inner | None
_Change = tuple[bytes, _Leaf | None]
"""Key hash, and the leaf to be there or `None` for no row."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Trie:
    """The rows of one moment, by their hashes. Compare two of them by `root`."""

    _node: _Node = None

    @staticmethod
    def of(rows: Mapping[bytes, bytes]) -> "Trie":
        """Return the trie of `rows`: key → value."""
        return Trie().update(rows)

    @property
    def root(self) -> bytes:
        """The state root, 32 bytes; all zero without rows."""
        return _hash_of(self._node)

    def update(self, changes: Mapping[bytes, bytes | None]) -> "Trie":
        """Return the trie after `changes`: key → new value, or `None` to delete the row.

        Deleting a row that is not there changes nothing. Costs O(m · log n) hashes for m changes
        to n rows; subtrees without a change are shared.
        """
        ordered = sorted(
            (key_hash, None if value is None else _leaf_of(key_hash, value))
            for key_hash, value in ((digest(key), value) for key, value in changes.items())
        )
        return Trie(_updated(self._node, ordered, 0))

    def prove(self, key: bytes) -> StateProof:
        """Return the proof that the row of `key` is present, or that it is absent."""
        key_hash = digest(key)
        siblings: list[bytes] = []
        node = self._node
        while isinstance(node, _Inner):
            if _bit(key_hash, len(siblings)):
                beside, node = node.left, node.right
            else:
                beside, node = node.right, node.left
            siblings.append(_hash_of(beside))
        leaf = ProvenLeaf(node.key_hash, node.value_hash) if node else None
        return StateProof(tuple(siblings), leaf)


def decode_state_proof(data: bytes) -> StateProof:
    """Parse canonical bytes. Raises `MalformedBytesError`; proves nothing yet."""
    return _decoder.decode(data)


def verify_presence(proof: StateProof, key: bytes, value: bytes, root: bytes) -> None:
    """Check that the row of `key` under `root` holds exactly `value`.

    Raises:
        InvalidProofError: The path ends in no row, another row or another value, or leads to
            another root.
    """
    expected = ProvenLeaf(digest(key), digest(value))
    if proof.leaf is None:
        raise InvalidProofError(f"the path of key {key!r} ends in no row")
    if proof.leaf.key_hash != expected.key_hash:
        raise InvalidProofError(f"the path of key {key!r} ends in the row of another key")
    if proof.leaf.value_hash != expected.value_hash:
        raise InvalidProofError(
            f"the value of key {key!r} hashes to {proof.leaf.value_hash.hex()},"
            f" not to {expected.value_hash.hex()}"
        )
    _verify_root(proof, expected.key_hash, root)


def verify_absence(proof: StateProof, key: bytes, root: bytes) -> None:
    """Check that there is no row of `key` under `root`.

    Raises:
        InvalidProofError: The path ends in that very row, or in one that cannot stand there, or
            leads to another root.
    """
    key_hash = digest(key)
    if proof.leaf is not None:
        if proof.leaf.key_hash == key_hash:
            raise InvalidProofError(f"the path of key {key!r} ends in its row: it is present")
        shared, depth = _shared_bits(proof.leaf.key_hash, key_hash), len(proof.siblings)
        if shared < depth:
            raise InvalidProofError(
                f"the row at the end of the path of key {key!r} shares {shared} bits with it,"
                f" not {depth}"
            )
    _verify_root(proof, key_hash, root)


def _verify_root(proof: StateProof, key_hash: bytes, root: bytes) -> None:
    hashed = EMPTY_ROOT
    if proof.leaf is not None:
        hashed = _leaf_hash(proof.leaf.key_hash, proof.leaf.value_hash)
    for depth in reversed(range(len(proof.siblings))):
        sibling = proof.siblings[depth]
        below = sibling + hashed if _bit(key_hash, depth) else hashed + sibling
        hashed = digest(_NODE + below)
    if hashed != root:
        raise InvalidProofError(f"the proof leads to root {hashed.hex()}, not to {root.hex()}")


def _updated(node: _Node, changes: Sequence[_Change], depth: int) -> _Node:
    """Return `node`, which stands at `depth`, after `changes`, ascending by key hash.

    Recursive, because each side needs the result of its own half; never deeper than the 256 bits
    of a key hash.
    """
    if not changes:
        return node
    if len(changes) == 1:  # so is nearly all of a path: a walk down and up again is the cheapest
        return _updated_once(node, changes[0], depth)
    if isinstance(node, _Inner):
        middle = _first_to_the_right(changes, depth)
        left = _updated(node.left, changes[:middle], depth + 1)
        right = _updated(node.right, changes[middle:], depth + 1)
        if left is node.left and right is node.right:
            return node
        return _joined(left, right)
    leaves = {} if node is None else {node.key_hash: node}
    for key_hash, leaf in changes:
        if leaf is None:
            leaves.pop(key_hash, None)
        else:
            leaves[key_hash] = leaf
    if node is not None and [leaf.hash for leaf in leaves.values()] == [node.hash]:
        return node
    return _built(sorted(leaves.items()), depth)


def _updated_once(root: _Node, change: _Change, depth: int) -> _Node:
    """Return `root`, which stands at `depth`, after a single change."""
    key_hash, leaf = change
    node, above = root, []
    while isinstance(node, _Inner):
        is_right = _bit(key_hash, depth)
        above.append((node, is_right))
        node = node.right if is_right else node.left
        depth += 1
    if node is None or node.key_hash == key_hash:
        new: _Node = leaf
        if _hash_of(node) == _hash_of(leaf):
            return root
    elif leaf is None:
        return root
    else:
        new = _built(sorted([(key_hash, leaf), (node.key_hash, node)]), depth)
    for inner, is_right in reversed(above):
        new = _joined(inner.left, new) if is_right else _joined(new, inner.right)
    return new


def _built(leaves: Sequence[_Change], depth: int) -> _Node:
    """Return the subtree at `depth` of `leaves`, ascending. Recursive as `_updated` is."""
    if len(leaves) <= 1:
        return leaves[0][1] if leaves else None
    middle = _first_to_the_right(leaves, depth)
    return _joined(_built(leaves[:middle], depth + 1), _built(leaves[middle:], depth + 1))


def _joined(left: _Node, right: _Node) -> _Node:
    """Return the node over two sides; a single leaf below moves up, none at all is empty."""
    if left is None and not isinstance(right, _Inner):
        return right
    if right is None and not isinstance(left, _Inner):
        return left
    below = (left.hash if left else EMPTY_ROOT) + (right.hash if right else EMPTY_ROOT)
    return _Inner(digest(_NODE + below), left, right)


def _first_to_the_right(changes: Sequence[_Change], depth: int) -> int:
    return bisect_left(changes, 1, key=lambda change: _bit(change[0], depth))


def _leaf_of(key_hash: bytes, value: bytes) -> _Leaf:
    value_hash = digest(value)
    return _Leaf(_leaf_hash(key_hash, value_hash), key_hash, value_hash)


def _leaf_hash(key_hash: bytes, value_hash: bytes) -> bytes:
    return digest(_LEAF + key_hash + value_hash)


def _hash_of(node: _Node) -> bytes:
    return node.hash if node is not None else EMPTY_ROOT


def _bit(key_hash: bytes, depth: int) -> int:
    return key_hash[depth >> 3] >> (7 - (depth & 7)) & 1


def _shared_bits(first: bytes, second: bytes) -> int:
    return KEY_BITS - (int.from_bytes(first, "big") ^ int.from_bytes(second, "big")).bit_length()
