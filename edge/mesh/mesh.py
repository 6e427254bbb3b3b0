"""The mesh: signed, numbered frames between the nodes of one network.

Signatures are made and checked on the event loop, a bounded batch at a time: in a thread, each
check would wait a whole switch interval for a busy loop, and one check serves a frame of up to 64
transactions. Waiting for the network is left to the threads of `edge.mesh.wire`.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog

from edge.mesh.certificates import Credentials
from edge.mesh.frames import (
    Body,
    Frame,
    Numbering,
    ReplayGuard,
    decode_frame,
    sign_frame,
    verify_signed_frame,
)
from edge.mesh.hand_over import Limit, Parcel
from edge.mesh.links import Security, open_links
from edge.mesh.wire import Wire
from tangle.effects import PeerId
from tangle.errors import BannedSenderError, InvalidError
from tangle.keys import SigningKey

BATCH_LIMIT: Final = Limit(frames=64, size=2**20)
"""Frames checked in one go: some ten milliseconds, then the loop does something else."""

CONNECTED_WITHIN_MS: Final = 10_000
"""A peer counts as connected for so long after a frame of it: a few heartbeats."""

log: Final = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class MeshConfig:
    """Who a node is, where it listens and whom it knows."""

    listen: tuple[str, ...]
    """Endpoints `tls/HOST:PORT` or `tcp/HOST:PORT`; none for a node that only connects."""

    connect: tuple[str, ...]
    """Endpoints of peers; a link serves both directions, so one side is enough."""

    key: SigningKey
    peers: Mapping[PeerId, str]
    """Everyone who may be heard, with a name for people."""

    network: bytes
    """First 8 bytes of the genesis hash."""

    epoch: int
    """Larger than at any earlier start of this node, or its peers take its frames for old ones."""

    credentials: Credentials | None = None
    """For mutual TLS; `None` for plain links."""

    allows_plain: bool = False
    """Plain links may leave this machine."""


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """A peer as this node sees it, counted since the start."""

    peer: PeerId
    alias: str
    last_frame_wall_ms: int | None
    """When its last accepted frame was read; `None` if there was none."""

    frames_in: int
    """Accepted."""

    frames_out: int
    """Broadcast, or meant for it alone; whether it heard them is not known."""

    refused: int
    """Frames that name it as their sender. Anyone may forge one: no proof against the peer."""

    is_connected: bool
    """Heard within `CONNECTED_WITHIN_MS`."""


@dataclass(frozen=True, slots=True)
class MeshCounters:
    """What the queues hold, and what was lost since the start. All in frames."""

    waiting_in: int
    waiting_out: int
    dropped: int
    """Because the outgoing queue was full."""

    refused: Mapping[str, int]
    """By the name of the error."""


@dataclass(slots=True)
class _Tally:
    last_frame_wall_ms: int | None = None
    frames_in: int = 0
    directed_out: int = 0
    refused: int = 0
    banned_until_ms: int = 0


async def open_mesh(config: MeshConfig, wall_ms: Callable[[], int]) -> "Mesh":
    """Join the mesh; whoever opens it closes it.

    Raises:
        InvalidEndpointError: An endpoint breaks a rule of `edge.mesh.links.verify_endpoint`.
        ListenError: An endpoint is in use, or is not of this machine.
    """
    security = Security(config.credentials, frozenset(config.peers), config.allows_plain)
    session = await asyncio.to_thread(open_links, config.listen, config.connect, security)
    return Mesh(config, Wire(session, config.network, PeerId(config.key.public)), wall_ms)


class Mesh:
    """A node's place in the mesh: made by `open_mesh`, used by one task."""

    def __init__(self, config: MeshConfig, wire: Wire, wall_ms: Callable[[], int]) -> None:
        self._config = config
        self._wire = wire
        self._wall_ms = wall_ms
        self._own_id = PeerId(config.key.public)
        self._senders = frozenset(config.peers) | {self._own_id}
        self._numbering = Numbering(config.epoch)
        self._guard = ReplayGuard()
        self._tallies = {peer: _Tally() for peer in config.peers if peer != self._own_id}
        self._broadcasts_out = 0
        self._dropped = 0
        self._is_overflowing = False
        self._refused: Counter[str] = Counter()
        self._logged: set[tuple[str, PeerId | None]] = set()

    async def receive(self, until_wall_ms: int | None) -> list[tuple[PeerId, Body]]:
        """Return what peers said, in order of each sender; a bounded batch at a time.

        Args:
            until_wall_ms: How long to wait for the first of it, on the clock of the mesh; `None`
                for ever.

        Returns:
            At least one body, or none once `until_wall_ms` has passed.

        Raises:
            MeshClosedError: The mesh has been closed, perhaps during the call.
        """
        while True:
            await asyncio.sleep(0)  # under a flood, others on the loop get their turn too
            batch = self._wire.take(BATCH_LIMIT)
            said = [(PeerId(frame.sender), frame.body) for frame in map(self._open, batch) if frame]
            left_ms = None if until_wall_ms is None else until_wall_ms - self._wall_ms()
            if said or (left_ms is not None and left_ms <= 0):
                return said
            if not batch:
                with suppress(TimeoutError):
                    async with asyncio.timeout(None if left_ms is None else left_ms / 1_000):
                        await self._wire.wait_ready()

    def broadcast(self, body: Body) -> None:
        """Say `body` to all peers; never waits. Overflow: see `edge.mesh.hand_over.Outbox`."""
        self._broadcasts_out += 1
        self._post(None, body)

    def send(self, peer: PeerId, body: Body) -> None:
        """Say `body` to one peer; never waits. Raises `ValueError` for a peer not configured."""
        tally = self._tallies.get(peer)
        if tally is None:
            raise ValueError(f"peer {peer.hex()} is not among the configured peers")
        tally.directed_out += 1
        self._post(peer, body)

    def ban(self, peer: PeerId, until_wall_ms: int) -> None:
        """Drop what names `peer` as its sender until then, before its signature is checked."""
        self._tallies[peer].banned_until_ms = until_wall_ms

    def peers(self) -> tuple[PeerStatus, ...]:
        """Return the configured peers, in order of configuration."""
        now_ms = self._wall_ms()
        return tuple(self._status(peer, tally, now_ms) for peer, tally in self._tallies.items())

    @property
    def waiting_out(self) -> int:
        """Frames said and not handed to the network yet."""
        return self._wire.waiting_out

    def counters(self) -> MeshCounters:
        """Return what operators watch."""
        return MeshCounters(
            waiting_in=self._wire.waiting_in,
            waiting_out=self._wire.waiting_out,
            dropped=self._dropped,
            refused=dict(self._refused),
        )

    async def close(self) -> None:
        """Send what is queued, as far as the peers read it, then leave. May be repeated."""
        await self._wire.close()

    def _status(self, peer: PeerId, tally: _Tally, now_ms: int) -> PeerStatus:
        last_ms = tally.last_frame_wall_ms
        return PeerStatus(
            peer=peer,
            alias=self._config.peers[peer],
            last_frame_wall_ms=last_ms,
            frames_in=tally.frames_in,
            frames_out=self._broadcasts_out + tally.directed_out,
            refused=tally.refused,
            is_connected=last_ms is not None and now_ms - last_ms <= CONNECTED_WITHIN_MS,
        )

    def _post(self, to: PeerId | None, body: Body) -> None:
        config, number = self._config, self._numbering.next()
        data = sign_frame(config.key, config.network, self._numbering.epoch, number, body)
        if self._wire.waiting_out == 0:
            self._is_overflowing = False
        dropped = self._wire.post(Parcel(to, data))
        self._dropped += dropped
        if dropped and not self._is_overflowing:
            self._is_overflowing = True  # said once, until the queue has been empty
            log.warning("outbox_full", dropped_so_far=self._dropped)

    def _open(self, data: bytes) -> Frame | None:
        """Return the frame in `data`, if it is for this node to read; else count why not."""
        sender: PeerId | None = None
        try:
            signed = decode_frame(data)
            sender = PeerId(signed.frame.sender)
            self._verify_not_banned(sender)
            frame = verify_signed_frame(signed, self._config.network, self._senders)
            if sender == self._own_id:
                return None
            self._guard.accept(frame)
        except InvalidError as error:
            self._refuse(sender, error)
            return None
        tally = self._tallies[sender]
        tally.last_frame_wall_ms = self._wall_ms()
        tally.frames_in += 1
        return frame

    def _verify_not_banned(self, sender: PeerId) -> None:
        tally = self._tallies.get(sender)
        if tally is not None and self._wall_ms() < tally.banned_until_ms:
            raise BannedSenderError(
                f"sender {sender.hex()} is banned until {tally.banned_until_ms} ms"
            )

    def _refuse(self, sender: PeerId | None, error: InvalidError) -> None:
        reason = type(error).__name__
        self._refused[reason] += 1
        tally = None if sender is None else self._tallies.get(sender)
        if tally is not None:
            tally.refused += 1
        known = sender if tally is not None else None  # strangers share one line: they are legion
        if (reason, known) in self._logged:
            return
        self._logged.add((reason, known))
        alias = "stranger" if known is None else self._config.peers[known]
        log.warning("frame_refused", reason=reason, peer=alias, detail=str(error))
