"""How a node hears its peers: two tasks of one loop, and the signatures beside them.

One sorts what peers said and hands on whose turn it is; the other takes in what has been checked.
What lies between them is bounded by `edge.node.checking`, and in the order in which it was heard.
"""

import asyncio
import time
from typing import Final, Protocol

from edge.mesh.frames import Body
from edge.node.checking import Checking, check
from edge.node.executor import Executor
from edge.node.pace import FIRST, adapted
from edge.node.serving import PAUSE_MS
from tangle.effects import Instant, PeerId

YIELDS: Final = 8
"""Rounds of the loop between two turns of a long batch: a request over HTTP takes a few."""

HEARTBEAT_MS: Final = 1_000
"""How often a node says where it stands: what a lost frame costs at most."""


class Source(Protocol):
    """What peers say: the mesh."""

    async def receive(self, until_wall_ms: int | None) -> list[tuple[PeerId, Body]]:
        """Return what was said since, at least one body unless `until_wall_ms` has passed."""
        ...


class Clocks(Protocol):
    """The clocks of a node."""

    def instant(self) -> Instant:
        """Return this moment on both."""
        ...

    def wall_ms(self) -> int:
        """Return the wall clock."""
        ...


class Hearing:
    """Lets the core hear its peers, and wakes it at its deadlines."""

    def __init__(
        self, executor: Executor, source: Source, clock: Clocks, threads: int | None = None
    ) -> None:
        """Hear what comes from `source`; for `threads` see `Checking`."""
        self._executor = executor
        self._source = source
        self._clock = clock
        self._threads = threads
        self._most = FIRST

    async def run(self) -> None:
        """Hear until cancelled, or until `source` has no more to say and raises."""
        checking = Checking(self._executor.core.rules, self._threads)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._sort(checking))
                group.create_task(self._take_in(checking))
        finally:
            checking.close()
            self._executor.admission.forget_checks()  # who sent it will send it again

    async def _sort(self, checking: Checking) -> None:
        executor = self._executor
        while True:
            deadline_ms = executor.core.next_deadline_ms()
            frames = await self._next_frames(deadline_ms)
            now, began_ns = self._clock.instant(), time.thread_time_ns()
            arrivals = executor.sort(frames, now, self._most, checking.turn_bytes)
            if executor.is_behind:  # it was a full turn
                self._paced(began_ns)
            if checking.is_for_here(arrivals):
                executor.take_in(check(arrivals, executor.core.rules), now)
            elif arrivals:
                await checking.put(arrivals)
            if deadline_ms is not None and deadline_ms <= now.wall_ms:
                executor.carry_out(executor.core.tick(now), now)

    async def _take_in(self, checking: Checking) -> None:
        """Let the core hear what has been checked, in the order in which it was heard."""
        while True:
            checked = await checking.take()
            began_ns = time.thread_time_ns()
            self._executor.take_in(checked, self._clock.instant())
            if len(checked) >= self._most:
                self._paced(began_ns)

    def _paced(self, began_ns: int) -> None:
        """Make the next turn longer or shorter, by what the one since `began_ns` has cost."""
        self._most = adapted(self._most, (time.thread_time_ns() - began_ns) // 1_000_000)

    async def _next_frames(self, deadline_ms: int | None) -> list[tuple[PeerId, Body]]:
        """Return what peers said since, nothing while the batch before is being worked on."""
        executor, wall_ms = self._executor, self._clock.wall_ms
        if executor.is_behind:
            for _ in range(YIELDS):
                await asyncio.sleep(0)
            return []
        latest_ms = wall_ms() + HEARTBEAT_MS
        until_ms = latest_ms if deadline_ms is None else min(deadline_ms, latest_ms)
        if executor.cones.is_busy:
            until_ms = min(until_ms, wall_ms() + PAUSE_MS)
        if executor.is_busy:
            until_ms = 0  # look what else has come, and serve the next turn
        return await self._source.receive(until_ms)
