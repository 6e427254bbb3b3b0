"""Carries frames between the event loop and Zenoh, with two threads that may wait for it.

Knows nothing of what a frame says. The receiving thread takes frames off a channel (a callback
would wait for a busy loop at every frame, and lose most of a burst) and waits while the loop has
not kept up, so that the senders slow down. The sending thread hands frames over with `BLOCK`
(Zenoh's default drops a third of a burst): a peer that reads nothing holds up this thread until
its link is cut, and nothing else.
"""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog
import zenoh

from edge.mesh.hand_over import Inbox, Limit, Outbox, Parcel
from tangle.effects import PeerId
from tangle.errors import MeshClosedError

FLUSH_MS: Final = 1_000
"""How long a closing node goes on sending what is queued."""

log: Final = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WireLimits:
    """How much may wait at each place."""

    channel_frames: int
    """Between Zenoh and the receiving thread. Full, Zenoh stops reading."""

    inbox: Limit
    outbox: Limit


DEFAULT_LIMITS: Final = WireLimits(
    channel_frames=64,
    inbox=Limit(frames=4_096, size=16 * 2**20),
    outbox=Limit(frames=4_096, size=32 * 2**20),
)
"""At most 64, 16 and 32 MiB: a burst of 100,000 small transactions, or what waits while a stalled
peer is found out."""


class Wire:
    """One node's end of all its links.

    One channel serves both ways to a node, so that frames of one sender stay in order: a node
    listens on `tw/<network>/*/<own key>`; `tw/<network>/all/*` reaches every node and
    `tw/<network>/to/<key>` one.
    """

    def __init__(
        self,
        session: zenoh.Session,
        network: bytes,
        own_id: PeerId,
        limits: WireLimits = DEFAULT_LIMITS,
    ) -> None:
        """Start both threads; call it on the loop that will use the wire."""
        self._session = session
        self._root = f"tw/{network.hex()}"
        self._loop = asyncio.get_running_loop()
        self._batch_frames = limits.channel_frames
        self._inbox = Inbox(self._loop, limits.inbox)
        self._outbox = Outbox(limits.outbox)
        self._closing = False
        self._failure: Exception | None = None
        self._subscriber = session.declare_subscriber(
            f"{self._root}/*/{own_id.hex()}", zenoh.handlers.FifoChannel(limits.channel_frames)
        )
        self._receiver = threading.Thread(
            target=self._run, args=(self._receive_all,), name="mesh-receive", daemon=True
        )
        self._sender = threading.Thread(
            target=self._run, args=(self._send_all,), name="mesh-send", daemon=True
        )
        self._receiver.start()
        self._sender.start()

    @property
    def waiting_in(self) -> int:
        """Frames received and not yet taken."""
        return len(self._inbox)

    @property
    def waiting_out(self) -> int:
        """Parcels posted and not yet handed to Zenoh."""
        return len(self._outbox)

    def post(self, parcel: Parcel) -> int:
        """Queue for sending, never waiting; return how many parcels were dropped for it."""
        return self._outbox.put(parcel)

    def take(self, limit: Limit) -> list[bytes]:
        """Return the oldest received frames within `limit`, none if there are none.

        Raises:
            MeshClosedError: The wire has been closed.
            Exception: What made one of the threads fail: a fault of our own, or of Zenoh's.
        """
        if self._failure is not None:
            raise self._failure
        if self._closing:
            raise MeshClosedError("the mesh is closed: nothing is received any more")
        return self._inbox.take(limit)

    async def wait_ready(self) -> None:
        """Wait until `take` has something to return or to raise."""
        await self._inbox.wait_ready()

    async def close(self) -> None:
        """Send what is queued, as far as the peers read it, then cut the links."""
        if self._closing:
            return
        self._closing = True
        self._inbox.close()
        await asyncio.to_thread(self._wind_down)

    def _wind_down(self) -> None:
        self._outbox.close()
        self._sender.join(FLUSH_MS / 1_000)
        unsent = self._outbox.clear()
        if unsent:
            log.warning("frames_unsent", frames=unsent, waited_ms=FLUSH_MS)
        # The receiver drains the channel to its end: while it is full, closing would never return.
        self._subscriber.undeclare()  # type: ignore[no-untyped-call]
        self._receiver.join()
        # A sender that is still held up fails now.
        self._session.close()  # type: ignore[no-untyped-call]
        self._sender.join()

    def _run(self, work: Callable[[], None]) -> None:
        """Run a thread; what makes it fail is raised by the next `take`."""
        try:
            work()
        except Exception as error:  # handed on: `take` raises it in the task that owns the node
            if self._closing and isinstance(error, zenoh.ZError):
                return  # that is how Zenoh ends the waiting of a thread
            log.exception("mesh_thread_failed", thread=threading.current_thread().name)
            self._failure = error
            self._loop.call_soon_threadsafe(self._inbox.close)

    def _receive_all(self) -> None:
        channel = self._subscriber.handler  # waiting on the subscriber itself would lock its close
        while True:
            frames = [channel.recv().payload.to_bytes()]
            while len(frames) < self._batch_frames and (sample := channel.try_recv()) is not None:
                frames.append(sample.payload.to_bytes())
            self._inbox.put(frames)  # once closed it drops them, and the channel still drains

    def _send_all(self) -> None:
        everyone = self._session.declare_publisher(
            f"{self._root}/all/*",
            congestion_control=zenoh.CongestionControl.BLOCK,
            allowed_destination=zenoh.Locality.REMOTE,
        )
        while (parcel := self._outbox.take()) is not None:
            if parcel.to is None:
                everyone.put(parcel.data)
            else:
                self._session.put(
                    f"{self._root}/to/{parcel.to.hex()}",
                    parcel.data,
                    congestion_control=zenoh.CongestionControl.BLOCK,
                    allowed_destination=zenoh.Locality.REMOTE,
                )
