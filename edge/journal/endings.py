"""What happened at the end of a milestone, after its last operation: a note for each.

Sessions that return, orders and votes that run out, parameters that begin to hold: no transaction
brings them about, so none has them as its outcome. They leave with their milestone.
"""

import sqlite3
from collections.abc import Sequence
from typing import Final

from edge.journal.offline import Reader, reported
from edge.journal.records import decode_events, encode_events
from edge.journal.storage import Storage
from edge.journal.sums import summed
from tangle.outcomes import Event

_PREFIX: Final = "ended/"
_DIGITS: Final = 20
"""Of an index in a name: names sort as indexes do."""

_ALL: Final = (_PREFIX, f"{_PREFIX}:")
"""No name of a note is outside: a colon sorts after the digits."""


def write_ended(connection: sqlite3.Connection, index: int, events: Sequence[Event]) -> None:
    """Write what milestone `index` ended with, within a transaction; no note of nothing."""
    if events:
        row = summed("meta", _name(index), encode_events(events))
        connection.execute("INSERT INTO meta VALUES (?, ?, ?)", row)


def read_ended(storage: Storage, index: int) -> tuple[Event, ...]:
    """Return what milestone `index` ended with; nothing of one that is pruned.

    Raises:
        StorageError: The note is damaged.
    """
    found = storage.table("meta", "WHERE name = ?", (_name(index),))
    with storage.reported():
        return decode_events(found[0][1]) if found else ()


def noted_ended(reader: Reader, index: int) -> tuple[Event, ...] | None:
    """Return what is noted of milestone `index`; `None` where its note cannot be missed.

    A journal that is older than these notes has none up to where they begin.

    Raises:
        StorageError: The note is damaged.
    """
    found = reader.table("meta", "WHERE name = ?", (_name(index),))
    if found:
        with reported(reader.path):
            return decode_events(found[0][1])
    begun = reader.value("SELECT min(name) FROM meta WHERE name > ? AND name < ?", _ALL)
    return () if begun is not None and begun < _name(index) else None


def stray_notes(reader: Reader) -> list[str]:
    """Return the names of notes whose milestone is not in the journal."""
    noted = "SELECT name FROM meta WHERE name > ? AND name < ? ORDER BY name"
    known = {_name(index) for (index,) in reader.rows("SELECT milestone_index FROM milestones")}
    return [name for (name,) in reader.rows(noted, _ALL) if name not in known]


def forget_ended(connection: sqlite3.Connection, through: int) -> None:
    """Delete the notes of milestones up to `through`, within a transaction."""
    names = (_PREFIX, _name(through))
    connection.execute("DELETE FROM meta WHERE name > ? AND name <= ?", names)


def _name(index: int) -> str:
    return f"{_PREFIX}{index:0{_DIGITS}}"
