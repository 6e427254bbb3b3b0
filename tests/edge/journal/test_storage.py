import os
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from edge.journal.schema import SCHEMA_VERSION
from edge.journal.storage import APPLICATION_ID, JOURNAL_NAME, LOCK_NAME, Storage
from edge.journal.sums import summed
from tangle.errors import DamagedStoreError, ForeignStoreError, StorageError
from tests.privileges import without_privileges

NETWORK = b"network1"
REPOSITORY = Path(__file__).parents[3]

OPEN = f"""
import sys
from pathlib import Path
from edge.journal.storage import Storage
from tangle.errors import TanglewattError
try:
    with Storage(Path(sys.argv[1]), {NETWORK!r}):
        print("opened")
except TanglewattError as error:
    print(type(error).__name__, error)
"""


def opened_elsewhere(folder: Path) -> str:
    """Return what another process says of opening `folder`."""
    done = subprocess.run(
        [sys.executable, "-B", "-c", OPEN, str(folder)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def altered(folder: Path, *statements: str) -> None:
    connection = sqlite3.connect(folder / JOURNAL_NAME)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def written(storage: Storage, count: int) -> None:
    with storage.transaction() as connection:
        for n in range(count):
            connection.execute(
                "INSERT INTO bodies VALUES (?, ?, ?)", summed("bodies", n, bytes(1_000))
            )


def test_a_file_is_made_durable_private_and_recognisable(tmp_path: Path) -> None:
    with Storage(tmp_path / "node", NETWORK) as storage:
        assert storage.row("PRAGMA journal_mode") == ("wal",)
        assert storage.row("PRAGMA synchronous") == (2,)
        assert storage.row("PRAGMA application_id") == (APPLICATION_ID,)
        assert storage.row("PRAGMA user_version") == (SCHEMA_VERSION,)
        for path in (tmp_path / "node").iterdir():
            assert path.stat().st_mode & 0o077 == 0, path


def test_a_file_opens_again(tmp_path: Path) -> None:
    with Storage(tmp_path, NETWORK) as storage, storage.transaction() as connection:
        connection.execute("INSERT INTO counters VALUES (?, ?, ?)", summed("counters", "n", 1))

    with Storage(tmp_path, NETWORK) as storage:
        assert storage.table("counters") == [("n", 1)]


def test_a_creation_that_was_cut_short_is_made_again(tmp_path: Path) -> None:
    (tmp_path / JOURNAL_NAME).touch()

    with Storage(tmp_path, NETWORK) as storage:
        assert storage.row("PRAGMA application_id") == (APPLICATION_ID,)


def test_another_network_is_refused_and_both_are_named(tmp_path: Path) -> None:
    Storage(tmp_path, NETWORK).close()

    with pytest.raises(ForeignStoreError) as caught:
        Storage(tmp_path, b"network2")

    for part in (str(tmp_path / JOURNAL_NAME), b"network1".hex(), b"network2".hex()):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("statements", "error", "rule"),
    [
        pytest.param(
            ["PRAGMA user_version = 9"], ForeignStoreError, "schema version 9", id="later schema"
        ),
        pytest.param(
            ["PRAGMA application_id = 7"], ForeignStoreError, "application id 0x7", id="foreign"
        ),
        pytest.param(
            ["PRAGMA application_id = 0"], ForeignStoreError, "application id 0x0", id="unmarked"
        ),
        pytest.param(
            ["DELETE FROM meta"], DamagedStoreError, "which network", id="without a network"
        ),
    ],
)
def test_a_file_that_is_not_ours_is_refused(
    tmp_path: Path, statements: list[str], error: type[Exception], rule: str
) -> None:
    Storage(tmp_path, NETWORK).close()
    altered(tmp_path, *statements)

    with pytest.raises(error, match=rule) as caught:
        Storage(tmp_path, NETWORK)

    assert str(tmp_path / JOURNAL_NAME) in str(caught.value)


def test_garbage_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    garbage = b"no SQLite file " * 1_000
    (tmp_path / JOURNAL_NAME).write_bytes(garbage)

    with pytest.raises(DamagedStoreError, match="not a sound journal"):
        Storage(tmp_path, NETWORK)

    assert (tmp_path / JOURNAL_NAME).read_bytes() == garbage


def test_a_file_overwritten_in_the_middle_is_named_when_it_is_read(tmp_path: Path) -> None:
    with Storage(tmp_path, NETWORK) as storage:
        written(storage, 200)
    path = tmp_path / JOURNAL_NAME
    data = bytearray(path.read_bytes())
    data[24 * 4096 :] = b"\xee" * (len(data) - 24 * 4096)
    path.write_bytes(data)

    with (
        Storage(tmp_path, NETWORK) as storage,
        pytest.raises(DamagedStoreError, match="not a sound journal"),
    ):
        storage.rows("SELECT * FROM bodies")


def test_a_folder_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    with Storage(tmp_path, NETWORK):
        said = opened_elsewhere(tmp_path)

        assert said.startswith(f"StorageError {tmp_path}: process {os.getpid()} holds it")
        with pytest.raises(StorageError, match="two nodes never share a folder"):
            Storage(tmp_path, NETWORK)

    assert opened_elsewhere(tmp_path) == "opened"


def test_a_refused_folder_is_let_go_again(tmp_path: Path) -> None:
    Storage(tmp_path, NETWORK).close()
    with pytest.raises(ForeignStoreError):
        Storage(tmp_path, b"network2")

    with Storage(tmp_path, NETWORK) as storage:
        storage.close()
        storage.close()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StorageError, match="must be able to write its data folder") as caught:
        Storage(tmp_path / "file", NETWORK)

    assert str(tmp_path / "file") in str(caught.value)


