"""Bounded queues between the event loop and the threads that may wait for the network.

The loop's side never waits with its thread; the threads' side does.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from tangle.effects import PeerId


@dataclass(frozen=True, slots=True)
class Limit:
    """How much a queue holds at most, whichever is reached first."""

    frames: int
    size: int
    """Bytes of all frames."""


class Inbox:
    """Frames on their way from a receiving thread to the loop, in order.

    Full: the thread waits, so that the network stops reading and the senders slow down. Nothing
    is dropped.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: Limit) -> None:
        self._loop = loop
        self._limit = limit
        self._frames: deque[bytes] = deque()
        self._size = 0
        self._closed = False
        self._room = threading.Condition()
        self._ready = asyncio.Event()

    def __len__(self) -> int:
        return len(self._frames)

    def put(self, frames: Sequence[bytes]) -> bool:
        """Hand over from a thread, waiting for room; false once closed, the rest is dropped."""
        for frame in frames:
            with self._room:
                self._room.wait_for(lambda: self._closed or not self._is_full())
                if self._closed:
                    return False
                was_empty = not self._frames
                self._frames.append(frame)
                self._size += len(frame)
            if was_empty:  # else the loop has not taken what it was woken for
                self._loop.call_soon_threadsafe(self._ready.set)
        return True

    def take(self, limit: Limit) -> list[bytes]:
        """Return the oldest frames within `limit`, but at least one if there is any."""
        taken: list[bytes] = []
        size = 0
        with self._room:
            while self._frames and len(taken) < limit.frames:
                if taken and size + len(self._frames[0]) > limit.size:
                    break
                frame = self._frames.popleft()
                taken.append(frame)
                size += len(frame)
            self._size -= size
            if not self._frames and not self._closed:
                self._ready.clear()
            self._room.notify_all()
        return taken

    async def wait_ready(self) -> None:
        """Wait until there is a frame to take, or the inbox is closed."""
        await self._ready.wait()

    def close(self) -> None:
        """Release whoever waits on either side; call it on the loop."""
        with self._room:
            self._closed = True
            self._room.notify_all()
        self._ready.set()

    def _is_full(self) -> bool:
        return len(self._frames) >= self._limit.frames or self._size >= self._limit.size


@dataclass(frozen=True, slots=True)
class Parcel:
    """A signed frame and where it goes."""

    to: PeerId | None
    """`None` for every peer."""

    data: bytes


class Outbox:
    """Parcels on their way from the loop to a sending thread, in order.

    Full: the oldest broadcast is dropped, for the next heartbeat heals its loss; the oldest
    directed parcel only where no broadcast is left, for it answers or asks somebody, who asks
    again after a while.
    """

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        # Two lanes, merged by the place in the line: finding the oldest broadcast costs nothing.
        self._broadcast: deque[tuple[int, Parcel]] = deque()
        self._directed: deque[tuple[int, Parcel]] = deque()
        self._place = 0
        self._size = 0
        self._closed = False
        self._filled = threading.Condition()

    def __len__(self) -> int:
        return len(self._broadcast) + len(self._directed)

    def put(self, parcel: Parcel) -> int:
        """Queue a parcel and return how many were dropped for it; itself, once closed."""
        with self._filled:
            if self._closed:
                return 1
            lane = self._broadcast if parcel.to is None else self._directed
            lane.append((self._place, parcel))
            self._place += 1
            self._size += len(parcel.data)
            dropped = 0
            while len(self) > self._limit.frames or self._size > self._limit.size:
                self._pop(self._broadcast or self._directed)
                dropped += 1
            self._filled.notify()
        return dropped

    def take(self) -> Parcel | None:
        """Wait in a thread for the oldest parcel; `None` once closed and empty."""
        with self._filled:
            self._filled.wait_for(lambda: self._closed or len(self) > 0)
            lanes = [lane for lane in (self._broadcast, self._directed) if lane]
            if not lanes:
                return None
            return self._pop(min(lanes, key=lambda lane: lane[0][0]))

    def close(self) -> None:
        """Take nothing more in; what is queued may still be taken."""
        with self._filled:
            self._closed = True
            self._filled.notify_all()

    def clear(self) -> int:
        """Drop what is queued and return how many parcels that were."""
        with self._filled:
            dropped = len(self)
            self._broadcast.clear()
            self._directed.clear()
            self._size = 0
        return dropped

    def _pop(self, lane: deque[tuple[int, Parcel]]) -> Parcel:
        _, parcel = lane.popleft()
        self._size -= len(parcel.data)
        return parcel
