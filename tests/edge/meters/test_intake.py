import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from devices.reading import Reading, SignedReading, encode_reading, sign_reading
from edge.meters.intake import (
    MAX_HOMED_DEVICES,
    MAX_RUNS,
    RESUME_PATIENCE_MS,
    START_PATIENCE_MS,
    Accepted,
    Gap,
    HomedDevice,
    Intake,
    IntakeResult,
    Refused,
    Repeated,
)
from tangle.address import Address
from tangle.errors import InvalidReadingError, MalformedBytesError
from tests.edge.making import (
    DEVICE,
    METER,
    NETWORK,
    OTHER_DEVICE,
    OTHER_METER,
    SLOT_MS,
    posted,
    reading,
)

NOW_MS = 1_000_000


class Door:
    """An intake with a journal of its own, as the shell drives it."""

    def __init__(self, homed: dict[Address, HomedDevice] | None = None) -> None:
        self.journal: dict[tuple[Address, int], bytes] = {}
        self.lookups = 0
        devices = homed or {
            DEVICE: HomedDevice(METER.public, None),
            OTHER_DEVICE: HomedDevice(OTHER_METER.public, None),
        }
        self.intake = Intake(NETWORK, devices, self._look_up)

    def _look_up(self, device: Address, sequence: int) -> bytes | None:
        self.lookups += 1
        return self.journal.get((device, sequence))

    def post(self, payload: bytes, now_ms: int = NOW_MS, device: Address = DEVICE) -> IntakeResult:
        return self.post_all([(device, payload)], now_ms)[0]

    def post_all(
        self, arrivals: list[tuple[Address, bytes]], now_ms: int = NOW_MS
    ) -> list[IntakeResult]:
        results = self.intake.receive_all(arrivals, now_ms)
        for result in results:
            if isinstance(result, Accepted):
                key = (result.device, result.signed.reading.sequence)
                assert key not in self.journal
                self.journal[key] = result.payload
        self.intake.journalled(results)
        return results


def door_after(*sequences: int) -> Door:
    door = Door()
    for sequence in sequences:
        assert isinstance(door.post(posted(sequence)), Accepted)
    return door


def error_of(result: IntakeResult) -> str:
    assert isinstance(result, Refused), result
    return str(result.error)


def test_readings_in_order_are_accepted() -> None:
    door = Door()

    results = [door.post(posted(sequence)) for sequence in range(3)]

    assert results == [Accepted(DEVICE, reading(n), posted(n)) for n in range(3)]
    assert door.intake.journalled_through(DEVICE) == 2
    assert door.intake.journalled_through(OTHER_DEVICE) is None
    assert door.intake.counts == {"accepted": 3}
    assert DEVICE in door.intake


def test_a_window_of_readings_is_accepted_for_one_commit() -> None:
    door = Door()
    arrivals = [(DEVICE, posted(n)) for n in range(64)]
    arrivals.insert(9, (OTHER_DEVICE, posted(0, key=OTHER_METER)))

    results = door.intake.receive_all(arrivals, NOW_MS)

    assert all(isinstance(result, Accepted) for result in results)
    assert door.intake.journalled_through(DEVICE) is None
    door.intake.journalled(results)
    assert door.intake.journalled_through(DEVICE) == 63
    assert door.intake.journalled_through(OTHER_DEVICE) == 0


def test_nothing_has_changed_until_the_commit_is_durable() -> None:
    door = door_after(0)

    first = door.intake.receive(DEVICE, posted(1), NOW_MS)
    again = door.intake.receive(DEVICE, posted(1), NOW_MS)

    assert first == again == Accepted(DEVICE, reading(1), posted(1))
    assert door.intake.journalled_through(DEVICE) == 0


def test_readings_journalled_out_of_turn_are_a_bug() -> None:
    door = door_after(0)
    result = door.intake.receive(DEVICE, posted(1), NOW_MS)
    door.intake.journalled([result])

    with pytest.raises(AssertionError, match="out of turn"):
        door.intake.journalled([result])


@pytest.mark.parametrize("sequence", [0, 1, 2])
def test_a_repeated_reading_has_its_receipt_again(sequence: int) -> None:
    door = door_after(0, 1, 2)

    assert door.post(posted(sequence)) == Repeated(DEVICE, 2)
    assert door.intake.journalled_through(DEVICE) == 2


