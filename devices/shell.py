"""Runs a meter: its files, its connection to the broker, its signals.

With `devices.outbox` the only I/O of this package. SIGTERM and SIGINT stop the meter at once (what
it keeps is on disk), SIGUSR1 stops the measuring and lets it deliver the rest.
"""

import asyncio
import logging
import random
import secrets
import signal
import socket
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, assert_never

from aiomqtt import Client, MqttError

from devices.capable import (
    CapableEffect,
    CapableMeter,
    CapableTerms,
    Heard,
    Post,
    StoreCapable,
    Switched,
    Tell,
    Unbelieved,
    Work,
    decode_state,
)
from devices.meter import (
    Finished,
    Forget,
    MeterCore,
    MeterEffect,
    MeterIdentity,
    MeterLimits,
    Publish,
    Refused,
    Store,
)
from devices.outbox import Outbox, no_point
from devices.sources.household import MAX_PROFILE_SIZE, HouseholdProfile, decode_profile
from devices.sources.recorded import MAX_RECORDING_SIZE, Recording, parse_recording
from devices.sources.rows import ReadingSource
from devices.topics import (
    answer_topic,
    readings_topic,
    receipt_topic,
    relay_topic,
    standing_topic,
    tips_topic,
    transactions_topic,
)
from tangle.address import address_of
from tangle.effects import Instant
from tangle.errors import (
    InvalidRecordingError,
    MalformedBytesError,
    StorageError,
)
from tangle.work import find_nonce

BROKER_TIMEOUT_S: Final = 15.0
"""For a connection, a subscription, one publication. Long enough for a small host whose meters all
post at the same quarter hour: who gives up early and connects anew only adds to its work."""

FIRST_PAUSE_S: Final = 0.2
MAX_PAUSE_S: Final = 5.0
"""Between two attempts to connect: doubles from the first to this."""

MAX_WAIT_S: Final = 60.0
"""Look at the clocks at least this often: they may have been set."""

MAX_INBOX: Final = 64
"""Receipts, and messages of each other kind, not yet looked at; the oldest goes first, for a newer
one says more."""

NO_DELAY: Final = (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
"""Small packets that wait for each other's acknowledgement cost 40 ms each without it."""

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MeterConfig:
    """What one meter process runs with."""

    identity: MeterIdentity
    outbox: Path
    """SQLite file in the meter's data folder; made if it is not there."""

    broker_host: str
    broker_port: int
    time_scale: int = 1
    """Ledger milliseconds per wall millisecond."""

    limits: MeterLimits = field(default_factory=MeterLimits)
    pass_point: Callable[[str], None] = no_point
    """Is told where the outbox stands, so that a test can end the process there."""

    capable: CapableTerms | None = None
    """Of a meter that reports for energy accounts and has a relay."""


def read_recording(path: Path) -> Recording:
    """Return the recording in a CSV file. Raises `InvalidRecordingError` with the file's name."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return parse_recording(file.read(MAX_RECORDING_SIZE + 1))
    except OSError as error:
        raise InvalidRecordingError(f"recording {path}: {error.strerror}") from error
    except (InvalidRecordingError, UnicodeDecodeError) as error:
        raise InvalidRecordingError(f"recording {path}: {error}") from error


def read_profile(path: Path) -> HouseholdProfile:
    """Return the household profile in a file, as `encode_profile` wrote it.

    Raises:
        MalformedBytesError: Not a profile; names the file.
        StorageError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return decode_profile(file.read(MAX_PROFILE_SIZE + 1))
    except OSError as error:
        raise StorageError(f"household profile {path}: {error.strerror}") from error
    except MalformedBytesError as error:
        raise MalformedBytesError(f"household profile {path}: {error}") from error


async def run_meter(
    config: MeterConfig,
    source: ReadingSource,
    now: Callable[[], Instant],
    *,
    measure: bool = True,
) -> None:
    """Measure and deliver until the source has ended and all is receipted, or a signal comes.

    Must run in the main thread: it takes SIGTERM, SIGINT and SIGUSR1.

    Args:
        config: Who the meter is, where it keeps its readings and whom it posts them to.
        source: Where its registers come from.
        now: Both clocks.
        measure: `False` delivers what is kept and makes no new reading, as after SIGUSR1.

    Raises:
        StorageError: The outbox cannot be written, or another process has it open.
        DamagedStoreError: The outbox is no SQLite file.
        ForeignStoreError: The outbox is another meter's.
        InvalidRecordingError: The source does not continue what was measured before.
    """
    await run_meters([(config, source)], now, measure=measure)


async def run_meters(
    meters: Sequence[tuple[MeterConfig, ReadingSource]],
    now: Callable[[], Instant],
    *,
    measure: bool = True,
) -> None:
    """Run several meters in one process, each with its own outbox and connection.

    Ends when all of them have. Arguments, signals and errors are those of `run_meter`; the first
    meter that fails ends the others.
    """
    with ExitStack() as stack:
        runners = [_opened(config, source, now, stack) for config, source in meters]

        def stop() -> None:
            for runner in runners:
                runner.stop()

        def stop_measuring() -> None:
            for runner in runners:
                runner.stop_measuring()

        if not measure:
            stop_measuring()
        handlers = {
            signal.SIGTERM: stop,
            signal.SIGINT: stop,
            signal.SIGUSR1: stop_measuring,
        }
        loop = asyncio.get_running_loop()
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        # A supervisor starts meters with it blocked: asked too early, it waits for the handler.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
        loop.set_exception_handler(_log_callback)
        try:
            async with asyncio.TaskGroup() as group:
                for runner in runners:
                    group.create_task(_run(runner, stop))
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from failed
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)
            loop.set_exception_handler(None)


