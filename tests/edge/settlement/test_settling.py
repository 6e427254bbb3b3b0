"""Meter to money at a node: settled once, reported once, also after a restart."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.journal.settled import HomeProgress, Settled, SharedPeriod, UnitState
from edge.settlement.homes import ARRIVAL_MS
from energy.powerchain.calls import Consumed, Produced, energy_operation
from energy.settlement.records import call_of
from energy.settlement.regimes import Grid, Storage
from tangle.address import Address
from tangle.errors import DamagedStoreError, StorageError
from tests.community import meter_key
from tests.edge.settling_home import (
    ANNA,
    BERT,
    FIRST_MS,
    HOUR_MS,
    METERS,
    UNIT_ADDRESS,
    SettlingHome,
    whose,
)
from tests.tangle.cores import EDGE


@pytest.fixture
def home(tmp_path: Path) -> Iterator[SettlingHome]:
    home = SettlingHome(tmp_path)
    yield home
    home.journal.close()


def two_hours(home: SettlingHome) -> None:
    """Anna's sun charges the battery in the first hour; both draw from it in the second."""
    home.hour(0, anna=(0, 0), bert=(0, 0), unit=(0, 0))
    home.hour(1, anna=(0, 4_000), bert=(500, 0), unit=(3_000, 0))
    home.hour(2, anna=(1_000, 4_000), bert=(2_500, 0), unit=(3_000, 2_400))


def test_readings_become_reports_that_the_ledger_applies(home: SettlingHome) -> None:
    home.found()
    two_hours(home)

    home.settle(hours=3)

    first, second = home.shared()[-2:]
    assert (first.start_ms, first.end_ms) == (FIRST_MS, FIRST_MS + HOUR_MS)
    assert home.applied == [
        energy_operation(Produced(whose(ANNA), 3_000, 0, FIRST_MS + HOUR_MS, UNIT_ADDRESS)),
        *(energy_operation(call_of(one)) for one in second.reports),
    ]
    drawn = {one.member: one.energy_wh for one in second.reports}
    assert drawn == {whose(ANNA): 800, whose(BERT): 1_600}
    assert home.unit().stored_wh == 600
    by_member = {one.member: one for one in first.members}
    anna, bert = by_member[whose(ANNA)], by_member[whose(BERT)]
    assert (anna.export_wh, anna.charge_wh) == (4_000, 3_000)
    assert (bert.import_wh, bert.session_wh, bert.over_wh) == (500, 0, 0)
    assert home.state().homes == (HomeProgress(whose(EDGE), second.end_ms),)
    assert home.journal.settled(EDGE).debts() == {}


