"""A receipt: the home edge's signed word that it has journalled a meter's readings.

A broker's acknowledgement proves nothing about the ledger; only on this does a meter forget.
"""

from typing import Final

import msgspec

from devices.reading import NetworkField
from tangle.address import Address
from tangle.codec import Decoder, encode
from tangle.errors import InvalidReceiptError
from tangle.hashing import domain
from tangle.keys import KeyField, PublicKey, SignatureField, SigningKey, is_signed
from tangle.transaction import Counter, HashField

MAX_RECEIPT_SIZE: Final = 256
"""Of a signed receipt: its fields come to at most 160 bytes."""


class Receipt(msgspec.Struct, frozen=True, array_like=True):
    """Every reading of one meter up to a sequence is journalled durably."""

    network: NetworkField
    device: HashField
    """Address of the meter's key."""

    through: Counter
    """Highest sequence below which, itself included, none is missing."""


class SignedReceipt(msgspec.Struct, frozen=True, array_like=True):
    """A receipt as an edge node publishes it."""

    receipt: Receipt
    edge_key: KeyField
    signature: SignatureField


_decoder: Final = Decoder(SignedReceipt, "receipt", MAX_RECEIPT_SIZE)
_DOMAIN: Final = domain("receipt")


def encode_receipt(signed: SignedReceipt) -> bytes:
    """Return the canonical bytes of a signed receipt."""
    return encode(signed)


def decode_receipt(data: bytes) -> SignedReceipt:
    """Parse canonical bytes. Raises `MalformedBytesError`; checks no other rule."""
    return _decoder.decode(data)


def sign_receipt(receipt: Receipt, key: SigningKey) -> SignedReceipt:
    """Return `receipt` with the edge node's key and its signature."""
    return SignedReceipt(receipt, key.public, key.sign(_DOMAIN + encode(receipt)))


def verify_receipt(
    signed: SignedReceipt, edge_key: PublicKey, network: bytes, device: Address, produced: int
) -> None:
    """Check that a meter may forget what the receipt covers.

    Args:
        signed: What arrived.
        edge_key: Key of the meter's home edge: no other's word counts.
        network: First 8 bytes of the genesis hash.
        device: The meter's own address.
        produced: How many readings it has made, the first being sequence 0.

    Raises:
        InvalidReceiptError: By another key, for another network or device, beyond what was
            produced, or with a signature that does not verify.
    """
    receipt = signed.receipt
    name = f"receipt through {receipt.through}"
    if signed.edge_key != edge_key:
        raise InvalidReceiptError(
            f"{name} is by key {signed.edge_key.hex()}, not by the home edge {edge_key.hex()}"
        )
    if receipt.network != network:
        raise InvalidReceiptError(
            f"{name} is for network {receipt.network.hex()}, not {network.hex()}"
        )
    if receipt.device != device:
        raise InvalidReceiptError(
            f"{name} is for device {receipt.device.hex()}, not {device.hex()}"
        )
    if receipt.through >= produced:
        raise InvalidReceiptError(f"{name}: only {produced} readings were produced")
    if not is_signed(edge_key, _DOMAIN + encode(receipt), signed.signature):
        raise InvalidReceiptError(
            f"{name}: signature {signed.signature[:8].hex()}… is not by key {edge_key[:8].hex()}…"
        )
