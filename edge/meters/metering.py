"""The meters of one edge node: readings in, receipts out, reading batches onto the ledger.

A receipt is published after the reading is journalled, never before; a batch is formed only of
journalled readings, and only once the ledger knows the meter.
"""

import asyncio
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, Protocol

import structlog

from access.device import Register, register_operation
from devices.reading import SALT_SIZE, Reading, decode_reading, salted_leaf
from devices.receipt import Receipt, encode_receipt, sign_receipt
from edge.ground.clock import Clock
from edge.ground.faults import pass_point
from edge.journal.entries import FormedBatch, TakenReading
from edge.journal.sealing import NONCE_SIZE, SaltedReading, open_sealed, seal, sealing_key
from edge.meters.batches import Batcher, BatchToIssue
from edge.meters.intake import Accepted, HomedDevice, Intake, IntakeResult, Refused
from edge.meters.serving_meters import MeterDoor, ServingMeters
from edge.node.executor import Executor
from edge.node.issuance import Issuance
from tangle.accounts import identity, reading_ranges
from tangle.address import Address, address_of, encode_address
from tangle.effects import Confirmed, Effect, Expired
from tangle.errors import StorageError, UnavailableError
from tangle.keys import PublicKey
from tangle.merkle import merkle_root
from tangle.outcomes import Applied, Ignored, Outcome, State
from tangle.transaction import ReadingBatch, TransactionId

REGISTER_RETRY_S: Final = 2.0
REFUSED_PAUSE_MS: Final = 60_000
"""After the ledger refused a registration: it may be allowed later, but not within seconds."""

IDLE_S: Final = 0.25
"""How long the batching task sleeps at most: arrivals make batches due earlier."""

_log: Final = structlog.get_logger(__name__)


class Link(MeterDoor, Protocol):
    """What metering needs of the connection to the meters."""

    async def run(self) -> None:
        """Keep connected until cancelled."""
        ...

    async def receive(self) -> list[tuple[Address, bytes]]:
        """Return what came in, in order, with the device that the topic names; waits for some."""
        ...

    def publish_receipt(self, device: Address, data: bytes) -> None:
        """Have `data` stand as the newest receipt of `device`."""
        ...


