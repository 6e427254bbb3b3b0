"""A meter reading: cumulative registers over one interval, signed by the meter that read them.

Registers are sums since the meter began, so a lost reading loses no energy: the next one holds
it. What was used within an interval is the difference of two readings, and is never sent.
"""

from typing import Annotated, Final, Literal

import msgspec

from tangle.address import address_of
from tangle.codec import Decoder, encode
from tangle.errors import InvalidReadingError
from tangle.hashing import digest, domain
from tangle.keys import PublicKey, SignatureField, SigningKey, is_signed
from tangle.transaction import NETWORK_SIZE, Counter, HashField

MAX_READING_SIZE: Final = 256
"""Of a signed reading: its fields come to at most 180 bytes."""

SALT_SIZE: Final = 32

Quality = Literal["measured", "estimated"]
"""Whether the meter read its registers or filled a gap."""

NetworkField = Annotated[bytes, msgspec.Meta(min_length=NETWORK_SIZE, max_length=NETWORK_SIZE)]
"""The first bytes of the genesis hash, so that networks never mix."""


class Reading(msgspec.Struct, frozen=True, array_like=True):
    """Both registers of one meter at the end of one interval. Identified by (device, sequence)."""

    network: NetworkField
    device: HashField
    """Address of the meter's key."""

    sequence: Counter
    """The meter's own count of readings, from 0, without gaps."""

    interval_start_ms: Counter
    """UTC, ms since the Unix epoch; the interval is half open."""

    interval_end_ms: Counter
    """When the registers were read."""

    import_wh: Counter
    """Register OBIS 1-0:1.8.0: energy drawn from the grid since the meter began."""

    export_wh: Counter
    """Register OBIS 1-0:2.8.0: energy fed into the grid since the meter began."""

    quality: Quality


class SignedReading(msgspec.Struct, frozen=True, array_like=True):
    """A reading as a meter sends it and an edge node journals it."""

    reading: Reading
    signature: SignatureField


_decoder: Final = Decoder(SignedReading, "reading", MAX_READING_SIZE)
_DOMAIN: Final = domain("reading")
_LEAF_DOMAIN: Final = domain("reading-leaf")


def encode_reading(signed: SignedReading) -> bytes:
    """Return the canonical bytes of a signed reading."""
    return encode(signed)


def decode_reading(data: bytes) -> SignedReading:
    """Parse canonical bytes. Raises `MalformedBytesError`; checks no other rule."""
    return _decoder.decode(data)


def sign_reading(reading: Reading, key: SigningKey) -> SignedReading:
    """Return `reading` with the signature of its meter's key."""
    return SignedReading(reading, key.sign(_DOMAIN + encode(reading)))


def verify_reading(signed: SignedReading, public_key: PublicKey, network: bytes) -> None:
    """Check all that needs no earlier reading.

    Args:
        signed: What arrived.
        public_key: The key registered for the meter it is held to come from.
        network: First 8 bytes of the genesis hash.

    Raises:
        InvalidReadingError: Another network or device, an interval that does not go forward,
            or a signature that is not by `public_key`.
    """
    reading = signed.reading
    name = f"reading {reading.sequence}"
    if reading.network != network:
        raise InvalidReadingError(
            f"{name} is for network {reading.network.hex()}, not {network.hex()}"
        )
    device = address_of(public_key)
    if reading.device != device:
        raise InvalidReadingError(
            f"{name} is of device {reading.device.hex()}, the key is that of {device.hex()}"
        )
    if reading.interval_end_ms <= reading.interval_start_ms:
        raise InvalidReadingError(
            f"{name}: its interval must end ({reading.interval_end_ms} ms) after it starts"
            f" ({reading.interval_start_ms} ms)"
        )
    if not is_signed(public_key, _DOMAIN + encode(reading), signed.signature):
        raise InvalidReadingError(
            f"{name}: signature {signed.signature[:8].hex()}… is not by key {public_key[:8].hex()}…"
        )


def verify_successor(previous: Reading, following: Reading) -> None:
    """Check that `following` may stand directly after `previous`.

    Args:
        previous: The newest reading that counts so far.
        following: A reading that passed `verify_reading`.

    Raises:
        InvalidReadingError: A sequence that is not the next; or as `verify_later`.
    """
    if following.sequence != previous.sequence + 1:
        raise InvalidReadingError(
            f"reading {following.sequence} cannot follow {previous.sequence}: the next is expected"
        )
    verify_later(previous, following)


def verify_later(previous: Reading, following: Reading) -> None:
    """Check that `following` may stand after `previous`, whatever lies between them.

    Args:
        previous: The newest reading that counts so far.
        following: A reading that passed `verify_reading`, of a higher sequence.

    Raises:
        InvalidReadingError: Another network or device, a register that falls, or an interval
            that starts before the previous one ended.
    """
    name = f"reading {following.sequence}"
    if (following.network, following.device) != (previous.network, previous.device):
        raise InvalidReadingError(
            f"{name} of device {following.device.hex()} in network {following.network.hex()}"
            f" cannot follow one of {previous.device.hex()} in {previous.network.hex()}"
        )
    registers = (
        ("import register", previous.import_wh, following.import_wh),
        ("export register", previous.export_wh, following.export_wh),
    )
    for register, before_wh, after_wh in registers:
        if after_wh < before_wh:
            raise InvalidReadingError(
                f"{name}: {register} falls from {before_wh} Wh to {after_wh} Wh"
            )
    if following.interval_start_ms < previous.interval_end_ms:
        raise InvalidReadingError(
            f"{name}: its interval starts at {following.interval_start_ms} ms, before the"
            f" previous one ended at {previous.interval_end_ms} ms"
        )


def salted_leaf(salt: bytes, signed_bytes: bytes) -> bytes:
    """Return the leaf by which a batch commits to one reading without showing it.

    Args:
        salt: 32 secret bytes; without them nobody can test a guess of the values, and erasing
            them erases the commitment's meaning.
        signed_bytes: Canonical bytes of the signed reading.

    Returns:
        BLAKE2b-256 of domain prefix, salt and bytes, 32 bytes.

    Raises:
        ValueError: The salt has another length.
    """
    if len(salt) != SALT_SIZE:
        raise ValueError(f"a salt has {SALT_SIZE} bytes, not {len(salt)}")
    return digest(_LEAF_DOMAIN + salt + signed_bytes)
