"""Readings on their way from the broker to the node: each meter has its own line. Pure.

Whoever posts too much fills a line of his own and waits in it; the others' turn comes all the same.
"""

from collections import OrderedDict, deque

from tangle.address import Address

Posted = tuple[Address, bytes]
"""The meter that the topic names, and what was posted there."""


class ReadingQueue:
    """Bounded in all; serves the meters in turn, and each in the order in which it posted."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lines: OrderedDict[Address, deque[bytes]] = OrderedDict()
        """By meter, none empty; whose turn it is comes first."""
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, device: Address, payload: bytes) -> Posted | None:
        """Queue a reading; return what had to leave for it: the newest of the longest line.

        A meter posts in order and goes back to the oldest one without a receipt, so the newest is
        the one that is of no use without the others.
        """
        self._lines.setdefault(device, deque()).append(payload)
        self._count += 1
        if self._count <= self._limit:
            return None
        # The newcomer's line, among equals: nobody else pays for what it brought.
        longest = max(self._lines, key=lambda one: (len(self._lines[one]), one == device))
        gone = self._lines[longest].pop()
        self._removed(longest)
        return longest, gone

    def take(self, most: int) -> list[Posted]:
        """Take out up to `most`: one of each meter, then the next one of each, and so on."""
        taken: list[Posted] = []
        while self._lines and len(taken) < most:
            device, line = next(iter(self._lines.items()))
            taken.append((device, line.popleft()))
            self._lines.move_to_end(device)
            self._removed(device)
        return taken

    def _removed(self, device: Address) -> None:
        self._count -= 1
        if not self._lines[device]:
            del self._lines[device]
