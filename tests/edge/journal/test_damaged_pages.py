"""Pages that are no longer what was written: named at the start, when read or by the sweep.

Compared is every answer with that of the good journal.
"""

import asyncio
import os
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
from edge.journal.backups import restore_backup, write_backup
from edge.journal.entries import Batch
from edge.journal.inspection import inspect
from edge.journal.journal import Journal
from edge.journal.offline import open_offline
from edge.journal.storage import JOURNAL_NAME
from edge.journal.sweeping import Sweeping
from edge.runtime import verify_state
from tangle.effects import Confirmed
from tangle.errors import DamagedStoreError, ForeignStoreError, StorageError
from tangle.node import NodeCore
from tangle.outcomes import NoValue
from tests.api.recorded_journal import DEVICE, MILESTONES, READINGS, write_journal
from tests.api.small_node import ALICE, GENESIS, NETWORK

PAGE: Final = 4_096
ATTEMPTS: Final = 20 if os.environ.get("TANGLEWATT_NIGHTLY") == "1" else 2
FOUND: Final = (DamagedStoreError, ForeignStoreError, StorageError)

Started = dict[str, object]
"""Every answer of a journal, by its question."""

Damage = Callable[[bytes, bytes, Random], bytes]
"""Makes the bytes of a page from its own, another page's, and chance."""

DAMAGES: Final[dict[str, Damage]] = {
    "random": lambda page, _other, rng: rng.randbytes(len(page)),
    "zeros": lambda page, _other, _rng: bytes(len(page)),
    "torn": lambda page, _other, rng: page[:2_048] + rng.randbytes(2_048),
    "torn at the start": lambda page, _other, rng: rng.randbytes(512) + page[512:],
    "misdirected": lambda _page, other, _rng: other,
    "one byte": lambda page, _other, rng: _changed(page, rng),
    "one bit": lambda page, _other, rng: _flipped(page, rng.randrange(8 * len(page))),
}


def _changed(page: bytes, rng: Random) -> bytes:
    changed = bytearray(page)
    changed[rng.randrange(len(page))] ^= rng.randrange(1, 256)
    return bytes(changed)


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
def answers(good: Path, tmp_path_factory: pytest.TempPathFactory) -> Started:
    with Journal(_copy(good, tmp_path_factory.mktemp("copy")), NETWORK) as journal:
        return {name: question() for name, question in _questions(journal).items()}


def _copy(good: Path, folder: Path) -> Path:
    shutil.copyfile(good, folder / JOURNAL_NAME)
    return folder


def _questions(journal: Journal) -> dict[str, Callable[[], object]]:
    """Return everything that a journal answers."""
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
        "reviews": journal.reviews,
        "pending": lambda: journal.pending(0, 100),
        "committed": journal.committed_ranges,
    }
    for index in range(1, MILESTONES + 1):
        questions[f"milestone {index}"] = partial(journal.milestone, index)
        questions[f"cone {index}"] = partial(journal.referenced_by, index)
        questions[f"pieces {index}"] = partial(journal.cone, index, 1, 100)
        questions[f"bytes {index}"] = partial(journal.milestone_bytes, index)
    return questions


def _answers(journal: Journal) -> Iterator[tuple[str, object]]:
    """Yield everything that a journal answers; where it finds damage, nothing."""
    for name, question in _questions(journal).items():
        try:
            yield name, question()
        except FOUND:
            continue


def _start(folder: Path) -> Started | None:
    """Start as a node does and ask all there is; `None` if that ends with a named damage."""
    try:
        with Journal(folder, NETWORK) as journal:
            journal.verify()
            core = NodeCore(GENESIS, CONTRACTS, journal.restore(GENESIS, 20))
            verify_state(core, journal)
            return {name: question() for name, question in _questions(journal).items()}
    except FOUND:
        return None


def _faults(folder: Path) -> int:
    try:
        with open_offline(folder, NETWORK) as reader:
            return inspect(reader, GENESIS, CONTRACTS, signatures=True).fault_count
    except FOUND:
        return 1


def _damaged(good: Path, damage: str, attempts: int) -> Iterator[tuple[int, bytes]]:
    """Yield the number of each page in turn, and the file with that page damaged."""
    data, rng = good.read_bytes(), Random(damage)
    pages = [data[at : at + PAGE] for at in range(0, len(data), PAGE)]
    for number, page in enumerate(pages):
        for _ in range(attempts):
            other = rng.choice([one for one in pages if one != page])
            spoilt = DAMAGES[damage](page, other, rng)
            yield number, b"".join([*pages[:number], spoilt, *pages[number + 1 :]])


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_node_starts_with_every_answer_right_or_not_at_all(
    good: Path, answers: Started, tmp_path: Path, damage: str
) -> None:
    wrong, refused = [], 0
    for number, data in _damaged(good, damage, ATTEMPTS):
        folder = tmp_path / "node"
        folder.mkdir()
        (folder / JOURNAL_NAME).write_bytes(data)
        given = _start(folder)
        refused += given is None
        wrong += [(number, name) for name in given or () if answers[name] != (given or {})[name]]
        shutil.rmtree(folder)

    assert wrong == []
    assert refused > 0


