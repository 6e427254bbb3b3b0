"""A unit's members at two nodes: what the ledger is told is what all their meters counted."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from edge.journal.settled import HomeProgress, MissingHome
from edge.mesh.frames import Body
from edge.mesh.slot_sums import SumsAnswer, SumsQuery
from edge.settlement import homes, telling, units
from energy.powerchain.calls import Connect, energy_operation
from energy.settlement.regimes import Storage
from tangle.address import encode_address
from tangle.effects import PeerId
from tests.community import meter_key
from tests.edge.settlement.test_settling import two_hours
from tests.edge.settling_home import (
    ANNA,
    BERT,
    FIRST_MS,
    HOUR_MS,
    METERS,
    OWNER,
    UNIT_ADDRESS,
    SettlingHome,
    whose,
)
from tests.edge.settling_village import OTHER, ROUNDS, STRANGER, Village, is_of_sums
from tests.tangle.cores import EDGE


class KilledError(Exception):
    """A node ended at a fault point."""


@pytest.fixture
def village(tmp_path: Path) -> Iterator[Village]:
    village = Village(tmp_path)
    yield village
    village.close()


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[SettlingHome]:
    """One node that is home to all: what two must come to as well."""
    home = SettlingHome(tmp_path / "alone")
    home.found()
    two_hours(home)
    home.settle(hours=3)
    yield home
    home.journal.close()


def assert_as_alone(village: Village, alone: SettlingHome) -> None:
    assert village.settler.applied == alone.applied
    assert village.settler.ignored == []
    assert village.settler.unit() == alone.unit()
    assert village.settler.shared() == alone.shared()


def counted(village: Village, member_of: object = ANNA) -> tuple[int, int]:
    """Return what of a member's import and export the settling edge has counted in all."""
    mine = [
        one
        for period in village.settler.shared()
        for one in period.members
        if one.member == whose(member_of)  # type: ignore[arg-type] # a member's key
    ]
    return sum(one.import_wh for one in mine), sum(one.export_wh for one in mine)


def metered(node: SettlingHome) -> tuple[int, int]:
    """Return what a node's homes exchanged in all, as its own records say."""
    days = [one for period in node.periods() for one in period.members]
    return sum(one.import_wh for one in days), sum(one.export_wh for one in days)


def test_members_of_two_nodes_are_settled_as_if_they_were_of_one(
    village: Village, alone: SettlingHome
) -> None:
    village.found()
    village.two_hours()

    village.settle(hours=3)

    assert_as_alone(village, alone)
    assert metered(village.home) == (1_000, 4_000)
    day = village.home.periods()[-1].members[0]
    assert (day.member, day.regime) == (whose(ANNA), Storage(UNIT_ADDRESS))
    assert village.home.periods()[-1].members == alone.periods()[-1].members[:1]


def test_what_is_counted_is_kept_no_longer(village: Village) -> None:
    village.found()
    village.two_hours()
    village.settle(hours=3)
    owed = village.home.journal.settled(OTHER).debts()

    village.still_hour(3)
    village.settle()

    key = (UNIT_ADDRESS, whose(EDGE))
    assert owed == {key: 1}  # of the last period: that it is counted comes with the next query
    assert village.home.journal.settled(OTHER).debts() == {key: 1}
    assert village.settler.journal.settled(EDGE).debts() == {}


def test_doubled_frames_count_once(village: Village, alone: SettlingHome) -> None:
    village.found()
    village.two_hours()
    village.wire.doubles = True

    village.settle(hours=3)

    assert_as_alone(village, alone)


@pytest.mark.parametrize("kind", [SumsQuery, SumsAnswer])
def test_lost_frames_are_said_again(
    village: Village, alone: SettlingHome, kind: type[SumsQuery | SumsAnswer]
) -> None:
    village.found()
    village.two_hours()
    lost: list[Body] = []

    def loses(_to: PeerId, body: Body) -> bool:
        if isinstance(body, kind):
            lost.append(body)
        return isinstance(body, kind) and len(lost) % 3 != 0

    village.wire.loses = loses
    village.settle(hours=3)
    village.report()

    assert len(lost) > 3
    assert_as_alone(village, alone)


def test_restarts_between_all_steps_change_nothing(village: Village, alone: SettlingHome) -> None:
    village.found()
    village.two_hours()

    for _ in range(3):
        village.next_hour()
        for _ in range(8):
            village.settler.start()
            village.home.start()
            village.step()
            village.settler.start()
            village.home.start()
            village.confirm()

    assert_as_alone(village, alone)


