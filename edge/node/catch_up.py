"""Plans how a node that is far behind catches up: cones by milestone index. No input or output.

One peer is asked at a time, for many cones: its answers come in the order of the requests, so
everything can be attached and applied as it arrives and nothing has to wait for its parents. A
peer that falls silent, or whose answers do not help, is replaced by another. Nothing is written
down: after a restart the plan begins at the last applied milestone.
"""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tangle.effects import PeerId

FAR_BEHIND: Final = 5
"""Milestones: up to here heartbeats and missing parents are enough, or soon will be."""

STUCK_MS: Final = 5_000
"""Wall time behind without an applied milestone: they were not enough. If the keys changed in the
gap, the newest milestone proves nothing here and does not lead to those before it."""

MAX_CONES_ASKED: Final = 64
"""Cones asked for and not applied yet."""

MAX_CONES_BYTES: Final = 4 * 2**20
"""What these are expected to hold together, by the mean of the cones so far; one at least."""

SILENCE_MS: Final = 3_000
"""Wall time without a transaction from the peer that was asked: another one is."""

STALL_MS: Final = 30_000
"""Wall time without an applied milestone, however much was sent."""

REPEAT_MS: Final = 15_000
"""Wall time after which a cone that was asked for and is not applied is asked for once more, with
all after it. Answers come in order: one lost frame makes those useless. What then trickles in by
missing parents is progress, but never an end."""

DISTRUST_MS: Final = 60_000
"""For so long a peer's word is not enough that there is something to catch up on."""

