"""A meter's core: makes readings from its registers and delivers them, whatever breaks.

Each reading is stored before it is published and kept until the home edge's receipt covers it.
Delivery is go-back-N: up to a window of readings is under way, and after a silence, or a new
connection, everything from the oldest unreceipted one is published again. The receiver journals
them in order, once each, so a copy does no harm.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from devices.reading import Reading, encode_reading, sign_reading
from devices.receipt import decode_receipt, verify_receipt
from devices.sources.rows import ZERO, Position, ReadingSource, Registers, SourceRow
from tangle.address import address_of
from tangle.effects import Instant
from tangle.errors import InvalidError, InvalidRecordingError
from tangle.keys import PublicKey, SigningKey


@dataclass(frozen=True, slots=True)
class MeterIdentity:
    """Who a meter is and whose receipts it believes."""

    network: bytes
    """First 8 bytes of the genesis hash."""

    key: SigningKey
    edge_key: PublicKey
    """Of the meter's home edge."""


@dataclass(frozen=True, slots=True)
class MeterLimits:
    """What bounds a meter's memory, its traffic and its patience."""

    window: int = 64
    """Readings under way without a receipt."""

    max_kept: int = 8_192
    """Unreceipted readings kept: twelve weeks of quarter hours. When full, nothing new is
    measured; registers are cumulative, so the source gives what was missed later."""

    rows_per_tick: int = 256
    """Readings made in one go, so that catching up does not keep receipts waiting."""

    retry_ms: int = 2_000
    """Wall time without a receipt after which the window is published again; doubles."""

    max_retry_ms: int = 30_000


@dataclass(frozen=True, slots=True)
class MeterState:
    """Where a meter stands, without the readings it keeps."""

    produced: int = 0
    """Readings made so far: the next sequence."""

    receipted_through: int = -1
    """Highest receipted sequence; −1 for none."""

    registers: Registers = ZERO
    """At the end of the last reading."""

    interval_end_ms: int = 0
    """Ledger time of the last reading."""

    @property
    def position(self) -> Position:
        """Where its source goes on."""
        return Position(self.produced, self.interval_end_ms, self.registers)


@dataclass(frozen=True, slots=True)
class Deadline:
    """When to call `tick` at the latest; `None` for never."""

    wall_ms: int | None
    ledger_ms: int | None


@dataclass(frozen=True, slots=True)
class KeptReading:
    """Canonical bytes of one signed reading, under its sequence."""

    sequence: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Store:
    """Write all of this at once, durably, before carrying out what follows."""

    readings: tuple[KeptReading, ...]
    state: MeterState
    counted: bytes | None = None
    """What the meter's counting part makes of these readings; `None` if it has none."""


@dataclass(frozen=True, slots=True)
class Publish:
    """Post one stored reading to the broker. May get lost: it is kept."""

    reading: KeptReading


