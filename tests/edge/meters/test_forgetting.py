"""When readings leave: only what is old, settled, and whose transaction has left before."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from api.contracts import CONTRACTS
from edge.journal.entries import Batch, FormedBatch, TakenReading
from edge.journal.inspection import inspect
from edge.journal.journal import PRUNED_THROUGH, Journal
from edge.journal.offline import open_offline
from edge.journal.sealing import NONCE_SIZE, SaltedReading, seal, sealing_key
from edge.meters import forgetting
from edge.meters.forgetting import HOUR_MS, Forgetting, Retention, settled_from
from tangle.address import Address
from tangle.genesis import network_id
from tangle.keys import SigningKey
from tangle.ranges import ReadingRange, ReadingRanges
from tangle.transaction import TransactionId
from tests.community import START_MS
from tests.edge.making import (
    DEVICE,
    METER,
    NETWORK,
    NODE,
    OTHER_DEVICE,
    OTHER_METER,
    SALT,
    SLOT_MS,
    arrival,
    posted,
)
from tests.edge.meters.test_metering import DEVICE as HOMED
from tests.edge.meters.test_metering import Home, reading, until
from tests.tangle.cores import EDGE
from tests.tangle.cores import GENESIS as NETWORK_GENESIS

KEY = sealing_key(NODE)
DEPTH = NETWORK_GENESIS.parameters.reference_depth
PER_HOUR = HOUR_MS // SLOT_MS
COUNT = 20
KEEP_2 = Retention(2, KEY)
NOW_MS = COUNT * SLOT_MS
"""The end of the last reading, so that two hours keep the last nine: one ends just then."""

ALL = {DEVICE: ReadingRanges((ReadingRange(0, COUNT - 1),))}


def taken(sequence: int, key: SigningKey = METER, device: Address = DEVICE) -> TakenReading:
    content = SaltedReading(SALT, posted(sequence, key=key))
    return seal(KEY, device, sequence, content, bytes(NONCE_SIZE))


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "STEP_PAUSE_S", 0)
    monkeypatch.setattr(forgetting, "STEP_READINGS", 3)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """Twenty quarter hours of one meter; the batches' transactions were pruned long ago."""
    with Journal(tmp_path, NETWORK) as opened:
        formed = tuple(
            FormedBatch(TransactionId(bytes([at]) * 32), DEVICE, at, at + 4, at)
            for at in range(0, COUNT, 5)
        )
        opened.commit(Batch(readings=tuple(map(taken, range(COUNT))), formed=formed))
        yield opened


def forget(
    journal: Journal,
    retention: Retention = KEEP_2,
    rows: dict[Address, ReadingRanges] = ALL,
    now_ms: int = NOW_MS,
) -> int:
    task = Forgetting(
        journal, retention, lambda device: rows.get(device, ReadingRanges()), lambda: now_ms
    )
    return asyncio.run(task.run_once())


def test_old_readings_leave_and_are_still_counted(journal: Journal) -> None:
    removed = forget(journal)

    kept = 2 * PER_HOUR + 1
    assert removed == COUNT - kept
    assert journal.meters() == {DEVICE: ((COUNT - kept, COUNT - 1),)}
    assert [one.sequence for one in journal.readings(DEVICE, 0, COUNT)] == [*range(11, COUNT)]
    assert journal.leaving.forgotten() == {DEVICE: COUNT - kept}
    assert journal.counts().readings == kept
    assert forget(journal) == 0


def test_they_go_on_leaving(journal: Journal) -> None:
    forget(journal)

    assert forget(journal, now_ms=NOW_MS + HOUR_MS) == PER_HOUR
    assert journal.leaving.forgotten() == {DEVICE: 11 + PER_HOUR}


def test_the_newest_reading_of_a_meter_always_stays(journal: Journal) -> None:
    forget(journal, now_ms=NOW_MS + 1_000 * HOUR_MS)

    assert journal.meters() == {DEVICE: ((COUNT - 1, COUNT - 1),)}


def test_what_says_in_which_batch_a_reading_was_leaves_with_it(journal: Journal) -> None:
    forget(journal)

    assert journal.batches_holding(DEVICE, 4) == []
    assert [one.first_sequence for one in journal.batches_holding(DEVICE, 11)] == [10]


@pytest.mark.parametrize(
    ("retention", "rows"),
    [
        pytest.param(Retention(0, KEY), ALL, id="everything is to be kept"),
        pytest.param(Retention(5, KEY), ALL, id="nothing is old enough"),
        pytest.param(KEEP_2, {}, id="nothing is settled"),
        pytest.param(
            KEEP_2, {DEVICE: ReadingRanges((ReadingRange(1, 19),))}, id="the oldest is not settled"
        ),
    ],
)
def test_nothing_leaves_if(
    journal: Journal, retention: Retention, rows: dict[Address, ReadingRanges]
) -> None:
    assert forget(journal, retention, rows) == 0
    assert journal.meters() == {DEVICE: ((0, COUNT - 1),)}


