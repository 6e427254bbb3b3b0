"""What is left of a damaged journal is saved, and the peers have the rest."""

import shutil
from pathlib import Path
from random import Random

import pytest

from api.contracts import CONTRACTS
from edge.ground.spans import size
from edge.journal.backups import write_backup
from edge.journal.carving import carve
from edge.journal.entries import Batch, FormedBatch, TakenReading
from edge.journal.inspection import inspect
from edge.journal.journal import Journal
from edge.journal.offline import open_offline
from edge.journal.salvage import Salvaged, salvage
from edge.journal.sealing import NONCE_SIZE, SaltedReading, seal, sealing_key
from edge.journal.storage import JOURNAL_NAME
from tangle.address import Address
from tangle.effects import Halted, PeerId
from tangle.errors import DamagedStoreError, StorageError
from tangle.ranges import ReadingRange
from tangle.transaction import TransactionId
from tests.edge.journal.test_older_backup import NETWORK as HOME_NETWORK
from tests.edge.journal.test_older_backup import confirm_all, history, take
from tests.edge.making import DEVICE, GENESIS, NETWORK, NODE, OTHER_DEVICE, OTHER_NODE
from tests.edge.meters.test_metering import DEVICE as METER
from tests.edge.meters.test_metering import Home
from tests.tangle.cores import EDGE, at
from tests.tangle.cores import GENESIS as HOME_GENESIS

KEY = sealing_key(NODE)
COUNT = 300
PAGE = 4_096
FORMED = FormedBatch(TransactionId(bytes([8]) * 32), DEVICE, 0, 200, 3)
HALTED = Halted(7, TransactionId(bytes([9]) * 32), "another root", (b"evidence",))


def sealed(device: Address, sequence: int, key: bytes = KEY) -> TakenReading:
    nonce = (sequence.to_bytes(8, "big") + device)[:NONCE_SIZE]
    return seal(key, device, sequence, SaltedReading(bytes(32), b"signed" * 25), nonce)


