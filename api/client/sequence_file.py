"""Which sequence number a wallet uses next: the ledger's word, and what is still under way.

The ledger knows a number as used once a milestone references it, seconds later. A wallet that
sends twice within that time would use one number for both, and one would count for nothing.
"""

import fcntl
import os
from pathlib import Path
from typing import Final

import msgspec

from api.settings.private_files import PRIVATE, not_writable
from edge.faults import pass_point

USABLE: Final = 1_024
"""Numbers from the ledger's next on that may be used (PROTOCOL §4)."""


NOTE_SIZE: Final = 128
"""Bytes: blanks fill what a note leaves, so that a shorter one covers a longer one."""


class SequenceNote(msgspec.Struct, frozen=True):
    """What a wallet has used so far on this machine."""

    network: str
    next_sequence: int


def reserve_sequence(file: Path, network: str, ledger_next: int) -> int:
    """Return the number to use now, and note durably that it is taken.

    Args:
        file: Beside the wallet; made if it is not there.
        network: Hex id of the network: each counts for itself.
        ledger_next: Lowest number that the ledger has not seen used.

    Returns:
        `ledger_next`, or the number after the last one noted if that is ahead. Once numbers
        run out of the window, what was noted has been lost, and the lowest hole is filled.

    Raises:
        CommandError: The file cannot be written.
    """
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
        with os.fdopen(descriptor, "r+b") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            noted = _noted(stream.read(), network)
            sequence = max(ledger_next, noted)
            if sequence >= ledger_next + USABLE:
                sequence = ledger_next
            pass_point("sequence.before")
            note = msgspec.json.encode(SequenceNote(network, sequence + 1))
            # Over the old note in one write: cut short first, a kill would leave it empty.
            os.pwrite(stream.fileno(), note.ljust(NOTE_SIZE), 0)
            pass_point("sequence.written")
            os.fsync(stream.fileno())
            pass_point("sequence.after")
            return sequence
    except OSError as error:
        raise not_writable(file, error) from error


def _noted(data: bytes, network: str) -> int:
    try:
        note = msgspec.json.decode(data, type=SequenceNote)
    except msgspec.MsgspecError:
        return 0  # new, or torn by a power cut: the ledger's word is what is left
    return note.next_sequence if note.network == network else 0
