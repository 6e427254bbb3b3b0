"""Two units that one key reports for, and homes that turn from one to the other."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from energy.governance.acts import RegisterUnit, SetParameter, Vote
from energy.governance.contract import vote_operation
from energy.powerchain.calls import Connect, Delegate, energy_operation
from energy.settlement.regimes import Storage
from energy.units import DAY_MS
from tests.community import VOTER, meter_key
from tests.edge.settling_home import (
    ANNA,
    BERT,
    FIRST_MS,
    HOUR_MS,
    OWNER,
    UNIT_ADDRESS,
    SettlingHome,
    whose,
)
from tests.tangle.cores import EDGE

SECOND = meter_key(3)
SECOND_ADDRESS = whose(SECOND)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[SettlingHome]:
    """Two batteries that let the node report; Anna shares one, Bert the other."""
    home = SettlingHome(tmp_path)
    home.delegating = (SECOND,)
    home.start()
    home.found()
    home.enrol(SECOND, OWNER)
    registered = Vote(RegisterUnit(SECOND_ADDRESS, whose(OWNER), 100_000), yes=True)
    home.act(VOTER, vote_operation(registered))
    home.act(SECOND, energy_operation(Delegate(whose(EDGE))))
    home.applied.clear()
    yield home
    home.journal.close()


def join(home: SettlingHome, *members: str) -> None:
    keys = {"anna": ANNA, "bert": BERT}
    for name in members:
        home.act(keys[name], energy_operation(Connect(SECOND_ADDRESS, whose(EDGE))))


def reads(home: SettlingHome, sequence: int, end_ms: int, wh: int) -> None:
    """Have all meters read; homes export, and batteries take, as much in all."""
    for key in (meter_key(0), meter_key(1)):
        home.read(key, sequence, end_ms, (0, wh))
    for key in (meter_key(9), SECOND):
        home.read(key, sequence, end_ms, (wh, 0))


def test_restarts_issue_no_report_of_either_unit_twice(home: SettlingHome) -> None:
    join(home, "bert")
    home.applied.clear()
    for number in range(3):
        reads(home, number, FIRST_MS + number * HOUR_MS, 1_000 * number)
    home.settle()

    for _ in range(2):
        home.confirm((home.clock.instant().ledger_ms // HOUR_MS + 1) * HOUR_MS + 1_000)
        for _ in range(6):
            for _ in range(3):
                home.start()
                home.step()
            home.confirm()

    assert home.ignored == []
    assert len(home.applied) == len(set(home.applied)) == 4
    stored = {one.unit: sum(row.charge_wh for row in one.members) for one in home.shared()}
    assert stored == {UNIT_ADDRESS: 1_000, SECOND_ADDRESS: 1_000}


def test_in_a_period_of_days_who_joins_another_unit_turns_with_the_next_period(
    home: SettlingHome,
) -> None:
    home.act(VOTER, vote_operation(Vote(SetParameter("settlement_period", 2 * DAY_MS), yes=True)))
    home.settle()
    reads(home, 0, FIRST_MS, 0)
    midnight_ms = FIRST_MS // DAY_MS * DAY_MS
    midnight_ms += DAY_MS * (1 + midnight_ms // DAY_MS % 2)

    for day in range(4):
        reads(home, day + 1, midnight_ms + day * DAY_MS, 1_000 * (day + 1))
        home.confirm(midnight_ms + day * DAY_MS + 1_000)
        home.report()
        if day == 0:
            join(home, "bert")

    regimes = {
        (period.start_ms - midnight_ms) // DAY_MS: row.regime
        for period in home.periods()
        for row in period.members
        if row.member == whose(BERT) and period.start_ms >= midnight_ms
    }
    unit, second = Storage(UNIT_ADDRESS), Storage(SECOND_ADDRESS)
    assert regimes == {0: unit, 1: unit, 2: second}
    ends = {one.end_ms for one in home.shared() if one.end_ms > midnight_ms}
    assert ends == {midnight_ms + 2 * DAY_MS}
    rows = [row for one in home.shared() if one.end_ms in ends for row in one.members]
    assert sum(one.export_wh for one in rows if one.member == whose(ANNA)) == 2_000
    assert sum(one.export_wh for one in rows if one.member == whose(BERT)) == 2_000