def test_what_is_not_settled_stays_and_all_above_it(journal: Journal) -> None:
    rows = {DEVICE: ReadingRanges((ReadingRange(0, 4), ReadingRange(6, 19)))}

    assert forget(journal, rows=rows) == 5
    assert journal.meters()[DEVICE] == ((5, COUNT - 1),)


def test_a_reading_stays_while_the_transaction_that_commits_to_it_is_here(
    journal: Journal,
) -> None:
    transaction = arrival(1)
    formed = FormedBatch(transaction.tx_id, DEVICE, 7, 9, 99)
    journal.commit(Batch(arrivals=(transaction,), formed=(formed,)))

    assert forget(journal) == 7
    assert journal.meters()[DEVICE] == ((7, COUNT - 1),)


def test_what_was_lost_with_a_disk_holds_up_nothing(journal: Journal) -> None:
    anew = replace(taken(COUNT + 3), begins_anew=True)
    journal.commit(Batch(readings=(anew, *map(taken, range(COUNT + 4, COUNT + 30)))))
    rows = {
        DEVICE: ReadingRanges((ReadingRange(0, COUNT - 1), ReadingRange(COUNT + 3, COUNT + 20)))
    }

    removed = forget(journal, rows=rows, now_ms=1_000 * HOUR_MS)

    assert removed == COUNT + 18
    assert journal.meters() == {DEVICE: ((COUNT + 21, COUNT + 29),)}
    assert journal.leaving.forgotten() == {DEVICE: removed}


def test_each_meter_is_judged_for_itself(journal: Journal) -> None:
    young = tuple(taken(at, OTHER_METER, OTHER_DEVICE) for at in range(18, COUNT))
    journal.commit(Batch(readings=young))
    rows = {**ALL, OTHER_DEVICE: ReadingRanges((ReadingRange(18, 19),))}

    forget(journal, rows=rows)

    assert journal.meters() == {DEVICE: ((11, 19),), OTHER_DEVICE: ((18, 19),)}
    assert journal.leaving.forgotten() == {DEVICE: 11}


@pytest.mark.parametrize(
    ("ranges", "first", "expected"),
    [
        pytest.param((), 4, 4, id="nothing is taken"),
        pytest.param((ReadingRange(0, 9),), 4, 10, id="within a range"),
        pytest.param((ReadingRange(5, 9),), 4, 4, id="just before a range"),
        pytest.param((ReadingRange(0, 3),), 4, 4, id="just after a range"),
        pytest.param((ReadingRange(0, 1), ReadingRange(4, 4)), 4, 5, id="in a later range"),
    ],
)
def test_settled_is_what_the_ledger_shows_without_a_gap(
    ranges: tuple[ReadingRange, ...], first: int, expected: int
) -> None:
    assert settled_from(ReadingRanges(ranges), first) == expected


def prune_and_forget(home: Home) -> int:
    """Let all leave that may, as the keeper of a node does much later; return the readings."""
    pruned = home.core.confirmed_index - DEPTH
    home.journal.set_counter(PRUNED_THROUGH, pruned)
    while home.journal.prune(pruned, 100):
        pass
    task = Forgetting(
        home.journal,
        Retention(1, sealing_key(EDGE)),
        lambda _: ReadingRanges(home.committed()),
        lambda: START_MS + 100 * HOUR_MS,
    )
    return asyncio.run(task.run_once())


def test_a_node_goes_on_after_its_readings_have_left(tmp_path: Path) -> None:
    home = Home(tmp_path)
    network = home.core.rules.network

    async def first() -> None:
        home.post(*(reading(network, at) for at in range(6)))
        await home.register()
        await until(lambda: home.core.graph.tip_count > 0)
        for _ in range(DEPTH + 5):
            home.confirm()

    async def then() -> None:
        home.post(reading(network, 2), reading(network, 6))
        await until(lambda: home.core.graph.tip_count > 0)
        home.confirm()
        await until(lambda: home.link.receipts[-1] == 6)

    home.run(first)
    before = home.committed()
    removed = prune_and_forget(home)
    home.start()
    home.run(then)

    assert before == (ReadingRange(0, 5),)
    assert removed == 5
    assert home.journal.meters() == {HOMED: ((5, 6),)}
    assert home.committed() == (ReadingRange(0, 6),)
    assert home.link.receipts[-1] == 6
    home.journal.close()
    with open_offline(tmp_path, network_id(NETWORK_GENESIS)) as stored:
        found = inspect(stored, NETWORK_GENESIS, CONTRACTS, signatures=True)
    assert found.faults == []
