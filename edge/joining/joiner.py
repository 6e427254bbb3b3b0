"""Lets a node start from a peer's snapshot: asks, fetches, checks, and hands it over.

What to do is decided in `edge.joining.joining`. The node runs meanwhile, and does not fetch
history; when a snapshot is here and checked, whoever runs the node ends it, puts the snapshot into
the journal and runs it again.
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol

import structlog

from edge.joining.arriving import Arrived, checked_start
from edge.joining.join_state import ASKING, JoinProgress, JoinState, Phase
from edge.joining.joining import (
    Fetch,
    JoinSettings,
    Occasion,
    Offered,
    Offers,
    Patience,
    Situation,
    Stand,
    occasion_of,
    room_needed,
)
from edge.joining.partial_file import PartialFile
from edge.mesh.frames import Body
from edge.mesh.mesh import PeerStatus
from edge.mesh.offers import (
    ANY_FILE,
    NoSnapshot,
    SnapshotBody,
    SnapshotChunk,
    SnapshotManifest,
    SnapshotQuery,
    SnapshotRequest,
    verify_chunk,
    verify_manifest,
)
from edge.node.executor import Executor
from tangle.effects import Instant, PeerId
from tangle.errors import InvalidSnapshotError
from tangle.genesis import Genesis
from tangle.snapshot import Start

ANSWER_MS: Final = 5_000
"""Wall time that peers have to link up and to say which snapshot they hold: they may have to read
it first."""

GATHER_MS: Final = 1_000
"""Wall time in which further peers may link up before the first choice is made: the more hold a
file, the sooner it is here."""

FIRST_PAUSE_MS: Final = 30_000
LONGEST_PAUSE_MS: Final = 600_000
"""Between two attempts, each pause twice as long: meanwhile the node goes on without."""

TICK_S: Final = 0.25
"""How often a fetch is looked at while nothing comes."""

SAID_EVERY_MS: Final = 5_000
"""Between two lines of the log that say how far a fetch is."""

_log: Final = structlog.get_logger(__name__)


class JoinMesh(Protocol):
    """What joining needs of the mesh."""

    def send(self, peer: PeerId, body: Body) -> None:
        """Send to one peer; never waits."""
        ...

    def peers(self) -> tuple[PeerStatus, ...]:
        """Return the configured peers."""
        ...


class Joiner:
    """One node's way to a snapshot. Its task is `run`."""

    def __init__(
        self,
        genesis: Genesis,
        executor: Executor,
        mesh: JoinMesh,
        data_folder: Path,
        settings: JoinSettings,
        wall_ms: Callable[[], int],
    ) -> None:
        """Listen to `executor` from now on, and keep it from fetching history where that helps."""
        self._genesis = genesis
        self._executor = executor
        self._mesh = mesh
        self._folder = data_folder
        self._settings = settings
        self._wall_ms = wall_ms
        self._file = PartialFile(data_folder)
        self._offers = Offers()
        self._fetch: Fetch | None = None
        self._state = JoinState()
        self._not_before_ms = 0
        self._quiet_ms = 0
        self._patience = Patience()
        self._pause_ms = FIRST_PAUSE_MS
        self._wake = asyncio.Event()
        executor.listen_snapshots(self.hear)
        executor.holds_back = self.holds_back

    def state(self) -> JoinState:
        """Return how far joining is."""
        fetch, progress = self._fetch, self._state.progress
        if fetch is None or progress is None or progress.phase != "fetching":
            return self._state
        return replace(
            self._state,
            progress=replace(
                progress,
                fetched_bytes=fetch.fetched_bytes,
                estimate_ms=fetch.estimate_ms(self._wall_ms()),
                sources=fetch.source_count,
            ),
        )

    def holds_back(self) -> bool:
        """Return whether history is not to be fetched now; wakes `run` when there is reason to."""
        if self._state.progress is not None:
            return True
        core, said = self._executor.core, self._executor.announced.values()
        furthest, now_ms = max(said, default=0), self._wall_ms()
        quiet_ms = self._patience.quiet_ms(core.confirmed_index, furthest, now_ms)
        if furthest <= core.confirmed_index or now_ms < self._not_before_ms:
            return False  # as nearly always
        if occasion_of(self._situation(quiet_ms), self._settings) is None:
            return False
        self._quiet_ms = quiet_ms
        self._wake.set()
        return True

    def hear(self, peer: PeerId, body: SnapshotBody, now: Instant) -> None:
        """Take in what a peer answers. Raises `StorageError`."""
        match body:
            case NoSnapshot():
                if self._offers.is_awaited(peer):
                    self._offers.none(peer)
            case SnapshotManifest():
                self._hear_offer(peer, body, now)
            case SnapshotChunk():
                self._hear_chunk(peer, body, now)
            case SnapshotQuery() | SnapshotRequest():
                return  # others' questions: see `edge.joining.offering`
        self._wake.set()

    async def run(self) -> Arrived:
        """Wait until there is reason to join, and return once a checked snapshot is here.

        Raises:
            StorageError: The disk fails or is full.
        """
        self._tidy()
        while True:
            await self._wake.wait()
            self._wake.clear()
            occasion = occasion_of(self._situation(self._quiet_ms), self._settings)
            if occasion is None or self._wall_ms() < self._not_before_ms:
                continue
            self._state = JoinState(ASKING)
            arrived = await self._attempt(occasion)
            if arrived is not None:
                return arrived
            self._not_before_ms = self._wall_ms() + self._pause_ms
            self._pause_ms = min(2 * self._pause_ms, LONGEST_PAUSE_MS)

    def _tidy(self) -> None:
        """Leave nothing of a file that is of no use any more."""
        manifest = self._file.manifest()
        try:
            if self._settings.is_on and manifest is not None:
                index = verify_manifest(manifest, self._genesis).index
                if index > self._executor.core.confirmed_index:
                    return
        except InvalidSnapshotError as error:
            _log.warning("snapshot in part refused", error=str(error))
        self._file.discard()

    async def _attempt(self, occasion: Occasion) -> Arrived | None:
        """Try what is on offer, the best first; each file and each liar once."""
        _log.info("asking peers for a snapshot", why=occasion.value)
        self._offers.begin()
        until_ms = await self._gather()
        while True:
            offered, useless = self._offers.best(self._situation(), occasion, self._settings)
            if offered is None and self._wall_ms() < until_ms and self._are_some_absent():
                await self._pause()  # links come up within seconds: the others may hold one
                self._ask_offers()
                continue
            if offered is None:
                said = "; ".join(useless) or "no peer offers one"
                _log.warning("no snapshot is of use", why=said)
                self._state = JoinState(None, said)
                return None
            why = self._no_room(offered) or await self._fetched(offered)
            if why is None:
                arrived = await self._checked(offered)
                if arrived is not None:
                    return arrived
            else:  # what is here of it stays: it may be had later
                _log.warning("snapshot set aside", milestone_index=offered.milestone.index, why=why)
                self._offers.set_aside(offered.manifest, why)
                self._state = JoinState(ASKING)

    async def _gather(self) -> int:
        """Ask who is there, and wait for the answers; return until when others may come."""
        began_ms = self._wall_ms()
        self._ask_offers()
        while (waited_ms := self._wall_ms() - began_ms) < ANSWER_MS:
            is_complete = self._offers.are_complete(self._connected())
            if is_complete and (waited_ms >= GATHER_MS or not self._are_some_absent()):
                break
            await self._pause()
            self._ask_offers()
        return began_ms + ANSWER_MS

    async def _fetched(self, offered: Offered) -> str | None:
        """Fetch all of a file; return why that failed, `None` if it did not."""
        manifest = offered.manifest
        have = await asyncio.to_thread(self._file.begin, manifest)
        fetch = self._fetch = Fetch(manifest, have, self._wall_ms())
        self._state = JoinState(self._progress("fetching", offered, fetch.fetched_bytes))
        self._say("fetching a snapshot", resumed=bool(have))
        said_ms = self._wall_ms()
        try:
            while not fetch.is_complete:
                self._ask_offers()
                present = set(self._connected())
                sources = [one for one in self._offers.sources(manifest) if one in present]
                for ask in fetch.plan(sources, self._wall_ms()):
                    self._mesh.send(ask.peer, SnapshotRequest(manifest.file_hash, ask.numbers))
                if not fetch.source_count:
                    return f"no peer gives the rest of file {manifest.file_hash.hex()}"
                await self._pause()
                if self._wall_ms() - said_ms >= SAID_EVERY_MS:
                    said_ms = self._wall_ms()
                    self._say("fetching a snapshot", sources=fetch.source_count)
            return None
        finally:
            self._fetch = None

    async def _checked(self, offered: Offered) -> Arrived | None:
        """Check the whole file against the roots; whoever offered it answers for what differs."""
        size = offered.manifest.size_bytes
        self._state = JoinState(self._progress("checking", offered, size))
        _log.info("checking a snapshot", milestone_index=offered.milestone.index, size_bytes=size)
        try:
            start = await asyncio.to_thread(checked_start, self._file.path, offered, self._genesis)
        except InvalidSnapshotError as error:
            now = Instant(self._wall_ms(), 0)
            for peer in self._offers.sources(offered.manifest):
                self._distrust(peer, error, now)
            self._refuse(offered, str(error))
            return None
        why = self._why_not_ours(start)
        if why is not None:
            self._refuse(offered, why)
            return None
        return Arrived(start, self._file)

    def _why_not_ours(self, start: Start) -> str | None:
        """Return what in a snapshot contradicts the milestones applied here."""
        for verified in start.milestones:
            index = verified.transaction.sequence
            own = self._executor.journal.milestone(index)
            if own is not None and own.milestone_id != verified.tx_id:
                return (
                    f"milestone {index} is {verified.tx_id.hex()} there and "
                    f"{own.milestone_id.hex()} here, both signed: an operator must decide"
                )
        return None

    def _hear_offer(self, peer: PeerId, manifest: SnapshotManifest, now: Instant) -> None:
        if not self._offers.is_awaited(peer):
            return  # unasked: checking it would cost us, at will
        try:
            self._offers.heard(peer, manifest, verify_manifest(manifest, self._genesis))
        except InvalidSnapshotError as error:
            self._distrust(peer, error, now)

    def _hear_chunk(self, peer: PeerId, chunk: SnapshotChunk, now: Instant) -> None:
        fetch = self._fetch
        if fetch is None or chunk.file_hash != fetch.manifest.file_hash:
            return
        if not fetch.is_awaited(peer, chunk.number):
            return
        try:
            verify_chunk(fetch.manifest, chunk)
        except InvalidSnapshotError as error:
            fetch.drop(peer)
            self._distrust(peer, error, now)
            return
        self._file.put(chunk.number, chunk.data)
        fetch.took(peer, chunk.number, now.wall_ms)

    def _distrust(self, peer: PeerId, error: InvalidSnapshotError, now: Instant) -> None:
        self._offers.distrust(peer)
        self._executor.blame(peer, error, now)

    def _refuse(self, offered: Offered, why: str) -> None:
        _log.warning("snapshot refused", milestone_index=offered.milestone.index, why=why)
        self._offers.refuse(offered.manifest, why)
        self._file.discard()
        self._state = JoinState(ASKING)

    def _no_room(self, offered: Offered) -> str | None:
        disk = os.statvfs(self._folder)
        free, needed = disk.f_bavail * disk.f_frsize, room_needed(offered.manifest)
        if free >= needed:
            return None
        return f"the disk has {free} bytes free, joining may need {needed}"

    def _ask_offers(self) -> None:
        """Ask whoever was not asked yet; what is here in part already is preferred."""
        fresh = self._offers.to_ask(self._connected())
        partial = self._file.manifest() if fresh else None
        wanted = ANY_FILE if partial is None else partial.file_hash
        for peer in fresh:
            self._mesh.send(peer, SnapshotQuery(wanted))

    async def _pause(self) -> None:
        """Wait until something was heard, but no longer than a tick."""
        try:
            async with asyncio.timeout(TICK_S):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    def _situation(self, quiet_ms: int = 0) -> Situation:
        said, kept = self._executor.announced, self._executor.oldest_cones
        core = self._executor.core
        peers = {one: Stand(said[one], kept[one]) for one in self._connected() if one in said}
        return Situation(core.confirmed_index, peers, quiet_ms, core.halted is not None)

    def _are_some_absent(self) -> bool:
        """Return whether a configured peer has not linked up, or not answered."""
        peers = [one.peer for one in self._mesh.peers()]
        return not self._offers.are_complete(peers) or len(peers) > len(self._connected())

    def _connected(self) -> list[PeerId]:
        return [one.peer for one in self._mesh.peers() if one.is_connected]

    def _progress(self, phase: Phase, offered: Offered, fetched: int) -> JoinProgress:
        size, count = offered.manifest.size_bytes, len(offered.sources)
        return JoinProgress(phase, offered.milestone.index, fetched, size, None, count)

    def _say(self, what: str, **more: object) -> None:
        progress = self.state().progress
        assert progress is not None
        _log.info(
            what,
            milestone_index=progress.index,
            fetched_bytes=progress.fetched_bytes,
            size_bytes=progress.size_bytes,
            estimate_ms=progress.estimate_ms,
            **more,
        )
