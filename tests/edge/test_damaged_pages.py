"""Pages that are no longer what was written: found at open, when read or by the check.

Compared is every answer with that of the good journal.
"""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

import pytest

from api.contracts import CONTRACTS
from edge.backups import restore_backup, write_backup
from edge.inspection import inspect
from edge.journal import Journal
from edge.offline import open_offline
from edge.runtime import _verify_state
from edge.storage import JOURNAL_NAME
from tangle.errors import DamagedStoreError, ForeignStoreError, StorageError
from tangle.node import NodeCore
from tests.api.recorded_journal import DEVICE, MILESTONES, READINGS, write_journal
from tests.api.small_node import ALICE, GENESIS, NETWORK

PAGE: Final = 4_096
SEEDS: Final = 3
FOUND: Final = (DamagedStoreError, ForeignStoreError, StorageError)

Damage = Callable[[bytes, bytes, Random], bytes]
"""Makes the bytes of a page from its own, another page's, and chance."""

DAMAGES: Final[dict[str, Damage]] = {
    "random": lambda page, _other, rng: rng.randbytes(len(page)),
    "zeros": lambda page, _other, _rng: bytes(len(page)),
    "torn": lambda page, _other, rng: page[:2_048] + rng.randbytes(2_048),
    "torn at the start": lambda page, _other, rng: rng.randbytes(512) + page[512:],
    "misdirected": lambda _page, other, _rng: other,
    "one bit": lambda page, _other, rng: _flipped(page, rng.randrange(8 * len(page))),
}


def _flipped(page: bytes, bit: int) -> bytes:
    changed = bytearray(page)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal as one file: its log is folded in."""
    folder = tmp_path_factory.mktemp("good")
    write_journal(folder / "first")
    write_backup(folder / "first", folder / JOURNAL_NAME, GENESIS, CONTRACTS)
    return folder / JOURNAL_NAME


@pytest.fixture(scope="module")
def answers(good: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    return dict(_answers(_copy(good, tmp_path_factory.mktemp("copy"))))


def _copy(good: Path, folder: Path) -> Path:
    shutil.copyfile(good, folder / JOURNAL_NAME)
    return folder


def _answers(folder: Path) -> Iterator[tuple[str, object]]:
    """Yield everything that a journal answers; where it finds damage, nothing."""
    try:
        journal = Journal(folder, NETWORK)
    except FOUND:
        return
    with journal:
        questions: dict[str, Callable[[], object]] = {
            "restore": lambda: journal.restore(GENESIS, 20),
            "restore, two milestones deep": lambda: journal.restore(GENESIS, 2),
            "latest": journal.latest_milestone,
            "counts": journal.counts,
            "meters": journal.meters,
            "readings": lambda: journal.readings(DEVICE, 0, READINGS),
            "own": lambda: journal.own_unreferenced(ALICE.public),
            "unreferenced batches": journal.unreferenced_batches,
            "confirmed readings": journal.confirmed_readings,
            "halted": journal.halted,
        }
        for index in range(1, MILESTONES + 1):
            questions[f"milestone {index}"] = partial(journal.milestone, index)
            questions[f"cone {index}"] = partial(journal.referenced_by, index)
        for name, question in questions.items():
            try:
                yield name, question()
            except FOUND:
                continue


def _faults(folder: Path) -> int:
    try:
        with open_offline(folder, NETWORK) as reader:
            return inspect(reader, GENESIS, CONTRACTS, signatures=True).fault_count
    except FOUND:
        return 1


NO_PAGE: Final = ("random", "zeros", "torn at the start")
"""SQLite itself notices these, whatever is asked."""


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_page_that_changes_an_answer_is_found(
    good: Path, answers: dict[str, object], tmp_path: Path, damage: str
) -> None:
    data, rng = good.read_bytes(), Random(damage)
    pages = [data[at : at + PAGE] for at in range(0, len(data), PAGE)]
    wrong: list[str] = []
    unnoticed: list[str] = []
    for number, page in enumerate(pages):
        for attempt in range(SEEDS):
            other = rng.choice([one for one in pages if one != page])
            folder = tmp_path / f"{number}-{attempt}"
            folder.mkdir()
            spoilt = [*pages[:number], DAMAGES[damage](page, other, rng), *pages[number + 1 :]]
            (folder / JOURNAL_NAME).write_bytes(b"".join(spoilt))
            faults, given = _faults(folder), dict(_answers(folder))
            here = [name for name in given if given[name] != answers[name]]
            wrong += [f"page {number}: {name}" for name in here]
            unnoticed += [f"page {number}: {name}" for name in here if not faults]

    assert unnoticed == []
    if damage in NO_PAGE:
        assert wrong == []


def test_bytes_of_another_transaction_are_an_error_when_read(good: Path, tmp_path: Path) -> None:
    folder = _copy(good, tmp_path)
    with closing(sqlite3.connect(folder / JOURNAL_NAME)) as connection, connection:
        connection.execute(
            "UPDATE bodies SET data = (SELECT data FROM bodies WHERE number = 3) WHERE number = 2"
        )
        tx_id = connection.execute("SELECT tx_id FROM transactions WHERE number = 2").fetchone()[0]

    with Journal(folder, NETWORK) as journal:
        with pytest.raises(DamagedStoreError, match="its bytes are"):
            journal.transaction(tx_id)
        with pytest.raises(DamagedStoreError, match="its bytes are"):
            journal.restore(GENESIS, 20)


def test_a_node_does_not_start_upon_rows_that_are_not_those_of_its_milestone(
    good: Path, tmp_path: Path
) -> None:
    folder = _copy(good, tmp_path)
    with Journal(folder, NETWORK) as journal:
        sound = NodeCore(GENESIS, CONTRACTS, journal.restore(GENESIS, 20))
        _verify_state(sound, journal)
    with closing(sqlite3.connect(folder / JOURNAL_NAME)) as connection, connection:
        connection.execute("DELETE FROM ledger WHERE key = CAST('network' AS BLOB)")

    with Journal(folder, NETWORK) as journal:
        spoilt = NodeCore(GENESIS, CONTRACTS, journal.restore(GENESIS, 20))
        with pytest.raises(DamagedStoreError, match="after milestone 6 it is"):
            _verify_state(spoilt, journal)


def test_a_damaged_journal_is_healed_by_its_backup(
    good: Path, answers: dict[str, object], tmp_path: Path
) -> None:
    folder = _copy(good, tmp_path)
    with (folder / JOURNAL_NAME).open("r+b") as file:
        file.seek(2 * PAGE)
        file.write(Random(1).randbytes(PAGE))
    assert _faults(folder)

    restore_backup(good, folder, GENESIS, CONTRACTS, accepts_loss=True)

    assert dict(_answers(folder)) == answers
    assert _faults(folder) == 0
