"""Makes proofs of what a node has applied, from its core and its journal."""

from api.http.service import Proved
from edge.journal.anchoring import anchor_of, last_anchor
from edge.journal.journal import Journal
from tangle.address import Address
from tangle.errors import InvalidProofError, NotProvableError
from tangle.genesis import Genesis
from tangle.node import NodeCore
from tangle.outcomes import Applied
from tangle.proofs import (
    AddressProof,
    Proof,
    RowProof,
    TransactionProof,
    encode_proof,
    prove_address,
    prove_row,
    prove_transaction,
)
from tangle.proven import verify_proof
from tangle.transaction import TransactionId


def transaction_proof(journal: Journal, tx_id: TransactionId) -> TransactionProof | None:
    """Return the proof of a transaction, journalled or kept when it left; `None` if it is neither.

    Raises:
        NotProvableError: No milestone references it, or the milestone is not there any more.
    """
    kept = journal.kept.proof(tx_id)
    if kept is not None:
        milestone, proof = kept
        anchor = anchor_of(journal, proof.index, milestone)
        return TransactionProof(anchor, proof.transaction, proof.inclusion, proof.applied)
    stored = journal.transaction(tx_id)
    if stored is None:
        return None
    index = stored.milestone_index
    if index is None:
        raise NotProvableError(f"transaction {tx_id.hex()}: no milestone references it")
    found = journal.milestone(index)
    signed = None if found is None else journal.transaction(found.milestone_id)
    if signed is None:
        raise NotProvableError(
            f"transaction {tx_id.hex()}: milestone {index}, which references it, is not here"
        )
    referenced = journal.referenced_by(index)
    return prove_transaction(
        anchor_of(journal, index, signed.data),
        (tx_id, stored.data),
        [one.tx_id for one in referenced],
        [one.tx_id for one in referenced if isinstance(one.outcome, Applied)],
    )


def row_proof(core: NodeCore, journal: Journal, key: bytes) -> RowProof:
    """Return the proof of one row after the last milestone. Raises `NotProvableError`."""
    anchor = last_anchor(core, journal)
    return prove_row(anchor, core.ledger.trie, core.ledger.rows, key)


def address_proof(core: NodeCore, journal: Journal, address: Address) -> AddressProof:
    """Return the proof of an address after the last milestone. Raises `NotProvableError`."""
    anchor = last_anchor(core, journal)
    return prove_address(anchor, core.ledger.trie, core.ledger.rows, address)


def proved(proof: Proof, genesis: Genesis) -> Proved:
    """Return a proof with what it proves, read as anyone will read it.

    Raises:
        NotProvableError: It does not hold: this node has pruned a part of what would prove it.
    """
    try:
        proven = verify_proof(proof, genesis)
    except InvalidProofError as error:
        raise NotProvableError(f"what this node keeps does not prove it: {error}") from error
    return Proved(encode_proof(proof), proven)