RATE_WINDOW_MS: Final = 30_000
"""Wall time over which the rate is measured from which the rest is estimated."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One cone to ask a peer for."""

    peer: PeerId
    index: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far behind a node is."""

    behind: int
    """Milestones known of and not applied yet."""

    estimate_ms: int | None
    """How long they will take at the measured rate; `None` while none is measured."""

    is_stranded: bool = False
    """Whether no peer keeps the next cone any more: only a snapshot helps."""


@dataclass(frozen=True, slots=True)
class _Offer:
    """What a peer says of itself."""

    confirmed_index: int
    oldest_cone: int


@dataclass(slots=True)
class _Source:
    """The peer that is being asked, and how it does."""

    peer: PeerId
    asked_through: int
    active_ms: int
    """When it last sent something, or was first asked."""

    progress_ms: int
    """When a milestone was last applied."""

    asked: deque[tuple[int, int]]
    """Last index and time of each request that is under way, the oldest first."""

    started_at: int
    """Index from which on it was asked."""

    received_bytes: int = 0


class CatchUp:
    """What is asked of whom. Mutable; one per node, driven by its executor."""

    def __init__(self) -> None:
        self._offers: dict[PeerId, _Offer] = {}
        self._source: _Source | None = None
        self._failures: Counter[PeerId] = Counter()
        self._distrusted_until_ms: dict[PeerId, int] = {}
        self._samples: deque[tuple[int, int]] = deque()  # wall time, applied index
        self._behind = 0
        self._is_stranded = False
        self._moved: tuple[int, int] | None = None
        """Applied index, and the wall time since which it stands still though there is more."""

    @property
    def is_under_way(self) -> bool:
        """Whether cones are being fetched."""
        return self._source is not None

    def progress(self) -> Progress:
        """Return how far behind the node was at the last plan."""
        if len(self._samples) < 2:
            return Progress(self._behind, None, self._is_stranded)
        (first_ms, first), (last_ms, last) = self._samples[0], self._samples[-1]
        return Progress(self._behind, self._behind * (last_ms - first_ms) // (last - first))

    def heard(self, peer: PeerId, confirmed_index: int, oldest_cone: int) -> None:
        """Note what a peer's heartbeat says. Bounded by the number of configured peers."""
        self._offers[peer] = _Offer(confirmed_index, oldest_cone)

    def received(self, peer: PeerId, size_bytes: int, now_ms: int) -> None:
        """Note that a peer sent transactions."""
        if self._source is not None and self._source.peer == peer:
            self._source.active_ms = now_ms
            self._source.received_bytes += size_bytes

    def plan(
        self,
        confirmed_index: int,
        proven_index: int,
        connected: Sequence[PeerId],
        now_ms: int,
    ) -> tuple[Wanted, ...]:
        """Return what to ask for now.

        Args:
            confirmed_index: Last applied milestone.
            proven_index: Largest milestone seen with good signatures.
            connected: Peers that can be asked, the one to prefer first.
            now_ms: This moment, wall time.
        """
        reachable = [peer for peer in connected if peer in self._offers]
        self._judge_source(confirmed_index, reachable, now_ms)
        believed = [
            self._offers[peer].confirmed_index
            for peer in reachable
            if self._distrusted_until_ms.get(peer, 0) <= now_ms
        ]
        target = max([proven_index, *believed])
        self._behind = max(0, target - confirmed_index)
        self._is_stranded = (
            self._behind > FAR_BEHIND
            and bool(reachable)
            and all(self._offers[peer].oldest_cone > confirmed_index + 1 for peer in reachable)
        )
        is_stuck = self._is_stuck(confirmed_index, now_ms)
        if self._source is None and (self._behind > FAR_BEHIND or is_stuck):
            self._source = self._choose(confirmed_index, reachable, now_ms)
        if self._source is None or self._behind <= 1:
            self._stop()
            return ()
        self._sample(confirmed_index, now_ms)
        return self._ask_on(self._source, confirmed_index, now_ms)

    def _is_stuck(self, confirmed_index: int, now_ms: int) -> bool:
        """Return whether a small gap does not close by itself."""
        if self._behind <= 1 or self._moved is None or self._moved[0] != confirmed_index:
            self._moved = (confirmed_index, now_ms)
        return now_ms - self._moved[1] >= STUCK_MS

    def _stop(self) -> None:
        self._source = None
        self._samples.clear()

    def _judge_source(self, confirmed_index: int, reachable: Sequence[PeerId], now_ms: int) -> None:
        """Part with a peer that is gone, silent or of no help."""
        source = self._source
        if source is None:
            return
        if self._samples and confirmed_index > self._samples[-1][1]:
            source.progress_ms = source.active_ms = now_ms
            self._failures[source.peer] = 0
        offer = self._offers[source.peer]
        if max(source.asked_through, offer.confirmed_index) <= confirmed_index:
            self._source = None  # it gave all it has
            return
        is_silent = now_ms - source.active_ms >= SILENCE_MS
        is_stalled = now_ms - source.progress_ms >= STALL_MS
        if source.peer in reachable and not is_silent and not is_stalled:
            return
        self._failures[source.peer] += 1
        self._distrusted_until_ms[source.peer] = now_ms + DISTRUST_MS
        self._source = None

    def _choose(
        self, confirmed_index: int, reachable: Sequence[PeerId], now_ms: int
    ) -> _Source | None:
        """Return the peer that failed least among those that have the next cone."""
        following = confirmed_index + 1
        able = [
            peer
            for peer in reachable
            if self._offers[peer].oldest_cone <= following <= self._offers[peer].confirmed_index
        ]
        if not able:
            return None
        chosen = min(able, key=lambda peer: self._failures[peer])
        return _Source(chosen, confirmed_index, now_ms, now_ms, deque(), confirmed_index)

    def _ask_on(self, source: _Source, confirmed_index: int, now_ms: int) -> tuple[Wanted, ...]:
        while source.asked and source.asked[0][0] <= confirmed_index:
            source.asked.popleft()
        if source.asked and now_ms - source.asked[0][1] >= REPEAT_MS:
            source.asked.clear()
            source.asked_through = confirmed_index
        first = max(source.asked_through, confirmed_index) + 1
        has = self._offers[source.peer].confirmed_index
        last = min(has, confirmed_index + self._room(source, confirmed_index))
        if last < first:
            return ()
        if source.asked_through <= confirmed_index:
            source.active_ms = now_ms  # nothing was under way: its time begins now
        source.asked_through = last
        source.asked.append((last, now_ms))
        return tuple(Wanted(source.peer, index) for index in range(first, last + 1))

    def _room(self, source: _Source, confirmed_index: int) -> int:
        """Return how many cones may be under way: few until their size is known."""
        applied = confirmed_index - source.started_at
        if not applied:
            return 1
        mean_bytes = max(1, source.received_bytes // applied)
        return max(1, min(MAX_CONES_ASKED, MAX_CONES_BYTES // mean_bytes))

    def _sample(self, confirmed_index: int, now_ms: int) -> None:
        samples = self._samples
        if not samples or confirmed_index > samples[-1][1]:
            samples.append((now_ms, confirmed_index))
        while len(samples) > 2 and now_ms - samples[0][0] > RATE_WINDOW_MS:
            samples.popleft()
