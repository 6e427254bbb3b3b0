import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.meter import (
    Deadline,
    Finished,
    Forget,
    MeterCore,
    MeterEffect,
    MeterLimits,
    MeterState,
    Publish,
    Refused,
    Store,
)
from devices.reading import decode_reading, verify_reading, verify_successor
from devices.sources.recorded import Recording
from devices.sources.rows import Registers, SourceRow
from tangle.effects import Instant
from tangle.errors import InvalidReceiptError, InvalidRecordingError, MalformedBytesError
from tests.devices.homes import (
    IDENTITY,
    METER,
    NETWORK,
    OTHER_EDGE,
    SLOT_MS,
    JournallingEdge,
    receipt_bytes,
    recording,
)

LIMITS = MeterLimits(window=4, max_kept=10, rows_per_tick=6, retry_ms=1_000, max_retry_ms=3_000)


def at(wall_ms: int, slots: float = 0) -> Instant:
    """Return a moment: any wall clock, and the ledger clock at the end of so many slots."""
    return Instant(wall_ms, int(slots * SLOT_MS))


def new_meter(rows: int, limits: MeterLimits = LIMITS) -> MeterCore:
    return MeterCore(IDENTITY, recording(rows), MeterState(), [], limits)


def published(effects: Sequence[MeterEffect]) -> list[int]:
    return [effect.reading.sequence for effect in effects if isinstance(effect, Publish)]


@dataclass(slots=True)
class Disk:
    """What survives a crash: only what `Store`, `Forget` and `Finished` wrote."""

    state: MeterState = field(default_factory=MeterState)
    kept: dict[int, bytes] = field(default_factory=dict)
    finished: bool = False

    def write(self, effect: MeterEffect) -> None:
        match effect:
            case Store(readings, state):
                self.kept |= {reading.sequence: reading.data for reading in readings}
                self.state = MeterState(
                    state.produced,
                    self.state.receipted_through,
                    state.registers,
                    state.interval_end_ms,
                )
            case Forget(through):
                self.kept = {at: data for at, data in self.kept.items() if at > through}
                self.state = MeterState(
                    self.state.produced,
                    through,
                    self.state.registers,
                    self.state.interval_end_ms,
                )
            case Finished():
                self.finished = True
            case _:
                pass


class Street:
    """A meter, a disk, a network that loses and repeats, an edge that journals."""

    def __init__(self, rows: int, rng: random.Random) -> None:
        self.source = recording(rows)
        self.rng = rng
        self.disk = Disk()
        self.edge = JournallingEdge()
        self.to_edge: list[bytes] = []
        self.to_meter: list[bytes] = []
        self.now = at(0)
        self.connected = False
        self.start()

    def start(self) -> None:
        """Start the meter from what is on disk, as after a kill."""
        kept = [data for _, data in sorted(self.disk.kept.items())]
        self.core = MeterCore(IDENTITY, self.source, self.disk.state, kept, LIMITS)
        self.connected = False

    def carry_out(self, effects: Sequence[MeterEffect], until: int | None = None) -> None:
        """Carry out `effects`; stop and lose the process before effect `until`."""
        for effect in effects[:until]:
            assert not isinstance(effect, Refused)
            self.disk.write(effect)
            if isinstance(effect, Publish):
                assert self.connected
                assert self.disk.kept[effect.reading.sequence] == effect.reading.data
                self.to_edge.append(effect.reading.data)
        if until is not None and until < len(effects):
            self.start()

    def act(self, action: str) -> None:
        crash_at = self.rng.randrange(8) if action.startswith("crash") else None
        match action.removeprefix("crash "):
            case "tick":
                self.now = Instant(
                    self.now.wall_ms + self.rng.randrange(1_500),
                    self.now.ledger_ms + self.rng.randrange(4 * SLOT_MS),
                )
                self.carry_out(self.core.tick(self.now), crash_at)
            case "connect":
                self.connected = True
                self.carry_out(self.core.connected(self.now), crash_at)
            case "disconnect":
                self.core.disconnected()
                self.connected = False
            case "receipt" if self.to_meter:
                data = self.to_meter.pop(self.rng.randrange(len(self.to_meter)))
                self.carry_out(self.core.receive(data, self.now), crash_at)
            case "arrive" if self.to_edge:
                self.answer(self.edge.receive(self.to_edge.pop(0)))
            case "repeat" if self.to_edge:
                self.answer(self.edge.receive(self.rng.choice(self.to_edge)))
            case "lose":
                self.to_edge = [data for data in self.to_edge if self.rng.random() < 0.5]
            case "broker forgets":
                self.to_edge, self.to_meter = [], []
            case "restart":
                self.start()
            case _:
                pass

    def answer(self, receipt: bytes | None) -> None:
        if receipt is not None:
            self.to_meter.append(receipt)

    def calm_down(self) -> None:
        """Let everything work for long enough."""
        self.act("connect")
        for _ in range(400):
            if self.disk.finished:
                return
            self.now = Instant(self.now.wall_ms + 1_000, self.now.ledger_ms + SLOT_MS)
            self.carry_out(self.core.tick(self.now))
            for action in ("arrive", "arrive", "arrive", "arrive", "receipt", "receipt"):
                self.act(action)
        pytest.fail("the meter does not finish")