@dataclass(frozen=True, slots=True)
class Forget:
    """The home edge has journalled every reading up to this one: drop them, durably."""

    through: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Bytes on the receipt topic are no receipt for this meter: report, go on."""

    error: InvalidError


@dataclass(frozen=True, slots=True)
class Finished:
    """Nothing more will be measured and everything is receipted."""


MeterEffect = Store | Publish | Forget | Refused | Finished


class Counting(Protocol):
    """What may stand between a source and the readings, and count these: see `devices.capable`."""

    @property
    def is_reporting(self) -> bool:
        """Whether something of it is on its way that the meter must not end without."""
        ...

    def sourced(self, position: Position) -> Position:
        """Return a position of the meter as its source knows it."""
        ...

    def read(self, before: Registers | None, row: SourceRow) -> SourceRow:
        """Return what the meter reads where its source has `row`, and count it.

        `before` is `None` for the first reading of all: what its registers began with was
        measured before.
        """
        ...

    def stored(self) -> bytes:
        """Return what is to be stored with the readings counted so far."""
        ...


class MeterCore:
    """Decides what a meter does; never does it.

    Driven by time (`tick`), the connection (`connected`, `disconnected`), receipts (`receive`)
    and its operator (`stop_measuring`). Returned effects are to be carried out in order.
    """

    def __init__(
        self,
        identity: MeterIdentity,
        source: ReadingSource,
        state: MeterState,
        kept: Sequence[bytes],
        limits: MeterLimits,
        counting: Counting | None = None,
    ) -> None:
        """Go on from what was stored.

        Args:
            identity: Fixed for the life of the meter.
            source: Each of its rows becomes the next reading.
            state: As last stored; `MeterState()` for a new meter.
            kept: Canonical bytes of the unreceipted readings, in order, without gaps.
            limits: May differ from run to run.
            counting: As stored with the same readings; `None` for a meter that only reads.

        Raises:
            InvalidRecordingError: The source does not continue what was measured before.
        """
        assert len(kept) == state.produced - 1 - state.receipted_through
        self._identity = identity
        self._device = address_of(identity.key.public)
        self._source = source
        self._limits = limits
        self._state = state
        self._kept = deque(kept)
        self._counting = counting
        self._upcoming = source.row(self._position(state))
        if self._upcoming is not None:
            _verify_continues(self._position(state), self._upcoming)
        self._measuring = True
        self._finished = False
        self._connected = False
        self._next_to_send = self._oldest
        self._retry_ms = limits.retry_ms
        self._retry_at_ms: int | None = None

    @property
    def state(self) -> MeterState:
        """What the last `Store` and `Forget` made of the meter."""
        return self._state

    @property
    def _oldest(self) -> int:
        """Sequence of the oldest kept reading, or of the next one if none is kept."""
        return self._state.receipted_through + 1

    def next_deadline(self) -> Deadline:
        """Return when something is due that no other event announces."""
        upcoming = self._upcoming if self._can_measure() else None
        return Deadline(
            wall_ms=self._retry_at_ms if self._connected else None,
            ledger_ms=None if upcoming is None else upcoming.interval_end_ms,
        )

    def tick(self, now: Instant) -> list[MeterEffect]:
        """Measure the slots that have ended; publish again what nobody receipted in time."""
        effects = self._measure(now)
        if self._connected and self._retry_at_ms is not None and now.wall_ms >= self._retry_at_ms:
            self._retry_ms = min(2 * self._retry_ms, self._limits.max_retry_ms)
            self._go_back()
        return [*effects, *self._publish(now), *self._finish()]

    def connected(self, now: Instant) -> list[MeterEffect]:
        """Publish from the oldest kept reading: what was under way may be lost."""
        self._connected = True
        self._retry_ms = self._limits.retry_ms
        self._go_back()
        return self._publish(now)

    def disconnected(self) -> None:
        """Publish nothing until the next connection; measuring goes on."""
        self._connected = False

    def receive(self, data: bytes, now: Instant) -> list[MeterEffect]:
        """Handle what came on the receipt topic. An old receipt changes nothing."""
        try:
            signed = decode_receipt(data)
            verify_receipt(
                signed,
                self._identity.edge_key,
                self._identity.network,
                self._device,
                self._state.produced,
            )
        except InvalidError as error:
            return [Refused(error)]
        through = signed.receipt.through
        if through <= self._state.receipted_through:
            return []
        for _ in range(through - self._state.receipted_through):
            self._kept.popleft()
        self._state = _receipted(self._state, through)
        self._next_to_send = max(self._next_to_send, self._oldest)
        self._retry_ms = self._limits.retry_ms
        self._retry_at_ms = None
        return [Forget(through), *self._publish(now), *self._finish()]

    def stop_measuring(self) -> list[MeterEffect]:
        """Make no more readings; deliver the rest."""
        self._measuring = False
        return self._finish()

    def _can_measure(self) -> bool:
        return self._measuring and len(self._kept) < self._limits.max_kept

    def _measure(self, now: Instant) -> list[MeterEffect]:
        """Make the readings of all slots that have ended, as far as the limits allow.

        Whether a gap is bridged follows from the stored state and the time, never from when this
        run began: a machine that slept and one that was off read the same.
        """
        if not self._can_measure():
            return []
        room = min(self._limits.max_kept - len(self._kept), self._limits.rows_per_tick)
        state, upcoming = self._state, self._upcoming
        bridge = self._source.bridge(self._position(state), now.ledger_ms)
        if bridge is not None:
            upcoming = bridge
        made: list[KeptReading] = []
        while upcoming is not None and upcoming.interval_end_ms <= now.ledger_ms and room:
            row = self._read(state, upcoming)
            made.append(KeptReading(state.produced, self._sign(state.produced, row)))
            state = _measured(state, row)
            upcoming = self._source.row(self._position(state))
            room -= 1
        if not made:
            return []
        self._state, self._upcoming = state, upcoming
        self._kept.extend(reading.data for reading in made)
        counted = None if self._counting is None else self._counting.stored()
        return [Store(tuple(made), state, counted)]

    def _position(self, state: MeterState) -> Position:
        """Return where the source goes on."""
        return state.position if self._counting is None else self._counting.sourced(state.position)

    def _read(self, state: MeterState, row: SourceRow) -> SourceRow:
        if self._counting is None:
            return row
        return self._counting.read(state.registers if state.produced else None, row)

    def _sign(self, sequence: int, row: SourceRow) -> bytes:
        """Return the canonical bytes of the reading that `row` is."""
        reading = Reading(
            network=self._identity.network,
            device=self._device,
            sequence=sequence,
            interval_start_ms=row.interval_start_ms,
            interval_end_ms=row.interval_end_ms,
            import_wh=row.registers.import_wh,
            export_wh=row.registers.export_wh,
            quality=row.quality,
        )
        return encode_reading(sign_reading(reading, self._identity.key))

    def _go_back(self) -> None:
        """Have everything unreceipted published again."""
        self._next_to_send = self._oldest
        self._retry_at_ms = None

    def _publish(self, now: Instant) -> list[MeterEffect]:
        """Publish what fits into the window, and start the timer for the oldest under way."""
        if not self._connected:
            return []
        end = min(self._state.produced, self._oldest + self._limits.window)
        published: list[MeterEffect] = [
            Publish(KeptReading(sequence, self._kept[sequence - self._oldest]))
            for sequence in range(self._next_to_send, end)
        ]
        self._next_to_send = max(self._next_to_send, end)
        if self._next_to_send > self._oldest and self._retry_at_ms is None:
            self._retry_at_ms = now.wall_ms + self._retry_ms
        return published

    def _finish(self) -> list[MeterEffect]:
        """Say once that nothing is left to do."""
        ended = not self._measuring or self._upcoming is None
        is_reporting = self._counting is not None and self._counting.is_reporting
        if self._finished or not ended or self._kept or is_reporting:
            return []
        self._finished = True
        return [Finished()]


def _measured(state: MeterState, row: SourceRow) -> MeterState:
    """Return the state after one more reading."""
    return MeterState(
        produced=state.produced + 1,
        receipted_through=state.receipted_through,
        registers=row.registers,
        interval_end_ms=row.interval_end_ms,
    )


def _receipted(state: MeterState, through: int) -> MeterState:
    """Return the state after a receipt."""
    return MeterState(state.produced, through, state.registers, state.interval_end_ms)


def _verify_continues(position: Position, row: SourceRow) -> None:
    """Check that the source goes on where it stopped: its file may have been exchanged."""
    name = f"row {position.rows} of the source"
    if row.interval_start_ms < position.interval_end_ms:
        raise InvalidRecordingError(
            f"{name} starts at {row.interval_start_ms} ms, but this meter has already measured"
            f" until {position.interval_end_ms} ms"
        )
    before, after = position.registers, row.registers
    if after.import_wh < before.import_wh or after.export_wh < before.export_wh:
        raise InvalidRecordingError(
            f"{name} reads {after.import_wh} and {after.export_wh} Wh, but this meter's registers"
            f" already stand at {before.import_wh} and {before.export_wh} Wh"
        )
