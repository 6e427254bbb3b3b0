"""What a node tells of all that it settled, held against what it keeps of each period."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.http.app import create_app
from api.node.settled_totals import MAX_POINTS, SettledTotals
from edge.journal.settled import HomeState, SettledPeriod, SharedPeriod, UnitState
from energy.settlement.records import MemberDay, SharedDay
from energy.settlement.regimes import Grid
from tangle.address import address_of
from tangle.transaction import MAX_INTEGER
from tests.api.asking import ask
from tests.api.small_node import SmallNode, api_of
from tests.community import meter_key
from tests.edge.settling_home import BERT, HOUR_MS, SettlingHome, whose
from tests.tangle.cores import EDGE


@pytest.fixture
def home(tmp_path: Path) -> Iterator[SettlingHome]:
    settling = SettlingHome(tmp_path)
    settling.found()
    yield settling
    settling.journal.close()


def pass_hours(home: SettlingHome, first: int, last: int) -> None:
    """Anna leaves 500 Wh an hour over, of which the battery takes 400; Bert needs 300."""
    for number in range(first, last + 1):
        home.hour(
            number,
            anna=(0, 500 * number),
            bert=(300 * number, 0),
            unit=(400 * number, 100 * number),
        )
    home.settle(last - first + 1)


def kept(home: SettlingHome) -> list[SettledPeriod]:
    return home.journal.settled(EDGE).periods(0, MAX_INTEGER)


def test_totals_are_the_sums_of_what_is_kept(home: SettlingHome) -> None:
    pass_hours(home, 0, 4)

    *_, last = SettledTotals(EDGE).catch_up(home.journal)

    days = [day for period in kept(home) for day in period.members]
    shared = home.journal.settled(EDGE).shared(0, MAX_INTEGER)
    members = [day for period in shared for day in period.members]
    assert last.through_ms == kept(home)[-1].end_ms
    assert last.import_wh == sum(day.import_wh for day in days) > 0
    assert last.export_wh == sum(day.export_wh for day in days) > 0
    assert last.used_wh == sum(day.load_wh for day in days)
    assert last.charged_wh == sum(day.charge_wh for day in members) > 0
    assert last.drawn_wh == sum(day.session_wh + day.over_wh for day in members) > 0
    assert last.charged_wh <= last.export_wh
    assert last.drawn_wh <= last.import_wh


def test_who_goes_on_says_what_a_new_process_says(home: SettlingHome) -> None:
    going_on = SettledTotals(EDGE)
    for number in range(3):
        pass_hours(home, 2 * number, 2 * number + 1)
        going_on.catch_up(home.journal)

    assert going_on.catch_up(home.journal) == SettledTotals(EDGE).catch_up(home.journal)


def test_every_period_stands_by_itself_and_the_last_ones_are_remembered(
    home: SettlingHome,
) -> None:
    pass_hours(home, 0, MAX_POINTS + 3)

    told = SettledTotals(EDGE).catch_up(home.journal)

    ends_ms = [period.end_ms for period in kept(home)]
    assert [one.through_ms for one in told] == ends_ms[-MAX_POINTS:]
    imports = [one.import_wh for one in told]
    assert imports == sorted(imports)
    assert imports[-1] - imports[-2] == 300


def test_a_period_counts_once_all_units_are_settled_for_it_too(home: SettlingHome) -> None:
    settled, own = home.journal.settled(EDGE), whose(EDGE)
    first, second = address_of(meter_key(7).public), address_of(meter_key(8).public)
    for hour in (1, 2, 3):
        state = HomeState(hour * HOUR_MS)
        day = MemberDay(whose(BERT), Grid(), 0, load_wh=100, import_wh=100)
        settled.put_home(state, SettledPeriod((hour - 1) * HOUR_MS, hour * HOUR_MS, (day,)))
    for unit in (first, second):
        shared = SharedDay(whose(BERT), 0, import_wh=100, session_wh=30, over_wh=10)
        period = SharedPeriod(unit, HOUR_MS, 2 * HOUR_MS, (shared,), (), ())
        settled.put_unit(UnitState(unit, 2 * HOUR_MS, 0), own, period)

    told = SettledTotals(EDGE).catch_up(home.journal)

    assert [(one.through_ms, one.used_wh, one.drawn_wh) for one in told] == [
        (HOUR_MS, 100, 0),
        (2 * HOUR_MS, 200, 80),
    ]


def test_a_node_tells_only_if_it_is_told_to(tmp_path: Path) -> None:
    with SmallNode(tmp_path) as node:
        service = api_of(node)
        app = create_app(service)
        silent = ask(app, "GET", "/api/v1/settlement").json()
        service.totals = SettledTotals(EDGE)
        shown = ask(app, "GET", "/api/v1/settlement").json()

    assert silent == {"is_shown": False, "periods": []}
    assert shown == {"is_shown": True, "periods": []}
