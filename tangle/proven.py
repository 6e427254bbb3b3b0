"""Reads proofs: what each of them proves, with nothing but genesis to believe in."""

from dataclasses import dataclass
from typing import assert_never

from tangle.accounts import Identity, Token, balance, identity, sequence_window
from tangle.address import Address
from tangle.anchors import Keyring, ProvenMilestone, naming, verify_anchor, verify_signed
from tangle.errors import InvalidProofError
from tangle.genesis import Genesis
from tangle.keys import verify
from tangle.merkle import verify_inclusion
from tangle.proofs import (
    AddressProof,
    Proof,
    RowProof,
    RowState,
    TransactionProof,
    address_keys,
)
from tangle.rows import Rows
from tangle.transaction import (
    IssuerWitness,
    MilestoneWitness,
    Transaction,
    TransactionId,
    preimage,
)
from tangle.trie import verify_absence, verify_presence
from tangle.verification import Verified, parse, verify_origin


@dataclass(frozen=True, slots=True)
class ProvenTransaction:
    """A transaction that a milestone references."""

    milestone: ProvenMilestone
    tx_id: TransactionId
    transaction: Transaction
    is_applied: bool
    """Whether it is proven that it changed the ledger. If not, it may be of no value or ignored,
    or whoever made the proof left that part out."""


@dataclass(frozen=True, slots=True)
class ProvenRow:
    """One row of the state after a milestone."""

    milestone: ProvenMilestone
    key: bytes
    value: bytes | None
    """`None`: it is proven that there is no such row."""


@dataclass(frozen=True, slots=True)
class ProvenAddress:
    """What the ledger held for an address after a milestone: zeroes where it held nothing."""

    milestone: ProvenMilestone
    address: Address
    ent_uent: int
    eeuro_ueur: int
    next_sequence: int
    """Lowest number of its own counter that was not used."""

    identity: Identity | None
    """`None`: it is proven that the key was not registered."""


Proven = ProvenTransaction | ProvenRow | ProvenAddress


def verify_proof(proof: Proof, genesis: Genesis) -> Proven:
    """Return what any proof proves. Raises `InvalidProofError`."""
    match proof:
        case TransactionProof():
            return verify_transaction_proof(proof, genesis)
        case RowProof():
            return verify_row_proof(proof, genesis)
        case AddressProof():
            return verify_address_proof(proof, genesis)
        case _:
            assert_never(proof)


def verify_transaction_proof(proof: TransactionProof, genesis: Genesis) -> ProvenTransaction:
    """Return the transaction, and whether it is proven to be applied.

    Work is not looked at: it kept spam off once, and proves nothing of the outcome.

    Raises:
        InvalidProofError: What differs: milestone, keys, signature of the issuer, or a root.
    """
    milestone, keyring = verify_anchor(proof.anchor, genesis)
    with naming("transaction"):
        verified = parse(proof.transaction)
        _verify_issued(verified, keyring, milestone)
    with naming("inclusion root"):
        verify_inclusion(verified.tx_id, proof.inclusion, milestone.payload.inclusion_root)
    if proof.applied is not None:
        with naming("applied root"):
            verify_inclusion(verified.tx_id, proof.applied, milestone.payload.applied_root)
    return ProvenTransaction(
        milestone, verified.tx_id, verified.transaction, proof.applied is not None
    )


def verify_row_proof(proof: RowProof, genesis: Genesis) -> ProvenRow:
    """Return the row, or that there is none.

    Raises:
        InvalidProofError: What differs: milestone, keys, value or root.
    """
    milestone, _ = verify_anchor(proof.anchor, genesis)
    verify_row_state(proof.key, proof.row, milestone)
    return ProvenRow(milestone, proof.key, proof.row.value)


def verify_address_proof(proof: AddressProof, genesis: Genesis) -> ProvenAddress:
    """Return balances, sequence and identity of the address, each row present or absent.

    Raises:
        InvalidProofError: What differs: milestone, keys, a value or a root.
    """
    milestone, _ = verify_anchor(proof.anchor, genesis)
    address = Address(proof.address)
    states = (proof.ent, proof.eeuro, proof.sequence, proof.identity)
    values: dict[bytes, bytes] = {}
    for key, state in zip(address_keys(address), states, strict=True):
        verify_row_state(key, state, milestone)
        if state.value is not None:
            values[key] = state.value
    rows = Rows(values)
    with naming("value of a row"):
        return ProvenAddress(
            milestone,
            address,
            balance(rows, Token.ENT, address),
            balance(rows, Token.EEURO, address),
            sequence_window(rows, address).next,
            identity(rows, address),
        )


def _verify_issued(verified: Verified, keyring: Keyring, under: ProvenMilestone) -> None:
    """Check that the issuer signed; of a milestone, that a quorum did."""
    match verified.witness:
        case IssuerWitness(signature=signature):
            verify_origin(verified, keyring.network)
            verify(verified.transaction.issuer, preimage(verified.transaction), signature)
        case MilestoneWitness():
            if verified.transaction.sequence >= under.index:
                raise InvalidProofError(
                    f"milestone {verified.transaction.sequence} is not before {under.index}"
                )
            verify_signed(verified, keyring)


def verify_row_state(key: bytes, state: RowState, milestone: ProvenMilestone) -> None:
    """Check that a row stood, or was absent, after a proven milestone.

    Raises:
        InvalidProofError: Value or path are not those of the milestone's state root.
    """
    root = milestone.payload.state_root
    with naming(f"row under the state root of milestone {milestone.index}"):
        if state.value is None:
            verify_absence(state.path, key, root)
        else:
            verify_presence(state.path, key, state.value, root)
