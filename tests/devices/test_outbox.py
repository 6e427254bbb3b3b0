import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from devices.meter import KeptReading, MeterState, Store
from devices.outbox import Outbox, OutboxState, read_outbox_state
from devices.sources.rows import Registers
from tangle.errors import DamagedStoreError, ForeignStoreError, StorageError
from tests.devices.homes import DEVICE, NETWORK, OTHER_NETWORK
from tests.privileges import without_privileges

TWO = Store(
    (KeptReading(0, b"first"), KeptReading(1, b"second")),
    MeterState(2, -1, Registers(20, 2), 1_800_000),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.sqlite3"


@pytest.fixture
def outbox(path: Path) -> Iterator[Outbox]:
    with Outbox(path, NETWORK, DEVICE) as opened:
        yield opened


def test_a_new_outbox_is_empty(outbox: Outbox) -> None:
    assert outbox.load() == (MeterState(), [])


def test_what_was_stored_and_forgotten_is_there_after_a_restart(path: Path) -> None:
    with Outbox(path, NETWORK, DEVICE) as outbox:
        outbox.store(TWO)
        outbox.forget(0)

    with Outbox(path, NETWORK, DEVICE) as outbox:
        state, kept = outbox.load()

    assert state == MeterState(2, 0, Registers(20, 2), 1_800_000)
    assert kept == [b"second"]


def test_another_process_can_read_the_state_while_the_meter_runs(
    outbox: Outbox, path: Path
) -> None:
    fresh = read_outbox_state(path)
    outbox.store(TWO)
    stored = read_outbox_state(path)
    outbox.forget(1)
    outbox.finish()

    assert fresh == OutboxState(0, -1, 0, 0, finished=False)
    assert stored == OutboxState(2, -1, 20, 2, finished=False)
    assert read_outbox_state(path) == OutboxState(2, 1, 20, 2, finished=True)


def test_the_state_can_be_read_after_the_meter_has_gone(path: Path) -> None:
    with Outbox(path, NETWORK, DEVICE) as outbox:
        outbox.store(TWO)
        outbox.finish()

    assert read_outbox_state(path) == OutboxState(2, -1, 20, 2, finished=True)


def test_a_new_run_is_not_finished(path: Path) -> None:
    with Outbox(path, NETWORK, DEVICE) as outbox:
        outbox.finish()

    with Outbox(path, NETWORK, DEVICE):
        assert not read_outbox_state(path).finished


def test_a_commit_that_fails_changes_nothing(outbox: Outbox) -> None:
    outbox.store(TWO)
    again = Store((KeptReading(2, b"third"), KeptReading(1, b"second")), MeterState(9))

    with pytest.raises(StorageError, match="UNIQUE constraint"):
        outbox.store(again)

    assert outbox.load() == (TWO.state, [b"first", b"second"])


def test_the_state_of_a_meter_that_never_ran_is_unavailable(path: Path, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"outbox .*outbox\.sqlite3: unable to open"):
        read_outbox_state(path)
    assert list(tmp_path.iterdir()) == []


def test_a_state_that_is_not_written_yet_is_unavailable(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "CREATE TABLE meter (produced, receipted_through, import_wh, export_wh, finished)"
        )

    with pytest.raises(StorageError, match="has not written its state yet"):
        read_outbox_state(path)


def test_two_processes_cannot_run_one_meter(outbox: Outbox, path: Path) -> None:
    with pytest.raises(StorageError, match="another process has it open"):
        Outbox(path, NETWORK, DEVICE)

    outbox.store(TWO)


def test_an_outbox_of_another_meter_is_refused_and_left_as_it_is(path: Path) -> None:
    with Outbox(path, NETWORK, DEVICE) as outbox:
        outbox.store(TWO)
        outbox.finish()

    with pytest.raises(ForeignStoreError, match=f"is of device {DEVICE.hex()} in network 0001"):
        Outbox(path, OTHER_NETWORK, DEVICE)

    assert read_outbox_state(path).finished


def test_an_outbox_of_another_version_is_refused(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 9")

    with pytest.raises(ForeignStoreError, match="version 9, not 1"):
        Outbox(path, NETWORK, DEVICE)


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_bytes(b"garbage" * 1_000)

    with pytest.raises(DamagedStoreError, match="file is not a database"):
        Outbox(path, NETWORK, DEVICE)
    with pytest.raises(DamagedStoreError, match="file is not a database"):
        read_outbox_state(path)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"missing/outbox\.sqlite3: No such file or directory"):
        Outbox(tmp_path / "missing" / "outbox.sqlite3", NETWORK, DEVICE)


def test_a_read_only_folder_is_named() -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own folder is closed to others
        folder = Path(name)
        folder.chmod(0o555)

        with (
            without_privileges(),
            pytest.raises(StorageError, match=r"outbox\.sqlite3: Permission denied"),
        ):
            Outbox(folder / "outbox.sqlite3", NETWORK, DEVICE)
