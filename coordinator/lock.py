"""The coordinator's lock file: what it signed last, written before anyone hears of it.

Two milestones of one index stop a whole network, so a coordinator that does not know what it
signed must not sign.
"""

from typing import Annotated, Final

import msgspec

from tangle.codec import Decoder, encode
from tangle.errors import InvalidError
from tangle.genesis import Genesis, entry_points, network_id
from tangle.transaction import (
    MAX_TRANSACTION_SIZE,
    NETWORK_SIZE,
    Counter,
    TransactionIdField,
)
from tangle.verification import Verified, parse

MAX_LOCK_SIZE: Final = MAX_TRANSACTION_SIZE + 1_024


class Lock(msgspec.Struct, frozen=True, array_like=True):
    """The last milestone this coordinator signed."""

    network: Annotated[bytes, msgspec.Meta(min_length=NETWORK_SIZE, max_length=NETWORK_SIZE)]
    index: Counter
    milestone_id: TransactionIdField
    data: Annotated[bytes, msgspec.Meta(max_length=MAX_TRANSACTION_SIZE)]
    """Canonical bytes of that milestone, to be sent again; empty at index 0 or after a recovery
    from peers, who have it."""


_decoder: Final = Decoder(Lock, "coordinator lock", MAX_LOCK_SIZE)


def first_lock(genesis: Genesis) -> Lock:
    """Return the lock of a coordinator that has signed nothing yet."""
    return Lock(network_id(genesis), 0, entry_points(genesis)[0], b"")


def lock_of(milestone: Verified) -> Lock:
    """Return the lock to write before `milestone` is sent."""
    transaction = milestone.transaction
    return Lock(transaction.network, transaction.sequence, milestone.tx_id, milestone.data)


def encode_lock(lock: Lock) -> bytes:
    """Return the content of the lock file."""
    return encode(lock)


def decode_lock(data: bytes, network: bytes) -> Lock:
    """Parse the content of a lock file.

    Raises:
        MalformedBytesError: Not a lock file.
        InvalidError: Another network's, or it contradicts itself.
    """
    lock = _decoder.decode(data)
    if lock.network != network:
        raise InvalidError(
            f"coordinator lock of network {lock.network.hex()}: this is {network.hex()}"
        )
    if lock.data and parse(lock.data).tx_id != lock.milestone_id:
        raise InvalidError(f"coordinator lock: its milestone is not {lock.milestone_id.hex()}")
    return lock
