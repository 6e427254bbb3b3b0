"""The signed answer of a certification node: that it released, or denied and why."""

from typing import Annotated, Final

import msgspec

from access.codes import Code
from tangle.address import AddressField
from tangle.codec import Decoder, encode
from tangle.hashing import digest, domain
from tangle.keys import SignatureField
from tangle.transaction import Counter, HashField

MAX_RECEIPT_SIZE: Final = 512
_RECEIPT: Final = domain("access.receipt")

NO_RECEIPT: Final = bytes(32)
"""Stands for the receipt before a node's first one."""


class Receipt(msgspec.Struct, frozen=True, array_like=True):
    """One answer of one node. Each names the one before, so that none can be left out."""

    genesis_hash: HashField
    node: AddressField
    number: Counter
    """The node's own, from 0."""

    previous: HashField
    request: HashField
    """`NO_RECEIPT` where not even that could be read."""

    code: Code
    policy: HashField
    """The grant's commitment on the ledger; zeros where there is none."""

    ledger_index: Counter
    """Of the last milestone the node had applied: the snapshot it judged by."""

    partials: HashField
    """Merkle root over the partials released; of nothing if none was."""

    is_offline: Annotated[int, msgspec.Meta(ge=0, le=1)]
    """Whether the node's view was stale and the grant allows for it."""


class SignedReceipt(msgspec.Struct, frozen=True, array_like=True):
    """A receipt under its node's signature."""

    receipt: Receipt
    signature: SignatureField


_receipts: Final = Decoder(SignedReceipt, "receipt", MAX_RECEIPT_SIZE)


def receipt_message(receipt: Receipt) -> bytes:
    """Return the bytes that a node signs."""
    return _RECEIPT + encode(receipt)


def receipt_hash(receipt: Receipt) -> bytes:
    """Return what the next receipt of the node names."""
    return digest(receipt_message(receipt))


def decode_receipt(data: bytes) -> SignedReceipt:
    """Parse canonical bytes. Raises `MalformedBytesError`; checks no signature."""
    return _receipts.decode(data)


def first_gap(receipts: tuple[Receipt, ...]) -> int | None:
    """Return the number of the first receipt that is missing or out of place, `None` if none is.

    Args:
        receipts: Of one node, as a store has them from number 0 on.
    """
    before = NO_RECEIPT
    for number, one in enumerate(receipts):
        if one.number != number or one.previous != before:
            return number
        before = receipt_hash(one)
    return None