@pytest.mark.parametrize("sequence", [0, 1, 2])
def test_a_repeated_reading_with_other_content_is_refused(sequence: int) -> None:
    door = door_after(0, 1, 2)

    error = error_of(door.post(posted(sequence, import_wh=100 * sequence + 1)))

    assert error == f"reading {sequence} was taken with other content and cannot be changed"


def test_a_reading_altered_within_one_commit_is_refused() -> None:
    door = Door()

    results = door.post_all([(DEVICE, posted(0)), (DEVICE, posted(0, 1)), (DEVICE, posted(0))])

    assert isinstance(results[0], Accepted)
    assert "with other content" in error_of(results[1])
    assert results[2] == Repeated(DEVICE, 0)


def test_a_gap_has_the_last_receipt_again() -> None:
    door = door_after(0, 1)

    assert door.post(posted(3)) == Gap(DEVICE, 1, 3)
    assert door.post(posted(2)) == Accepted(DEVICE, reading(2), posted(2))


def signed(
    sequence: int = 1,
    network: bytes = NETWORK,
    device: Address = DEVICE,
    interval: tuple[int, int] = (SLOT_MS, 2 * SLOT_MS),
    registers: tuple[int, int] = (100, 0),
) -> SignedReading:
    return sign_reading(
        Reading(network, device, sequence, *interval, *registers, "measured"), METER
    )


SOUND = encode_reading(signed())
FORGED = SignedReading(signed().reading, reading(1, key=OTHER_METER).signature)


@pytest.mark.parametrize(
    ("payload", "rule"),
    [
        pytest.param(b"", "reading of 0 bytes", id="empty"),
        pytest.param(b"garbage", "reading of 7 bytes", id="garbage"),
        pytest.param(SOUND + b"\0", "reading of", id="trailing byte"),
        pytest.param(SOUND[:-1], "reading of", id="cut short"),
        pytest.param(
            SOUND.replace(b"\x93", b"\xdc\x00\x03", 1).replace(b"\x92", b"\xdc\x00\x02", 1),
            "canonical",
            id="second spelling",
        ),
        pytest.param(
            encode_reading(signed(network=bytes(8))), "is for network 0000", id="another network"
        ),
        pytest.param(
            encode_reading(signed(device=OTHER_DEVICE)), "under the topic of", id="another device"
        ),
        pytest.param(encode_reading(FORGED), "is not by key", id="forged"),
        pytest.param(
            encode_reading(signed(interval=(5, 5))), "must end", id="interval that stands still"
        ),
        pytest.param(
            encode_reading(signed(interval=(SLOT_MS - 1, 2 * SLOT_MS))),
            "before the previous one ended",
            id="interval that overlaps",
        ),
        pytest.param(
            encode_reading(signed(registers=(99, 0))),
            "import register falls from 100 Wh to 99 Wh",
            id="falling register",
        ),
    ],
)
def test_the_door_refuses(payload: bytes, rule: str) -> None:
    door = Door()
    first = signed(sequence=0, interval=(0, SLOT_MS))
    door.post(encode_reading(first))

    error = error_of(door.post(payload))

    assert rule in error
    assert door.intake.journalled_through(DEVICE) == 0
    assert isinstance(door.post(SOUND), Accepted)
    assert door.intake.counts == {"accepted": 2, "refused": 1}


def test_a_device_that_is_homed_elsewhere_is_refused() -> None:
    door = Door({DEVICE: HomedDevice(METER.public, None)})

    assert "is not homed here" in error_of(
        door.post(posted(0, key=OTHER_METER), device=OTHER_DEVICE)
    )
    assert OTHER_DEVICE not in door.intake


def test_ten_megabytes_are_refused_before_anyone_looks_at_them() -> None:
    class Unread(bytes):
        @override
        def __getitem__(self, key: object) -> bytes:  # type: ignore[override]
            raise AssertionError("read")

    result = Door().post(Unread(10_000_000))

    assert error_of(result) == "reading of 10000000 bytes: the maximum is 256"
    assert isinstance(result, Refused)
    assert isinstance(result.error, InvalidReadingError)
    assert not isinstance(result.error, MalformedBytesError)


