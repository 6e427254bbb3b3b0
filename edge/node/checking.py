"""Signatures are checked beside the loop: in batches, by threads that do not hold up Python.

What waits for its verdict is bounded: two batches, one that is judged and one that is ready when
its turn comes. Who has a third waits, and serves nothing from the fair queue meanwhile, where what
arrives waits in fair order and overflows by that queue's rule.

Verdicts come back in the order in which their batches were handed over.
"""

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import Final

import msgspec

from edge.node.fair_queue import QUANTUM_BYTES, TURN_BYTES, Queued
from tangle.contracts import Rules
from tangle.errors import InvalidError
from tangle.keys import SignedMessage, is_opened
from tangle.signature_kernel import SignatureKernel, is_compiled
from tangle.verification import bad_signature, verify_but_signature, verify_fields

MOST_UNDER_WAY: Final = 2
"""Batches whose verdicts are not taken yet."""

THREADED_TURN_BYTES: Final = 8 * TURN_BYTES
"""Of signed fields in one batch, some 600 usual transactions: without their signatures they take
the loop no longer than `TURN_BYTES` with them."""

MAX_CHECKING: Final = (MOST_UNDER_WAY + 1) * THREADED_TURN_BYTES // QUANTUM_BYTES
"""Transactions in all batches, the one that waits for room included: none is smaller."""

CHUNK: Final = 128
"""Signatures of one call: some 6 ms, after which a thread has to wait for Python's lock."""

SPARE_THREADS: Final = 1
"""Beyond one for each processor: while one waits for the lock, another has the processor."""

SWITCH_INTERVAL_S: Final = 0.000_5
"""For `sys.setswitchinterval`, by who composes a process: how long a thread waits for the lock
while the loop is busy. With Python's own 5 ms it would wait as long as it judges."""

FEW: Final = 16
"""So many are judged at once on the loop: a thread would take as long to wake."""


class Checked(msgspec.Struct, frozen=True, gc=False):
    """An arrival with the verdict of phase 1."""

    queued: Queued
    error: InvalidError | None
    """Which rule it breaks, for ever; `None` for none."""


@dataclass(slots=True)
class _Batch:
    """Arrivals, and what is left to be judged of them."""

    queued: Sequence[Queued]
    errors: dict[int, InvalidError]
    """By place."""

    places: list[int]
    """Of those whose signature counts."""

    signed: list[SignedMessage]

    def judged(self, verdicts: Sequence[bool]) -> list[Checked]:
        """Return all of it, now that the signatures are judged, in order."""
        for place, is_good in zip(self.places, verdicts, strict=True):
            if not is_good:
                self.errors[place] = bad_signature(self.queued[place].verified)
        errors = self.errors
        return [Checked(one, errors.get(place)) for place, one in enumerate(self.queued)]


def _prepared(queued: Sequence[Queued], rules: Rules) -> _Batch:
    """Judge all but the signatures: what breaks a cheap rule costs no check of one."""
    batch = _Batch(queued, {}, [], [])
    for place, one in enumerate(queued):
        try:
            verify_fields(one.verified, rules)
            signed = verify_but_signature(one.verified, rules)
        except InvalidError as error:
            batch.errors[place] = error
            continue
        if signed is not None:  # a milestone's are judged by the state before it
            batch.places.append(place)
            batch.signed.append(signed)
    return batch


def judged_one_by_one(signed: Sequence[SignedMessage]) -> list[bool]:
    """Return for each message whether its key signed it: where there is no compiled loop."""
    return [is_opened(key, message) for key, message in signed]


def check(queued: Sequence[Queued], rules: Rules) -> list[Checked]:
    """Return the verdicts of phase 1 on arrivals, in order, computed here and now."""
    batch = _prepared(queued, rules)
    return batch.judged(judged_one_by_one(batch.signed))


class Checking:
    """Batches under way. Of one loop, which owns it; the threads see bytes alone."""

    def __init__(self, rules: Rules, threads: int | None = None) -> None:
        """Check by `rules`, on a running loop.

        Args:
            rules: Of the network.
            threads: How many; `None` for one more than this process has processors. With 0, and
                where nothing compiles, everything is judged on the loop.
        """
        self._rules = rules
        own = len(os.sched_getaffinity(0)) + SPARE_THREADS
        count = own if threads is None else threads
        self._pool = ThreadPoolExecutor(count, "check") if count and is_compiled() else None
        self._judge = SignatureKernel().verdicts if self._pool else judged_one_by_one
        self._under_way: asyncio.Queue[tuple[_Batch, list[asyncio.Future[list[bool]]]]]
        self._under_way = asyncio.Queue()
        self._room = asyncio.Semaphore(MOST_UNDER_WAY)
        self._count = 0

    @property
    def turn_bytes(self) -> int:
        """How much of the fair queue one batch takes: what holds up the loop for some 10 ms."""
        return TURN_BYTES if self._pool is None else THREADED_TURN_BYTES

    def is_for_here(self, queued: Sequence[Queued]) -> bool:
        """Return whether `check` is as quick: nothing is under way, and threads are no help."""
        return self._count == 0 and (self._pool is None or len(queued) <= FEW)

    async def put(self, queued: Sequence[Queued]) -> None:
        """Have a batch judged; waits while `MOST_UNDER_WAY` are under way. For one task."""
        self._count += 1
        await self._room.acquire()
        batch, loop = _prepared(queued, self._rules), asyncio.get_running_loop()
        starts = range(0, len(batch.signed), CHUNK)
        chunks = [batch.signed[start : start + CHUNK] for start in starts]
        verdicts = [loop.run_in_executor(self._pool, self._judge, chunk) for chunk in chunks]
        self._under_way.put_nowait((batch, verdicts))

    async def take(self) -> list[Checked]:
        """Return the oldest batch, once it is judged. For one task."""
        batch, verdicts = await self._under_way.get()
        found = list(chain.from_iterable(await asyncio.gather(*verdicts)))
        self._room.release()
        self._count -= 1
        return batch.judged(found)

    def close(self) -> None:
        """Let the threads end; what is under way is lost, and nobody was told of it."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
