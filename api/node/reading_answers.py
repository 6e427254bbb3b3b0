"""What the home node of a meter does for its owner: prove one reading, or erase what is old."""

from bisect import bisect_left
from dataclasses import dataclass

from api.node.opened_readings import ended_at_ms, opened_reading
from api.node.proving import transaction_proof
from devices.reading import decode_reading, salted_leaf
from devices.reading_proof import ProvenReading, ReadingProof, verify_reading_proof
from devices.reading_request import ReadingRequest, decode_request, verify_request
from edge.journal.entries import FormedBatch
from edge.journal.journal import Journal
from edge.journal.sealing import open_sealed
from edge.meters.forgetting import settled_from
from tangle.accounts import NO_ADDRESS, identity, reading_ranges
from tangle.address import Address, encode_address
from tangle.errors import InvalidProofError, InvalidRequestError, NotProvableError
from tangle.genesis import Genesis
from tangle.keys import PublicKey
from tangle.merkle import prove_inclusion
from tangle.node import NodeCore
from tangle.proofs import TransactionProof
from tangle.ranges import ReadingRanges


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that is genuine, and what the ledger says of its meter."""

    request: ReadingRequest
    meter_key: PublicKey
    taken: ReadingRanges


def asked_of(core: NodeCore, data: bytes, action: str) -> Asked:
    """Return a request once it is checked.

    Args:
        core: Of the node.
        data: Canonical bytes of the signed request.
        action: What it is for.

    Raises:
        MalformedBytesError: It is none.
        InvalidRequestError: For something else, of no meter, not of now, or by one who may not ask.
    """
    signed, rows = decode_request(data), core.ledger.rows
    request = signed.request
    if request.action != action:
        raise InvalidRequestError(f"the request is to {request.action}, not to {action}")
    meter = Address(request.meter)
    known = identity(rows, meter)
    if known is None or known.role != "meter":
        raise InvalidRequestError(f"{encode_address(meter)} is no registered meter")
    allowed = frozenset({meter, Address(known.owner)} - {NO_ADDRESS})
    verify_request(signed, core.rules.network, core.confirmed_index, allowed)
    return Asked(request, PublicKey(known.key), reading_ranges(rows, meter))


def prove_reading(journal: Journal, sealing_key: bytes | None, asked: Asked) -> ReadingProof:
    """Return the proof of the reading whose interval holds a moment.

    Args:
        journal: Of the meter's home node.
        sealing_key: Opens its readings; `None` at a node that takes none.
        asked: Checked.

    Raises:
        NotProvableError: There is no such reading here, or it is not committed to yet, or a
            part of what would prove it has left.
    """
    request, meter = asked.request, Address(asked.request.meter)
    if sealing_key is None:
        raise NotProvableError(f"this node has no readings of {encode_address(meter)}")
    sequence = _sequence_at(journal, sealing_key, meter, request.at_ms)
    batch, proof = _applied_batch(journal, meter, sequence)
    opened = [
        open_sealed(sealing_key, one)
        for one in journal.readings(meter, batch.first_sequence, batch.last_sequence)
    ]
    if len(opened) != batch.last_sequence - batch.first_sequence + 1:
        raise NotProvableError(f"{_name(meter, sequence)}: others of its batch were erased")
    leaves = [salted_leaf(one.salt, one.signed) for one in opened]
    place = sequence - batch.first_sequence
    path = prove_inclusion(leaves, place)
    return ReadingProof(asked.meter_key, opened[place].salt, opened[place].signed, path, proof)


def proven_reading(proof: ReadingProof, genesis: Genesis) -> ProvenReading:
    """Return what a proof made here proves, read as anyone will read it.

    Raises:
        NotProvableError: It does not hold: a part of what would prove it has left.
    """
    try:
        return verify_reading_proof(proof, genesis)
    except InvalidProofError as error:
        raise NotProvableError(f"what this node keeps does not prove it: {error}") from error


def erase_readings(journal: Journal, sealing_key: bytes | None, asked: Asked) -> int:
    """Delete the readings of a meter, with their salts, that ended by a moment; durable.

    What the ledger has not committed to stays, and so does the newest: the next is held against
    it. Without the salts the roots on the ledger say nothing of the values any more, to anyone.

    Returns:
        How many were deleted.
    """
    request, meter = asked.request, Address(asked.request.meter)
    if sealing_key is None:
        return 0
    keep = None
    for first, last in journal.meters().get(meter, ()):
        most = min(last + 1, settled_from(asked.taken, first))
        old = range(first, max(first, most))
        keep = first + bisect_left(
            old, request.at_ms + 1, key=lambda at: ended_at_ms(journal, sealing_key, meter, at)
        )
        if keep <= last:
            break
        keep = last
    if keep is None:
        return 0
    return journal.leaving.erase({meter: keep})


def _sequence_at(journal: Journal, sealing_key: bytes, meter: Address, at_ms: int) -> int:
    for first, last in journal.meters().get(meter, ()):
        sequences = range(first, last + 1)
        place = bisect_left(
            sequences, at_ms + 1, key=lambda at: ended_at_ms(journal, sealing_key, meter, at)
        )
        if place == len(sequences):
            continue
        sequence = sequences[place]
        reading = decode_reading(
            opened_reading(journal, sealing_key, meter, sequence).signed
        ).reading
        if reading.interval_start_ms <= at_ms:
            return sequence
    raise NotProvableError(
        f"meter {encode_address(meter)}: no reading here is of an interval that holds {at_ms} ms"
    )


def _applied_batch(
    journal: Journal, meter: Address, sequence: int
) -> tuple[FormedBatch, TransactionProof]:
    """Return the batch formed here that committed to a reading, and the proof of it."""
    found = applied_batch(journal, meter, sequence)
    if found is not None:
        return found
    raise NotProvableError(
        f"{_name(meter, sequence)}: no applied batch here commits to it: it is too new, or its"
        " transaction left before its proof was kept"
    )


def applied_batch(
    journal: Journal, meter: Address, sequence: int
) -> tuple[FormedBatch, TransactionProof] | None:
    """Return the batch formed here that committed to a reading, and the proof of it; or `None`."""
    for batch in journal.batches_holding(meter, sequence):
        if journal.is_known(batch.tx_id) == (True, None):
            continue  # no milestone references it
        proof = transaction_proof(journal, batch.tx_id)
        if proof is not None and proof.applied is not None:
            return batch, proof
    return None


def _name(meter: Address, sequence: int) -> str:
    return f"reading {sequence} of meter {encode_address(meter)}"