@pytest.mark.parametrize(
    "point",
    ["netting.before", "netting.after", "sums.before", "settlement.before", "settlement.after"],
)
def test_a_kill_at_any_point_changes_nothing(
    village: Village, alone: SettlingHome, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    village.found()
    village.two_hours()
    killed: list[str] = []

    def pass_point(name: str) -> None:
        if name == point and len(killed) % 2 == 0:
            killed.append(name)
            raise KilledError
        if name == point:
            killed.append("passed")

    for module in (homes, telling, units):
        monkeypatch.setattr(module, "pass_point", pass_point)
    village.survives(KilledError)
    village.settle(hours=3)

    assert killed.count(point) > 1
    assert_as_alone(village, alone)


def silenced(village: Village) -> Callable[[], None]:
    """Lose all that is said of sums, until the returned is called."""
    village.wire.loses = lambda _to, body: is_of_sums(body)

    def speak() -> None:
        village.wire.loses = lambda _to, _body: False

    return speak


def wait_for_patience(village: Village, waited_ms: int = HOUR_MS * 5 // 4) -> None:
    """Let time pass after the period that is over: by default, all that sums are waited for."""
    village.confirm(village.settler.clock.instant().ledger_ms + waited_ms)
    village.report()


def test_a_period_waits_for_other_nodes_and_then_goes_on_without(village: Village) -> None:
    village.found()
    village.two_hours()
    village.settle()
    speak = silenced(village)
    village.next_hour()
    village.report()
    waiting = len(village.settler.shared())

    with capture_logs() as logs:
        wait_for_patience(village)
    without = village.settler.shared()[-1]
    speak()
    village.still_hour(3)
    village.settle(hours=3)

    assert waiting == 1
    assert (without.end_ms, without.missing) == (
        FIRST_MS + HOUR_MS,
        (MissingHome(whose(OTHER), (whose(ANNA),)),),
    )
    said = [one for one in logs if one["event"].startswith("period settled without a home edge")]
    assert [(one["home"], one["members"]) for one in said] == [
        (encode_address(whose(OTHER)), [encode_address(whose(ANNA))])
    ]
    assert [one.missing for one in village.settler.shared()[2:]] == [()] * 3
    assert counted(village) == metered(village.home) == (1_000, 4_000)
    late = village.settler.shared()[2].members[0]
    assert (late.member, late.export_wh, late.import_wh) == (whose(ANNA), 4_000, 1_000)
    assert village.settler.ignored == []


def test_sums_of_many_silent_periods_all_count_with_the_next(village: Village) -> None:
    village.found()
    village.two_hours()
    village.settle()
    speak = silenced(village)
    for _ in range(3):
        wait_for_patience(village)
    owed = village.home.journal.settled(OTHER).debts()
    speak()
    for number in (3, 4, 5, 6, 7, 8):
        village.still_hour(number)
    village.settle(hours=4)

    assert owed[UNIT_ADDRESS, whose(EDGE)] > 2
    assert counted(village) == metered(village.home) == (1_000, 4_000)
    assert len(village.home.journal.settled(OTHER).debts()) == 1


def test_an_answer_that_came_but_was_never_counted_counts_next_time(village: Village) -> None:
    """The settling edge is killed with the answer in its memory, and hears nothing afterwards."""
    village.found()
    village.two_hours()
    village.settle()
    village.next_hour()
    for node in (village.settler, village.home):
        node.step()
        village.deliver()
    village.settler.start()  # before it counts what it has heard
    speak = silenced(village)
    wait_for_patience(village)
    village.report()
    without = village.settler.shared()[-1].missing
    speak()
    village.still_hour(3)
    village.settle(hours=3)

    assert len(without) == 1
    assert counted(village) == metered(village.home) == (1_000, 4_000)


def test_a_settling_edge_that_was_down_for_long_asks_before_it_goes_on(village: Village) -> None:
    village.found()
    village.two_hours()
    for number in range(3, 7):
        village.still_hour(number)
    village.settle()

    village.confirm(FIRST_MS + 6 * HOUR_MS + 1_000)  # nobody has looked since
    village.settler.start()
    village.report(2 * ROUNDS)

    ended = [one for one in village.settler.shared() if one.end_ms > FIRST_MS]
    assert [one.end_ms for one in ended] == [FIRST_MS + at * HOUR_MS for at in range(1, 7)]
    assert [one.missing for one in ended] == [()] * 6
    assert counted(village) == (1_000, 4_000)


def test_a_reading_that_is_late_at_home_counts_in_the_next_period(village: Village) -> None:
    village.found()
    village.hour(0, anna=(0, 0), bert=(0, 0), unit=(0, 0))
    village.hour(1, bert=(0, 0), unit=(3_000, 0))
    village.settle()
    village.next_hour()
    wait_for_patience(village, HOUR_MS)
    without = village.settler.shared()[-1]

    village.hour(1, anna=(0, 4_000))
    village.hour(2, anna=(0, 4_000), bert=(0, 0), unit=(3_000, 0))
    village.hour(3, anna=(0, 4_000), bert=(0, 0), unit=(3_000, 0))
    village.settle(hours=2)

    assert (without.end_ms, without.missing) == (FIRST_MS + HOUR_MS, ())
    assert {one.member: one.export_wh for one in without.members} == {
        whose(ANNA): 0,
        whose(BERT): 0,
    }
    assert counted(village) == metered(village.home) == (0, 4_000)


def test_a_home_that_moves_counts_at_both_nodes(village: Village) -> None:
    """Anna's new meter is homed at the settling edge; the old one is read for the last time."""
    new = meter_key(5)
    village.home.replaces = {whose(new): whose(METERS[ANNA])}
    village.home.start()
    village.found()
    village.settler.enrol(new, ANNA, EDGE)
    village.confirm()
    village.hour(0, anna=(0, 0), bert=(0, 0), unit=(0, 0))
    village.hour(1, anna=(300, 0), bert=(0, 0), unit=(0, 0))
    for number, import_wh in ((1, 0), (2, 500), (3, 900)):
        end_ms = FIRST_MS + number * HOUR_MS
        village.settler.read(new, number, end_ms, (import_wh, 0))
    village.hour(2, bert=(0, 0), unit=(0, 0))
    village.hour(3, bert=(0, 0), unit=(0, 0))

    village.settle(hours=4)

    assert counted(village) == (1_200, 0)
    assert metered(village.home) == (300, 0)
    assert len(village.settler.shared()) == 4
    assert all(one.missing == () for one in village.settler.shared())


def test_a_node_that_nobody_named_is_told_nothing(village: Village) -> None:
    village.found()
    village.two_hours()
    village.settle(hours=2)
    village.wire.overheard.clear()
    gossip = village.gossip_of(STRANGER)

    with capture_logs() as logs:
        for unit in (UNIT_ADDRESS, whose(OWNER)):
            gossip.send(PeerId(OTHER.public), SumsQuery(unit, 0, 0))
        village.deliver()
        village.home.step()

    assert village.wire.frames == []
    assert village.wire.overheard == []
    assert village.home.settling.stand().counts["refused"] == 2
    assert logs[0]["event"].startswith("sums refused")
    assert logs[0]["node"] == encode_address(whose(STRANGER))


def test_the_settling_edge_is_told_nothing_of_other_units(village: Village) -> None:
    village.found()
    village.two_hours()
    village.settle(hours=2)

    village.gossip_of(EDGE).send(PeerId(OTHER.public), SumsQuery(whose(BERT), 0, 0))
    village.deliver()
    village.home.step()

    assert village.wire.frames == []
    assert village.home.settling.stand().counts["refused"] == 1


def test_sums_of_members_homed_elsewhere_are_left_out(village: Village) -> None:
    """A home edge tells of Bert, whose meter is homed at the settling edge: it is not believed."""
    village.found()
    village.two_hours()
    village.home.hour(0, bert=(0, 0))
    village.home.hour(1, bert=(9_000, 0))
    village.home.hour(2, bert=(9_000, 0))

    with capture_logs() as logs:
        village.settle(hours=3)

    assert any(one["event"].startswith("sums of members that are not homed") for one in logs)
    assert counted(village, BERT) == (2_500, 0)
    assert counted(village) == (1_000, 4_000)


def test_sums_kept_for_a_node_that_is_no_peer_are_told_of(village: Village) -> None:
    village.found()
    village.two_hours()
    village.wire.peers.clear()

    with capture_logs() as logs:
        village.settle(hours=2)

    assert village.home.settling.stand().unreachable == ((UNIT_ADDRESS, whose(EDGE)),)
    assert village.home.settling.stand().owed == 2
    said = [one for one in logs if one["event"].startswith("sums are kept")]
    assert [one["settling_edge"] for one in said] == [encode_address(whose(EDGE))]


def test_a_member_that_turns_to_another_settling_edge_is_counted_to_the_end(
    village: Village,
) -> None:
    village.found()
    village.two_hours()
    village.settle()
    speak = silenced(village)
    village.next_hour()
    village.step()  # the home edge closes the hour in which Anna exported, and is not heard
    village.settler.act(ANNA, energy_operation(Connect(UNIT_ADDRESS, whose(OTHER))))
    wait_for_patience(village)
    speak()
    village.still_hour(3)
    village.still_hour(4)
    village.settle(hours=3)

    states = {one.home: one for one in village.settler.state().homes}
    assert counted(village) == (0, 4_000)
    assert states[whose(OTHER)].is_done
    asked = village.settler.settling.stand().counts["asked"]
    village.settle()
    assert village.settler.settling.stand().counts["asked"] == asked


def test_homes_are_counted_by_name(village: Village) -> None:
    village.found()
    village.two_hours()
    village.settle(hours=2)

    end_ms = village.settler.shared()[-1].end_ms
    assert village.settler.state().homes == tuple(
        sorted(
            (HomeProgress(whose(EDGE), end_ms), HomeProgress(whose(OTHER), end_ms)),
            key=lambda one: one.home,
        )
    )
