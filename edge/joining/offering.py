"""Gives peers the snapshot files they ask for, a chunk at a time and never at gossip's cost."""

import asyncio
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from edge.joining.snapshots import FOLDER, KEPT_SNAPSHOTS, SUFFIX, decompressed
from edge.mesh.offers import (
    ANY_FILE,
    CHUNK_SIZE,
    MAX_CHUNKS_ASKED,
    MAX_FILE_SIZE,
    MAX_MANIFEST_SIZE,
    NoSnapshot,
    SnapshotBody,
    SnapshotChunk,
    SnapshotManifest,
    SnapshotQuery,
    SnapshotRequest,
    anchor_of,
    chunk_size,
    verify_manifest,
)
from edge.node.answer_budget import AnswerBudget
from edge.node.serving import Outlet
from tangle.codec import encode
from tangle.effects import Instant, PeerId
from tangle.errors import InvalidError, InvalidSnapshotError
from tangle.genesis import Genesis
from tangle.hashing import digest

MAX_CHUNKS_QUEUED: Final = 2 * MAX_CHUNKS_ASKED
"""Of one peer; beyond it a request is forgotten."""

MAX_OPEN_FILES: Final = KEPT_SNAPSHOTS + 1
"""All that are kept, and one that was deleted for a newer one while somebody still fetches it."""

MAX_FRAMES_WAITING: Final = 4
"""Frames in the outgoing queue: with more, chunks wait, so that gossip never waits behind more
than these."""

PAUSE_S: Final = 0.01
"""After each chunk: some 25 MiB a second for all peers together, then the loop turns."""

_log: Final = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Open:
    """A file on offer."""

    path: Path
    stamp: tuple[int, int]
    """Inode and time of change: a name may be given to another file."""

    descriptor: int
    manifest: SnapshotManifest


class SnapshotServer:
    """What peers asked for and have not got yet. Its task is `run`."""

    def __init__(
        self, genesis: Genesis, data_folder: Path, outlet: Outlet, wall_ms: Callable[[], int]
    ) -> None:
        self._genesis = genesis
        self._wall_ms = wall_ms
        self._folder = data_folder / FOLDER
        self._outlet = outlet
        self._budget = AnswerBudget()
        self._queries: dict[PeerId, bytes] = {}
        self._queues: dict[PeerId, deque[tuple[bytes, int]]] = {}  # who is at the front is next
        self._open: list[_Open] = []
        self._unfit: tuple[Path, tuple[int, int]] | None = None
        self._wake = asyncio.Event()

    def hear(self, peer: PeerId, body: SnapshotBody, _now: Instant) -> None:
        """Note what a peer asks for; never waits."""
        match body:
            case SnapshotQuery():
                self._queries[peer] = body.file_hash
            case SnapshotRequest():
                queue = self._queues.setdefault(peer, deque())
                room = MAX_CHUNKS_QUEUED - len(queue)
                queue.extend((body.file_hash, number) for number in body.numbers[:room])
            case NoSnapshot() | SnapshotManifest() | SnapshotChunk():
                return
        self._wake.set()

    async def run(self) -> None:
        """Answer until cancelled."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._queries or self._queues:
                    await self._answer_queries()
                    await self._serve_one()
                    await asyncio.sleep(PAUSE_S)
        finally:
            for one in self._open:
                os.close(one.descriptor)
            self._open.clear()

    async def _answer_queries(self) -> None:
        if not self._queries:
            return
        newest = await self._newest()
        queries, self._queries = self._queries, {}
        for peer, file_hash in queries.items():
            offered = newest
            if file_hash != ANY_FILE:
                offered = await self._holding(file_hash) or newest
            body = NoSnapshot() if offered is None else offered.manifest
            self._outlet.send(peer, body)

    async def _serve_one(self) -> None:
        """Send one chunk to the peer whose turn it is, if the network and its budget allow."""
        if not self._queues or self._outlet.waiting_out >= MAX_FRAMES_WAITING:
            return
        peer = next(iter(self._queues))
        queue = self._queues[peer]  # stays there: more may be asked while the file is read
        file_hash, number = queue[0]
        found = next((one for one in self._open if one.manifest.file_hash == file_hash), None)
        if found is None or number >= len(found.manifest.chunks):
            queue.popleft()  # gone meanwhile: whoever asks looks elsewhere after a while
        else:
            size = chunk_size(found.manifest, number)
            if self._budget.take(peer, size, self._wall_ms()):
                queue.popleft()
                data = await asyncio.to_thread(
                    os.pread, found.descriptor, size, number * CHUNK_SIZE
                )
                if data:
                    self._outlet.send(peer, SnapshotChunk(file_hash, number, data))
        del self._queues[peer]
        if queue:
            self._queues[peer] = queue  # behind the others

    async def _newest(self) -> _Open | None:
        """Return the newest full snapshot here, opened; one that is damaged is not offered."""
        paths = sorted(self._folder.glob(f"full-*{SUFFIX}"), reverse=True)
        return await self._offered(paths[0]) if paths else None

    async def _holding(self, file_hash: bytes) -> _Open | None:
        """Return the snapshot of that hash, if it is one of those kept."""
        for path in sorted(self._folder.glob(f"full-*{SUFFIX}"), reverse=True):
            found = await self._offered(path)
            if found is not None and found.manifest.file_hash == file_hash:
                return found
        return None

    async def _offered(self, path: Path) -> _Open | None:
        stamp = _stamp(path)
        if stamp is None:
            return None
        for one in self._open:
            if (one.path, one.stamp) == (path, stamp):
                return one
        if self._unfit == (path, stamp):
            return None
        try:
            descriptor, manifest = await asyncio.to_thread(_described, path, self._genesis)
        except (InvalidError, OSError) as error:
            self._unfit = (path, stamp)
            _log.warning("snapshot not offered", file=str(path), error=str(error))
            return None
        opened = _Open(path, stamp, descriptor, manifest)
        if len(self._open) >= MAX_OPEN_FILES:  # names sort as milestones do
            oldest = min(self._open, key=lambda one: one.path.name)
            self._open.remove(oldest)
            os.close(oldest.descriptor)
        self._open.append(opened)
        return opened


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return which file has a name now; `None` if it was deleted, for a newer one."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_mtime_ns


def describe(data: bytes, genesis: Genesis) -> SnapshotManifest:
    """Return the manifest of a snapshot file, as this node would offer it.

    Raises:
        InvalidSnapshotError: It is damaged, not of this network, or too large to be offered:
            whoever offers what does not hold loses standing with its peers.
    """
    if len(data) > MAX_FILE_SIZE:
        raise InvalidSnapshotError(f"file of {len(data)} bytes: the maximum is {MAX_FILE_SIZE}")
    _, anchor = anchor_of(decompressed(data))
    chunks = (data[at : at + CHUNK_SIZE] for at in range(0, len(data), CHUNK_SIZE))
    manifest = SnapshotManifest(anchor, digest(data), len(data), tuple(map(digest, chunks)))
    size = len(encode(manifest))
    if size > MAX_MANIFEST_SIZE:
        raise InvalidSnapshotError(f"manifest of {size} bytes: the maximum is {MAX_MANIFEST_SIZE}")
    verify_manifest(manifest, genesis)
    return manifest


def _described(path: Path, genesis: Genesis) -> tuple[int, SnapshotManifest]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "rb") as file:
            return descriptor, describe(file.read(), genesis)
    except BaseException:
        os.close(descriptor)
        raise
