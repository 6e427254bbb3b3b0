"""A transaction: one vertex of the tangle, its canonical bytes, its id and its witness."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Final, Literal, NewType

import msgspec

from tangle.codec import Decoder, encode
from tangle.errors import BadParentsError, BadPayloadError
from tangle.hashing import HASH_SIZE, digest, domain
from tangle.keys import KeyField, PublicKey, SignatureField, SigningKey

VERSION: Final = 1
NETWORK_SIZE: Final = 8
NONCE_SIZE: Final = 8
MAX_TRANSACTION_SIZE: Final = 32_768
"""Of the whole transaction, witness included: what one gossip frame must carry many of."""
MAX_DATA_SIZE: Final = 16_384
MAX_CALL_SIZE: Final = 16_384
MAX_LABEL_SIZE: Final = 64
MAX_INTEGER: Final = 2**63 - 1
"""Largest amount, time or counter: what an SQLite or PostgreSQL integer holds."""
MAX_COORDINATOR_KEYS: Final = 32
PARENTS: Final = 2
"""A transaction approves exactly two others (*The Tangle*, section 1)."""
MAX_MILESTONE_PARENTS: Final = 8
MILESTONE_ISSUER: Final = PublicKey(bytes(32))
"""A milestone has no single issuer: its witness names the coordinator keys that signed."""

TransactionId = NewType("TransactionId", bytes)
"""BLAKE2b-256 of the domain prefix and the signed fields, 32 bytes."""

TransactionIdField = Annotated[
    TransactionId, msgspec.Meta(min_length=HASH_SIZE, max_length=HASH_SIZE)
]
HashField = Annotated[bytes, msgspec.Meta(min_length=HASH_SIZE, max_length=HASH_SIZE)]
Counter = Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)]
"""An integer from 0 to `MAX_INTEGER`: an amount, an energy, a time, a sequence number."""
Label = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_LABEL_SIZE, pattern=r"^[!-~]+\Z")]
"""An identifier: printable ASCII without spaces."""


class Data(msgspec.Struct, frozen=True, array_like=True, tag="data", gc=False):
    """Bytes that mean nothing to the ledger: a notice, a checkpoint, a promotion."""

    label: Label
    """What kind of data, for the reader's convenience."""

    data: Annotated[bytes, msgspec.Meta(max_length=MAX_DATA_SIZE)]


class ReadingBatch(msgspec.Struct, frozen=True, array_like=True, tag="readings", gc=False):
    """A commitment to consecutive readings of one meter; never a value of them."""

    meter: HashField
    """Pseudonym of the meter: the address of its key."""

    first_sequence: Counter
    last_sequence: Counter
    """Inclusive."""

    root: HashField
    """Merkle root over the salted hashes of the readings, in sequence order."""


class Operation(msgspec.Struct, frozen=True, array_like=True, tag="operation", gc=False):
    """A call of one contract."""

    contract: Label
    call: Annotated[bytes, msgspec.Meta(max_length=MAX_CALL_SIZE)]
    """Canonical bytes of one member of that contract's closed union."""


class Milestone(msgspec.Struct, frozen=True, array_like=True, tag="milestone", gc=False):
    """What fixes an order: an index, and the roots of what follows from it (TIP-29)."""

    index: Annotated[int, msgspec.Meta(ge=1, le=MAX_INTEGER)]
    timestamp_ms: Counter
    """Ledger time; strictly growing from milestone to milestone."""

    previous: TransactionIdField
    """Id of the milestone before; of the first entry point at index 1."""

    inclusion_root: HashField
    """Merkle root over the ids it references, in white-flag order."""

    applied_root: HashField
    """Merkle root over those of them that changed the ledger, in the same order."""

    state_root: HashField
    """Root of the state trie after it."""


Payload = Data | ReadingBatch | Operation | Milestone


