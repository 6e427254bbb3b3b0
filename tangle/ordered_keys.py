"""A set of keys in order, in blocks: cheap to change, to walk from anywhere, and to fork.

A fork shares the blocks of its origin; whoever changes a block first takes a copy of it. So a
milestone is computed upon a million rows without a copy of their order.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from typing import Final

BLOCK_SIZE: Final = 512
"""Keys in a fresh block. One splits at twice as many, and joins its neighbour when both together
have no more than one: small enough to shift, large enough that a fork copies few references."""


class OrderedKeys:
    """Distinct keys, ascending. Not to be changed while one of its walks goes on."""

    def __init__(self, keys: Iterable[bytes] = (), block_size: int = BLOCK_SIZE) -> None:
        ordered = sorted(keys)
        cuts = range(0, len(ordered), block_size)
        self._block_size = block_size
        self._blocks: list[list[bytes]] = [ordered[at : at + block_size] for at in cuts] or [[]]
        # Block i holds the keys from its border up to, without, the border of block i + 1.
        self._borders: list[bytes] = [b"", *(block[0] for block in self._blocks[1:])]
        self._own: set[int] = {id(block) for block in self._blocks}
        """Which blocks no fork shares."""
        self._changes = 0

    def fork(self) -> "OrderedKeys":
        """Return a set of the same keys; neither notices a change of the other."""
        other = OrderedKeys(block_size=self._block_size)
        other._blocks, other._borders = self._blocks.copy(), self._borders.copy()
        other._own = set()
        self._own = set()
        return other

    def add(self, key: bytes) -> None:
        """Add a key that is not there."""
        self._changes += 1
        at = bisect_right(self._borders, key) - 1
        block = self._owned(at)
        insort(block, key)
        if len(block) >= 2 * self._block_size:
            upper = block[self._block_size :]
            del block[self._block_size :]
            self._blocks.insert(at + 1, upper)
            self._borders.insert(at + 1, upper[0])
            self._own.add(id(upper))

    def remove(self, key: bytes) -> None:
        """Remove a key that is there."""
        self._changes += 1
        at = bisect_right(self._borders, key) - 1
        block = self._owned(at)
        place = bisect_left(block, key)
        assert block[place : place + 1] == [key], f"key {key!r} is not in order"
        del block[place]
        if len(block) <= self._block_size:
            self._join(at + 1)
            self._join(at)

    def walk(self, prefix: bytes) -> Iterator[bytes]:
        """Yield the keys that start with `prefix`, ascending. Finding the first costs O(log n)."""
        changes = self._changes
        at = bisect_right(self._borders, prefix) - 1
        place = bisect_left(self._blocks[at], prefix)
        while at < len(self._blocks):
            block = self._blocks[at]
            for index in range(place, len(block)):
                if not block[index].startswith(prefix):
                    return
                yield block[index]
                assert changes == self._changes, "keys changed during a walk"
            at, place = at + 1, 0

    def _join(self, at: int) -> None:
        """Append a block to the one before it, if both are small."""
        if not 0 < at < len(self._blocks):
            return
        block = self._blocks[at]
        if len(self._blocks[at - 1]) + len(block) <= self._block_size:
            self._owned(at - 1).extend(block)
            self._own.discard(id(block))
            del self._blocks[at], self._borders[at]

    def _owned(self, at: int) -> list[bytes]:
        """Return a block that no fork shares."""
        block = self._blocks[at]
        if id(block) not in self._own:
            block = self._blocks[at] = block.copy()
            self._own.add(id(block))
        return block
