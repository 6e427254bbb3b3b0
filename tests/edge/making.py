"""Makes genuine genesis files, transactions and readings for the tests of the edge node."""

from typing import Final

from devices.reading import Reading, SignedReading, encode_reading, sign_reading
from edge.journal.entries import Arrival
from tangle.address import Address, address_of
from tangle.codec import encode
from tangle.effects import Confirmed
from tangle.genesis import Allocation, Genesis, Parameters, entry_points, network_id
from tangle.keys import SigningKey
from tangle.outcomes import Event, NoValue, Outcome
from tangle.transaction import (
    VERSION,
    Data,
    IssuerWitness,
    Payload,
    SignedTransaction,
    Transaction,
    TransactionId,
    sign,
    transaction_id,
)

NODE: Final = SigningKey(bytes([1]) * 32)
OTHER_NODE: Final = SigningKey(bytes([2]) * 32)
METER: Final = SigningKey(bytes([3]) * 32)
OTHER_METER: Final = SigningKey(bytes([4]) * 32)
DEVICE: Final = address_of(METER.public)
OTHER_DEVICE: Final = address_of(OTHER_METER.public)
SALT: Final = bytes([5]) * 32
SLOT_MS: Final = 900_000

GENESIS: Final = Genesis(
    "test",
    0,
    0,
    Parameters(),
    (NODE.public,),
    1,
    (),
    (Allocation(address_of(NODE.public), 500),),
)
NETWORK: Final = network_id(GENESIS)
ROOTS: Final = entry_points(GENESIS)


def arrival(
    sequence: int,
    parents: tuple[TransactionId, ...] = ROOTS,
    payload: Payload | None = None,
    key: SigningKey = NODE,
) -> Arrival:
    """Return a signed transaction, attached at `sequence` ms. Its work is not done."""
    fields = Transaction(
        VERSION,
        NETWORK,
        tuple(sorted(parents)),
        key.public,
        sequence,
        sequence,
        payload if payload is not None else Data("note", b""),
    )
    signed = SignedTransaction(fields, IssuerWitness(sign(fields, key), bytes(8)))
    return Arrival(transaction_id(fields), encode(signed), sequence)


def confirmed(
    index: int,
    milestone: Arrival,
    *references: Arrival,
    outcome: Outcome | None = None,
    changes: dict[bytes, bytes | None] | None = None,
    ended: tuple[Event, ...] = (),
) -> Confirmed:
    """Return the effect of milestone `index`, with one outcome for all it references."""
    return Confirmed(
        index,
        milestone.tx_id,
        1_000 * index,
        tuple((each.tx_id, outcome or NoValue()) for each in references),
        changes or {},
        index.to_bytes(32, "big"),
        ended,
    )


def reading(
    sequence: int,
    import_wh: int | None = None,
    key: SigningKey = METER,
    network: bytes = NETWORK,
    device: Address | None = None,
) -> SignedReading:
    """Return a genuine reading whose registers grow with `sequence`."""
    return sign_reading(
        Reading(
            network,
            address_of(key.public) if device is None else device,
            sequence,
            sequence * SLOT_MS,
            (sequence + 1) * SLOT_MS,
            100 * sequence if import_wh is None else import_wh,
            0,
            "measured",
        ),
        key,
    )


def posted(sequence: int, import_wh: int | None = None, key: SigningKey = METER) -> bytes:
    """Return the bytes of a genuine reading."""
    return encode_reading(reading(sequence, import_wh, key))
