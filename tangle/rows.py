"""The ledger state: one set of rows, key bytes to value bytes, and drafts of changes to it."""

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping
from typing import Protocol


class RowReader(Protocol):
    """What a contract may do with the state: look, never touch."""

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a row, or `None` if there is none."""
        ...

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the rows whose keys start with `prefix`, in ascending order of key."""
        ...


class Rows:
    """The committed rows of one node."""

    def __init__(self, rows: Mapping[bytes, bytes]) -> None:
        self._rows = dict(rows)
        self._keys = sorted(rows)

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a row, or `None` if there is none."""
        return self._rows.get(key)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the rows whose keys start with `prefix`, in ascending order of key."""
        at = bisect_left(self._keys, prefix)
        while at < len(self._keys) and self._keys[at].startswith(prefix):
            yield self._keys[at], self._rows[self._keys[at]]
            at += 1

    def apply(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Take over changes: new values, and `None` for rows that are gone."""
        for key, value in changes.items():
            if value is None:
                if self._rows.pop(key, None) is not None:
                    del self._keys[bisect_left(self._keys, key)]
                continue
            if key not in self._rows:
                insort(self._keys, key)
            self._rows[key] = value


class Draft:
    """Changes on top of rows that stay as they are: what a milestone is computed on."""

    def __init__(self, below: RowReader) -> None:
        self._below = below
        self.changes: dict[bytes, bytes | None] = {}
        """New values by key; `None` for a row that is gone."""

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a row as the draft has it."""
        if key in self.changes:
            return self.changes[key]
        return self._below.get(key)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the rows whose keys start with `prefix`, in ascending order of key."""
        merged: dict[bytes, bytes | None] = dict(self._below.scan(prefix))
        merged.update((key, new) for key, new in self.changes.items() if key.startswith(prefix))
        for key in sorted(merged):
            value = merged[key]
            if value is not None:
                yield key, value

    def put(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Take over changes; a value equal to the one below is no change."""
        for key, value in changes.items():
            if self._below.get(key) == value:
                self.changes.pop(key, None)
            else:
                self.changes[key] = value
