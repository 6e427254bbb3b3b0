"""The embedded MQTT broker: a convenience for one host. Beyond it, run Mosquitto.

amqtt speaks MQTT 3.1.1 and keeps retained messages in memory: after its restart the edge nodes
publish their receipts again.
"""

import asyncio
import logging
import signal
from typing import Final

from amqtt.adapters import StreamReaderAdapter, StreamWriterAdapter
from amqtt.broker import Broker
from amqtt.contexts import BrokerConfig, ListenerConfig, ListenerType
from amqtt.session import Session
from typing_extensions import override

from tangle.errors import MalformedBytesError, UnavailableError

LOOPBACK: Final = "127.0.0.1"
DEFAULT_PORT: Final = 1883
MAX_PAYLOAD_SIZE: Final = 64 * 2**10
"""Bytes of one message: a transaction (32,768) fits, 10 MB do not."""

MAX_CONNECTIONS: Final = 1_024
SESSION_EXPIRY_S: Final = 3_600
"""A client that does not come back is forgotten: amqtt would keep its queue for ever."""

_LISTENER: Final = "default"
_log: Final = logging.getLogger(__name__)


async def run_broker(host: str = LOOPBACK, port: int = DEFAULT_PORT) -> None:
    """Serve MQTT without passwords until SIGTERM or SIGINT.

    Must run in the main thread. Anyone who reaches the port may publish; what counts is signed.

    Raises:
        UnavailableError: The address cannot be listened on.
    """
    for name in ("amqtt", "transitions"):
        # they tell of every packet, and call an error what a client does: a probe, a lost line
        logging.getLogger(name).setLevel(logging.CRITICAL)
    broker = _Broker(
        BrokerConfig(
            listeners={_LISTENER: ListenerConfig(type=ListenerType.EXTERNAL)},
            session_expiry_interval=SESSION_EXPIRY_S,
            plugins={"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        )
    )
    await broker.start()
    try:
        try:
            server = await asyncio.start_server(_Door(broker).admit, host, port)
        except OSError as error:
            raise UnavailableError(f"broker at {host}:{port}: {error.strerror}") from error
        async with server:
            await _stop_signal()
            server.close()
    finally:
        await broker.shutdown()


async def _stop_signal() -> None:
    """Return once the process is asked to stop."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await stopped.wait()


class _Broker(Broker):  # type: ignore[misc] # amqtt says of its classes what mypy cannot read
    """amqtt's broker, which hands a client what it subscribed to and nothing else.

    As it is, a new client gets every retained message that anybody subscribed to: a hundred meters
    that come back at once would cause ten thousand messages, and time out over them.
    """

    @override
    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        subscribers = self._subscriptions.get(subscription[0], ())
        if any(subscriber is session for subscriber, _ in subscribers):
            await super()._publish_retained_messages_for_subscription(subscription, session)


class _Door:
    """Lets clients in, as many as there is room for, behind bounded readers."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._inside = 0

    async def admit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client until it leaves."""
        if self._inside >= MAX_CONNECTIONS:
            _log.warning("refused a client: %d are connected", self._inside)
            writer.close()
            return
        self._inside += 1
        try:
            await self._broker.external_connected(
                StreamReaderAdapter(_BoundedReader(reader)), StreamWriterAdapter(writer), _LISTENER
            )
        except Exception:  # noqa: BLE001 — one client must not end the broker; it connects again
            _log.exception("a client was dropped")
        finally:
            self._inside -= 1
            writer.close()


class _BoundedReader:
    """What amqtt needs of a stream, without reading more at once than a message may have."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    async def readexactly(self, size: int) -> bytes:
        """Return `size` bytes. Raises `MalformedBytesError`, on which amqtt ends the connection."""
        if size > MAX_PAYLOAD_SIZE:
            raise MalformedBytesError(
                f"MQTT message of {size} bytes: the maximum is {MAX_PAYLOAD_SIZE}"
            )
        return await self._reader.readexactly(size)

    async def read(self, size: int) -> bytes:
        """Return at most a message's worth of what is there."""
        return await self._reader.read(size if 0 <= size < MAX_PAYLOAD_SIZE else MAX_PAYLOAD_SIZE)

    def feed_eof(self) -> None:
        """End the stream."""
        self._reader.feed_eof()
