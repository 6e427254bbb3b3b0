"""Signatures of a milestone: put under it, looked up, counted. Pure."""

from collections.abc import Iterable

from tangle.codec import encode
from tangle.keys import PublicKey
from tangle.transaction import (
    KeySignature,
    MilestoneWitness,
    SignedTransaction,
    Transaction,
)
from tangle.verification import Verified, parse


def with_signatures(draft: Transaction, signatures: Iterable[KeySignature]) -> Verified:
    """Return the milestone under `signatures`, in ascending order and one of each key."""
    by_key = {one.key: one for one in signatures}
    ordered = tuple(by_key[key] for key in sorted(by_key))
    return parse(encode(SignedTransaction(draft, MilestoneWitness(ordered))))


def signatures_of(milestone: Verified) -> dict[bytes, KeySignature]:
    """Return the signatures under a milestone, by key. They are not checked."""
    witness = milestone.witness
    assert isinstance(witness, MilestoneWitness)
    return {one.key: one for one in witness.signatures}


def signature_of(milestone: Verified, key: PublicKey) -> KeySignature | None:
    """Return one key's signature under a milestone."""
    return signatures_of(milestone).get(key)