ACTIONS = (
    *("tick", "connect", "disconnect", "receipt", "arrive", "repeat", "lose", "restart"),
    *("broker forgets", "crash tick", "crash connect", "crash receipt"),
    *("tick", "connect", "arrive", "arrive", "arrive", "receipt", "receipt"),
)


@given(
    rows=st.integers(2, 40),
    actions=st.lists(st.sampled_from(ACTIONS), max_size=150),
    rng=st.randoms(use_true_random=False),
)
def test_every_reading_is_journalled_in_order_and_once_whatever_breaks(
    rows: int, actions: list[str], rng: random.Random
) -> None:
    street = Street(rows, rng)

    for action in actions:
        street.act(action)
        journalled, through = len(street.edge.journal), street.disk.state.receipted_through
        assert through < journalled, "a reading was forgotten before it was journalled"
        assert len(street.disk.kept) == street.disk.state.produced - 1 - through
        assert len(street.disk.kept) <= LIMITS.max_kept
    street.calm_down()

    readings = street.edge.readings()
    assert [reading.sequence for reading in readings] == list(range(rows))
    assert [Registers(reading.import_wh, reading.export_wh) for reading in readings] == [
        row.registers for row in street.source.rows
    ]
    assert street.disk.kept == {}
    for data in street.edge.journal:
        verify_reading(decode_reading(data), METER.public, NETWORK)
    for previous, following in pairwise(readings):
        verify_successor(previous, following)


def test_a_reading_is_stored_before_it_is_published() -> None:
    core = new_meter(3)
    core.connected(at(0))

    effects = core.tick(at(0, slots=2))

    assert isinstance(effects[0], Store)
    assert [reading.sequence for reading in effects[0].readings] == [0, 1]
    assert effects[0].state == MeterState(2, -1, Registers(20, 2), 2 * SLOT_MS)
    assert published(effects) == [0, 1]


def test_a_slot_is_measured_when_it_has_ended_and_not_before() -> None:
    core = new_meter(3)

    assert core.next_deadline() == Deadline(wall_ms=None, ledger_ms=SLOT_MS)
    assert core.tick(Instant(0, SLOT_MS - 1)) == []
    assert len(core.tick(Instant(0, SLOT_MS))) == 1
    assert core.next_deadline() == Deadline(wall_ms=None, ledger_ms=2 * SLOT_MS)


def test_nothing_is_published_without_a_connection() -> None:
    core = new_meter(3)

    before = core.tick(at(0, slots=1))
    connecting = core.connected(at(5))
    core.disconnected()
    after = core.tick(at(9_000, slots=2))

    assert (published(before), published(connecting), published(after)) == ([], [0], [])


