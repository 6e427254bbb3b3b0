"""The MQTT side of an edge node: readings come in, receipts go out. Decides nothing.

A thin adapter over aiomqtt. Losing a message here loses no reading: a meter keeps each one until
its receipt, which the node publishes once the reading is journalled, and again after every
connection, for an embedded broker keeps retained messages in memory only.
"""

import asyncio
import logging
import random
import secrets
import socket
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from aiomqtt import Client, Message, MqttError

from devices.messages import MAX_MESSAGE_SIZE
from devices.reading import MAX_READING_SIZE
from devices.topics import (
    all_relays_topic,
    all_transactions_topic,
    readings_topic,
    receipt_topic,
    relay_topic,
    transactions_topic,
)
from edge.meters.reading_queue import ReadingQueue
from tangle.address import Address, encode_address
from tangle.transaction import MAX_TRANSACTION_SIZE

MAX_QUEUED: Final = 4_096
"""Readings that wait for the node: about 1 MB. The newest of who has most are dropped when it is
full: a meter posts in order and goes back to the oldest one without a receipt."""

MAX_POSTED: Final = 512
"""Transactions and, besides, words about relays that wait for the node; overflow as of readings. A
meter posts again what nobody answers."""

MAX_TAKEN: Final = 16
"""Transactions handed over at a time: each is judged and journalled by itself."""

MAX_RECEIVED: Final = 512
"""Readings handed over at a time: what one durable commit may well hold."""

TOPICS_PER_SUBSCRIPTION: Final = 64
OPERATION_TIMEOUT_S: Final = 15.0
"""For a connection, a subscription, one publication: a busy broker on a small host gets time."""

KEEPALIVE_S: Final = 15
SUBSCRIPTION_REFUSED: Final = 0x80
"""MQTT 3.1.1, section 3.9.3: below it stands the quality of service granted."""

FIRST_PAUSE_S: Final = 0.2
MAX_PAUSE_S: Final = 5.0
"""Between two attempts to connect: doubles from the first to this."""