def test_a_lock_that_is_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / LOCK_NAME).mkdir()

    with pytest.raises(StorageError, match=str(tmp_path)):
        Storage(tmp_path, NETWORK)


@pytest.mark.parametrize("is_used", [False, True])
def test_a_read_only_folder_is_named(is_used: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if is_used:
            Storage(folder, NETWORK).close()
            for path in folder.iterdir():
                path.chmod(0o444)
        folder.chmod(0o555)

        with (
            without_privileges(),
            pytest.raises(StorageError, match="must be able to write its data folder") as caught,
        ):
            Storage(folder, NETWORK)

        assert str(folder) in str(caught.value)
        folder.chmod(0o755)


def test_a_journal_that_cannot_be_opened_is_named_and_the_folder_let_go(tmp_path: Path) -> None:
    (tmp_path / JOURNAL_NAME).mkdir()

    with pytest.raises(StorageError, match="SQLITE_CANTOPEN"):
        Storage(tmp_path, NETWORK)

    (tmp_path / JOURNAL_NAME).rmdir()
    Storage(tmp_path, NETWORK).close()


def test_a_read_only_file_is_named(tmp_path: Path) -> None:
    with Storage(tmp_path, NETWORK) as storage:
        storage.rows("PRAGMA query_only = ON")

        with pytest.raises(StorageError, match="the disk refuses") as caught:
            written(storage, 1)

        assert str(storage.path) in str(caught.value)


def test_a_full_disk_is_named_and_nothing_of_the_commit_is_there(tmp_path: Path) -> None:
    with Storage(tmp_path, NETWORK) as storage:
        pages = storage.rows("PRAGMA page_count")[0][0]
        storage.rows(f"PRAGMA max_page_count = {pages + 4}")

        with pytest.raises(StorageError, match="SQLITE_FULL") as caught:
            written(storage, 1_000)

        assert str(storage.path) in str(caught.value)
        assert storage.rows("SELECT * FROM bodies") == []
        written(storage, 1)


def test_a_broken_rule_of_our_own_is_a_bug(tmp_path: Path) -> None:
    with Storage(tmp_path, NETWORK) as storage:
        with pytest.raises(sqlite3.IntegrityError), storage.transaction() as connection:
            connection.execute("INSERT INTO bodies VALUES (1, NULL, 0)")

        storage.close()
        with pytest.raises(sqlite3.ProgrammingError):
            storage.rows("SELECT 1")