def readings(first: int, last: int) -> tuple[TakenReading, ...]:
    return tuple(
        sealed(device, n) for n in range(first, last + 1) for device in (DEVICE, OTHER_DEVICE)
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with Journal(tmp_path / "data", NETWORK) as journal:
        journal.restore(GENESIS, 20)
        journal.commit(Batch(readings=readings(0, COUNT - 1), formed=(FORMED,), halted=HALTED))
    return tmp_path / "data"


def saved(folder: Path, *also: Path) -> Salvaged:
    return salvage(folder, also, GENESIS, KEY)


def spoil(folder: Path, share: float, seed: int = 1) -> None:
    """Overwrite the second half of some pages of a journal."""
    rng, file = Random(seed), folder / JOURNAL_NAME
    data = bytearray(file.read_bytes())
    for page in range(1, len(data) // PAGE):
        if rng.random() < share:
            data[page * PAGE + PAGE // 2 : (page + 1) * PAGE] = rng.randbytes(PAGE // 2)
    file.write_bytes(data)


def sound(folder: Path) -> None:
    with open_offline(folder, NETWORK) as reader:
        found = inspect(reader, GENESIS, CONTRACTS, signatures=False, sealing_key=KEY)
    assert found.faults == []
    assert found.opened == found.readings


def test_every_reading_of_a_journal_without_a_first_page_is_saved(folder: Path) -> None:
    data = bytearray((folder / JOURNAL_NAME).read_bytes())
    data[:PAGE] = bytes(PAGE)
    (folder / JOURNAL_NAME).write_bytes(data)

    found = saved(folder)

    spans = ((0, COUNT - 1),)
    assert found.meters == {DEVICE: spans, OTHER_DEVICE: spans}
    assert (found.readings, found.unopened, found.is_halt_known) == (2 * COUNT, 0, False)
    assert found.aside == folder / f"{JOURNAL_NAME}.replaced-1"
    sound(folder)
    with Journal(folder, NETWORK) as journal:
        assert journal.readings(DEVICE, 0, COUNT) == [sealed(DEVICE, n) for n in range(COUNT)]
        assert journal.batches_holding(DEVICE, 5) == [FORMED]


@pytest.mark.parametrize("seed", range(3))
def test_half_a_page_keeps_its_readings_and_a_backup_has_others(folder: Path, seed: int) -> None:
    backup = folder.parent / "backup"
    shutil.copyfile(folder / JOURNAL_NAME, backup)
    spoil(folder, 0.7, seed)
    copy = Path(shutil.copytree(folder, folder.parent / "copy"))

    alone, with_backup = saved(folder), saved(copy, backup)

    assert 0 < alone.readings < 2 * COUNT
    assert sum(map(size, alone.meters.values())) == alone.readings
    assert any(len(spans) > 1 for spans in alone.meters.values())
    assert with_backup.readings == 2 * COUNT
    sound(folder)
    sound(copy)


def test_what_lies_in_the_log_alone_is_saved(folder: Path, tmp_path: Path) -> None:
    with Journal(folder, NETWORK) as journal:
        journal.commit(Batch(readings=(sealed(DEVICE, COUNT),)))
        shutil.copytree(folder, tmp_path / "killed")

    found = saved(tmp_path / "killed")

    assert found.meters[DEVICE] == ((0, COUNT),)


def test_a_halt_is_kept(folder: Path) -> None:
    assert saved(folder).is_halt_known

    with Journal(folder, NETWORK) as journal:
        assert journal.halted() == HALTED


def test_what_was_forgotten_on_purpose_does_not_come_back(folder: Path) -> None:
    first = COUNT - 20
    with Journal(folder, NETWORK) as journal:
        journal.leaving.forget({DEVICE: first, OTHER_DEVICE: first})

    found = saved(folder)

    assert found.meters == dict.fromkeys((DEVICE, OTHER_DEVICE), ((first, COUNT - 1),))


def test_readings_under_another_key_are_left_out(folder: Path) -> None:
    other = sealed(DEVICE, COUNT, sealing_key(OTHER_NODE))
    with Journal(folder, NETWORK) as journal:
        journal.commit(Batch(readings=(other,)))

    found = saved(folder)

    assert found.unopened == 1
    assert found.meters[DEVICE] == ((0, COUNT - 1),)


def test_where_there_is_no_reading_nothing_is_changed(tmp_path: Path) -> None:
    (tmp_path / JOURNAL_NAME).write_bytes(b"L" * 10_000)

    with pytest.raises(DamagedStoreError, match="no reading that could be saved"):
        saved(tmp_path)

    assert (tmp_path / JOURNAL_NAME).read_bytes() == b"L" * 10_000


def test_a_journal_whose_node_runs_is_left_alone(folder: Path) -> None:
    with Journal(folder, NETWORK), pytest.raises(StorageError, match="holds it"):
        saved(folder)


def test_chance_makes_no_reading() -> None:
    assert list(carve(Random(5).randbytes(500_000))) == []
    assert list(carve(b"\x05\x4c")) == []


def test_a_home_edge_is_healed_by_its_peers_and_commits_to_nothing_twice(tmp_path: Path) -> None:
    home = Home(tmp_path / "edge")
    take(home, 0, 2)
    take(home, 3, 5)
    home.journal.close()
    peers_have = history(tmp_path / "edge")
    write_backup(tmp_path / "edge", tmp_path / "whole", HOME_GENESIS, CONTRACTS)
    spoil(tmp_path / "edge", 1.0)
    with pytest.raises(DamagedStoreError), Journal(tmp_path / "edge", HOME_NETWORK) as damaged:
        damaged.verify()

    salvage(tmp_path / "edge", [tmp_path / "whole"], HOME_GENESIS, sealing_key(EDGE))
    healed = Home(tmp_path / "edge")
    healed.now_ms = home.now_ms + 10_000
    for data in peers_have:
        now = at(healed.now_ms)
        healed.executor.carry_out(healed.core.receive(PeerId(bytes(32)), data, now), now)
    take(healed, 6, 7)
    confirm_all(healed)

    applied = healed.journal.confirmed_readings()[METER]
    assert healed.committed() == (ReadingRange(0, 7),)
    assert sorted((one.first_sequence, one.last_sequence) for one in applied) == [
        (0, 2),
        (3, 5),
        (6, 7),
    ]
    healed.journal.close()
