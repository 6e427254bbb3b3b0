"""Gives peers the cones they ask for, from the journal, a frame at a time.

What is given is charged to the peer's answers. Whoever has spent them waits behind those who have
not, and gets more at once when nobody else asks and this node has nothing better to do.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final, Protocol

from edge.journal.journal import Journal
from edge.mesh.frames import MAX_FRAME_ITEMS, Body, split
from edge.node.answer_budget import RESERVE_BYTES, AnswerBudget
from tangle.effects import PeerId

MAX_CONES_QUEUED: Final = 128
"""Of one peer: twice what ours ask for at a time. Beyond it a request is forgotten."""

MAX_FRAMES_WAITING: Final = 16
"""Frames in the outgoing queue, of up to 1 MiB each: with more, cones wait, so that none of them
pushes other frames out."""

MAX_FRAMES_PER_TURN: Final = 8
"""Some ten milliseconds, then the loop does something else."""

PAUSE_MS: Final = 10
"""Until the next turn, while there is more to give."""


class Outlet(Protocol):
    """What serving needs of the mesh."""

    @property
    def waiting_out(self) -> int:
        """Frames said and not handed to the network yet."""
        ...

    def send(self, peer: PeerId, body: Body) -> None:
        """Send to one peer; never waits."""
        ...


@dataclass(slots=True)
class _Place:
    """How far one cone has been read."""

    index: int
    position: int = 0


class ConeServer:
    """The cones that peers wait for. Mutable; one per node, driven by its executor."""

    def __init__(self, journal: Journal, outlet: Outlet, budget: AnswerBudget) -> None:
        self._journal = journal
        self._outlet = outlet
        self._budget = budget
        self._queues: dict[PeerId, deque[_Place]] = {}  # who is at the front is served next

    @property
    def is_busy(self) -> bool:
        """Whether there is more to give."""
        return bool(self._queues)

    def ask(self, peer: PeerId, index: int) -> None:
        """Note that a peer wants a cone; forgotten if it wants too many."""
        queue = self._queues.setdefault(peer, deque())
        if len(queue) < MAX_CONES_QUEUED:
            queue.append(_Place(index))

    def serve(self, now_ms: int, *, has_time: bool) -> int:
        """Send some frames, the peers in turn; return how many transactions they hold.

        Args:
            now_ms: Wall clock.
            has_time: Whether this node has nothing else to do: then peers who have spent their
                answers are served too, if no others ask.
        """
        served = 0
        for _ in range(MAX_FRAMES_PER_TURN):
            if self._outlet.waiting_out >= MAX_FRAMES_WAITING:
                break
            peer = self._next(now_ms, has_time=has_time)
            if peer is None:
                break
            is_charged = self._may_spend(peer, now_ms)
            queue = self._queues.pop(peer)
            items = self._read(queue)
            if queue:
                self._queues[peer] = queue  # behind the others
            for body in split(items):
                self._outlet.send(peer, body)
            if is_charged:  # what is spare is given: else it would be owed when others come
                self._budget.charge(peer, sum(map(len, items)), now_ms)
            served += len(items)
        return served

    def _next(self, now_ms: int, *, has_time: bool) -> PeerId | None:
        """Return whose turn it is, `None` if all have to wait."""
        able = (peer for peer in self._queues if self._may_spend(peer, now_ms))
        return next(able, next(iter(self._queues), None) if has_time else None)

    def _may_spend(self, peer: PeerId, now_ms: int) -> bool:
        return self._budget.left(peer, now_ms) > RESERVE_BYTES

    def _read(self, queue: deque[_Place]) -> list[bytes]:
        """Take about one frame of transactions off a queue, perhaps of several cones."""
        items: list[bytes] = []
        oldest = self._journal.oldest_cone()
        while queue and len(items) < MAX_FRAME_ITEMS:
            place = queue[0]
            if place.index < oldest:
                queue.popleft()  # pruned: whoever asks looks elsewhere after a while
                continue
            wanted = MAX_FRAME_ITEMS - len(items)
            found = self._journal.cone(place.index, place.position, wanted)
            items += found
            place.position += len(found)
            if len(found) == wanted:
                break
            queue.popleft()
            milestone = self._journal.milestone_bytes(place.index)
            if milestone is not None:
                items.append(milestone)
        return items