class Metering:
    """Glue between broker, intake, journal, batcher and issuance of one node."""

    def __init__(
        self,
        executor: Executor,
        issuance: Issuance,
        link: Link,
        clock: Clock,
        enrolments: Iterable[Register],
        batch_interval_ms: int,
    ) -> None:
        """Take up where the journal stopped.

        Args:
            executor: The node's hands.
            issuance: Issues the batches and registrations.
            link: To the broker.
            clock: Of the node.
            enrolments: Registrations of the meters homed here, proof of possession included.
            batch_interval_ms: Wall time a reading waits at most for others.
        """
        self.enrolments = {address_of(one.key): one for one in enrolments}
        self._executor = executor
        self._core = executor.core
        self._journal = executor.journal
        self._issuance = issuance
        self._link = link
        self._clock = clock
        self._sealing_key = sealing_key(issuance.key)
        network = self._core.rules.network
        self._network = network
        self.intake = Intake(network, self._homed(), self._journalled_reading)
        self.batcher = Batcher(batch_interval_ms)
        keys = {device: PublicKey(one.key) for device, one in self.enrolments.items()}
        self.serving = ServingMeters(executor, issuance, link, clock, keys)
        self._registering: dict[TransactionId, Address] = {}
        self._batched: set[Address] = set()
        self._refused = 0
        self._not_before_ms: dict[Address, int] = {}
        self._restore()
        issuance.reserved = lambda: self.batcher.reserved_numbers
        executor.observe(self._observe)

    async def run(self) -> None:
        """Serve the meters until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._link.run())
            group.create_task(self._take())
            group.create_task(self._batch())
            group.create_task(self._register())
            group.create_task(self.serving.run())

    def open_readings(
        self, device: Address, first: int, last: int
    ) -> Iterable[tuple[int, SaltedReading]]:
        """Yield the journalled readings of a device from `first` to `last`, opened."""
        for taken in self._journal.readings(device, first, last):
            yield taken.sequence, open_sealed(self._sealing_key, taken)

    # Readings in, receipts out.

    async def _take(self) -> None:
        while True:
            arrivals = await self._link.receive()
            results = self.intake.receive_all(arrivals, self._clock.wall_ms())
            self._journal_readings(results)
            pass_point("receipt.before")
            for device in dict.fromkeys(result.device for result in results):
                self._publish_receipt(device)
            pass_point("receipt.after")
            for result in results:
                if isinstance(result, Refused):
                    self._log_rarely(result)

    def _log_rarely(self, refused: Refused) -> None:
        """Say the 1st, 2nd, 4th … refusal: a flood fills no log, and the counter has them all."""
        self._refused += 1
        if self._refused & (self._refused - 1) == 0:
            _log.warning(
                "reading refused",
                device=encode_address(refused.device),
                error=str(refused.error),
                refused_so_far=self._refused,
            )

    def _journal_readings(self, results: Sequence[IntakeResult]) -> None:
        accepted = [result for result in results if isinstance(result, Accepted)]
        if not accepted:
            return
        now = self._clock.instant()
        self._executor.carry_out([], now, readings=tuple(map(self._sealed, accepted)))
        before = {
            one.device: self.intake.last_reading(one.device)
            for one in accepted
            if one.device in self.serving.relays
        }
        self.intake.journalled(results)
        for result in accepted:
            self._judge(result, before)
            if result.lost is not None:
                _log.warning(
                    "readings lost with a disk: the meter no longer has them",
                    device=encode_address(result.device),
                    first=result.lost[0],
                    last=result.lost[1],
                )
            if result.device in self._batched:
                sequence = result.signed.reading.sequence
                self.batcher.journalled(result.device, sequence, now.wall_ms)
            else:
                self._begin_batching(result.device)

    def _judge(self, accepted: Accepted, before: dict[Address, Reading | None]) -> None:
        """Compare what was drawn since the last reading with what the relay was asked for."""
        if accepted.device not in before:
            return
        reading = accepted.signed.reading
        last, before[accepted.device] = before[accepted.device], reading
        if last is not None:
            interval = (last.interval_end_ms, reading.interval_end_ms)
            self.serving.judge(accepted.device, interval, reading.import_wh - last.import_wh)

    def _sealed(self, accepted: Accepted) -> TakenReading:
        content = SaltedReading(os.urandom(SALT_SIZE), accepted.payload)
        sequence = accepted.signed.reading.sequence
        nonce = os.urandom(NONCE_SIZE)
        sealed = seal(self._sealing_key, accepted.device, sequence, content, nonce)
        return replace(sealed, begins_anew=accepted.lost is not None)

    def _publish_receipt(self, device: Address) -> None:
        if device not in self.intake:
            return
        through = self.intake.journalled_through(device)
        if through is not None:
            receipt = Receipt(self._network, device, through)
            signed = sign_receipt(receipt, self._issuance.key)
            self._link.publish_receipt(device, encode_receipt(signed))

    # Batches onto the ledger.

    async def _batch(self) -> None:
        while True:
            now_ms = self._clock.wall_ms()
            for batch in self.batcher.due(now_ms):
                await self._issue_batch(batch)
            due_ms = self.batcher.next_deadline_ms()
            wait_s = IDLE_S if due_ms is None else (due_ms - self._clock.wall_ms()) / 1_000
            await asyncio.sleep(min(max(wait_s, 0.0), IDLE_S))

    async def _issue_batch(self, batch: BatchToIssue) -> None:
        device, first, last = batch.device, batch.first_sequence, batch.last_sequence
        leaves = [
            salted_leaf(opened.salt, opened.signed)
            for _, opened in self.open_readings(device, first, last)
        ]
        assert len(leaves) == last - first + 1, f"readings {first} to {last} are not all here"
        payload = ReadingBatch(device, first, last, merkle_root(leaves))
        try:
            tx_id, sequence = await self._issuance.issue(
                payload,
                number=batch.issuer_sequence,
                formed=partial(self._formed, device, first, last),
            )
        except StorageError:
            raise  # the core is ahead of the journal: the node must stop
        except UnavailableError as error:
            _log.info("reading batch not issued", device=encode_address(device), error=str(error))
            self.batcher.not_issued(batch, self._clock.wall_ms())
            return
        self.batcher.issued(batch, tx_id, sequence)

    def _formed(
        self, device: Address, first: int, last: int, tx_id: TransactionId, number: int
    ) -> FormedBatch:
        return FormedBatch(tx_id, device, first, last, number)

    # Registrations.

    async def _register(self) -> None:
        """Sponsor the meters homed here that the ledger does not know."""
        while True:
            for device, enrolment in self.enrolments.items():
                is_known = identity(self._core.ledger.rows, device) is not None
                is_paused = self._clock.wall_ms() < self._not_before_ms.get(device, 0)
                if is_known or is_paused or device in self._registering.values():
                    continue
                try:
                    operation = register_operation(enrolment)
                    tx_id, _ = await self._issuance.issue(operation)
                except StorageError:
                    raise
                except UnavailableError as error:
                    _log.info("registration put off", error=str(error))
                    break
                self._registering[tx_id] = device
            await asyncio.sleep(REGISTER_RETRY_S)

    # What the ledger says.

    def _observe(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Confirmed():
                    for tx_id, outcome in effect.outcomes:
                        self._resolve(tx_id, outcome)
                case Expired(tx_id):
                    self.batcher.expired(tx_id, self._clock.wall_ms())
                    self._registering.pop(tx_id, None)
                case _:
                    pass

    def _resolve(self, tx_id: TransactionId, outcome: Outcome) -> None:
        device = self.batcher.device_of(tx_id)
        if device is not None:
            taken = reading_ranges(self._core.ledger.rows, device)
            self.batcher.resolved(tx_id, outcome, taken, self._clock.wall_ms())
            return
        registered = self._registering.pop(tx_id, None)
        if registered is not None and isinstance(outcome, Ignored):
            self._not_before_ms[registered] = self._clock.wall_ms() + REFUSED_PAUSE_MS
            _log.error(
                "registration refused",
                device=encode_address(registered),
                reason=outcome.reason.value,
            )
        if isinstance(outcome, Applied):
            self._watch(outcome)

    def _watch(self, outcome: Applied) -> None:
        """See what concerns a meter homed here: it is registered, or another batched for it."""
        for event in outcome.events:
            fields = dict(event.fields)
            if event.name == "device.registered":
                device = fields["device"]
                assert isinstance(device, bytes)
                self._begin_batching(Address(device))
            elif event.name == "readings.committed":
                meter = fields["meter"]
                assert isinstance(meter, bytes)
                taken = reading_ranges(self._core.ledger.rows, Address(meter))
                self.batcher.settle(Address(meter), taken)

    # Restart.

    def _homed(self) -> dict[Address, HomedDevice]:
        meters = self._journal.meters()
        homed = {}
        for device, enrolment in self.enrolments.items():
            taken = reading_ranges(self._core.ledger.rows, device).taken
            last, spans = None, meters.get(device, ())
            if spans:
                data = self._journalled_reading(device, spans[-1][1])
                last = None if data is None else decode_reading(data)
            floor = taken[-1].last + 1 if taken else 0
            homed[device] = HomedDevice(enrolment.key, last, floor, max(1, len(spans)))
        return homed

    def _journalled_reading(self, device: Address, sequence: int) -> bytes | None:
        for _, opened in self.open_readings(device, sequence, sequence):
            return opened.signed
        return None

    def _begin_batching(self, device: Address) -> None:
        """Hand a registered meter's journalled readings to the batcher, once."""
        is_homed = device in self.enrolments and device not in self._batched
        if not is_homed or identity(self._core.ledger.rows, device) is None:
            return
        spans = self._journal.meters().get(device)
        if spans is not None:
            taken = reading_ranges(self._core.ledger.rows, device)
            self.batcher.restore_device(device, spans, taken, self._clock.wall_ms())
            self._batched.add(device)

    def _restore(self) -> None:
        for device in self.enrolments:
            self._begin_batching(device)
            self._publish_receipt(device)
        for formed in self._journal.unreferenced_batches():
            self.batcher.restore_batch(formed)
            if self._core.state(formed.tx_id) not in (State.TIP, State.PENDING):
                self.batcher.expired(formed.tx_id, self._clock.wall_ms())
