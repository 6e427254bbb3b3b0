"""What a capable meter does beside measuring: it reports for energy accounts and obeys its relay.

Decides, never does, like the core of the meter it belongs to. It believes milestones: of what its
home edge hands over, only proven standings change what it reports or what its relay does.
"""

from dataclasses import dataclass
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import msgspec

from devices.curtailing import Switching, drawn_wh, since
from devices.messages import Answer, RelayStatus, Tips, read_message, sign_message, verify_device
from devices.relay import Order, Relay, obeying, released, released_at_ms
from devices.reports import (
    NO_REPORTS,
    Issued,
    ReportState,
    counted,
    informed,
    numbers_of,
    operation_of,
)
from devices.sources.rows import Position, Registers, SourceRow
from energy.ctt.standing import Standing, verify_standing
from energy.settlement.local_days import period_at
from energy.units import DAY_MS
from tangle.address import address_of
from tangle.codec import Decoder, encode
from tangle.effects import Instant
from tangle.errors import InvalidError, InvalidMessageError
from tangle.genesis import Genesis, network_id
from tangle.keys import PublicKey, SigningKey
from tangle.transaction import (
    MAX_TRANSACTION_SIZE,
    VERSION,
    Counter,
    IssuerWitness,
    SignedTransaction,
    Transaction,
    TransactionId,
    decode,
    sign,
    transaction_id,
)
from tangle.work import required_bits

RETRY_MS: Final = 2_000
MAX_RETRY_MS: Final = 60_000
"""Wall time after which what nobody answered is posted again, or what was refused is made anew:
doubles from the first to this."""

STALE_MILESTONES: Final = 10
"""A transaction that is not referenced so many milestones after its parents were chosen is made
anew, under the same numbers: parents are of use for `max_depth`, 15, at most."""

STATUS_MS: Final = 60_000
"""Wall time between two words about the relay while it does not switch."""

MAX_MORE_BITS: Final = 10
"""Work beyond the network's that a meter does for a door: no door asks for more."""

_MAX_STATE_SIZE: Final = MAX_TRANSACTION_SIZE + 1_024


class CapableState(msgspec.Struct, frozen=True, array_like=True):
    """What must survive a restart, small and of fixed shape."""

    reports: ReportState = NO_REPORTS
    curtailed_wh: Counter = 0
    """What the relay kept the home from drawing, in all: so much the source is ahead."""

    period_ms: Counter = DAY_MS
    """Settlement period by the newest standing."""

    limit_w: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """Of the relay when this was written: for who looks from outside. A restart begins closed."""


_states: Final = Decoder(CapableState, "state of a capable meter", _MAX_STATE_SIZE)


def decode_state(data: bytes | None) -> CapableState:
    """Return a stored state; a new one for `None`. Raises `MalformedBytesError`."""
    return CapableState() if data is None else _states.decode(data)


@dataclass(frozen=True, slots=True)
class CapableTerms:
    """What is fixed for the life of the meter."""

    genesis: Genesis
    key: SigningKey
    edge_key: PublicKey
    """Of its home edge: whose tips and answers are looked at."""

    zone: ZoneInfo
    """Whose midnights part the settlement periods."""