def test_only_a_repetition_asks_the_journal() -> None:
    door = door_after(0, 1)
    door.post(posted(5))
    door.post(b"garbage")

    assert door.lookups == 0
    door.post(posted(0))
    assert door.lookups == 1


def test_a_meter_goes_on_after_a_restart_of_the_node() -> None:
    door = Door({DEVICE: HomedDevice(METER.public, reading(7))})

    assert door.intake.journalled_through(DEVICE) == 7
    assert door.post(posted(9)) == Gap(DEVICE, 7, 9)
    assert isinstance(door.post(posted(8)), Accepted)


def test_a_node_that_joins_in_the_middle_of_a_round_waits_for_its_beginning() -> None:
    door = Door()

    assert [door.post(posted(n)) for n in (7, 8)] == [Gap(DEVICE, None, 7), Gap(DEVICE, None, 8)]
    late_ms = NOW_MS + START_PATIENCE_MS
    assert isinstance(door.post(posted(0), late_ms), Accepted)
    assert isinstance(door.post(posted(1), late_ms), Accepted)


def test_a_node_that_lost_its_disk_takes_the_oldest_reading_that_the_meter_still_has() -> None:
    door = Door({DEVICE: HomedDevice(METER.public, None, floor=3)})
    assert door.intake.journalled_through(DEVICE) == 2
    rounds = [(NOW_MS, (8, 9)), (NOW_MS + 1, (6, 7, 8)), (NOW_MS + START_PATIENCE_MS, (6, 7))]
    for at_ms, sequences in rounds:
        for sequence in sequences:
            assert door.post(posted(sequence), at_ms) == Gap(DEVICE, 2, sequence)

    patient_ms = NOW_MS + 1 + START_PATIENCE_MS
    assert door.post(posted(7), patient_ms) == Gap(DEVICE, 2, 7)
    assert isinstance(door.post(posted(6), patient_ms), Accepted)
    assert door.intake.journalled_through(DEVICE) == 6


@pytest.mark.parametrize("floor", [0, 3])
def test_a_first_reading_at_the_floor_is_accepted_at_once(floor: int) -> None:
    door = Door({DEVICE: HomedDevice(METER.public, None, floor)})

    assert isinstance(door.post(posted(floor)), Accepted)


def test_what_the_ledger_shows_as_taken_is_never_taken_again() -> None:
    door = Door({DEVICE: HomedDevice(METER.public, None, floor=3)})

    for at_ms in (NOW_MS, NOW_MS + 2 * START_PATIENCE_MS):
        assert door.post(posted(2), at_ms) == Repeated(DEVICE, 2)
    assert door.journal == {}


def rounds(door: Door, *sequences: int, at_ms: tuple[int, ...]) -> list[IntakeResult]:
    """Let a meter post the same readings at each of some times; return the last answers."""
    results: list[IntakeResult] = []
    for now_ms in at_ms:
        results = door.post_all([(DEVICE, posted(n)) for n in sequences], NOW_MS + now_ms)
    return results


def test_a_meter_that_has_forgotten_what_a_backup_lacks_goes_on_after_some_rounds() -> None:
    door = door_after(0, 1)

    early = rounds(door, 7, 8, at_ms=(0, 2_000, RESUME_PATIENCE_MS - 1))
    late = rounds(door, 7, 8, at_ms=(RESUME_PATIENCE_MS,))

    assert early == [Gap(DEVICE, 1, 7), Gap(DEVICE, 1, 8)]
    assert late == [
        Accepted(DEVICE, reading(7), posted(7), (2, 6)),
        Accepted(DEVICE, reading(8), posted(8)),
    ]
    assert door.intake.journalled_through(DEVICE) == 8
    assert door.post(posted(9)) == Accepted(DEVICE, reading(9), posted(9))
    assert door.post(posted(4)) == Repeated(DEVICE, 9)


def test_time_alone_makes_no_new_start() -> None:
    door = door_after(0, 1)

    first, second = 0, 10 * RESUME_PATIENCE_MS
    assert rounds(door, 7, at_ms=(first, second)) == [Gap(DEVICE, 1, 7)]
    assert isinstance(rounds(door, 7, at_ms=(second + 1,))[0], Accepted)


