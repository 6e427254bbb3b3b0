"""What a requester does with answers: check each partial, prove the bad ones, open the chunk."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from access.codes import Code
from access.identity.idot import signing_key
from access.matching.case import label_of
from access.matching.message import Answer, NumberedPartial
from access.requests.receipt import SignedReceipt, receipt_message
from access.requests.records import request
from access.streams.sealing import ChunkLabel, label_bytes
from access.streams.stream import Chunk, chunk
from access.threshold import tdh2
from access.threshold.feldman import verification_key
from access.vaults.vault import Vault, vault
from tangle.address import Address
from tangle.codec import encode
from tangle.cohorts import node_index
from tangle.errors import GroupError, InvalidProofError
from tangle.keys import is_signed
from tangle.merkle import MerkleProof, merkle_root, prove_inclusion, verify_inclusion
from tangle.rows import RowReader


class BadPartial(msgspec.Struct, frozen=True, array_like=True):
    """Evidence: a node signed that it gave a partial, and the partial is wrong."""

    receipt: SignedReceipt
    partial: NumberedPartial
    inclusion: MerkleProof
    """Of the partial, under the root in the receipt."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why one node's partial was not used."""

    node: Address
    code: Code
    evidence: BadPartial | None
    """For others to check; `None` if the node has not even signed it."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """What came of the answers for one chunk."""

    result: bytes | Code
    """The key; or `BELOW_THRESHOLD` while too few partials are good."""

    rejected: tuple[Rejected, ...]


@dataclass(frozen=True, slots=True)
class Sought:
    """A chunk that a requester wants opened, as the ledger has it."""

    request: bytes
    number: int
    chunk: Chunk
    label: ChunkLabel
    vault: Vault


def sought(rows: RowReader, request_id: bytes, number: int) -> Sought | None:
    """Return a chunk of a request; `None` if it is not on the ledger."""
    asked = request(rows, request_id)
    one = None if asked is None else chunk(rows, asked.stream, number)
    if asked is None or one is None:
        return None
    label, held = label_of(rows, asked.stream, number, one), vault(rows, one.vault)
    if label is None or held is None:
        return None
    return Sought(request_id, number, one, label, held)


def gather(rows: RowReader, wanted: Sought, answers: Sequence[Answer]) -> Gathered:
    """Check every answer and combine what is good.

    Args:
        rows: The ledger, for the nodes' keys.
        wanted: The chunk.
        answers: In the order in which they came. A node that answers twice counts once.
    """
    good: dict[int, bytes] = {}
    rejected: list[Rejected] = []
    for answer in answers:
        node = Address(answer.receipt.receipt.node)
        index = node_index(wanted.vault.nodes, node)
        judged = _judge(rows, wanted, answer, index)
        if isinstance(judged, bytes) and index in good:
            judged = Rejected(node, Code.DUPLICATE_INDEX, None)
        if isinstance(judged, Rejected):
            rejected.append(judged)
        else:
            good[index] = judged
    needed = wanted.vault.k
    if len(good) < needed:
        return Gathered(Code.BELOW_THRESHOLD, tuple(rejected))
    used = {index: good[index] for index in sorted(good)[:needed]}
    key = tdh2.combine(used, wanted.chunk.capsule, label_bytes(wanted.label))
    return Gathered(key, tuple(rejected))


def is_evidence(rows: RowReader, evidence: BadPartial) -> bool:
    """Return whether a node gave a wrong partial, as anybody with the ledger can check."""
    receipt = evidence.receipt.receipt
    wanted = sought(rows, receipt.request, evidence.partial.chunk)
    if wanted is None or not _is_answer(rows, wanted, evidence.receipt):
        return False
    try:
        verify_inclusion(encode(evidence.partial), evidence.inclusion, receipt.partials)
    except InvalidProofError:
        return False
    index = node_index(wanted.vault.nodes, Address(receipt.node))
    return not _is_good(wanted, evidence.partial.partial, index)


def _judge(rows: RowReader, wanted: Sought, answer: Answer, index: int) -> bytes | Rejected:
    node = Address(answer.receipt.receipt.node)
    at = [place for place, one in enumerate(answer.partials) if one.chunk == wanted.number]
    leaves = [encode(one) for one in answer.partials]
    is_bound = answer.receipt.receipt.partials == merkle_root(leaves)
    if not at or not is_bound or not _is_answer(rows, wanted, answer.receipt):
        return Rejected(node, Code.BAD_PARTIAL, None)
    one = answer.partials[at[0]]
    if _is_good(wanted, one.partial, index):
        return one.partial
    evidence = BadPartial(answer.receipt, one, prove_inclusion(leaves, at[0]))
    return Rejected(node, Code.BAD_PARTIAL, evidence)


def _is_answer(rows: RowReader, wanted: Sought, signed: SignedReceipt) -> bool:
    """Return whether a node of the vault signed that it released, for this request."""
    receipt = signed.receipt
    if receipt.code is not Code.ALLOW or receipt.request != wanted.request:
        return False
    key = signing_key(rows, Address(receipt.node))
    is_node = receipt.node in wanted.vault.nodes
    return (
        is_node and key is not None and is_signed(key, receipt_message(receipt), signed.signature)
    )


def _is_good(wanted: Sought, partial: bytes, index: int) -> bool:
    sharing = wanted.vault.sharing
    if sharing is None or not index or tdh2.partial_index(partial) != index:
        return False
    try:
        verification = verification_key(sharing.commitments, index)
    except GroupError:
        return False
    return tdh2.is_partial(partial, wanted.chunk.capsule, label_bytes(wanted.label), verification)
