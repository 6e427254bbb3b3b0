"""What a capable meter and its home edge say to each other beside readings and receipts: signed.

None of it is a proof. Tips and answers spare a meter time; whatever they say, at worst a report
comes later. A relay status is what the meter says of itself, and is compared with what it reads.
"""

from typing import Annotated, Final, Literal

import msgspec

from devices.reading import NetworkField
from devices.relay import Why
from tangle.address import Address
from tangle.codec import Decoder, encode
from tangle.errors import InvalidMessageError
from tangle.hashing import domain
from tangle.keys import KeyField, PublicKey, SignatureField, SigningKey, is_signed
from tangle.transaction import PARENTS, Counter, HashField

MAX_MESSAGE_SIZE: Final = 768
"""Of a signed message: the fields of an answer come to at most 700 bytes."""

MAX_WHY: Final = 100
"""Characters of a reason in words; the rest is cut off."""

Said = Literal["taken", "refused", "applied", "ignored", "expired"]


class Tips(msgspec.Struct, frozen=True, array_like=True, tag="tips"):
    """Two parents that a transaction of this moment may approve. By the home edge."""

    network: NetworkField
    parents: Annotated[tuple[HashField, ...], msgspec.Meta(min_length=PARENTS, max_length=PARENTS)]
    """Ascending."""

    milestone_index: Counter
    """Last milestone that the edge had applied."""


class Answer(msgspec.Struct, frozen=True, array_like=True, tag="answer"):
    """What became of a transaction that a meter posted. By the home edge."""

    network: NetworkField
    device: HashField
    tx_id: HashField
    """Of bytes that are no transaction: their BLAKE2b-256."""

    said: Said
    """`taken`: journalled and sent; `refused`: not taken; the others: what became of it."""

    code: Annotated[str, msgspec.Meta(max_length=64)]
    """Name of the error, or the ledger's reason; empty if there is none."""

    why: Annotated[str, msgspec.Meta(max_length=MAX_WHY)]
    more_bits: Counter
    """Work that this door asks of the meter now, beyond the network's."""


class RelayStatus(msgspec.Struct, frozen=True, array_like=True, tag="relay"):
    """Where a relay stands. By its meter."""

    network: NetworkField
    device: HashField
    limit_w: Annotated[int, msgspec.Meta(ge=0, le=10**6)] | None
    """0: open. Above: the draw is limited to it. `None`: closed."""

    why: Why
    since_ms: Counter
    """Ledger time of the last switching."""

    at_ms: Counter
    """Ledger time of this message, by the meter's clock."""

    milestone_index: Counter
    """Of the newest standing that the meter believed; 0 for none."""


Message = Tips | Answer | RelayStatus


class SignedMessage(msgspec.Struct, frozen=True, array_like=True):
    """A message as it is published."""

    message: Message
    key: KeyField
    signature: SignatureField


_decoder: Final = Decoder(SignedMessage, "message", MAX_MESSAGE_SIZE)
_DOMAIN: Final = domain("meter-message")


def sign_message(message: Message, key: SigningKey) -> bytes:
    """Return the canonical bytes of a message under a signature."""
    return encode(SignedMessage(message, key.public, key.sign(_DOMAIN + encode(message))))


def read_message(data: bytes, key: PublicKey, network: bytes) -> Message:
    """Return a message that `key` signed for `network`.

    Raises:
        MalformedBytesError: Not the canonical spelling of a message.
        InvalidMessageError: By another key, of another network, or a signature that does not
            verify.
    """
    signed = _decoder.decode(data)
    if signed.key != key:
        raise InvalidMessageError(
            f"a message is by key {signed.key.hex()}, not by the expected {key.hex()}"
        )
    if signed.message.network != network:
        raise InvalidMessageError(
            f"a message is for network {signed.message.network.hex()}, not {network.hex()}"
        )
    if not is_signed(key, _DOMAIN + encode(signed.message), signed.signature):
        raise InvalidMessageError(
            f"signature {signed.signature[:8].hex()}… of a message is not by key {key[:8].hex()}…"
        )
    return signed.message


def verify_device(message: Answer | RelayStatus, device: Address) -> None:
    """Check which meter a message is about. Raises `InvalidMessageError`."""
    if message.device != device:
        raise InvalidMessageError(
            f"a message is about device {message.device.hex()}, not {device.hex()}"
        )
