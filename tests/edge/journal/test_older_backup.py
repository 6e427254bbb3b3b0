"""A home edge that starts from a backup older than what it receipted: nothing is done by hand."""

import asyncio
import shutil
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from api.contracts import CONTRACTS
from edge.journal.backups import restore_backup, write_backup
from edge.journal.inspection import inspect
from edge.journal.journal import Journal
from edge.journal.offline import open_offline
from edge.meters.batches import RETRY_MS
from edge.meters.intake import RESUME_PATIENCE_MS, RESUME_ROUNDS
from tangle.effects import PeerId
from tangle.genesis import network_id
from tangle.ranges import ReadingRange
from tests.edge.meters.test_metering import DEVICE, Home, reading, until
from tests.tangle.cores import GENESIS, at

PEER = PeerId(bytes([7]) * 32)
NETWORK = network_id(GENESIS)


def run(home: Home, scenario: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run the metering beside a scenario, on a loop of its own."""
    home.link.posted = asyncio.Queue()
    home.run(scenario)


def take(home: Home, first: int, last: int) -> None:
    """Let a meter post readings, have them journalled, and confirmed too."""

    async def scenario() -> None:
        home.post(*(reading(NETWORK, number) for number in range(first, last + 1)))
        if first == 0:
            await home.register()
        await until(lambda: home.metering.batcher.waiting_count == 0 and home.own_pending() > 0)
        home.confirm()

    run(home, scenario)


def history(folder: Path) -> list[bytes]:
    """Return all that a peer has, in the ledger's order."""
    with Journal(folder, NETWORK) as journal:
        latest = journal.latest_milestone()
        assert latest is not None
        ordered = [
            one.data for index in range(1, latest.index + 1) for one in journal.referenced_by(index)
        ]
        last = journal.transaction(latest.milestone_id)
        assert last is not None
        return [*ordered, last.data]


@pytest.fixture
def lost(tmp_path: Path) -> tuple[Path, list[bytes]]:
    """The folder of an edge restored from a backup, and what its peers have.

    Readings 0 to 2 are in the backup; 3 to 5 are committed on the ledger, 6 and 7 had a receipt.
    """
    home = Home(tmp_path / "edge")
    take(home, 0, 2)
    write_backup(tmp_path / "edge", tmp_path / "backup", GENESIS, CONTRACTS)
    take(home, 3, 5)

    async def receipted() -> None:
        home.post(reading(NETWORK, 6), reading(NETWORK, 7))
        await until(lambda: home.link.receipts[-1] == 7)

    run(home, receipted)
    home.journal.close()
    shutil.copytree(tmp_path / "edge", tmp_path / "peer")
    restore_backup(tmp_path / "backup", tmp_path / "edge", GENESIS, CONTRACTS, accepts_loss=True)
    return tmp_path / "edge", history(tmp_path / "peer")


def begin_rounds(home: Home, *sequences: int) -> None:
    """Let the meter post its oldest readings often enough and for long enough."""

    async def scenario() -> None:
        for _ in range(RESUME_ROUNDS + 1):
            before = home.metering.intake.counts.total()
            home.post(*(reading(NETWORK, number) for number in sequences))
            await until(lambda: home.metering.intake.counts.total() > before)  # noqa: B023
            home.now_ms += RESUME_PATIENCE_MS // RESUME_ROUNDS

    run(home, scenario)


def confirm_all(home: Home) -> None:
    """Let all batches be confirmed; what is refused is formed anew after a pause."""

    async def scenario() -> None:
        for _ in range(3):
            home.now_ms += RETRY_MS
            await until(lambda: home.metering.batcher.waiting_count == 0)
            home.confirm()

    run(home, scenario)


@pytest.mark.parametrize("catches_up_first", [True, False])
def test_the_meter_goes_on_and_nothing_counts_twice(
    lost: tuple[Path, list[bytes]], catches_up_first: bool
) -> None:
    folder, peers_have = lost
    home = Home(folder)
    home.now_ms += 10_000
    assert home.journal.meters() == {DEVICE: ((0, 2),)}

    def catch_up() -> None:
        for data in peers_have:
            now = at(home.now_ms)
            home.executor.carry_out(home.core.receive(PEER, data, now), now)

    if catches_up_first:
        catch_up()
    begin_rounds(home, 8, 9)
    if not catches_up_first:
        catch_up()

    confirm_all(home)

    assert home.core.halted is None
    assert home.journal.meters() == {DEVICE: ((0, 2), (8, 9))}
    assert home.committed() == (ReadingRange(0, 5), ReadingRange(8, 9))
    applied = home.journal.confirmed_readings()[DEVICE]
    assert sorted((one.first_sequence, one.last_sequence) for one in applied) == [
        (0, 2),
        (3, 5),
        (8, 9),
    ]
    home.journal.close()
    assert_sound(folder)


def assert_sound(folder: Path) -> None:
    with open_offline(folder, NETWORK) as reader:
        found = inspect(reader, GENESIS, CONTRACTS, signatures=False)
    assert found.faults == []
    assert found.gaps == [f"{DEVICE.hex()}: 3 to 7"]


def test_the_new_start_survives_a_restart(lost: tuple[Path, list[bytes]]) -> None:
    home = Home(lost[0])
    begin_rounds(home, 8, 9)
    home.start()

    async def more() -> None:
        assert home.link.receipts == [9]
        home.post(reading(NETWORK, 9), reading(NETWORK, 10))
        await until(lambda: home.link.receipts[-1] == 10)

    run(home, more)

    assert home.journal.meters() == {DEVICE: ((0, 2), (8, 10))}
    assert [one.sequence for one in home.journal.readings(DEVICE, 0, 20)] == [0, 1, 2, 8, 9, 10]
    home.journal.close()


def test_what_the_meter_still_has_is_taken_and_not_committed_to_again(
    lost: tuple[Path, list[bytes]],
) -> None:
    home = Home(lost[0])

    async def scenario() -> None:
        home.post(*(reading(NETWORK, number) for number in range(3, 9)))
        await until(lambda: home.link.receipts[-1] == 8)

    for data in lost[1]:
        home.executor.carry_out(home.core.receive(PEER, data, at(10_000)), at(10_000))
    run(home, scenario)
    confirm_all(home)

    applied = [
        (one.first_sequence, one.last_sequence) for one in home.journal.confirmed_readings()[DEVICE]
    ]
    assert home.journal.meters() == {DEVICE: ((0, 8),)}
    assert home.committed() == (ReadingRange(0, 8),)
    assert sorted(applied) == [(0, 2), (3, 5), (6, 8)]
    home.journal.close()