class Transaction(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The signed fields: what the id covers."""

    version: Annotated[int, msgspec.Meta(ge=0, le=255)]
    network: Annotated[bytes, msgspec.Meta(min_length=NETWORK_SIZE, max_length=NETWORK_SIZE)]
    """First bytes of the genesis hash, so that networks never mix."""

    parents: Annotated[
        tuple[TransactionIdField, ...], msgspec.Meta(max_length=MAX_MILESTONE_PARENTS)
    ]
    """Ids it approves, strictly ascending: two, or two to eight for a milestone."""

    issuer: KeyField
    """Public key of who issued it; `MILESTONE_ISSUER` for a milestone."""

    sequence: Counter
    """The issuer's own counter; a milestone's index."""

    issued_at_ms: Counter
    """The issuer's clock in ledger time. A claim, never used for order."""

    payload: Payload


class IssuerWitness(msgspec.Struct, frozen=True, array_like=True, tag="issuer", gc=False):
    """Signature of the issuer and the light proof of work."""

    signature: SignatureField
    nonce: Annotated[bytes, msgspec.Meta(min_length=NONCE_SIZE, max_length=NONCE_SIZE)]


class KeySignature(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One coordinator key's signature of a milestone."""

    key: KeyField
    signature: SignatureField


class MilestoneWitness(msgspec.Struct, frozen=True, array_like=True, tag="milestone", gc=False):
    """Signatures of coordinator keys, strictly ascending by key. Milestones carry no work."""

    signatures: Annotated[
        tuple[KeySignature, ...], msgspec.Meta(min_length=1, max_length=MAX_COORDINATOR_KEYS)
    ]


Witness = IssuerWitness | MilestoneWitness


class SignedTransaction(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A transaction with its witness: what is stored and sent."""

    transaction: Transaction
    witness: Witness


_decoder: Final = Decoder(SignedTransaction, "transaction", MAX_TRANSACTION_SIZE)
_fields_decoder: Final = Decoder(Transaction, "signed fields", MAX_TRANSACTION_SIZE)
_DOMAIN: Final = domain("transaction")


def decode(data: bytes) -> SignedTransaction:
    """Parse canonical bytes. Raises `MalformedBytesError`; checks no other rule."""
    return _decoder.decode(data)


def read(data: bytes) -> SignedTransaction:
    """Return what canonical bytes say that were decoded before: their spelling is not looked at."""
    return _decoder.read(data)


def decode_fields(data: bytes) -> Transaction:
    """Parse the canonical bytes of signed fields alone. Raises `MalformedBytesError`."""
    return _fields_decoder.decode(data)


def preimage(transaction: Transaction) -> bytes:
    """Return the bytes that the id hashes and the signatures cover."""
    return _DOMAIN + encode(transaction)


def transaction_id(transaction: Transaction) -> TransactionId:
    """Return the id: the same however the transaction is signed or worked."""
    return TransactionId(digest(preimage(transaction)))


def sign(transaction: Transaction, key: SigningKey) -> bytes:
    """Return the signature of `key` over `transaction`, 64 bytes."""
    return key.sign(preimage(transaction))


def verify_shape(transaction: Transaction, kind: Literal["issuer", "milestone"]) -> None:
    """Check parents and the fields that depend on the kind of witness.

    Raises:
        BadParentsError: Not two distinct ascending parents (milestone: two to eight).
        BadPayloadError: Payload, issuer, sequence or range contradict each other.
    """
    parents = transaction.parents
    count, most = len(parents), MAX_MILESTONE_PARENTS if kind == "milestone" else PARENTS
    if not PARENTS <= count <= most:
        raise BadParentsError(f"{count} parents: from {PARENTS} to {most} are allowed")
    if parents[0] >= parents[1] or (count > PARENTS and not _is_ascending(parents)):
        raise BadParentsError("parents must be distinct and in ascending order")
    payload = transaction.payload
    if isinstance(payload, Milestone) != (kind == "milestone"):
        raise BadPayloadError(f"payload {type(payload).__name__} under the witness of a {kind}")
    match payload:
        case Milestone():
            _verify_milestone_fields(transaction, payload)
        case ReadingBatch() if payload.last_sequence < payload.first_sequence:
            raise BadPayloadError(
                f"reading batch from {payload.first_sequence} back to {payload.last_sequence}"
            )
        case _ if transaction.issuer == MILESTONE_ISSUER:
            raise BadPayloadError("the issuer of 32 zero bytes is reserved for milestones")
        case _:
            pass


def _is_ascending(parents: Sequence[TransactionId]) -> bool:
    return all(low < high for low, high in pairwise(parents))


def _verify_milestone_fields(transaction: Transaction, milestone: Milestone) -> None:
    claimed = (transaction.issuer, transaction.sequence, transaction.issued_at_ms)
    ruled = (MILESTONE_ISSUER, milestone.index, milestone.timestamp_ms)
    if claimed != ruled:
        raise BadPayloadError(
            f"milestone {milestone.index}: issuer, sequence and time must repeat the payload's"
        )
    if milestone.previous not in transaction.parents:
        raise BadParentsError(
            f"milestone {milestone.index} does not approve the milestone before it"
        )