@dataclass(frozen=True, slots=True)
class StoreCapable:
    """Write this durably, in place of what was there, before carrying out what follows."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Work:
    """Find a nonce and hand it to `worked`. May take long."""

    tx_id: TransactionId
    bits: int


@dataclass(frozen=True, slots=True)
class Post:
    """Post a whole transaction. May get lost: it is stored."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Tell:
    """Have a signed status stand at the broker, retained."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Switched:
    """The relay switches."""

    relay: Relay


@dataclass(frozen=True, slots=True)
class Heard:
    """The home edge said what became of the report under way: for the log."""

    answer: Answer


@dataclass(frozen=True, slots=True)
class Unbelieved:
    """What came is no standing, tips or answer for this meter: report, go on."""

    error: InvalidError


CapableEffect = StoreCapable | Work | Post | Tell | Switched | Heard | Unbelieved


class CapableMeter:
    """One meter's reports and relay. Driven like `MeterCore`, which counts its readings here."""

    def __init__(self, terms: CapableTerms, state: CapableState) -> None:
        """Go on from what was stored."""
        self._terms = terms
        self._network = network_id(terms.genesis)
        self._device = address_of(terms.key.public)
        self._state = msgspec.structs.replace(state, limit_w=None)
        parameters = terms.genesis.parameters
        self._interval_ms = parameters.milestone_interval_ms * parameters.time_scale
        self._work_per_byte = parameters.work_per_byte
        self._relay = Relay()
        self._switchings: tuple[Switching, ...] = ()
        self._standing: Standing | None = None
        self._tips: Tips | None = None
        self._connected = False
        self._working: tuple[Transaction, Issued] | None = None
        self._is_stale = False
        self._more_bits = 0
        self._retry_ms = RETRY_MS
        self._post_at_ms: int | None = None
        self._tell_at_ms = 0

    @property
    def state(self) -> CapableState:
        """What the last `StoreCapable`, or the readings, made of it."""
        return self._state

    @property
    def relay(self) -> Relay:
        """Where the relay stands."""
        return self._relay

    @property
    def standing(self) -> Standing | None:
        """The newest that was proven."""
        return self._standing

    @property
    def is_reporting(self) -> bool:
        """Whether a report is on its way."""
        return bool(self._state.reports.waiting)

    def next_wall_ms(self) -> int | None:
        """When to call `tick` at the latest, wall time; `None` for never."""
        if not self._connected:
            return None
        due_ms = [self._tell_at_ms]
        if self._post_at_ms is not None:
            due_ms.append(self._post_at_ms)
        return min(due_ms)

    def next_ledger_ms(self) -> int | None:
        """When the relay closes by itself, ledger time; `None` if it is closed."""
        return released_at_ms(self._relay, self._interval_ms)

    # Readings: called by the meter's core, stored with its own state.

    def stored(self) -> bytes:
        """Return what is to be stored with the readings counted so far."""
        return encode(self._state)

    def sourced(self, position: Position) -> Position:
        """Return a position as the source knows it: it has never heard of a relay."""
        registers = position.registers
        import_wh = registers.import_wh + self._state.curtailed_wh
        return Position(
            position.rows, position.interval_end_ms, Registers(import_wh, registers.export_wh)
        )

    def read(self, before: Registers | None, row: SourceRow) -> SourceRow:
        """Return what the meter reads where its source has `row`, and count it.

        Args:
            before: The meter's registers at the end of its last reading; `None` if there is
                none, and what they began with is nobody's report, as settlement has it.
            row: As the source gives it.
        """
        start_ms, end_ms = row.interval_start_ms, row.interval_end_ms
        state = self._state
        if before is None:
            import_wh = row.registers.import_wh - state.curtailed_wh
            before = Registers(import_wh, row.registers.export_wh)
        wanted_wh = row.registers.import_wh - state.curtailed_wh - before.import_wh
        import_wh = drawn_wh(wanted_wh, start_ms, end_ms, self._switchings)
        export_wh = row.registers.export_wh - before.export_wh
        self._switchings = since(self._switchings, end_ms)
        self._state = msgspec.structs.replace(
            state,
            reports=counted(
                state.reports, (start_ms, end_ms), (import_wh, export_wh), self._period_end_ms
            ),
            curtailed_wh=state.curtailed_wh + wanted_wh - import_wh,
        )
        registers = Registers(before.import_wh + import_wh, row.registers.export_wh)
        return SourceRow(start_ms, end_ms, registers, row.quality)

    def _period_end_ms(self, moment_ms: int) -> int:
        return period_at(moment_ms, self._state.period_ms, self._terms.zone).end_ms

    # What comes, and time.

    def connected(self, now: Instant) -> list[CapableEffect]:
        """Say where the relay stands, and post again what is under way: it may be lost."""
        self._connected = True
        self._working = None  # whoever worked on it may have ended with the connection
        self._retry_ms = RETRY_MS
        self._post_at_ms = now.wall_ms
        self._tell_at_ms = now.wall_ms
        return self.tick(now)

    def disconnected(self) -> None:
        """Post nothing until the next connection."""
        self._connected = False

    def tick(self, now: Instant) -> list[CapableEffect]:
        """Close the relay if contact is lost; post again what nobody answered; give a sign."""
        effects = self._switch(released(self._relay, now.ledger_ms, self._interval_ms))
        if self._connected and now.wall_ms >= self._tell_at_ms:
            effects += self._tell(now)
        is_due = self._post_at_ms is not None and now.wall_ms >= self._post_at_ms
        if self._connected and is_due:
            self._post_at_ms = None
            effects += self._post(now)
        return effects

    def receive_standing(self, data: bytes, now: Instant) -> list[CapableEffect]:
        """Believe a standing that proves itself; one that is not newer changes nothing."""
        try:
            standing = verify_standing(data, self._terms.genesis, self._device)
        except InvalidError as error:
            return [Unbelieved(error)]
        milestone = standing.milestone
        if self._standing is not None and milestone.index <= self._standing.milestone.index:
            return []
        self._standing = standing
        order = Order(milestone.index, milestone.timestamp_ms, standing.limit_w)
        switched = self._switch(obeying(self._relay, order, now.ledger_ms, self._interval_ms))
        effects = [*switched, *self._inform(standing)]  # what is stored before what may fail
        if switched and self._connected:
            effects += self._tell(now)
        if self._connected and self.is_reporting and self._post_at_ms is None:
            effects += self._post_if_new(now)
        return effects

    def receive_tips(self, data: bytes, now: Instant) -> list[CapableEffect]:
        """Keep the newest parents that the home edge names."""
        try:
            tips = read_message(data, self._terms.edge_key, self._network)
            if not isinstance(tips, Tips):
                raise InvalidMessageError("what stands on the topic of tips is none")
        except InvalidError as error:
            return [Unbelieved(error)]
        self._tips = tips
        if self._connected and self.is_reporting and self._post_at_ms is None:
            return self._post_if_new(now)
        return []

    def receive_answer(self, data: bytes, _now: Instant) -> list[CapableEffect]:
        """Wait, or make the transaction anew: whether the report counted is not for the edge."""
        try:
            answer = read_message(data, self._terms.edge_key, self._network)
            if not isinstance(answer, Answer):
                raise InvalidMessageError("what stands on the topic of answers is none")
            verify_device(answer, self._device)
        except InvalidError as error:
            return [Unbelieved(error)]
        issued = self._state.reports.issued
        if issued is None or answer.tx_id != transaction_id(decode(issued.data).transaction):
            return []
        self._more_bits = min(answer.more_bits, MAX_MORE_BITS)
        if answer.said in ("refused", "expired"):
            self._is_stale = True  # made anew once the pause since the last post is over
        else:
            self._retry_ms, self._post_at_ms = RETRY_MS, None
        return [Heard(answer)]

    def worked(self, tx_id: TransactionId, nonce: bytes, now: Instant) -> list[CapableEffect]:
        """Seal what was worked on, unless it is settled meanwhile."""
        if self._working is None or transaction_id(self._working[0]) != tx_id:
            return []
        transaction, draft = self._working
        self._working = None
        witness = IssuerWitness(sign(transaction, self._terms.key), nonce)
        issued = msgspec.structs.replace(
            draft, data=encode(SignedTransaction(transaction, witness))
        )
        reports = msgspec.structs.replace(self._state.reports, issued=issued)
        self._state = msgspec.structs.replace(self._state, reports=reports)
        self._is_stale = False
        stored: list[CapableEffect] = [StoreCapable(encode(self._state))]
        return [*stored, *(self._post(now) if self._connected else [])]

    # The relay.

    def _switch(self, relay: Relay) -> list[CapableEffect]:
        """Take over where the relay stands; say so if it switches."""
        before, self._relay = self._relay, relay
        if relay.limit_w == before.limit_w:
            return []
        switching = Switching(relay.since_ms, relay.limit_w)
        self._switchings = since((*self._switchings, switching), 0)
        self._state = msgspec.structs.replace(self._state, limit_w=relay.limit_w)
        self._tell_at_ms = 0
        return [Switched(relay), StoreCapable(encode(self._state))]

    def _tell(self, now: Instant) -> list[CapableEffect]:
        self._tell_at_ms = now.wall_ms + STATUS_MS
        relay = self._relay
        status = RelayStatus(
            self._network,
            self._device,
            relay.limit_w,
            relay.why,
            relay.since_ms,
            now.ledger_ms,
            max(0, relay.index),
        )
        return [Tell(sign_message(status, self._terms.key))]

    # Reports.

    def _inform(self, standing: Standing) -> list[CapableEffect]:
        before = self._state
        reports = informed(before.reports, standing)
        self._state = msgspec.structs.replace(before, reports=reports, period_ms=standing.period_ms)
        if (reports.waiting, reports.issued) != (before.reports.waiting, before.reports.issued):
            self._working, self._is_stale = None, False
            self._retry_ms, self._post_at_ms = RETRY_MS, None
        return [] if self._state == before else [StoreCapable(encode(self._state))]

    def _post_if_new(self, now: Instant) -> list[CapableEffect]:
        """Post what is not made yet or was made too long ago; the rest has been posted."""
        return [] if self._is_current() else self._post(now)

    def _post(self, now: Instant) -> list[CapableEffect]:
        """Post the report under way; make its transaction first if there is none of use."""
        issued = self._state.reports.issued
        if not self.is_reporting or self._working is not None:
            return []
        if issued is not None and self._is_current():
            self._wait(now)
            return [Post(issued.data)]
        return self._make(now)

    def _is_current(self) -> bool:
        """Return whether the transaction under way may still be referenced."""
        issued = self._state.reports.issued
        if issued is None or self._is_stale:
            return False
        known = issued.index if self._standing is None else self._standing.milestone.index
        return known - issued.index <= STALE_MILESTONES

    def _make(self, now: Instant) -> list[CapableEffect]:
        """Begin a transaction, over new parents; under the same numbers if there was one."""
        if self._standing is None or self._tips is None:
            return []
        reports = self._state.reports
        number, sequence = numbers_of(reports, self._standing)
        first, second = map(TransactionId, self._tips.parents)
        transaction = Transaction(
            VERSION,
            self._network,
            (first, second),
            self._terms.key.public,
            sequence,
            max(0, now.ledger_ms),
            operation_of(reports.waiting[0], number),
        )
        self._working = transaction, Issued(number, sequence, self._standing.milestone.index, b"")
        bits = required_bits(len(encode(transaction)), self._work_per_byte) + self._more_bits
        return [Work(transaction_id(transaction), bits)]

    def _wait(self, now: Instant) -> None:
        self._post_at_ms = now.wall_ms + self._retry_ms
        self._retry_ms = min(2 * self._retry_ms, MAX_RETRY_MS)