_log: Final = logging.getLogger(__name__)
_client_log: Final = logging.getLogger(f"{__name__}.client")
_client_log.setLevel(logging.ERROR)  # below, aiomqtt tells of every queue and every reconnection


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where the MQTT broker listens."""

    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)


class _Line:
    """What waits for the node of one kind of message."""

    def __init__(self, limit: int, max_size: int) -> None:
        self.queue = ReadingQueue(limit)
        self.max_size = max_size
        self._has_some = asyncio.Event()

    def add(self, device: Address, payload: bytes) -> tuple[Address, bytes] | None:
        """Queue one; return what had to leave for it."""
        gone = self.queue.add(device, payload)
        self._has_some.set()
        return gone

    async def take(self, most: int) -> list[tuple[Address, bytes]]:
        """Take out up to `most`, the meters in turn; waits for some."""
        await self._has_some.wait()
        taken = self.queue.take(most)
        if not self.queue:
            self._has_some.clear()
        return taken


class MeterLink:
    """One node's connection to its meters, made anew whenever it is lost.

    `run` belongs into the node's task group; the other methods are for the task that owns the
    node.
    """

    def __init__(
        self, broker: BrokerAddress, network: bytes, devices: Iterable[Address], name: str
    ) -> None:
        """Prepare; `run` connects.

        Args:
            broker: Whom to connect to.
            network: First 8 bytes of the genesis hash.
            devices: The meters homed here.
            name: Of this node, as the broker's log shows it.
        """
        self._broker = broker
        self._network = network
        self._name = name
        self._devices: dict[str, Address] = {}
        self._lines: dict[str, _Line] = {}
        self._retained: dict[str, bytes] = {}
        self._unpublished: dict[str, None] = {}
        self._unsubscribed: list[str] = []
        self._has_work = asyncio.Event()
        self._arrivals = _Line(MAX_QUEUED, MAX_READING_SIZE)
        self._transactions = _Line(MAX_POSTED, MAX_TRANSACTION_SIZE)
        self._statuses = _Line(MAX_POSTED, MAX_MESSAGE_SIZE)
        for device in devices:
            self._add(device)
        self._pause_s = FIRST_PAUSE_S
        self.is_connected = False
        """Whether the readings topics are subscribed to at this moment."""

        self.counts: Counter[str] = Counter()
        """`received`, `overflowed`, `oversized`, `foreign`, `published`, `connected`, `lost`."""

    @property
    def waiting(self) -> int:
        """Readings that came and that the node has not taken yet."""
        return len(self._arrivals.queue)

    def home(self, device: Address) -> None:
        """Take in the readings of one more meter."""
        topic = readings_topic(self._network, device)
        if topic not in self._devices:
            self._add(device)
            self._unsubscribed.append(topic)
            self._has_work.set()

    def _add(self, device: Address) -> None:
        for topic, line in (
            (readings_topic(self._network, device), self._arrivals),
            (transactions_topic(self._network, device), self._transactions),
            (relay_topic(self._network, device), self._statuses),
        ):
            self._devices[topic] = device
            self._lines[topic] = line

    def publish_receipt(self, device: Address, data: bytes) -> None:
        """Have `data` stand as the newest receipt of `device`, as soon as there is a connection.

        An older one that was not published yet never will be: the newer says more.
        """
        self.publish(receipt_topic(self._network, device), data)

    def publish(self, topic: str, data: bytes) -> None:
        """Have `data` stand as the newest on `topic`, retained, as soon as there is a connection.

        What was to stand there before and was not published yet never will be.
        """
        self._retained[topic] = data
        self._unpublished[topic] = None
        self._has_work.set()

    async def receive(self) -> list[tuple[Address, bytes]]:
        """Return what came in, with the device that the topic names; waits for some.

        What one meter posted is in order; the meters take turns.
        """
        return await self._arrivals.take(MAX_RECEIVED)

    async def receive_transactions(self) -> list[tuple[Address, bytes]]:
        """Return what meters posted to the ledger; as `receive`."""
        return await self._transactions.take(MAX_TAKEN)

    async def receive_statuses(self) -> list[tuple[Address, bytes]]:
        """Return what meters said of their relays; as `receive`."""
        return await self._statuses.take(MAX_POSTED)

    async def run(self) -> None:
        """Keep connected until cancelled."""
        while True:
            try:
                await self._serve()
            except* MqttError as group:
                self.counts["lost"] += 1
                _log.warning(
                    "no connection to the broker at %s:%d: %s",
                    self._broker.host,
                    self._broker.port,
                    group.exceptions[0],
                )
            finally:
                self.is_connected = False
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                # a broker that goes down with us: a task group reports its loss in place of ours
                raise asyncio.CancelledError
            # jitter, so that the nodes of a restarted broker do not come back all at once
            await asyncio.sleep(random.uniform(0.5, 1.0) * self._pause_s)
            self._pause_s = min(2 * self._pause_s, MAX_PAUSE_S)

    async def _serve(self) -> None:
        """Serve one connection until it is lost. Raises `MqttError`, perhaps in a group."""
        client = Client(
            self._broker.host,
            self._broker.port,
            username=self._broker.username,
            password=self._broker.password,
            # a new name each time: amqtt keeps a broken connection of the same name alive
            identifier=f"{self._name}-{secrets.token_hex(4)}",
            logger=_client_log,
            timeout=OPERATION_TIMEOUT_S,
            keepalive=KEEPALIVE_S,
            max_queued_incoming_messages=MAX_QUEUED,
            # else Nagle's algorithm and the peer's delayed acknowledgement wait for each other
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        )
        async with client, asyncio.TaskGroup() as group:
            group.create_task(self._collect(client))
            self._unsubscribed = [
                *(topic for topic, line in self._lines.items() if line is self._arrivals),
                all_transactions_topic(self._network),
                all_relays_topic(self._network),
            ]
            self._unpublished = dict.fromkeys(self._retained)
            self._has_work.set()
            await self._subscribe(client)
            self._pause_s = FIRST_PAUSE_S
            self.is_connected = True
            self.counts["connected"] += 1
            await self._work(client)

    async def _collect(self, client: Client) -> None:
        """Take what comes in. Raises `MqttError` when the connection is lost."""
        async for message in client.messages:
            self._take(message)

    def _take(self, message: Message) -> None:
        topic, payload = message.topic.value, message.payload
        device, line = self._devices.get(topic), self._lines.get(topic)
        # amqtt hands a new client what other clients have subscribed to as well
        if device is None or line is None:
            self.counts["foreign"] += 1
        elif len(payload) > line.max_size:
            self._count_rarely("oversized", device, len(payload))
        else:
            self.counts["received"] += 1
            gone = line.add(device, payload)
            if gone is not None:
                self._count_rarely("overflowed", gone[0], len(gone[1]))

    async def _work(self, client: Client) -> None:
        """Subscribe to what is new and publish what is newest, one thing at a time."""
        while True:
            await self._has_work.wait()
            self._has_work.clear()
            await self._subscribe(client)
            while self._unpublished:
                topic = next(iter(self._unpublished))
                del self._unpublished[topic]
                await client.publish(topic, self._retained[topic], qos=1, retain=True)
                self.counts["published"] += 1

    async def _subscribe(self, client: Client) -> None:
        while self._unsubscribed:
            topics = self._unsubscribed[:TOPICS_PER_SUBSCRIPTION]
            del self._unsubscribed[:TOPICS_PER_SUBSCRIPTION]
            granted = await client.subscribe([(topic, 1) for topic in topics])
            codes = [code if isinstance(code, int) else code.value for code in granted]
            for topic, code in zip(topics, codes, strict=True):
                if code >= SUBSCRIPTION_REFUSED:
                    raise MqttError(f"the broker refuses a subscription to {topic}")

    def _count_rarely(self, what: str, device: Address, size: int) -> None:
        self.counts[what] += 1
        count = self.counts[what]
        if count & (count - 1) == 0:  # 1st, 2nd, 4th …: a flood fills no log
            _log.warning(
                "%s, %d in all: a message of %d bytes of %s was dropped",
                what,
                count,
                size,
                encode_address(device),
            )
