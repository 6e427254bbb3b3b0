"""How the changes of the coordinator keys lie in a journal: one record each, and never pruned.

A proof of each is made when it takes effect and kept for good: later the state it was read from
is gone. They are few and small, and whoever proves anything, or writes a snapshot, needs them all.
"""

import sqlite3
from typing import Final

from edge.journal.records import decode_rotation
from edge.journal.sums import summed
from tangle.anchors import Rotation
from tangle.codec import encode
from tangle.verification import parse

_PREFIX: Final = "rotation/"
_DIGITS: Final = 20
"""Of an index in a name: names sort as indexes do."""

_SELECT: Final = "SELECT value FROM meta WHERE name >= ? AND name < ? ORDER BY name"
"""In order of index; see `names_below`."""


def names_below(index: int | None = None) -> tuple[str, str]:
    """Return between which names those lie that are under milestones before `index`."""
    return _PREFIX, f"{_PREFIX}:" if index is None else _name(index)  # ":" comes after "9"


def rotation_index(rotation: Rotation) -> int:
    """Return the index of the milestone that made a change. Raises `MalformedBytesError`."""
    return parse(rotation.milestone).transaction.sequence


def read_rotations(connection: sqlite3.Connection) -> tuple[Rotation, ...]:
    """Return all of a journal, in order of index. Raises `MalformedBytesError`."""
    found = connection.execute(_SELECT, names_below())
    return tuple(decode_rotation(value) for (value,) in found)


def write_rotation(connection: sqlite3.Connection, index: int, rotation: Rotation) -> None:
    """Write a change that the milestone of `index` made, within a transaction."""
    row = summed("meta", _name(index), encode(rotation))
    connection.execute("INSERT INTO meta VALUES (?, ?, ?)", row)


def forget_rotations(connection: sqlite3.Connection) -> None:
    """Delete all, within a transaction: what takes the place of a journal's history has its own."""
    connection.execute("DELETE FROM meta WHERE name >= ? AND name < ?", names_below())


def _name(index: int) -> str:
    return f"{_PREFIX}{index:0{_DIGITS}}"