async def _run(runner: "_Runner", stop: Callable[[], None]) -> None:
    """Run one meter; if it fails, tell the others to stop, for a cancellation may be swallowed."""
    try:
        await runner.run()
    except Exception:  # raised again: whatever ends one of them must not leave the others running
        stop()
        raise


def _opened(
    config: MeterConfig, source: ReadingSource, now: Callable[[], Instant], stack: ExitStack
) -> "_Runner":
    """Return a meter where its outbox stands; the stack closes that."""
    identity = config.identity
    device = address_of(identity.key.public)
    outbox = stack.enter_context(Outbox(config.outbox, identity.network, device, config.pass_point))
    state, kept = outbox.load()
    terms = config.capable
    capable = None if terms is None else CapableMeter(terms, decode_state(outbox.load_counting()))
    core = MeterCore(identity, source, state, kept, config.limits, capable)
    return _Runner(config, core, capable, outbox, now)


def _log_callback(_loop: asyncio.AbstractEventLoop, context: Mapping[str, object]) -> None:
    """Log in a line what a callback of aiomqtt raised: it still turns to a socket that is gone."""
    _log.warning("%s: %r", context["message"], context.get("exception"))


class _Runner:
    """One run of one meter. Only its task touches the core; signals leave a note and wake it."""

    def __init__(
        self,
        config: MeterConfig,
        core: MeterCore,
        capable: CapableMeter | None,
        outbox: Outbox,
        now: Callable[[], Instant],
    ) -> None:
        network, device = config.identity.network, address_of(config.identity.key.public)
        self._config = config
        self._core = core
        self._capable = capable
        self._outbox = outbox
        self._now = now
        self._readings_topic = readings_topic(network, device)
        self._transactions_topic = transactions_topic(network, device)
        self._relay_topic = relay_topic(network, device)
        self._receipt_topic = receipt_topic(network, device)
        self._receivers: dict[str, Callable[[bytes, Instant], Sequence[CapableEffect]]] = {}
        if capable is not None:
            edge = address_of(config.identity.edge_key)
            self._receivers = {
                standing_topic(network, device): capable.receive_standing,
                tips_topic(network, edge): capable.receive_tips,
                answer_topic(network, device): capable.receive_answer,
            }
        self._name = device.hex()[:12]
        self._task: asyncio.Task[object] | None = None
        self._wake = asyncio.Event()
        self._inbox: deque[bytes] = deque(maxlen=MAX_INBOX)
        self._letters: dict[str, deque[bytes]] = {
            topic: deque(maxlen=MAX_INBOX) for topic in self._receivers
        }
        self._measuring = True
        self._finished = False
        self._pause_s = FIRST_PAUSE_S
        self._refused = 0
        self.is_stopping = False

    def stop(self) -> None:
        """End the run where it stands."""
        self.is_stopping = True
        if self._task is not None:
            self._task.cancel()

    def stop_measuring(self) -> None:
        """Make no more readings; the run ends when the rest is delivered."""
        self._measuring = False
        self._wake.set()

    async def run(self) -> None:
        """Keep connected, and measure while there is no connection."""
        self._task = asyncio.current_task()
        while not (self._finished or self.is_stopping):
            try:
                await self._serve()
            except MqttError as error:
                self._log_loss(error)
            except ExceptionGroup as group:
                broken = group.split(MqttError)[1]
                if broken is not None:
                    raise broken.exceptions[0] from None
                self._log_loss(group.exceptions[0])
            self._core.disconnected()
            if self._capable is not None:
                self._capable.disconnected()
            with suppress(TimeoutError):
                # jitter, so that the meters of a street do not come back all at once
                async with asyncio.timeout(random.uniform(0.5, 1.0) * self._pause_s):
                    await self._drive(None)
            self._pause_s = min(2 * self._pause_s, MAX_PAUSE_S)

    async def _serve(self) -> None:
        """Deliver over one connection until it is lost or the run is over."""
        client = Client(
            self._config.broker_host,
            self._config.broker_port,
            # a new name each time: amqtt keeps a broken connection of the same name alive
            identifier=f"m{self._name}-{secrets.token_hex(4)}",
            timeout=BROKER_TIMEOUT_S,
            socket_options=[NO_DELAY],
            max_queued_incoming_messages=MAX_INBOX,
        )
        async with client:
            wanted = [self._receipt_topic, *self._receivers]
            await client.subscribe([(topic, 1) for topic in wanted])
            async with asyncio.TaskGroup() as group:
                collecting = group.create_task(self._collect(client))
                await self._perform(self._core.connected(self._now()), client)
                if self._capable is not None:
                    await self._carry_out(self._capable.connected(self._now()), client)
                await self._drive(client)
                collecting.cancel()

    async def _collect(self, client: Client) -> None:
        """Put receipts into the inbox. Raises `MqttError` when the connection is lost."""
        async for message in client.messages:
            # amqtt hands a new client what other clients have subscribed to as well
            topic = message.topic.value
            if topic == self._receipt_topic:
                self._inbox.append(message.payload)
            elif topic in self._letters:
                self._letters[topic].append(message.payload)
            else:
                continue
            self._wake.set()

    async def _drive(self, client: Client | None) -> None:
        """Feed the core with receipts, notes and time until the run is over."""
        # `is_stopping` too: before Python 3.12 aiomqtt's `wait_for` can swallow a cancellation
        while not (self._finished or self.is_stopping):
            self._wake.clear()
            if not self._measuring:
                await self._perform(self._core.stop_measuring(), client)
            await self._perform(self._core.tick(self._now()), client)
            await self._tick_capable(client)
            while self._inbox and not self._finished:
                await self._perform(self._core.receive(self._inbox.popleft(), self._now()), client)
            if not self._finished:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._wait_s()):
                        await self._wake.wait()

    async def _tick_capable(self, client: Client | None) -> None:
        """Let the capable part see the time, and what came for it."""
        if self._capable is None:
            return
        await self._carry_out(self._capable.tick(self._now()), client)
        for topic, letters in self._letters.items():
            while letters:
                effects = self._receivers[topic](letters.popleft(), self._now())
                await self._carry_out(effects, client)

    def _wait_s(self) -> float:
        """Return the seconds until one of the cores wants to be called again."""
        deadline, now = self._core.next_deadline(), self._now()
        wall_ms, ledger_ms = [deadline.wall_ms], [deadline.ledger_ms]
        if self._capable is not None:
            wall_ms.append(self._capable.next_wall_ms())
            ledger_ms.append(self._capable.next_ledger_ms())
        waits_ms = [
            MAX_WAIT_S * 1_000,
            *(due_ms - now.wall_ms for due_ms in wall_ms if due_ms is not None),
            *(
                (due_ms - now.ledger_ms) / self._config.time_scale
                for due_ms in ledger_ms
                if due_ms is not None
            ),
        ]
        return max(min(waits_ms), 1) / 1_000

    async def _perform(self, effects: Sequence[MeterEffect], client: Client | None) -> None:
        """Carry out what the core asks for, in order."""
        for effect in effects:
            match effect:
                case Store():
                    self._outbox.store(effect)
                case Publish(reading):
                    assert client is not None, "the core publishes only while connected"
                    # one after the other: the broker's acknowledgement is the back-pressure
                    await client.publish(self._readings_topic, reading.data, qos=1)
                case Forget(through):
                    self._outbox.forget(through)
                    self._pause_s = FIRST_PAUSE_S  # a connection that serves its purpose
                case Refused(error):
                    self._log_refusal("receipt", error)
                case Finished():
                    self._outbox.finish()
                    self._finished = True
                case _:
                    assert_never(effect)

    async def _carry_out(self, effects: Sequence[CapableEffect], client: Client | None) -> None:
        """Carry out what the capable part asks for, in order."""
        for effect in effects:
            match effect:
                case StoreCapable(data):
                    self._outbox.store_counting(data)
                case Work(tx_id, bits):
                    nonce = await asyncio.to_thread(find_nonce, tx_id, bits)
                    assert self._capable is not None
                    await self._carry_out(self._capable.worked(tx_id, nonce, self._now()), client)
                case Post(data):
                    assert client is not None, "the core posts only while connected"
                    await client.publish(self._transactions_topic, data, qos=1)
                case Tell(data):
                    assert client is not None, "the core posts only while connected"
                    await client.publish(self._relay_topic, data, qos=1, retain=True)
                case Switched(relay):
                    _log.warning(
                        "meter %s: relay %s (%s, milestone %d)",
                        self._name,
                        "closed" if relay.limit_w is None else f"limits to {relay.limit_w} W",
                        relay.why,
                        relay.index,
                    )
                case Heard(answer):
                    _log.info(
                        "meter %s: report %s %s %s",
                        self._name,
                        answer.said,
                        answer.code,
                        answer.why,
                    )
                case Unbelieved(error):
                    self._log_refusal("message", error)
                case _:
                    assert_never(effect)

    def _log_loss(self, error: BaseException) -> None:
        _log.info("meter %s: no connection to the broker: %s", self._name, error)

    def _log_refusal(self, what: str, error: Exception) -> None:
        self._refused += 1
        if self._refused & (self._refused - 1) == 0:  # 1st, 2nd, 4th …: a flood fills no log
            _log.warning("meter %s refused %s %d: %s", self._name, what, self._refused, error)
