"""Readings of a home node, opened: what lies under the seals of its journal."""

from bisect import bisect_left

from devices.reading import decode_reading
from edge.journal.journal import Journal
from edge.journal.sealing import SaltedReading, open_sealed
from tangle.address import Address


def opened_reading(
    journal: Journal, sealing_key: bytes, meter: Address, sequence: int
) -> SaltedReading:
    """Return one reading that is here. Raises `DamagedStoreError`."""
    (taken,) = journal.readings(meter, sequence, sequence)
    return open_sealed(sealing_key, taken)


def ended_at_ms(journal: Journal, sealing_key: bytes, meter: Address, sequence: int) -> int:
    """Return when the interval of a reading ended, ledger time."""
    opened = opened_reading(journal, sealing_key, meter, sequence)
    return decode_reading(opened.signed).reading.interval_end_ms


def sequences_after(
    journal: Journal, sealing_key: bytes, meter: Address, at_ms: int
) -> list[range]:
    """Return the sequences that are here, from the last one that ended by a moment on."""
    found = []
    for first, last in journal.meters().get(meter, ()):
        sequences = range(first, last + 1)
        place = bisect_left(
            sequences, at_ms + 1, key=lambda at: ended_at_ms(journal, sealing_key, meter, at)
        )
        if place == len(sequences):
            found = [range(last, last + 1)]
        else:
            found.append(range(first + max(0, place - 1), last + 1))
    return found