def test_a_restart_at_every_step_gives_the_same_operations(
    home: SettlingHome, tmp_path: Path
) -> None:
    home.found()
    two_hours(home)
    home.settle(hours=3)
    again = SettlingHome(tmp_path / "again")
    again.found()
    two_hours(again)

    for _ in range(3):
        again.confirm((again.now_ms // HOUR_MS + 1) * HOUR_MS + 1_000)
        for _ in range(6):
            for _ in range(3):
                again.start()
                again.step()
            again.confirm()

    assert again.applied == home.applied
    assert again.ignored == []
    assert again.periods() == home.periods()
    assert again.shared() == home.shared()
    assert again.unit() == home.unit()
    again.journal.close()


def test_nothing_is_reported_of_what_is_not_durable(
    home: SettlingHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.found()
    two_hours(home)
    home.settle()
    home.confirm(FIRST_MS + HOUR_MS + 1_000)

    def full(
        _self: Settled, _state: UnitState, _own: Address, _period: SharedPeriod | None = None
    ) -> None:
        raise StorageError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(Settled, "put_unit", full)
        with pytest.raises(StorageError):
            home.step()
    home.confirm()

    assert home.applied == []
    home.start()
    home.report()
    assert len(home.applied) == 1


def test_a_period_waits_for_missing_readings_and_then_goes_on_without(
    home: SettlingHome,
) -> None:
    home.found()
    home.hour(0, anna=(0, 0), bert=(0, 0), unit=(0, 0))
    home.hour(1, anna=(700, 0), unit=(0, 0))
    home.confirm(FIRST_MS + HOUR_MS + 1_000)
    home.report()
    before = home.periods()

    home.confirm(FIRST_MS + 2 * HOUR_MS + 1_000)
    home.report()
    home.hour(1, bert=(900, 0))
    home.hour(2, anna=(700, 0), bert=(900, 0), unit=(0, 0))
    home.report()

    assert [one.end_ms for one in before] == [FIRST_MS]
    without, late = home.periods()[1:]
    assert {one.member: one.import_wh for one in without.members} == {
        whose(ANNA): 700,
        whose(BERT): 0,
    }
    bert = next(one for one in late.members if one.member == whose(BERT))
    assert (bert.import_wh, bert.substitute_slots) == (900, 4)


def test_a_meter_that_is_first_heard_after_its_period_was_settled_loses_nothing(
    home: SettlingHome,
) -> None:
    home.found()
    home.hour(0, anna=(0, 0), unit=(0, 0))
    for number in (1, 2):
        home.hour(number, anna=(0, 0), unit=(0, 0))
        home.settle()
    before = home.periods()
    home.hour(0, bert=(200, 0))
    home.hour(1, bert=(1_100, 0))
    home.hour(2, bert=(1_600, 0))
    home.hour(3, anna=(0, 0), bert=(2_000, 0), unit=(0, 0))

    home.settle(hours=2)

    used = [
        sum(row.import_wh for row in one.members if row.member == whose(BERT))
        for one in home.periods()
    ]
    assert len(before) == 2
    assert used == [0, 0, 1_400, 400], "what it began with was metered before"


def test_a_node_that_was_down_for_long_lets_its_meters_hand_over_what_they_kept(
    home: SettlingHome,
) -> None:
    home.found()
    home.hour(0, anna=(0, 0), bert=(0, 0), unit=(0, 0))
    home.settle()
    home.confirm(FIRST_MS + 9 * HOUR_MS + 1_000)

    home.start()
    home.step()
    home.now_ms += ARRIVAL_MS - 1
    home.step()
    before = len(home.periods())
    for number in range(1, 10):
        home.hour(number, anna=(100 * number, 0), bert=(0, 0), unit=(0, 0))
    home.report()

    ended = home.periods()[before:]
    used = [row.import_wh for one in ended for row in one.members if row.member == whose(ANNA)]
    assert used == [100] * 9


def test_a_report_that_the_ledger_refuses_is_repeated_when_it_may_be_allowed(
    home: SettlingHome,
) -> None:
    home.found(delegated=False)
    two_hours(home)

    home.settle(hours=2)
    refused = list(home.applied)
    waiting = home.state().waiting
    home.delegate()
    home.applied.clear()
    home.now_ms += 61_000
    home.report()

    assert refused == []
    assert len(waiting) == 1
    report = Produced(whose(ANNA), 3_000, 0, FIRST_MS + HOUR_MS, UNIT_ADDRESS)
    assert home.applied[0] == energy_operation(report)


def test_production_behind_the_meter_and_a_replaced_meter_count_for_their_home(
    tmp_path: Path,
) -> None:
    home = SettlingHome(tmp_path)
    old, new = METERS[BERT], meter_key(5)
    home.replaces = {whose(new): whose(old)}
    home.pv = frozenset({whose(METERS[ANNA])})
    home.start()
    home.found()
    home.enrol(new, BERT)
    home.hour(0, anna=(0, 0), bert=(100, 0), unit=(0, 0))
    home.read(new, 0, FIRST_MS + HOUR_MS // 2, (0, 0))
    home.read(old, 1, FIRST_MS + HOUR_MS // 2, (400, 0))
    home.read(new, 1, FIRST_MS + HOUR_MS, (250, 0))
    home.hour(1, anna=(0, 900), unit=(0, 0))

    home.settle(hours=2)

    members = {one.member: one for one in home.periods()[-1].members}
    assert members[whose(BERT)].import_wh == 550
    assert members[whose(BERT)].regime == Storage(UNIT_ADDRESS)
    assert members[whose(ANNA)].regime == Grid()
    assert (members[whose(ANNA)].pv_wh, members[whose(ANNA)].load_wh) == (900, 900)
    home.journal.close()


def test_what_is_settled_is_sealed_with_the_nodes_key(home: SettlingHome) -> None:
    home.found()
    two_hours(home)
    home.settle(hours=2)

    with pytest.raises(DamagedStoreError, match="does not open with this node's key"):
        home.journal.settled(METERS[ANNA]).home()


def test_a_unit_that_is_removed_holds_nothing_up(home: SettlingHome) -> None:
    home.found(delegated=False)
    two_hours(home)
    home.settle(hours=2)

    home.remove_unit()
    home.settle(hours=1)

    state = home.state()
    assert (state.waiting, state.through_ms > FIRST_MS + HOUR_MS) == ((), True)


def test_a_draw_is_reported_as_consumed(home: SettlingHome) -> None:
    home.found()
    two_hours(home)

    home.settle(hours=3)

    calls = [call_of(one) for one in home.shared()[-1].reports]
    assert all(isinstance(call, Consumed) for call in calls)
    assert len(calls) == 2
