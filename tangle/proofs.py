"""Proofs that anyone checks offline with genesis alone: their bytes, and how they are made.

What they prove is read by `tangle.proven`. The canonical form of a proof ends in a checksum, so
that a damaged copy is refused rather than read as another statement: a path that shows that one
row is absent shows the same of its neighbours. It is no signature, and needs none: a proof that
someone makes up, checksum and all, still proves only what is true.
"""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from tangle.accounts import SEQUENCE_PREFIX, Token, balance_key, identity_key
from tangle.address import Address, AddressField
from tangle.anchors import Anchor, TransactionBytes, ValueBytes
from tangle.codec import Decoder, encode
from tangle.errors import InvalidProofError
from tangle.hashing import digest, domain
from tangle.merkle import MerkleProof, prove_inclusion
from tangle.rows import RowReader
from tangle.transaction import HashField, TransactionId
from tangle.trie import StateProof, Trie

MAX_KEY_SIZE: Final = 1_024
"""Bytes of a row's key: far beyond a prefix and an address."""

MAX_PROOF_SIZE: Final = 8 * 2**20
"""Bytes of a whole proof: a full chain of rotations, each of a few kilobytes, and some rows."""


class TransactionProof(msgspec.Struct, frozen=True, array_like=True, tag="transaction"):
    """That a milestone references a transaction, and perhaps that it was applied."""

    anchor: Anchor
    transaction: TransactionBytes
    """Canonical bytes, witness included."""

    inclusion: MerkleProof
    """Of its id under the inclusion root."""

    applied: MerkleProof | None
    """Of its id under the applied root; `None` proves nothing, neither way."""


class RowState(msgspec.Struct, frozen=True, array_like=True):
    """What stands at one key."""

    value: ValueBytes | None
    """`None`: there is no row."""

    path: StateProof


class RowProof(msgspec.Struct, frozen=True, array_like=True, tag="row"):
    """What one row held after a milestone, or that there was none."""

    anchor: Anchor
    key: Annotated[bytes, msgspec.Meta(max_length=MAX_KEY_SIZE)]
    row: RowState


class AddressProof(msgspec.Struct, frozen=True, array_like=True, tag="address"):
    """What the ledger held for an address after a milestone; the keys follow from the address."""

    anchor: Anchor
    address: AddressField
    ent: RowState
    eeuro: RowState
    sequence: RowState
    identity: RowState


Proof = TransactionProof | RowProof | AddressProof


class _Sealed(msgspec.Struct, frozen=True, array_like=True):
    proof: Proof
    checksum: HashField


_decoder: Final = Decoder(_Sealed, "proof", MAX_PROOF_SIZE)
_DOMAIN: Final = domain("proof")


def encode_proof(proof: Proof) -> bytes:
    """Return the canonical bytes of a proof with its checksum: what a file holds."""
    return encode(_Sealed(proof, _checksum(proof)))


def decode_proof(data: bytes) -> Proof:
    """Parse what `encode_proof` wrote; proves nothing yet.

    Raises:
        MalformedBytesError: Not the canonical spelling of a proof.
        InvalidProofError: The checksum is of something else: the copy is damaged.
    """
    sealed = _decoder.decode(data)
    computed = _checksum(sealed.proof)
    if sealed.checksum != computed:
        raise InvalidProofError(
            f"the checksum is {sealed.checksum.hex()}, of these bytes it would be {computed.hex()}"
        )
    return sealed.proof


def address_keys(address: Address) -> tuple[bytes, bytes, bytes, bytes]:
    """Return the keys of the rows that an `AddressProof` shows, in its order."""
    return (
        balance_key(Token.ENT, address),
        balance_key(Token.EEURO, address),
        SEQUENCE_PREFIX + address,
        identity_key(address),
    )


def prove_transaction(
    anchor: Anchor,
    transaction: tuple[TransactionId, bytes],
    referenced: Sequence[TransactionId],
    applied: Sequence[TransactionId],
) -> TransactionProof:
    """Return the proof of one transaction.

    Args:
        anchor: The milestone that references it.
        transaction: Its id and canonical bytes.
        referenced: All ids that the milestone references, in white-flag order.
        applied: Those of them that were applied, in the same order.
    """
    tx_id, data = transaction
    return TransactionProof(
        anchor,
        data,
        prove_inclusion(referenced, referenced.index(tx_id)),
        prove_inclusion(applied, applied.index(tx_id)) if tx_id in applied else None,
    )


def prove_row(anchor: Anchor, trie: Trie, rows: RowReader, key: bytes) -> RowProof:
    """Return the proof of one row, present or absent.

    Args:
        anchor: The milestone that led to the state.
        trie: Of the state.
        rows: The state.
        key: Of the row.
    """
    return RowProof(anchor, key, row_state(trie, rows, key))


def prove_address(anchor: Anchor, trie: Trie, rows: RowReader, address: Address) -> AddressProof:
    """Return the proof of what the ledger holds for an address; arguments as in `prove_row`."""
    return AddressProof(
        anchor, address, *(row_state(trie, rows, key) for key in address_keys(address))
    )


def row_state(trie: Trie, rows: RowReader, key: bytes) -> RowState:
    """Return what stands at one key, with its way to the state root; arguments as `prove_row`."""
    return RowState(rows.get(key), trie.prove(key))


def _checksum(proof: Proof) -> bytes:
    return digest(_DOMAIN + encode(proof))
