"""Readings at rest: a load curve is personal data, so the journal holds it sealed.

XChaCha20-Poly1305 under a key derived from the node's own: who copies the disk without the key
file learns how many readings there are, not what they say. The salt of a reading's leaf lies
under the same seal: with it the commitment on the ledger could be searched for its values.
"""

from typing import Annotated, Final

import msgspec
from nacl import bindings
from nacl.exceptions import CryptoError

from devices.reading import MAX_READING_SIZE, SALT_SIZE
from edge.journal.entries import TakenReading
from tangle.address import Address
from tangle.codec import Decoder, encode
from tangle.errors import DamagedStoreError, MalformedBytesError
from tangle.hashing import digest, domain
from tangle.keys import SigningKey

NONCE_SIZE: Final = bindings.crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
"""24 bytes: wide enough to be drawn at random for every reading of a node's life."""

_SEQUENCE_SIZE: Final = 8
_MAX_CONTENT_SIZE: Final = 512
_DOMAIN: Final = domain("reading-seal")


class SaltedReading(msgspec.Struct, frozen=True, array_like=True):
    """What lies under one seal."""

    salt: Annotated[bytes, msgspec.Meta(min_length=SALT_SIZE, max_length=SALT_SIZE)]
    """Of the leaf that commits to the reading."""

    signed: Annotated[bytes, msgspec.Meta(max_length=MAX_READING_SIZE)]
    """Canonical bytes of the signed reading."""


_decoder: Final = Decoder(SaltedReading, "sealed reading", _MAX_CONTENT_SIZE)


def sealing_key(key: SigningKey) -> bytes:
    """Return the secret key, 32 bytes, under which the node of `key` seals its readings."""
    return digest(_DOMAIN + key.seed)


def seal(
    key: bytes, device: Address, sequence: int, content: SaltedReading, nonce: bytes
) -> TakenReading:
    """Return a reading as the journal keeps it.

    Args:
        key: From `sealing_key`.
        device: Whose reading it is; bound to the seal, as is the sequence.
        sequence: The reading's number.
        content: Salt and signed bytes.
        nonce: 24 random bytes, never used before.
    """
    assert len(nonce) == NONCE_SIZE, f"nonce of {len(nonce)} bytes"
    sealed = bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(
        encode(content), _bound_to(device, sequence), nonce, key
    )
    return TakenReading(device, sequence, nonce + sealed)


def open_sealed(key: bytes, taken: TakenReading) -> SaltedReading:
    """Return what lies under the seal.

    Raises:
        DamagedStoreError: Sealed with another key, for another device or sequence, or altered.
    """
    nonce, sealed = taken.sealed[:NONCE_SIZE], taken.sealed[NONCE_SIZE:]
    name = f"sealed reading {taken.sequence} of device {taken.device.hex()}"
    try:
        content = bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(
            sealed, _bound_to(taken.device, taken.sequence), nonce, key
        )
        return _decoder.decode(content)
    except (CryptoError, ValueError, MalformedBytesError) as error:
        raise DamagedStoreError(f"{name} does not open with this node's key") from error


def _bound_to(device: Address, sequence: int) -> bytes:
    return device + sequence.to_bytes(_SEQUENCE_SIZE, "big")
