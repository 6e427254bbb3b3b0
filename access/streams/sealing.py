"""Sealing the readings of one chunk for a vault, and opening them again.

The device needs the vault's public key and nothing else, so it may be offline. Every chunk has a
capsule, and so a key, of its own: after a restart a device begins a new chunk, and no counter of
nonces has to survive a power cut.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hmac import compare_digest
from typing import Annotated, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from access.codes import Code
from access.threshold import tdh2
from tangle.codec import Decoder, encode
from tangle.errors import InvalidError, MalformedBytesError
from tangle.hashing import digest, domain
from tangle.merkle import merkle_root
from tangle.transaction import Counter, HashField, Label

MAX_RECORDS: Final = 4_096
"""Of one chunk: more than a day of readings each half minute."""

MAX_RECORD_SIZE: Final = 1_024
MAX_SEALED_SIZE: Final = 4 * 2**20
MAX_PRIVACY_SIZE: Final = 4_096
_NONCE_SIZE: Final = 12
_FIRST_NONCE: Final = bytes(_NONCE_SIZE)
_LABEL: Final = domain("access.label")
_KEYS: Final = domain("access.chunk-key")
_RECORD: Final = domain("access.record")


class ChunkLabel(msgspec.Struct, frozen=True, array_like=True):
    """What a capsule is for: a copy under any other name does not prove itself."""

    genesis_hash: HashField
    stream: HashField
    number: Counter
    from_ms: Counter
    to_ms: Counter
    vault: HashField
    cohort: Label
    generation: Counter


class SealedRecord(msgspec.Struct, frozen=True, array_like=True):
    """One reading under the chunk's key."""

    sequence: Counter
    sealed: Annotated[bytes, msgspec.Meta(max_length=MAX_RECORD_SIZE)]


class SealedReadings(msgspec.Struct, frozen=True, array_like=True):
    """What a service node stores under its hash."""

    records: Annotated[tuple[SealedRecord, ...], msgspec.Meta(max_length=MAX_RECORDS)]


class PrivacyRecord(msgspec.Struct, frozen=True, array_like=True):
    """What an owner says of the data: goes with it to whoever reads it."""

    salt: Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
    """So that nobody finds its address by guessing what it says."""

    pseudonym: Label
    purpose: Label
    terms: Annotated[str, msgspec.Meta(max_length=1_024)]
    retention_ms: Counter


class Addresses(msgspec.Struct, frozen=True, array_like=True):
    """Where the data and the owner's privacy record lie: their hashes."""

    data: HashField
    privacy: HashField


@dataclass(frozen=True, slots=True)
class ChunkKeys:
    """What follows from the key in a capsule."""

    data: bytes
    address: bytes
    commitment: bytes


@dataclass(frozen=True, slots=True)
class SealedChunk:
    """What a device hands out: one part for the ledger, two for a service node."""

    capsule: bytes
    key_commitment: bytes
    root: bytes
    sealed_addresses: bytes
    data: bytes
    privacy: bytes


_readings: Final = Decoder(SealedReadings, "sealed readings", MAX_SEALED_SIZE)
_privacy: Final = Decoder(PrivacyRecord, "privacy record", MAX_PRIVACY_SIZE)
_addresses: Final = Decoder(Addresses, "sealed addresses", 128)


def label_bytes(label: ChunkLabel) -> bytes:
    """Return the label of a capsule."""
    return _LABEL + encode(label)


def chunk_keys(key: bytes) -> ChunkKeys:
    """Return the keys that follow from the key in a capsule (HKDF, RFC 5869)."""
    return ChunkKeys(_derived(key, b"data"), _derived(key, b"addr"), _derived(key, b"commit"))


