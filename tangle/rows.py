"""The ledger state: one set of rows, key bytes to value bytes, and drafts of changes to it."""

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Final, Protocol

from tangle.ordered_keys import OrderedKeys


class RowReader(Protocol):
    """What a contract may do with the state: look, never touch."""

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a row, or `None` if there is none."""
        ...

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the rows whose keys start with `prefix`, in ascending order of key.

        Lazy: the first row costs O(log n), each further one O(1).
        """
        ...

    def walk(self, prefix: bytes) -> Iterator[bytes]:
        """Yield the keys that start with `prefix`, ascending. As lazy as `scan`."""
        ...

    def forked_keys(self) -> OrderedKeys:
        """Return the keys, for a draft to go on from."""
        ...


class Rows:
    """The committed rows of one node. Not to be changed while a scan goes on."""

    def __init__(self, rows: Mapping[bytes, bytes]) -> None:
        self._rows = dict(rows)
        self._keys = OrderedKeys(rows)

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a row, or `None` if there is none."""
        return self._rows.get(key)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the rows whose keys start with `prefix`, in ascending order of key."""
        for key in self.walk(prefix):
            yield key, self._rows[key]

    def walk(self, prefix: bytes) -> Iterator[bytes]:
        """Yield the keys that start with `prefix`, ascending. As lazy as `scan`."""
        return self._keys.walk(prefix)

    def forked_keys(self) -> OrderedKeys:
        """Return the keys, for a draft to go on from."""
        return self._keys.fork()

    def apply(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Take over changes: new values, and `None` for rows that are gone."""
        for key, value in changes.items():
            if value is None:
                if self._rows.pop(key, None) is not None:
                    self._keys.remove(key)
                continue
            if key not in self._rows:
                self._keys.add(key)
            self._rows[key] = value


class _Untouched(Enum):
    """Stands for a row that a draft says nothing of, where `None` says that it is gone."""

    ROW = "row"


_UNTOUCHED: Final = _Untouched.ROW


class Draft:
    """Changes on top of rows that stay as they are: what a milestone is computed on.

    A draft may itself lie on top of a draft: what an operation is computed on. It costs next to
    nothing before someone asks for the order of keys it added or took away. Not to be changed
    while a scan goes on.
    """

    def __init__(self, below: RowReader) -> None:
        self._below = below
        self._own: dict[bytes, bytes | None] = {}
        """Values by key as last put, and as they are below if they were asked for: what is read
        is mostly written next."""

        self._keys: OrderedKeys | None = None
        self._has_other_keys = False
        """Whether keys were ever added or taken away, while `_keys` is not made."""

    @property
    def changes(self) -> dict[bytes, bytes | None]:
        """New values by key; `None` for a row that is gone. Exactly what differs from below."""
        below = self._below.get
        return {key: value for key, value in self._own.items() if below(key) != value}

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a row as the draft has it."""
        value = self._own.get(key, _UNTOUCHED)
        if value is _UNTOUCHED:
            value = self._own[key] = self._below.get(key)
        return value

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the rows whose keys start with `prefix`, in ascending order of key.

        As lazy as below: what the draft deleted costs nothing, however much it is.
        """
        for key in self.walk(prefix):
            value = self.get(key)
            assert value is not None, f"key {key!r} is in order without a row"
            yield key, value

    def walk(self, prefix: bytes) -> Iterator[bytes]:
        """Yield the keys that start with `prefix`, ascending. As lazy as `scan`."""
        if self._keys is None and not self._has_other_keys:
            return self._below.walk(prefix)
        return self._ordered().walk(prefix)

    def forked_keys(self) -> OrderedKeys:
        """Return the keys, for a draft to go on from."""
        return self._ordered().fork()

    def put(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Take over changes."""
        own, below, keys = self._own, self._below.get, self._keys
        for key, value in changes.items():
            before = own.get(key, _UNTOUCHED)
            if before is _UNTOUCHED:
                before = below(key)
            own[key] = value
            if (before is None) == (value is None):
                continue
            if keys is None:
                self._has_other_keys = True
            elif value is None:
                keys.remove(key)
            else:
                keys.add(key)

    def _ordered(self) -> OrderedKeys:
        """Return the keys of this draft in an order of its own."""
        if self._keys is None:
            self._keys = self._below.forked_keys()
            for key, value in self.changes.items():
                if value is None:
                    self._keys.remove(key)
                elif self._below.get(key) is None:
                    self._keys.add(key)
        return self._keys


def first_row(rows: RowReader, prefix: bytes) -> tuple[bytes, bytes] | None:
    """Return the first row whose key starts with `prefix`, or `None` if there is none."""
    return next(iter(rows.scan(prefix)), None)
