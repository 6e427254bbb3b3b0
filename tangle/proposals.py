"""What a leader and its co-signers say to each other before a milestone is one.

A proposal is a milestone under the leader's signature alone; a co-signature adds one more. Both
are small and checked against the present keys before anything is computed.
"""

from typing import Annotated, Final

import msgspec

from tangle.codec import encode
from tangle.errors import BadMilestoneError, BadPayloadError
from tangle.keys import KeyField, SignatureField, is_signed
from tangle.transaction import (
    Counter,
    KeySignature,
    MilestoneWitness,
    SignedTransaction,
    Transaction,
    TransactionIdField,
    decode_fields,
    preimage,
)
from tangle.verification import Verified, parse

MAX_PROPOSAL_SIZE: Final = 1_024
"""Bytes of a milestone's signed fields: eight parents and three roots take under 500."""


class Proposal(msgspec.Struct, frozen=True, array_like=True, tag="proposal"):
    """A milestone that asks for signatures."""

    fields: Annotated[bytes, msgspec.Meta(min_length=1, max_length=MAX_PROPOSAL_SIZE)]
    """Canonical signed fields of the milestone."""

    signature: KeySignature
    """The leader's, over the same bytes as in the finished milestone: it counts as one."""


class CoSignature(msgspec.Struct, frozen=True, array_like=True, tag="co-signature"):
    """One coordinator key's answer to a proposal."""

    index: Counter
    milestone_id: TransactionIdField
    key: KeyField
    signature: SignatureField


def proposed(proposal: Proposal) -> Verified:
    """Return the milestone of a proposal under its one signature, which is checked.

    Raises:
        MalformedBytesError: The fields are not the canonical ones of a transaction.
        BadPayloadError: They are no milestone.
        BadMilestoneError: The signature is not by the key it names.
    """
    transaction = decode_fields(proposal.fields)
    verified = parse(
        encode(SignedTransaction(transaction, MilestoneWitness((proposal.signature,))))
    )
    if verified.milestone is None:
        raise BadPayloadError(f"proposal {verified.tx_id.hex()} is no milestone")
    key = proposal.signature.key
    if not is_signed(key, preimage(transaction), proposal.signature.signature):
        raise BadMilestoneError(
            f"proposal of milestone {transaction.sequence}: not signed by {key.hex()}"
        )
    return verified


def propose(draft: Transaction, signature: KeySignature) -> Proposal:
    """Return the proposal of a milestone under its leader's signature."""
    return Proposal(encode(draft), signature)
