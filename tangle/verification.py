"""Phase 1: what can be judged from bytes and the protocol version alone (PROTOCOL §5).

What fails here is invalid for ever, on every node: it is never stored and never relayed.
"""

from typing import Final, Literal

import msgspec

from tangle.accounts import CoordinatorKeys
from tangle.codec import encode
from tangle.contracts import Rules
from tangle.errors import (
    BadMilestoneError,
    BadPayloadError,
    BadSignatureError,
    MalformedBytesError,
    WrongNetworkError,
)
from tangle.hashing import digest, domain
from tangle.keys import SignedMessage, is_opened, is_signed
from tangle.transaction import (
    VERSION,
    IssuerWitness,
    Milestone,
    MilestoneWitness,
    Operation,
    Transaction,
    TransactionId,
    Witness,
    decode,
    preimage,
    read,
    verify_shape,
)
from tangle.work import required_bits, verify_work

_DOMAIN: Final = domain("transaction")
_HEAD_SIZE: Final = 1
"""Bytes before the signed fields: an array of two."""


class Verified(msgspec.Struct, frozen=True, gc=False):
    """A transaction with what was computed on the way."""

    tx_id: TransactionId
    data: bytes
    """Canonical bytes, witness included."""

    transaction: Transaction
    witness: Witness
    size_bytes: int
    """Of the signed fields."""

    @property
    def witness_kind(self) -> Literal["issuer", "milestone"]:
        """Who signs it."""
        return "issuer" if isinstance(self.witness, IssuerWitness) else "milestone"

    @property
    def milestone(self) -> Milestone | None:
        """The payload, if it is a milestone."""
        payload = self.transaction.payload
        return payload if isinstance(payload, Milestone) else None


def parse(data: bytes) -> Verified:
    """Decode canonical bytes and compute the id; nothing else is checked.

    Enough for what this node journalled itself: journalled means verified.

    Raises:
        MalformedBytesError: Not the canonical spelling of a transaction.
    """
    signed = decode(data)
    # Canonical bytes are an array of two: the signed fields lie between its head and the witness.
    size_bytes = len(data) - _HEAD_SIZE - len(encode(signed.witness))
    tx_id = TransactionId(digest(_DOMAIN + data[_HEAD_SIZE : _HEAD_SIZE + size_bytes]))
    return Verified(tx_id, data, signed.transaction, signed.witness, size_bytes)


def parse_again(tx_id: TransactionId, data: bytes) -> Verified:
    """Return what was parsed before, from its id and its bytes: a third of the work of `parse`."""
    signed = read(data)
    size_bytes = len(data) - _HEAD_SIZE - len(encode(signed.witness))
    return Verified(tx_id, data, signed.transaction, signed.witness, size_bytes)


def verify_fields(verified: Verified, rules: Rules) -> None:
    """Check everything but the witness.

    Raises:
        WrongNetworkError: Another version or network.
        BadParentsError: See `verify_shape`.
        BadPayloadError: See `verify_shape`; or no such contract, or no such call of it.
    """
    verify_origin(verified, rules.network)
    transaction = verified.transaction
    if isinstance(transaction.payload, Operation):
        _verify_call(transaction.payload, rules)


def verify_origin(verified: Verified, network: bytes) -> None:
    """Check protocol version, network, parents and the fields that depend on the witness.

    Raises:
        WrongNetworkError: Another version or network.
        BadParentsError: See `verify_shape`.
        BadPayloadError: See `verify_shape`.
    """
    transaction = verified.transaction
    if transaction.version != VERSION:
        raise WrongNetworkError(f"protocol version {transaction.version}: this is {VERSION}")
    if transaction.network != network:
        raise WrongNetworkError(f"network {transaction.network.hex()}: this is {network.hex()}")
    verify_shape(transaction, verified.witness_kind)


def _verify_call(operation: Operation, rules: Rules) -> None:
    contract = rules.contracts.get(operation.contract)
    if contract is None:
        raise BadPayloadError(
            f"contract {operation.contract!r}: there are {', '.join(rules.contracts)}"
        )
    try:
        contract.decode(operation.call)
    except MalformedBytesError as error:
        raise BadPayloadError(f"call of contract {operation.contract!r}: {error}") from error


def verify_witness(verified: Verified, rules: Rules) -> None:
    """Check signature and work of an issuer. A milestone's signatures need the ledger's state.

    Raises:
        MissingWorkError: Too little work for the size.
        BadSignatureError: Not signed by the issuer.
    """
    signed = verify_but_signature(verified, rules)
    if signed is not None and not is_opened(*signed):
        raise bad_signature(verified)


def verify_but_signature(verified: Verified, rules: Rules) -> SignedMessage | None:
    """Check the work of an issuer, and return whose signature of what is left to be checked.

    Returns:
        For `tangle.keys.is_opened`; `None` for a milestone, whose signatures need the ledger's
        state.

    Raises:
        MissingWorkError: Too little work for the size.
    """
    witness = verified.witness
    if isinstance(witness, MilestoneWitness):
        return None
    verify_work(
        verified.tx_id, witness.nonce, required_bits(verified.size_bytes, rules.work_per_byte)
    )
    fields = verified.data[_HEAD_SIZE : _HEAD_SIZE + verified.size_bytes]
    return verified.transaction.issuer, witness.signature + _DOMAIN + fields


def bad_signature(verified: Verified) -> BadSignatureError:
    """Return what is wrong with a transaction that its issuer has not signed."""
    witness, issuer = verified.witness, verified.transaction.issuer
    assert isinstance(witness, IssuerWitness)
    return BadSignatureError(
        f"signature {witness.signature[:8].hex()}… is not by key {issuer[:8].hex()}…"
    )


def verify_milestone_signatures(verified: Verified, coordinators: CoordinatorKeys) -> None:
    """Check that enough coordinator keys signed a milestone.

    Args:
        verified: A milestone.
        coordinators: Those named by the state after the milestone before it.

    Raises:
        BadMilestoneError: Signatures unsorted, by a stranger, wrong, or fewer than the quorum.
    """
    assert isinstance(verified.witness, MilestoneWitness)
    signatures = verified.witness.signatures
    index = verified.transaction.sequence
    keys = [one.key for one in signatures]
    if keys != sorted(set(keys)):
        raise BadMilestoneError(f"milestone {index}: signatures must be ascending by key")
    if len(keys) < coordinators.quorum:
        raise BadMilestoneError(
            f"milestone {index}: {len(keys)} signatures, {coordinators.quorum} are needed"
        )
    signed = preimage(verified.transaction)
    for one in signatures:
        if one.key not in coordinators.keys:
            raise BadMilestoneError(f"milestone {index}: {one.key.hex()} is no coordinator key")
        if not is_signed(one.key, signed, one.signature):
            raise BadMilestoneError(f"milestone {index}: not signed by {one.key.hex()}")
