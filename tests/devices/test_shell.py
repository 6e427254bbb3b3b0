import asyncio
from pathlib import Path

import pytest

from devices.meter import MeterIdentity, MeterState, Store
from devices.outbox import Outbox, OutboxState, read_outbox_state
from devices.shell import MeterConfig, read_profile, read_recording, run_meter, run_meters
from devices.sources.household import encode_profile
from devices.sources.rows import Registers
from tangle.effects import Instant
from tangle.errors import InvalidRecordingError, MalformedBytesError, StorageError
from tangle.keys import SigningKey
from tests.devices.homes import DEVICE, IDENTITY, NETWORK, flat_profile, recording

SAMPLE = Path(__file__).parent.parent / "vectors" / "home_sample.csv"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.sqlite3"


def test_a_recording_is_read_from_its_file() -> None:
    assert len(read_recording(SAMPLE).rows) == 96


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        pytest.param(None, "No such file", id="absent"),
        pytest.param(b"\xff\xfe", "can't decode byte 0xff", id="not UTF-8"),
        pytest.param(b"a,b\n", "line 1: column interval_end", id="no recording"),
    ],
)
def test_a_wrong_recording_is_named(tmp_path: Path, content: bytes | None, fault: str) -> None:
    path = tmp_path / "home.csv"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(InvalidRecordingError, match=rf"recording .*home\.csv: .*{fault}"):
        read_recording(path)


def test_a_profile_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "household.profile"

    with pytest.raises(StorageError, match=r"household\.profile: No such file"):
        read_profile(path)
    path.write_bytes(encode_profile(flat_profile()))
    assert read_profile(path) == flat_profile()
    path.write_bytes(b"garbage")
    with pytest.raises(MalformedBytesError, match=r"household\.profile: household profile of 7"):
        read_profile(path)


def test_a_meter_with_nothing_left_to_do_needs_no_broker(path: Path) -> None:
    nowhere = MeterConfig(IDENTITY, path, broker_host="127.0.0.1", broker_port=1)

    asyncio.run(run_meter(nowhere, recording(5), lambda: Instant(0, 0), measure=False))

    assert read_outbox_state(path) == OutboxState(0, -1, 0, 0, finished=True)


def test_a_meter_that_finds_another_recording_says_so(path: Path) -> None:
    with Outbox(path, NETWORK, DEVICE) as outbox:
        outbox.store(Store((), MeterState(1, 0, Registers(10**6, 0), 900_000)))
        outbox.forget(0)
    nowhere = MeterConfig(IDENTITY, path, broker_host="127.0.0.1", broker_port=1)

    with pytest.raises(InvalidRecordingError, match="row 1 of the source reads 20 and 2 Wh"):
        asyncio.run(run_meter(nowhere, recording(5), lambda: Instant(0, 0)))


def test_meters_in_one_process_keep_their_own_outboxes(tmp_path: Path) -> None:
    key = SigningKey(bytes([77]) * 32)
    other = MeterIdentity(NETWORK, key, IDENTITY.edge_key)
    meters = [
        (MeterConfig(one, tmp_path / f"{number}.sqlite3", "127.0.0.1", 1), recording(5))
        for number, one in enumerate((IDENTITY, other))
    ]

    asyncio.run(run_meters(meters, lambda: Instant(0, 0), measure=False))

    for config, _ in meters:
        assert read_outbox_state(config.outbox) == OutboxState(0, -1, 0, 0, finished=True)


def test_a_meter_that_fails_stops_the_others(tmp_path: Path) -> None:
    failing, endless = tmp_path / "failing.sqlite3", tmp_path / "endless.sqlite3"
    with Outbox(failing, NETWORK, DEVICE) as outbox:
        outbox.store(Store((), MeterState(1, 0, Registers(10**6, 0), 900_000)))
        outbox.forget(0)
    other = MeterIdentity(NETWORK, SigningKey(bytes([77]) * 32), IDENTITY.edge_key)
    meters = [
        (MeterConfig(other, endless, "127.0.0.1", 1), recording(5)),
        (MeterConfig(IDENTITY, failing, "127.0.0.1", 1), recording(5)),
    ]

    with pytest.raises(InvalidRecordingError, match="row 1 of the source"):
        asyncio.run(run_meters(meters, lambda: Instant(0, 0)))
