"""A proof of one reading: that its meter signed it, and that the ledger committed to it.

From the milestone's signatures down: the reading batch was applied; under its root lies the salted
leaf; salt and reading make that leaf; the meter's key signed the reading. Who has the proof sees
the reading and its salt; the other leaves of the batch are hashes that tell nothing.
"""

from dataclasses import dataclass
from typing import Annotated, Final

import msgspec

from devices.reading import (
    MAX_READING_SIZE,
    SALT_SIZE,
    Reading,
    decode_reading,
    salted_leaf,
    verify_reading,
)
from tangle.anchors import ProvenMilestone
from tangle.codec import Decoder, encode
from tangle.errors import InvalidProofError, InvalidReadingError, MalformedBytesError
from tangle.genesis import Genesis, network_id
from tangle.hashing import digest, domain
from tangle.keys import KeyField, PublicKey
from tangle.merkle import MerkleProof, verify_inclusion
from tangle.proofs import MAX_PROOF_SIZE, TransactionProof
from tangle.proven import verify_transaction_proof
from tangle.transaction import HashField, ReadingBatch, TransactionId

_DOMAIN: Final = domain("reading-proof")


class ReadingProof(msgspec.Struct, frozen=True, array_like=True):
    """What a member keeps of one reading."""

    key: KeyField
    """The meter's; its address is the pseudonym on the ledger."""

    salt: Annotated[bytes, msgspec.Meta(min_length=SALT_SIZE, max_length=SALT_SIZE)]
    signed: Annotated[bytes, msgspec.Meta(max_length=MAX_READING_SIZE)]
    """Canonical bytes of the signed reading."""

    path: MerkleProof
    """Of the salted leaf under the root of the batch."""

    batch: TransactionProof
    """That the batch was applied."""


class _Sealed(msgspec.Struct, frozen=True, array_like=True):
    proof: ReadingProof
    checksum: HashField


@dataclass(frozen=True, slots=True)
class ProvenReading:
    """A reading that its meter signed and the ledger committed to."""

    milestone: ProvenMilestone
    tx_id: TransactionId
    """Of the batch."""

    reading: Reading


_decoder: Final = Decoder(_Sealed, "reading proof", MAX_PROOF_SIZE)


def encode_reading_proof(proof: ReadingProof) -> bytes:
    """Return the canonical bytes of a proof with its checksum: what a file holds."""
    return encode(_Sealed(proof, _checksum(proof)))


def decode_reading_proof(data: bytes) -> ReadingProof:
    """Parse what `encode_reading_proof` wrote; proves nothing yet.

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


def verify_reading_proof(proof: ReadingProof, genesis: Genesis) -> ProvenReading:
    """Return the reading that is proven, with nothing but genesis to believe in.

    Raises:
        InvalidProofError: It is not.
    """
    proven = verify_transaction_proof(proof.batch, genesis)
    batch = proven.transaction.payload
    if not isinstance(batch, ReadingBatch) or not proven.is_applied:
        raise InvalidProofError(
            f"transaction {proven.tx_id.hex()} is not proven to be an applied reading batch"
        )
    try:
        signed = decode_reading(proof.signed)
        verify_reading(signed, PublicKey(proof.key), network_id(genesis))
    except (MalformedBytesError, InvalidReadingError) as error:
        raise InvalidProofError(f"the reading: {error}") from error
    reading = signed.reading
    place = (batch.first_sequence + proof.path.index, batch.first_sequence + proof.path.count - 1)
    if (batch.meter, *place) != (reading.device, reading.sequence, batch.last_sequence):
        raise InvalidProofError(
            f"reading {reading.sequence} of device {reading.device.hex()} is proven to be at place"
            f" {proof.path.index} of {proof.path.count}: the batch holds {batch.first_sequence} to"
            f" {batch.last_sequence} of {batch.meter.hex()}"
        )
    verify_inclusion(salted_leaf(proof.salt, proof.signed), proof.path, batch.root)
    return ProvenReading(proven.milestone, proven.tx_id, reading)


def _checksum(proof: ReadingProof) -> bytes:
    return digest(_DOMAIN + encode(proof))
