"""After a long stop: what is over is settled in one go, as it would have been one by one."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from edge.journal.sealing import SaltedReading
from edge.mesh.slot_sums import SumsQuery
from edge.settlement import homes, settling
from edge.settlement.settling import Settling
from tangle.address import Address
from tangle.effects import PeerId
from tests.edge.settling_home import (
    ANNA,
    BERT,
    DEADLINE_S,
    FIRST_MS,
    HOUR_MS,
    METERS,
    UNIT,
    UNIT_ADDRESS,
    SettlingHome,
)
from tests.edge.settling_village import STRANGER

HOURS = 150
METERS_READ = (METERS[ANNA], METERS[BERT], UNIT)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[SettlingHome]:
    home = SettlingHome(tmp_path)
    home.found()
    yield home
    home.journal.close()


def night_off(home: SettlingHome) -> None:
    """Let everything be off for days: one reading of it from each meter, then one an hour."""
    for meter in METERS_READ:
        home.read(meter, 0, FIRST_MS, (0, 0))
    for meter in METERS_READ[:2]:
        home.read(meter, 1, FIRST_MS + HOURS * HOUR_MS, (HOURS * 400, 0), "estimated")
    home.read(UNIT, 1, FIRST_MS + HOURS * HOUR_MS, (0, 0))
    for number in range(1, HOURS + 1):
        for meter in METERS_READ:
            end_ms = FIRST_MS + (HOURS + number) * HOUR_MS
            home.read(meter, 1 + number, end_ms, (HOURS * 400, 0) if meter != UNIT else (0, 0))
    home.confirm(FIRST_MS + HOURS * HOUR_MS + 1_000)


async def until(settling: Settling, is_done: Callable[[], bool]) -> int:
    """Let settling run beside other work until something holds; say how often that had a turn."""
    turns = 0
    running = asyncio.create_task(settling.run())
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not is_done() and not running.done():
                await asyncio.sleep(0)
                turns += 1
    finally:
        running.cancel()
        await asyncio.wait([running])
    return turns


def caught_up(home: SettlingHome) -> Callable[[], bool]:
    return lambda: home.state().through_ms >= FIRST_MS + HOURS * HOUR_MS


def test_periods_that_are_over_are_settled_one_after_the_other_without_a_look_between(
    home: SettlingHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "LOOK_S", 10 * DEADLINE_S)
    night_off(home)

    turns = asyncio.run(until(home.settling, caught_up(home)))

    shared = home.shared()
    assert [one.end_ms for one in shared] == [
        FIRST_MS + number * HOUR_MS for number in range(HOURS + 1)
    ]
    assert sum(one.import_wh for period in shared for one in period.members) == 2 * HOURS * 400
    assert turns > len(shared), "others have a turn after each period"


def test_steps_one_by_one_come_to_the_same(home: SettlingHome, tmp_path: Path) -> None:
    stepped = SettlingHome(tmp_path / "stepped")
    stepped.found()
    night_off(home)
    night_off(stepped)

    asyncio.run(until(home.settling, caught_up(home)))
    while not caught_up(stepped)():
        stepped.step()

    assert home.periods() == stepped.periods()
    assert home.shared() == stepped.shared()
    stepped.journal.close()


def test_what_came_after_a_period_is_not_read_for_it(
    home: SettlingHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or each of thousands of periods would open all that the meters handed over since."""
    monkeypatch.setattr(homes, "PAGE", 4)
    opened: list[int] = []

    def counting(device: Address, first: int, last: int) -> Iterable[tuple[int, SaltedReading]]:
        for sequence, one in SettlingHome.opened(home, device, first, last):
            opened.append(sequence)
            yield sequence, one

    monkeypatch.setattr(home, "opened", counting)
    night_off(home)
    home.start()
    asyncio.run(until(home.settling, caught_up(home)))

    periods = len(home.periods())
    # for each meter: whether it has told of all, and what it told of the period
    assert len(opened) <= periods * len(METERS_READ) * (1 + 4)


def test_what_a_peer_says_is_looked_at_at_once(
    home: SettlingHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "LOOK_S", 10 * DEADLINE_S)
    said = 0

    def answered() -> int:
        return home.settling.stand().counts["refused"]

    def is_done() -> bool:
        nonlocal said
        if answered() == said < 3:  # else the first look of all would find it
            said += 1
            query = SumsQuery(UNIT_ADDRESS, 0, 0)
            home.executor.hear([(PeerId(STRANGER.public), query)], home.clock.instant())
        return answered() == 3

    asyncio.run(until(home.settling, is_done))

    assert answered() == 3