def seal_chunk(
    public: bytes,
    label: ChunkLabel,
    readings: Sequence[tuple[int, bytes]],
    privacy: PrivacyRecord,
    entropy: bytes,
) -> SealedChunk:
    """Seal readings for a vault.

    Args:
        public: The vault's public key, as last known.
        label: Stream, number and interval of the chunk, vault and generation.
        readings: Sequence numbers, strictly ascending, and what is sealed under each.
        privacy: The owner's record.
        entropy: `tdh2.ENCAPSULATION_ENTROPY` random bytes, never used again.

    Raises:
        InvalidError: Too many readings, one too long, numbers that do not ascend, or a public
            key that is none.
    """
    _require_sealable(readings)
    name = label_bytes(label)
    capsule, key = tdh2.encapsulate(public, name, entropy)
    keys = chunk_keys(key)
    cipher = ChaCha20Poly1305(keys.data)
    records = tuple(
        SealedRecord(number, cipher.encrypt(_nonce(number), plain, _record_name(name, number)))
        for number, plain in readings
    )
    data, privacy_bytes = encode(SealedReadings(records)), encode(privacy)
    addresses = encode(Addresses(digest(data), digest(privacy_bytes)))
    sealed = ChaCha20Poly1305(keys.address).encrypt(_FIRST_NONCE, addresses, name)
    root = merkle_root([encode(one) for one in records])
    return SealedChunk(capsule, keys.commitment, root, sealed, data, privacy_bytes)


def open_addresses(
    key: bytes, label: ChunkLabel, commitment: bytes, sealed: bytes
) -> Addresses | Code:
    """Return where the data lies; or `WRONG_KEY`, `DAMAGED`."""
    keys = chunk_keys(key)
    if not compare_digest(keys.commitment, commitment):
        return Code.WRONG_KEY
    try:
        cipher = ChaCha20Poly1305(keys.address)
        return _addresses.decode(cipher.decrypt(_FIRST_NONCE, sealed, label_bytes(label)))
    except (InvalidTag, MalformedBytesError):
        return Code.DAMAGED


def open_readings(
    key: bytes, label: ChunkLabel, root: bytes, address: bytes, data: bytes
) -> list[tuple[int, bytes]] | Code:
    """Return sequence numbers and readings; or `DAMAGED` if the data is not what was sealed.

    Args:
        key: From the capsule, commitment checked by `open_addresses`.
        label: Of the chunk.
        root: From the ledger, under the device's signature.
        address: The hash that the data was asked for by.
        data: What the service node sent.
    """
    if digest(data) != address:
        return Code.DAMAGED
    name, cipher = label_bytes(label), ChaCha20Poly1305(chunk_keys(key).data)
    try:
        records = _readings.decode(data).records
        if merkle_root([encode(one) for one in records]) != root:
            return Code.DAMAGED
        return [
            (
                one.sequence,
                cipher.decrypt(_nonce(one.sequence), one.sealed, _record_name(name, one.sequence)),
            )
            for one in records
        ]
    except (InvalidTag, MalformedBytesError):
        return Code.DAMAGED


def open_privacy(address: bytes, data: bytes) -> PrivacyRecord | Code:
    """Return the owner's privacy record; or `DAMAGED` if it is not the one of that address."""
    if digest(data) != address:
        return Code.DAMAGED
    try:
        return _privacy.decode(data)
    except MalformedBytesError:
        return Code.DAMAGED


def _require_sealable(readings: Sequence[tuple[int, bytes]]) -> None:
    if len(readings) > MAX_RECORDS:
        raise InvalidError(f"{len(readings)} readings in a chunk, the maximum is {MAX_RECORDS}")
    before = -1
    for number, plain in readings:
        if number <= before:
            raise InvalidError(f"reading {number} after {before}: numbers ascend within a chunk")
        if len(plain) + 16 > MAX_RECORD_SIZE:
            raise InvalidError(
                f"reading {number} of {len(plain)} bytes, the maximum is {MAX_RECORD_SIZE - 16}"
            )
        before = number


def _derived(key: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=_KEYS + purpose).derive(key)


def _nonce(sequence: int) -> bytes:
    return sequence.to_bytes(_NONCE_SIZE)


def _record_name(label: bytes, sequence: int) -> bytes:
    return _RECORD + encode([label, sequence])
