"""Many readings at once, as a home node shows them to their owner: batch by batch, each proven.

All salted leaves of a batch are shown, so its root is computed from them and no path is needed.
What cannot be proven any more is shown all the same, and says why: its meter's signature holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Final

import msgspec

from devices.reading import (
    MAX_READING_SIZE,
    SALT_SIZE,
    Reading,
    decode_reading,
    salted_leaf,
    verify_later,
    verify_reading,
)
from tangle.codec import Decoder, encode
from tangle.errors import InvalidProofError, InvalidReadingError, MalformedBytesError
from tangle.genesis import Genesis, network_id
from tangle.keys import KeyField, PublicKey
from tangle.merkle import merkle_root
from tangle.proofs import TransactionProof
from tangle.proven import verify_transaction_proof
from tangle.transaction import Counter, ReadingBatch

MAX_PAGE_SIZE: Final = 16 * 2**20
MAX_PAGE_READINGS: Final = 1_024
"""At which a page ends, after a whole batch: ten days of quarter-hours."""


class ShownReading(msgspec.Struct, frozen=True, array_like=True):
    """A reading with what opens its leaf."""

    salt: Annotated[bytes, msgspec.Meta(min_length=SALT_SIZE, max_length=SALT_SIZE)]
    signed: Annotated[bytes, msgspec.Meta(max_length=MAX_READING_SIZE)]


class ShownBatch(msgspec.Struct, frozen=True, array_like=True):
    """Consecutive readings, and that the ledger committed to them together."""

    readings: tuple[ShownReading, ...]
    proof: TransactionProof | None
    why: str = ""
    """Without a proof: why there is none."""


class ReadingsPage(msgspec.Struct, frozen=True, array_like=True):
    """A page of one meter's readings, ascending."""

    key: KeyField
    """The meter's."""

    batches: tuple[ShownBatch, ...]
    next_ms: Counter | None
    """From where to ask for the next page; `None` for the last one."""


@dataclass(frozen=True, slots=True)
class ShownSeries:
    """What is proven of one meter."""

    readings: tuple[Reading, ...]
    """Ascending; each is signed by the meter."""

    unproven: tuple[tuple[int, int, str], ...]
    """First and last sequence that no commitment is shown of, and why."""


_pages: Final = Decoder(ReadingsPage, "page of readings", MAX_PAGE_SIZE)


def encode_page(page: ReadingsPage) -> bytes:
    """Return the canonical bytes of a page."""
    return encode(page)


def decode_page(data: bytes) -> ReadingsPage:
    """Parse canonical bytes; proves nothing yet. Raises `MalformedBytesError`."""
    return _pages.decode(data)


def verify_pages(pages: Sequence[ReadingsPage], key: PublicKey, genesis: Genesis) -> ShownSeries:
    """Return what pages show of one meter, with nothing but genesis and its key to believe in.

    Raises:
        InvalidProofError: A reading is not signed by the meter, they contradict each other, or a
            proof does not commit to what is shown.
    """
    readings: list[Reading] = []
    unproven: list[tuple[int, int, str]] = []
    for batch in (batch for page in pages for batch in page.batches):
        shown = [_read(one, key, genesis) for one in batch.readings]
        if readings and shown and shown[0].sequence <= readings[-1].sequence:
            shown = [one for one in shown if one.sequence > readings[-1].sequence]
        if batch.proof is not None:
            _verify_commitment(batch, batch.proof, genesis)
        elif shown:
            unproven.append((shown[0].sequence, shown[-1].sequence, batch.why))
        readings += shown
    for before, after in pairwise(readings):
        _verify_order(before, after)
    return ShownSeries(tuple(readings), tuple(unproven))


def _read(one: ShownReading, key: PublicKey, genesis: Genesis) -> Reading:
    try:
        signed = decode_reading(one.signed)
        verify_reading(signed, key, network_id(genesis))
    except (MalformedBytesError, InvalidReadingError) as error:
        raise InvalidProofError(f"a reading that is shown: {error}") from error
    return signed.reading


def _verify_order(before: Reading, after: Reading) -> None:
    try:
        verify_later(before, after)
    except InvalidReadingError as error:
        raise InvalidProofError(f"readings that are shown: {error}") from error


def _verify_commitment(shown: ShownBatch, proof: TransactionProof, genesis: Genesis) -> None:
    proven = verify_transaction_proof(proof, genesis)
    batch = proven.transaction.payload
    if not isinstance(batch, ReadingBatch) or not proven.is_applied:
        raise InvalidProofError(
            f"transaction {proven.tx_id.hex()} is not proven to be an applied reading batch"
        )
    readings = [decode_reading(one.signed).reading for one in shown.readings]
    found = [(one.device, one.sequence) for one in readings]
    wanted = [(batch.meter, at) for at in range(batch.first_sequence, batch.last_sequence + 1)]
    if found != wanted:
        raise InvalidProofError(
            f"transaction {proven.tx_id.hex()} commits to readings {batch.first_sequence} to"
            f" {batch.last_sequence} of {batch.meter.hex()}: others are shown for it"
        )
    root = merkle_root([salted_leaf(one.salt, one.signed) for one in shown.readings])
    if root != batch.root:
        raise InvalidProofError(
            f"readings {batch.first_sequence} to {batch.last_sequence} make root {root.hex()}: the"
            f" ledger committed to {batch.root.hex()}"
        )
