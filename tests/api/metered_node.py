"""A small node that is home to one meter, whose readings an applied batch commits to."""

from typing import Final

from access.device import Claim, claim_registration, register_operation
from devices.reading import Reading, encode_reading, salted_leaf, sign_reading
from devices.reading_request import ReadingRequest, sign_request
from edge.journal.entries import Batch, FormedBatch
from edge.journal.sealing import SaltedReading, seal, sealing_key
from tangle.address import Address, address_of
from tangle.genesis import genesis_hash
from tangle.keys import SigningKey
from tangle.merkle import merkle_root
from tangle.transaction import ReadingBatch, decode, transaction_id
from tests.api.small_node import ALICE, EDGE, GENESIS, METER, NETWORK, START_MS, SmallNode

METER_ADDRESS: Final = address_of(METER.public)
ALICE_ADDRESS: Final = address_of(ALICE.public)
SLOT_MS: Final = 900_000
FIRST_MS: Final = START_MS - 10 * SLOT_MS


def register(node: SmallNode, owner: Address = ALICE_ADDRESS) -> None:
    claim = Claim(genesis_hash(GENESIS), METER.public, "meter", owner, address_of(EDGE.public))
    node.take_in(node.signed(register_operation(claim_registration(claim, METER)), EDGE, 0))
    node.confirm()


def signed_reading(sequence: int) -> bytes:
    start_ms = FIRST_MS + sequence * SLOT_MS
    wh = 100 * sequence
    plain = Reading(
        NETWORK, METER_ADDRESS, sequence, start_ms, start_ms + SLOT_MS, wh, 7 * wh, "measured"
    )
    return encode_reading(sign_reading(plain, METER))


def salt_of(sequence: int) -> bytes:
    return bytes([sequence + 1]) * 32


def take(node: SmallNode, first: int, last: int) -> None:
    """Journal readings."""
    taken = tuple(
        seal(
            sealing_key(EDGE),
            METER_ADDRESS,
            at,
            SaltedReading(salt_of(at), signed_reading(at)),
            at.to_bytes(24, "big"),
        )
        for at in range(first, last + 1)
    )
    node.journal.commit(Batch(readings=taken))


def commit(node: SmallNode, first: int, last: int, sequence: int) -> None:
    """Commit to journalled readings in one batch, under an issuer sequence of the edge's."""
    leaves = [salted_leaf(salt_of(at), signed_reading(at)) for at in range(first, last + 1)]
    data = node.signed(
        ReadingBatch(METER_ADDRESS, first, last, merkle_root(leaves)), EDGE, sequence
    )
    tx_id = transaction_id(decode(data).transaction)
    node.take_in(data)
    formed = FormedBatch(tx_id, METER_ADDRESS, first, last, sequence)
    node.journal.commit(Batch(formed=(formed,)))
    node.confirm()
    node.confirm()


def settled_node(node: SmallNode, owner: Address = ALICE_ADDRESS) -> None:
    """Register the meter, and have readings 0 to 4 committed to, and 5 journalled."""
    register(node, owner)
    take(node, 0, 5)
    commit(node, 0, 2, 1)
    commit(node, 3, 4, 2)


def asked(
    action: str,
    at_ms: int,
    key: SigningKey = ALICE,
    *,
    milestone_index: int = 3,
    network: bytes = NETWORK,
    meter: Address = METER_ADDRESS,
) -> bytes:
    """Return the signed request for something."""
    request = ReadingRequest(network, meter, action, at_ms, milestone_index)  # type: ignore[arg-type] # or a wrong one
    return sign_request(request, key)