@pytest.mark.parametrize("sign", [1, 2, 6])
def test_a_meter_that_still_has_a_lower_reading_begins_nothing_anew(sign: int) -> None:
    door = door_after(0, 1)
    rounds(door, 7, at_ms=(0, 2_000))
    door.post(posted(sign), NOW_MS + 3_000)

    through = door.intake.journalled_through(DEVICE)

    assert rounds(door, 7, at_ms=(RESUME_PATIENCE_MS + 1,)) == [Gap(DEVICE, through, 7)]


@pytest.mark.parametrize(
    ("late", "rule"),
    [
        pytest.param(signed(7, registers=(99, 0)), "import register falls", id="registers"),
        pytest.param(signed(7, interval=(0, 1)), "before the previous one ended", id="interval"),
    ],
)
def test_a_new_start_contradicts_nothing_before_it(late: SignedReading, rule: str) -> None:
    door = door_after(0, 1)
    data = encode_reading(late)
    for now_ms in (0, 1):
        door.post(data, NOW_MS + now_ms)

    assert rule in error_of(door.post(data, NOW_MS + RESUME_PATIENCE_MS))
    assert door.intake.journalled_through(DEVICE) == 1


def test_a_meter_begins_anew_a_bounded_number_of_times() -> None:
    door = Door({DEVICE: HomedDevice(METER.public, reading(1), runs=MAX_RUNS - 1)})
    times = (0, 1, RESUME_PATIENCE_MS)

    assert isinstance(rounds(door, 3, at_ms=times)[0], Accepted)
    assert "64 runs of readings are the maximum" in error_of(rounds(door, 5, at_ms=times)[0])


def test_a_new_start_that_is_not_durable_is_none() -> None:
    door = door_after(0, 1)
    rounds(door, 7, at_ms=(0, 1))

    failed = door.intake.receive(DEVICE, posted(7), NOW_MS + RESUME_PATIENCE_MS)
    again = door.intake.receive(DEVICE, posted(7), NOW_MS + RESUME_PATIENCE_MS)

    assert failed == again == Accepted(DEVICE, reading(7), posted(7), (2, 6))
    assert door.intake.journalled_through(DEVICE) == 1


def test_a_meter_comes_home_while_the_node_runs() -> None:
    door = Door({DEVICE: HomedDevice(METER.public, reading(4))})

    door.intake.home(OTHER_DEVICE, HomedDevice(OTHER_METER.public, None))
    door.intake.home(DEVICE, HomedDevice(METER.public, None))

    assert isinstance(door.post(posted(0, key=OTHER_METER), device=OTHER_DEVICE), Accepted)
    assert door.intake.journalled_through(DEVICE) == 4


def test_a_node_homes_a_bounded_number_of_meters() -> None:
    homed = HomedDevice(METER.public, None)
    crowd = {Address(n.to_bytes(32, "big")): homed for n in range(MAX_HOMED_DEVICES)}
    intake = Intake(NETWORK, crowd, lambda _device, _sequence: None)

    with pytest.raises(InvalidReadingError, match=f"the maximum is {MAX_HOMED_DEVICES}"):
        intake.home(DEVICE, homed)


@given(st.integers(0, 2**32), st.integers(1, 30))
def test_whatever_delivery_does_every_reading_is_taken_once_and_in_order(
    seed: int, count: int
) -> None:
    rng = random.Random(seed)
    door, kept, now_ms = Door(), 0, NOW_MS
    while kept < count:
        window = list(range(kept, min(kept + 8, count)))
        arriving = [n for n in window for _ in range(rng.randint(0, 2))]  # lost, or twice
        if rng.random() < 0.5:
            rng.shuffle(arriving)
        arrivals = [(DEVICE, posted(n)) for n in arriving]
        if rng.random() < 0.3:
            arrivals.insert(0, (DEVICE, posted(window[0], import_wh=10**6)[:-1]))
        if rng.random() < 0.2:
            door.intake.receive_all(arrivals, now_ms)  # and the commit failed
        else:
            door.post_all(arrivals, now_ms)
        now_ms += 1
        through = door.intake.journalled_through(DEVICE)
        kept = kept if through is None or rng.random() < 0.2 else through + 1

    assert [door.journal[DEVICE, n] for n in range(count)] == [posted(n) for n in range(count)]
    assert len(door.journal) == count