def test_no_more_than_the_window_is_under_way() -> None:
    core = new_meter(9)
    core.connected(at(0))

    assert published(core.tick(at(0, slots=6))) == [0, 1, 2, 3]
    assert published(core.receive(receipt_bytes(1), at(1))) == [4, 5]


def test_the_window_is_published_again_after_each_silence_and_ever_later() -> None:
    core = new_meter(2)
    core.connected(at(0))
    core.tick(at(0, slots=1))
    due_ms = []

    for _ in range(4):
        due = core.next_deadline().wall_ms
        assert due is not None
        due_ms.append(due)
        assert published(core.tick(at(due - 1))) == []
        assert published(core.tick(at(due))) == [0]

    assert due_ms == [1_000, 3_000, 6_000, 9_000]


def test_progress_restores_patience() -> None:
    core = new_meter(3)
    core.connected(at(0))
    core.tick(at(0, slots=2))
    core.tick(at(1_000))

    core.receive(receipt_bytes(0), at(1_500))

    assert core.next_deadline().wall_ms == 2_500


def test_a_new_connection_publishes_all_that_is_kept_again() -> None:
    core = new_meter(9)
    core.connected(at(0))
    core.tick(at(0, slots=3))
    core.receive(receipt_bytes(0), at(1))
    core.disconnected()

    assert core.next_deadline().wall_ms is None
    assert published(core.connected(at(10))) == [1, 2]
    assert core.next_deadline().wall_ms == 1_010


def test_a_receipt_lets_the_meter_forget_and_an_old_one_does_not_matter() -> None:
    core = new_meter(9)
    core.connected(at(0))
    core.tick(at(0, slots=3))

    assert core.receive(receipt_bytes(1), at(1)) == [Forget(1)]
    assert core.receive(receipt_bytes(1), at(2)) == []
    assert core.receive(receipt_bytes(0), at(3)) == []
    assert core.state.receipted_through == 1


def test_a_receipt_for_what_an_earlier_run_published_counts() -> None:
    core = new_meter(9)
    core.tick(at(0, slots=3))

    assert core.receive(receipt_bytes(2), at(1)) == [Forget(2)]
    assert core.connected(at(2)) == []


def test_a_receipt_beyond_this_run_s_window_moves_the_window_there() -> None:
    core = new_meter(12)
    for _ in range(2):
        core.tick(at(0, slots=12))
    assert published(core.connected(at(1))) == [0, 1, 2, 3]

    effects = core.receive(receipt_bytes(6), at(2))

    assert effects[0] == Forget(6)
    assert published(effects) == [7, 8, 9]
    assert [
        decode_reading(effect.reading.data).reading.sequence
        for effect in effects
        if isinstance(effect, Publish)
    ] == [7, 8, 9]


@pytest.mark.parametrize(
    ("data", "error"),
    [
        pytest.param(b"", MalformedBytesError, id="empty"),
        pytest.param(bytes(10_000_000), MalformedBytesError, id="10 MB"),
        pytest.param(receipt_bytes(0, OTHER_EDGE), InvalidReceiptError, id="another edge's"),
        pytest.param(receipt_bytes(2), InvalidReceiptError, id="beyond what was produced"),
    ],
)
def test_a_forged_receipt_changes_nothing(data: bytes, error: type[Exception]) -> None:
    core = new_meter(9)
    core.connected(at(0))
    core.tick(at(0, slots=2))

    (effect,) = core.receive(data, at(1))

    assert isinstance(effect, Refused)
    assert isinstance(effect.error, error)
    assert core.state.receipted_through == -1
    assert core.receive(receipt_bytes(1), at(2)) == [Forget(1)]


