"""Which sequence number a wallet uses next: the ledger's word, and what is still under way.

The ledger knows a number as used once a milestone references it, seconds later. A wallet that
sends twice within that time would use one number for both, and one would count for nothing.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

import msgspec

from api.settings.private_files import PRIVATE, not_writable
from edge.ground.faults import pass_point

SUFFIX: Final = ".next"
USABLE: Final = 1_024
"""Numbers from the ledger's next on that may be used (PROTOCOL §4)."""


NOTE_SIZE: Final = 512
"""Bytes: blanks fill what a note leaves, so that a shorter one covers a longer one."""

MAX_FREE: Final = 16
"""Numbers given back that a note remembers; a number is at most 20 bytes."""


class SequenceNote(msgspec.Struct, frozen=True):
    """What a wallet has used so far on this machine."""

    network: str
    next_sequence: int
    free: tuple[int, ...] = ()
    """Below it, and given back, ascending."""


def sequence_file(file: Path) -> Path:
    """Return where the sequence numbers of a key or wallet are noted: beside it."""
    return file.with_name(file.name + SUFFIX)


def reserve_sequence(file: Path, network: str, ledger_next: int) -> int:
    """Return the number to use now, and note durably that it is taken.

    Args:
        file: Beside the wallet; made if it is not there.
        network: Hex id of the network: each counts for itself.
        ledger_next: Lowest number that the ledger has not seen used.

    Returns:
        The lowest that was given back, or `ledger_next`, or the number after the last one noted
        if that is ahead. Once numbers run out of the window, what was noted has been lost, and
        the lowest hole is filled.

    Raises:
        CommandError: The file cannot be written.
    """
    with _noted(file, network) as note:
        free = [one for one in note.free if one >= ledger_next]
        sequence = free[0] if free else max(ledger_next, note.next_sequence)
        if sequence >= ledger_next + USABLE:
            sequence, free = ledger_next, []
        after = max(sequence + 1, note.next_sequence if free else 0)
        note.write(SequenceNote(network, after, tuple(free[1:])))
        return sequence


def release_sequence(file: Path, network: str, sequence: int) -> None:
    """Give a number back: a node refused what carried it, so that nobody ever has it.

    Args:
        file: As for `reserve_sequence`.
        network: The same.
        sequence: What `reserve_sequence` returned.

    Raises:
        CommandError: The file cannot be written.
    """
    with _noted(file, network) as note:
        free = tuple(sorted({*note.free, sequence}))[:MAX_FREE]
        note.write(SequenceNote(network, note.next_sequence, free))


class _OpenNote:
    """A note under its lock."""

    def __init__(self, stream: TextIO, note: SequenceNote) -> None:
        self._stream = stream
        self.next_sequence = note.next_sequence
        self.free = note.free

    def write(self, note: SequenceNote) -> None:
        """Put `note` in its place, durably."""
        pass_point("sequence.before")
        # Over the old note in one write: cut short first, a kill would leave it empty.
        os.pwrite(self._stream.fileno(), msgspec.json.encode(note).ljust(NOTE_SIZE), 0)
        pass_point("sequence.written")
        os.fsync(self._stream.fileno())
        pass_point("sequence.after")


@contextmanager
def _noted(file: Path, network: str) -> Iterator[_OpenNote]:
    """Open what is noted of a network, for this process alone. Raises `CommandError`."""
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
        with os.fdopen(descriptor, "r+") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield _OpenNote(stream, _decoded(stream.read(), network))
    except OSError as error:
        raise not_writable(file, error) from error


def _decoded(data: str, network: str) -> SequenceNote:
    fresh = SequenceNote(network, 0)
    try:
        note = msgspec.json.decode(data, type=SequenceNote)
    except msgspec.MsgspecError:
        return fresh  # new, or torn by a power cut: the ledger's word is what is left
    return note if note.network == network else fresh
