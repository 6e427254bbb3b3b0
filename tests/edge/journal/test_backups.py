"""Backups of a journal that is being written, and folders that start from them."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from api.contracts import CONTRACTS
from devices.reading import SALT_SIZE
from edge.journal.backups import Extent, restore_backup, write_backup
from edge.journal.entries import Batch
from edge.journal.journal import Journal
from edge.journal.sealing import NONCE_SIZE, SaltedReading, seal, sealing_key
from edge.journal.storage import JOURNAL_NAME
from tangle.errors import (
    BackupRefusedError,
    DamagedStoreError,
    ForeignStoreError,
    StorageError,
    TanglewattError,
)
from tests.api.recorded_journal import DEVICE, MILESTONES, READINGS, TRANSACTIONS, write_journal
from tests.api.small_node import BOB, EDGE, GENESIS, NETWORK
from tests.community import community
from tests.edge.summing import sum_anew

WHOLE = Extent(MILESTONES, TRANSACTIONS, READINGS)
REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    write_journal(folder)
    return folder


@pytest.fixture
def backup(folder: Path, tmp_path: Path) -> Path:
    file = tmp_path / "backup"
    assert write_backup(folder, file, GENESIS, CONTRACTS) == WHOLE
    return file


@pytest.fixture
def holder(folder: Path) -> Iterator[None]:
    """Another process that holds the folder, as a node does."""
    code = (
        "import sys; from pathlib import Path; from edge.journal.journal import Journal\n"
        f"journal = Journal(Path({str(folder)!r}), bytes.fromhex({NETWORK.hex()!r}))\n"
        "journal.next_epoch(1); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield
        process.communicate()


def restored(file: Path, folder: Path, *, accepts_loss: bool = False) -> tuple[Extent, Path | None]:
    return restore_backup(file, folder, GENESIS, CONTRACTS, accepts_loss=accepts_loss)


def everything(folder: Path) -> object:
    """Return what a node would start from, and all its transactions."""
    with Journal(folder, NETWORK) as journal:
        return (
            journal.restore(GENESIS, 20),
            journal.counts(),
            journal.meters(),
            [journal.referenced_by(index) for index in range(MILESTONES + 1)],
        )


@pytest.mark.usefixtures("holder")
def test_a_journal_is_copied_while_another_process_holds_it(folder: Path, tmp_path: Path) -> None:
    held = write_backup(folder, tmp_path / "backup", GENESIS, CONTRACTS)

    assert held == WHOLE
    assert (tmp_path / "backup").stat().st_mode & 0o777 == 0o600
    assert sorted(one.name for one in tmp_path.iterdir()) == ["backup", "data"]


def test_a_folder_restored_from_a_backup_answers_as_the_first(
    folder: Path, backup: Path, tmp_path: Path
) -> None:
    held, aside = restored(backup, tmp_path / "new")

    assert (held, aside) == (WHOLE, None)
    assert everything(tmp_path / "new") == everything(folder)


def test_what_was_there_is_moved_aside_with_its_log(folder: Path, backup: Path) -> None:
    first = restored(backup, folder)[1]
    second = restored(backup, folder)[1]

    assert first == folder / f"{JOURNAL_NAME}.replaced-1"
    assert second == folder / f"{JOURNAL_NAME}.replaced-2"
    assert first.is_file()
    assert not (folder / f"{JOURNAL_NAME}-wal").exists()


def test_a_journal_that_holds_more_is_replaced_only_by_who_accepts_the_loss(
    tmp_path: Path, backup: Path
) -> None:
    ahead = tmp_path / "ahead"
    write_journal(ahead, MILESTONES + 1)

    with pytest.raises(BackupRefusedError, match="up to milestone 7, the backup 12 up to 6"):
        restored(backup, ahead)
    assert restored(backup, ahead, accepts_loss=True)[0] == WHOLE


def test_a_damaged_journal_is_replaced_only_by_who_accepts_the_loss(
    folder: Path, backup: Path
) -> None:
    wanted = everything(folder)
    (folder / JOURNAL_NAME).write_bytes(b"no database" * 1_000)

    with pytest.raises(BackupRefusedError, match="cannot be told"):
        restored(backup, folder)
    restored(backup, folder, accepts_loss=True)

    assert everything(folder) == wanted


@pytest.mark.usefixtures("holder")
def test_a_folder_whose_node_runs_is_not_restored(folder: Path, backup: Path) -> None:
    with pytest.raises(StorageError, match="holds it"):
        restored(backup, folder, accepts_loss=True)


def test_a_backup_is_never_written_over(folder: Path, backup: Path) -> None:
    with pytest.raises(StorageError, match="never written over"):
        write_backup(folder, backup, GENESIS, CONTRACTS)


def test_a_damaged_journal_makes_no_backup(folder: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(folder / JOURNAL_NAME)) as connection, connection:
        connection.execute("UPDATE milestones SET state_root = zeroblob(32)")
        sum_anew(connection)

    with pytest.raises(DamagedStoreError, match="faults, the first: milestone 1"):
        write_backup(folder, tmp_path / "backup", GENESIS, CONTRACTS)
    assert [one.name for one in tmp_path.iterdir()] == ["data"]


def test_a_changed_backup_is_refused_and_nothing_is_touched(folder: Path, backup: Path) -> None:
    with closing(sqlite3.connect(backup)) as connection, connection:
        connection.execute("UPDATE ledger SET value = x'00'")
        sum_anew(connection)
    before = sorted(folder.iterdir())

    with pytest.raises(DamagedStoreError, match="rows have the root"):
        restored(backup, folder, accepts_loss=True)
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("PRAGMA user_version = 2000", "schema version 2000"),
        ("PRAGMA application_id = 5", "0x5"),
    ],
)
def test_a_backup_of_a_newer_version_or_another_program_is_refused(
    backup: Path, tmp_path: Path, statement: str, rule: str
) -> None:
    with closing(sqlite3.connect(backup)) as connection:
        connection.execute(statement)

    with pytest.raises(ForeignStoreError, match=rule):
        restored(backup, tmp_path / "new")


def test_a_backup_of_another_network_is_refused(backup: Path, tmp_path: Path) -> None:
    with pytest.raises(ForeignStoreError, match="of network"):
        restore_backup(backup, tmp_path / "new", community(), CONTRACTS, accepts_loss=True)


def test_a_backup_of_another_node_is_refused_and_nothing_is_touched(tmp_path: Path) -> None:
    own, other = sealing_key(EDGE), sealing_key(BOB)
    content = SaltedReading(bytes(SALT_SIZE), b"signed")
    with Journal(tmp_path / "edge", NETWORK) as journal:
        journal.restore(GENESIS, 20)
        journal.commit(Batch(readings=(seal(own, DEVICE, 0, content, bytes(NONCE_SIZE)),)))
    file, folder = tmp_path / "backup", tmp_path / "new"
    write_backup(tmp_path / "edge", file, GENESIS, CONTRACTS)
    folder.mkdir()

    with pytest.raises(ForeignStoreError, match="a backup of another node: sealed reading 0"):
        restore_backup(file, folder, GENESIS, CONTRACTS, accepts_loss=True, sealing_key=other)
    assert list(folder.iterdir()) == []
    restore_backup(file, folder, GENESIS, CONTRACTS, accepts_loss=False, sealing_key=own)
    assert (folder / JOURNAL_NAME).is_file()


@pytest.mark.parametrize("name", ["none", "data/none"])
def test_what_is_not_there_is_no_backup(tmp_path: Path, name: str) -> None:
    with pytest.raises(TanglewattError, match="there is no journal"):
        restored(tmp_path / name, tmp_path / "new")