def test_one_tick_makes_a_bounded_number_of_readings() -> None:
    core = new_meter(30)

    (store,) = core.tick(at(0, slots=30))

    assert isinstance(store, Store)
    assert len(store.readings) == LIMITS.rows_per_tick
    assert core.next_deadline().ledger_ms == 7 * SLOT_MS


def test_a_full_meter_stops_measuring_and_catches_up_later() -> None:
    core = new_meter(30)
    for _ in range(5):
        core.tick(at(0, slots=30))

    assert core.state.produced == LIMITS.max_kept
    assert core.next_deadline() == Deadline(None, None)
    assert core.tick(at(1, slots=30)) == []

    core.connected(at(2))
    core.receive(receipt_bytes(3), at(3))
    effects = core.tick(at(4, slots=30))

    assert isinstance(effects[0], Store)
    assert [reading.sequence for reading in effects[0].readings] == [10, 11, 12, 13]


def test_a_meter_finishes_once_when_its_source_has_ended_and_all_is_receipted() -> None:
    core = new_meter(2)
    core.connected(at(0))

    assert Finished() not in core.tick(at(0, slots=2))
    assert core.receive(receipt_bytes(0), at(1)) == [Forget(0)]
    assert core.receive(receipt_bytes(1), at(2)) == [Forget(1), Finished()]
    assert core.tick(at(3, slots=9)) == []


def test_a_meter_told_to_stop_measures_nothing_more_and_delivers_the_rest() -> None:
    core = new_meter(9)
    core.connected(at(0))
    core.tick(at(0, slots=1))

    assert core.stop_measuring() == []
    assert core.next_deadline().ledger_ms is None
    assert core.tick(at(1, slots=9)) == []
    assert core.receive(receipt_bytes(0), at(2)) == [Forget(0), Finished()]


def test_a_meter_with_nothing_kept_stops_at_once() -> None:
    assert new_meter(9).stop_measuring() == [Finished()]


def test_a_restart_after_the_end_finishes_without_a_connection() -> None:
    ended = MeterState(2, 1, Registers(20, 2), 2 * SLOT_MS)

    core = MeterCore(IDENTITY, recording(2), ended, [], LIMITS)

    assert core.next_deadline() == Deadline(None, None)
    assert core.tick(at(0)) == [Finished()]


def test_a_restart_goes_on_with_the_next_row() -> None:
    state = MeterState(2, 0, Registers(20, 2), 2 * SLOT_MS)
    first = new_meter(9)
    (store,) = first.tick(at(0, slots=2))
    assert isinstance(store, Store)

    again = MeterCore(IDENTITY, recording(9), state, [store.readings[1].data], LIMITS)

    assert published(again.connected(at(0))) == [1]
    (made,) = (effect for effect in again.tick(at(1, slots=3)) if isinstance(effect, Store))
    assert [reading.sequence for reading in made.readings] == [2]
    assert made.state.receipted_through == 0


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        pytest.param(
            SourceRow(SLOT_MS, 3 * SLOT_MS, Registers(30, 3), "measured"),
            "row 2 of the source starts at 900000 ms, but this meter has already measured until",
            id="time goes back",
        ),
        pytest.param(
            SourceRow(2 * SLOT_MS, 3 * SLOT_MS, Registers(19, 3), "measured"),
            "reads 19 and 3 Wh, but this meter's registers already stand at 20 and 2 Wh",
            id="import falls",
        ),
        pytest.param(
            SourceRow(2 * SLOT_MS, 3 * SLOT_MS, Registers(20, 1), "measured"),
            "reads 20 and 1 Wh",
            id="export falls",
        ),
    ],
)
def test_a_source_that_was_exchanged_is_refused_at_the_start(row: SourceRow, rule: str) -> None:
    state = MeterState(2, 1, Registers(20, 2), 2 * SLOT_MS)
    exchanged = Recording((*recording(2).rows, row))

    with pytest.raises(InvalidRecordingError, match=rule):
        MeterCore(IDENTITY, exchanged, state, [], LIMITS)