def _small_cache(journal: Journal) -> None:
    """Let a journal keep nothing in memory that it could read from its file."""
    journal._storage.rows("PRAGMA cache_size = 1")
    journal._storage.rows("PRAGMA shrink_memory")


@pytest.mark.parametrize("damage", ["one byte", "misdirected", "random"])
def test_a_running_node_gives_no_wrong_answer_that_a_sweep_does_not_find(
    good: Path, answers: Started, tmp_path: Path, damage: str
) -> None:
    with Journal(_copy(good, tmp_path), NETWORK) as journal:
        journal.verify()
        heard: list[DamagedStoreError] = []
        journal.on_damage(heard.append)
        unnoticed, named = [], 0
        for number, data in _damaged(good, damage, 1):
            journal.path.write_bytes(data)
            _small_cache(journal)
            heard.clear()
            given = dict(_answers(journal))
            wrong = [name for name in given if given[name] != answers[name]]
            named += bool(heard)
            if wrong and not heard and not _sweep_finds(journal.path):
                unnoticed.append((number, wrong))
            journal.path.write_bytes(good.read_bytes())
            _small_cache(journal)

    assert unnoticed == []
    assert named > 0


def _sweep_finds(path: Path) -> bool:
    try:
        asyncio.run(Sweeping(path).sweep_once())
    except FOUND:
        return True
    return False


@pytest.mark.parametrize(
    ("statement", "question"),
    [
        ("UPDATE transactions SET outcome = NULL WHERE position = 1", "cone 1"),
        ("UPDATE transactions SET position = position + 9 WHERE position = 3", "cone 2"),
        ("DELETE FROM transactions WHERE position = 3", "cone 2"),
        ("DELETE FROM transactions WHERE position = 3", "pieces 2"),
        ("DELETE FROM bodies WHERE number = 2", "confirmed readings"),
        ("UPDATE bodies SET data = data || x'00' WHERE number = 2", "confirmed readings"),
        ("UPDATE milestones SET timestamp_ms = 5", "latest"),
        ("UPDATE counters SET value = 1", "counts"),
        ("UPDATE meters SET last_sequence = 3", "meters"),
        ("UPDATE readings SET sealed = x'01' WHERE sequence = 4", "readings"),
        ("DELETE FROM readings WHERE sequence = 4", "readings"),
        ("UPDATE meta SET value = x'00' WHERE name = 'genesis'", "restore"),
    ],
)
def test_a_value_that_was_changed_is_named_when_it_is_read(
    good: Path, tmp_path: Path, statement: str, question: str
) -> None:
    folder = _copy(good, tmp_path)
    with closing(sqlite3.connect(folder / JOURNAL_NAME)) as connection, connection:
        assert connection.execute(statement).rowcount > 0

    with Journal(folder, NETWORK) as journal:
        heard: list[DamagedStoreError] = []
        journal.on_damage(heard.append)
        with pytest.raises(DamagedStoreError, match=JOURNAL_NAME) as caught:
            _questions(journal)[question]()

    assert heard == [caught.value]


def test_a_mark_is_never_made_upon_a_damaged_row(good: Path, tmp_path: Path) -> None:
    folder = _copy(good, tmp_path)
    with closing(sqlite3.connect(folder / JOURNAL_NAME)) as connection, connection:
        connection.execute(
            "UPDATE transactions SET attached_at_ms = 1 WHERE milestone_index IS NULL"
        )
        (tx_id,) = connection.execute(
            "SELECT tx_id FROM transactions WHERE milestone_index IS NULL"
        ).fetchone()
    last = Confirmed(MILESTONES + 1, tx_id, 1, ((tx_id, NoValue()),), {}, bytes(32))

    with Journal(folder, NETWORK) as journal:
        with pytest.raises(DamagedStoreError, match="a row of transactions"):
            journal.commit(Batch(confirmed=(last,)))
        latest = journal.latest_milestone()

    assert latest is not None
    assert latest.index == MILESTONES


def test_a_node_does_not_start_upon_rows_that_are_not_those_of_its_milestone(
    good: Path, tmp_path: Path
) -> None:
    folder = _copy(good, tmp_path)
    with Journal(folder, NETWORK) as journal:
        sound = NodeCore(GENESIS, CONTRACTS, journal.restore(GENESIS, 20))
        verify_state(sound, journal)
    with closing(sqlite3.connect(folder / JOURNAL_NAME)) as connection, connection:
        connection.execute("DELETE FROM ledger WHERE key = CAST('network' AS BLOB)")

    with Journal(folder, NETWORK) as journal:
        spoilt = NodeCore(GENESIS, CONTRACTS, journal.restore(GENESIS, 20))
        with pytest.raises(DamagedStoreError, match="after milestone 6 it is"):
            verify_state(spoilt, journal)


def test_a_damaged_journal_is_healed_by_its_backup(
    good: Path, answers: dict[str, object], tmp_path: Path
) -> None:
    folder = _copy(good, tmp_path)
    with (folder / JOURNAL_NAME).open("r+b") as file:
        file.seek(2 * PAGE)
        file.write(Random(1).randbytes(PAGE))
    assert _faults(folder)

    restore_backup(good, folder, GENESIS, CONTRACTS, accepts_loss=True)

    assert _start(folder) == answers
    assert _faults(folder) == 0
