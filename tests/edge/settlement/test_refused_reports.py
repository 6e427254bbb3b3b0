"""A report that the ledger refuses holds up its unit, and nothing else at the node."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from energy.governance.acts import RegisterUnit, Vote
from energy.governance.contract import vote_operation
from energy.powerchain.calls import Connect, energy_operation
from energy.powerchain.records import unit_at
from energy.settlement.records import Report
from tangle.address import encode_address
from tangle.outcomes import Reason
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
"""Its address is below the other unit's: who is connected to both shares it."""

SECOND_ADDRESS = whose(SECOND)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[SettlingHome]:
    """Anna shares a battery that has not delegated; Bert one that reports by itself."""
    home = SettlingHome(tmp_path)
    home.other_units = (SECOND,)
    home.start()
    home.found(delegated=False)
    home.enrol(SECOND, OWNER)
    registered = Vote(RegisterUnit(SECOND_ADDRESS, whose(OWNER), 100_000), yes=True)
    home.act(VOTER, vote_operation(registered))
    home.act(BERT, energy_operation(Connect(SECOND_ADDRESS, whose(EDGE))))
    home.applied.clear()
    for number in range(4):
        wh = 1_000 * number
        home.hour(number, anna=(0, wh), bert=(0, wh), unit=(wh, 0))
        home.read(SECOND, number, FIRST_MS + number * HOUR_MS, (wh, 0))
    yield home
    home.journal.close()


def stored_wh(home: SettlingHome, key: bytes) -> int:
    unit = unit_at(home.core.ledger.rows, key)  # type: ignore[arg-type] # an address is bytes
    assert unit is not None
    return unit.stored_wh


def test_other_units_and_homes_go_on(home: SettlingHome) -> None:
    with capture_logs() as logs:
        home.settle(hours=4)

    stand = home.settling.stand()
    first, second = stand.units[UNIT_ADDRESS], stand.units[SECOND_ADDRESS]
    assert stand.through_ms == FIRST_MS + 3 * HOUR_MS
    assert (second.through_ms, second.waiting, second.refusal) == (stand.through_ms, 0, None)
    assert stored_wh(home, SECOND_ADDRESS) == 3_000
    assert (first.through_ms, first.waiting) == (FIRST_MS + HOUR_MS, 1)
    assert first.refusal is not None
    assert first.refusal.reason is Reason.NOT_ALLOWED
    refused = Report(UNIT_ADDRESS, 0, "produced", whose(ANNA), 1_000, FIRST_MS + HOUR_MS, 0)
    assert first.refusal.report == refused
    assert stored_wh(home, UNIT_ADDRESS) == 0
    said = next(one for one in logs if one["event"] == "report refused")
    assert (said["unit"], said["report"], said["reason"], said["member"]) == (
        encode_address(UNIT_ADDRESS),
        0,
        "NOT_ALLOWED",
        encode_address(whose(ANNA)),
    )


def test_a_unit_whose_cause_is_mended_catches_up(home: SettlingHome) -> None:
    home.settle(hours=4)
    home.start()  # what waits, and why, is found again

    home.delegate()
    home.now_ms += 61_000
    for _ in range(3):
        home.report()

    stand = home.settling.stand()
    assert stand.units[UNIT_ADDRESS].refusal is None
    assert stand.units[UNIT_ADDRESS].through_ms == FIRST_MS + 3 * HOUR_MS
    assert stored_wh(home, UNIT_ADDRESS) == 3_000
    assert home.journal.settled(EDGE).debts() == {}
    charged = [
        (one.end_ms, row.charge_wh)
        for one in home.shared()
        if one.unit == UNIT_ADDRESS
        for row in one.members
        if row.member == whose(ANNA) and row.charge_wh
    ]
    assert charged == [(FIRST_MS + at * HOUR_MS, 1_000) for at in (1, 2, 3)]


def test_sums_of_a_unit_that_is_removed_while_it_waits_are_dropped(home: SettlingHome) -> None:
    home.settle(hours=3)
    owed = home.settling.stand().owed

    home.remove_unit()
    with capture_logs() as logs:
        home.settle(hours=2)

    assert owed > 0
    assert home.settling.stand().owed == 0
    assert home.settling.stand().units[UNIT_ADDRESS].waiting == 0
    left_out = [one for one in logs if one["event"].startswith("period left out")]
    assert {one["unit"] for one in left_out} == {encode_address(UNIT_ADDRESS)}
