"""Sessions, over-consumption and losses: stories, and the reason for each refusal."""

import pytest

from energy.governance.acts import RegisterUnit, RemoveUnit, SetParameter
from energy.powerchain.calls import (
    Actual,
    CloseSession,
    Connect,
    Consumed,
    Delegate,
    EnergyCall,
    OpenSession,
    Produced,
)
from energy.powerchain.records import connection_at, unit_at
from energy.transfer import TransferEnt
from tangle.accounts import balance_row
from tangle.address import Address
from tangle.outcomes import Reason
from tangle.sequences import WINDOW
from tests.energy.town import HOUR_MS, WHO, Town, charged, town_with_battery

A, B, C, D, U1, U2, R1, X = (WHO[name] for name in ("A", "B", "C", "D", "U1", "U2", "R1", "X"))
DAY_MS = 24 * HOUR_MS
ENT = 1_000_000


def named(town: Town, name: str) -> list[dict[str, str | int | bytes]]:
    """Return the fields of the events of that name in the last operation."""
    return [dict(one.fields) for one in town.events if one.name == name]


def full(by: str = "B") -> Town:
    """Return a town whose battery of 10 kWh is full; B holds 8 ENT, C 2 ENT."""
    town = town_with_battery("10 kWh")
    town.all("U1", Produced(WHO[by], 10_000))
    return town


# What is refused.


@pytest.mark.parametrize(
    ("by", "call", "reason"),
    [
        ("B", OpenSession(U2, ENT), Reason.NOT_A_UNIT),
        ("B", OpenSession(B, ENT), Reason.NOT_A_UNIT),
        ("X", OpenSession(U1, ENT), Reason.UNKNOWN_MEMBER),
        ("U1", OpenSession(U1, ENT), Reason.UNKNOWN_MEMBER),
        ("B", OpenSession(U1, 0), Reason.TOO_SMALL),
        ("B", OpenSession(U1, 999), Reason.TOO_SMALL),
        ("B", OpenSession(U1, 8 * ENT + 1), Reason.INSUFFICIENT_ENT),
        ("D", OpenSession(U1, 1_000), Reason.INSUFFICIENT_ENT),
        ("B", CloseSession(U1), Reason.NO_SESSION),
        ("B", CloseSession(U2), Reason.NOT_A_UNIT),
        ("B", Connect(U2, A), Reason.NOT_A_UNIT),
        ("B", Connect(U1, X), Reason.UNKNOWN_MEMBER),
        ("X", Connect(U1, A), Reason.UNKNOWN_MEMBER),
        ("R1", Connect(U1, A), Reason.UNKNOWN_MEMBER),
        ("B", Produced(B, 1), Reason.NOT_ALLOWED),
        ("C", Consumed(B, 1), Reason.NOT_ALLOWED),
        ("U2", Produced(B, 1), Reason.NOT_ALLOWED),
        ("B", Actual(1), Reason.NOT_ALLOWED),
        ("U1", Produced(X, 1), Reason.UNKNOWN_MEMBER),
        ("U1", Consumed(U1, 1), Reason.UNKNOWN_MEMBER),
        ("U1", Produced(B, 0), Reason.TOO_SMALL),
        ("U1", Consumed(B, 0), Reason.TOO_SMALL),
        ("U1", Produced(B, 1), Reason.UNIT_FULL),
        ("U1", Actual(10_001), Reason.UNIT_FULL),
        ("U1", Consumed(B, 1, report=0), Reason.DUPLICATE_REPORT),
        ("U1", Consumed(B, 1, report=1 + WINDOW), Reason.OUT_OF_RANGE),
        ("U1", Consumed(B, 1, interval_end_ms=2**62), Reason.OUT_OF_RANGE),
        ("B", Delegate(R1), Reason.NOT_ALLOWED),
        ("U1", Delegate(U1), Reason.SELF),
        ("U1", Delegate(Address(bytes(32))), Reason.NOT_ALLOWED),
    ],
)
def test_it_is_refused_and_changes_nothing(by: str, call: EnergyCall, reason: Reason) -> None:
    town = full()
    before = dict(town.rows.scan(b""))

    assert town.do(by, call) is reason
    assert dict(town.rows.scan(b"")) == before


def test_a_unit_sells_no_more_energy_than_it_has_free() -> None:
    town = charged("1 kWh")
    town.all("U1", Actual(500))

    assert town.do("B", OpenSession(U1, 800_000)) is Reason.INSUFFICIENT_ENERGY


def test_a_unit_sells_no_energy_twice() -> None:
    town = full()
    town.all("B", OpenSession(U1, 7 * ENT), TransferEnt(D, ENT))
    town.all("C", TransferEnt(D, 2 * ENT))
    town.all("U1", Actual(9_000))  # 2,000 Wh free, 9,000 in all

    assert town.do("D", OpenSession(U1, 3 * ENT)) is Reason.INSUFFICIENT_ENERGY


def test_one_session_for_each_member_and_unit() -> None:
    town = full()
    town.all("B", OpenSession(U1, ENT))
    town.all("C", OpenSession(U1, ENT))

    assert town.do("B", OpenSession(U1, ENT)) is Reason.SESSION_EXISTS


# How a session ends.


def test_a_session_may_be_closed_and_gives_everything_back() -> None:
    town = full()
    town.all("B", OpenSession(U1, 3 * ENT), CloseSession(U1))

    town.expect({"B.ent": "8 ENT", "B.ent_locked": "0 ENT", "U1.free": "10 kWh"})
    town.expect({"B.session.U1": "none"})
    assert named(town, "energy.session_ended")[0]["why"] == "closed"


def test_tokens_that_buy_no_whole_watt_hour_are_locked_and_come_back() -> None:
    town = full()
    town.all("B", OpenSession(U1, 1_500_999))
    town.expect({"U1.free": "8.5 kWh", "B.ent_locked": "1.500999 ENT"})

    town.all("U1", Consumed(B, 1_500))

    town.expect({"B.ent": "6.5 ENT", "B.ent_locked": "0 ENT", "total.ent": "8.5 ENT"})


def test_a_session_waits_for_late_reports_and_then_returns_by_itself() -> None:
    town = full()
    opened_ms = town.now_ms
    town.all("B", OpenSession(U1, 3 * ENT))

    town.wait(2 * HOUR_MS + 2 * DAY_MS - 1)
    drawn_in_time = Consumed(B, 1_000, interval_end_ms=opened_ms + 2 * HOUR_MS - 1)
    town.all("U1", drawn_in_time)
    town.expect({"B.session.U1": "2 ENT", "gap": "0 ENT", "U1.free": "7 kWh"})
    town.wait(1)

    town.expect({"B.session.U1": "none", "B.ent": "7 ENT", "U1.free": "9 kWh"})
    assert list(town.rows.scan(b"energy/expiry/")) == []


@pytest.mark.parametrize("late_ms", [0, 1])
def test_an_interval_that_ends_with_the_session_or_later_is_not_in_it(late_ms: int) -> None:
    town = full()
    ends_ms = town.now_ms + 2 * HOUR_MS + late_ms
    town.all("B", OpenSession(U1, 3 * ENT))
    town.wait(3 * HOUR_MS)

    town.all("U1", Consumed(B, 1_000, interval_end_ms=ends_ms))

    town.expect({"B.session.U1": "3 ENT", "gap": "1 ENT", "U1.free": "6 kWh"})


def test_a_report_in_the_milestone_that_returns_a_session_comes_too_late() -> None:
    town = full()
    in_time_ms = town.now_ms
    town.all("B", OpenSession(U1, 3 * ENT))
    town.now_ms += 2 * HOUR_MS + 2 * DAY_MS

    town.all("U1", Consumed(B, 1_000, interval_end_ms=in_time_ms))

    town.expect({"B.session.U1": "none", "B.ent": "8 ENT", "gap": "1 ENT", "U1.free": "9 kWh"})


def test_a_new_session_takes_the_place_of_one_that_waits_also_for_late_reports() -> None:
    town = full()
    in_time_ms = town.now_ms + HOUR_MS
    town.all("B", OpenSession(U1, 3 * ENT))
    town.wait(2 * HOUR_MS)

    town.all("B", OpenSession(U1, 8 * ENT))
    town.expect({"B.session.U1": "8 ENT", "B.ent": "0 ENT", "U1.free": "2 kWh"})
    town.all("U1", Consumed(B, 3_000, interval_end_ms=in_time_ms))

    town.expect({"B.session.U1": "5 ENT", "gap": "0 ENT"})
    assert len(list(town.rows.scan(b"energy/expiry/"))) == 1


def test_a_session_keeps_its_rate_and_expiry_when_parameters_change() -> None:
    town = charged("20 kWh")
    town.all("U1", Consumed(D, 1_000))  # D0 = 1, rate 0.05
    town.all("B", OpenSession(U1, 1_050_000))
    town.all("A", SetParameter("C", 500_000), SetParameter("H", 60_000), SetParameter("B", 0))
    town.expect({"rate": "0.5", "parameter.H": "1min"})
    town.wait(HOUR_MS)

    town.all("U1", Consumed(B, 1_000))

    town.expect({"B.ent": "14.95 ENT", "gap": "0.95 ENT", "B.session.U1": "none"})


def test_a_session_opened_at_par_pays_par_when_a_gap_opens_later() -> None:
    town = full()
    town.all("B", OpenSession(U1, 2 * ENT))
    town.all("U1", Consumed(D, 1_000), Consumed(B, 1_000))

    town.expect({"B.session.U1": "1 ENT", "gap": "1 ENT", "rate": "0.05"})


def test_a_session_opened_in_surplus_pays_par_beforehand_and_gets_its_bonus_when_drawn() -> None:
    town = charged("10 kWh")
    town.all("U1", Actual(12_000))  # D = -2, rate 0.1
    town.all("B", OpenSession(U1, 2 * ENT))
    town.expect({"U1.free": "10 kWh", "B.ent_locked": "2 ENT"})

    town.all("U1", Consumed(B, 2_000))

    town.expect({"B.ent": "6.2 ENT", "gap": "-1.8 ENT", "rate": "0.1"})


# Energy drawn beyond a session.


def test_a_limit_is_used_up_and_signed_anew() -> None:
    town = full()
    town.all("B", Connect(U1, A, 3 * ENT))
    town.all("U1", Consumed(B, 2_000))
    connection = connection_at(town.rows, U1, B)
    assert connection is not None
    assert connection.limit_uent == ENT

    town.all("U1", Consumed(B, 2_000))
    town.expect({"B.ent": "5 ENT", "gap": "1 ENT"})
    town.all("B", Connect(U1, A, 3 * ENT))
    town.all("U1", Consumed(B, 1_000))

    town.expect({"B.ent": "3.95 ENT", "gap": "0.95 ENT", "total.energy": "5 kWh"})


@pytest.mark.parametrize(
    ("limit_uent", "paid"),
    [
        pytest.param(0, "0", id="none signed"),
        pytest.param(1_049, "0", id="less than a watt-hour at 1.05"),
        pytest.param(1_050, "0.00105", id="one watt-hour"),
        pytest.param(2_099, "0.00105", id="whole watt-hours only"),
        pytest.param(100 * ENT, "1.05", id="all that was drawn"),
    ],
)
def test_a_limit_pays_whole_watt_hours_at_the_rate_before_the_report(
    limit_uent: int, paid: str
) -> None:
    town = charged("20 kWh")
    town.all("U1", Consumed(D, 1_000))  # D0 = 1, rate 0.05
    town.all("B", Connect(U1, A, limit_uent))

    town.all("U1", Consumed(B, 1_000))

    (fields,) = named(town, "energy.over_consumed")
    assert fields["burned_uent"] == round(float(paid) * ENT)
    assert int(str(fields["paid_wh"])) + int(str(fields["unpaid_wh"])) == 1_000


def test_no_more_is_paid_than_the_member_has_free() -> None:
    town = full()
    town.all("B", Connect(U1, A, 100 * ENT), OpenSession(U1, 6 * ENT), CloseSession(U1))
    town.all("B", OpenSession(U1, 6 * ENT))

    town.all("U1", Consumed(B, 9_000))  # six in session, two paid, one for nothing

    town.expect({"B.ent": "0 ENT", "gap": "1 ENT", "total.energy": "1 kWh"})


def test_what_a_session_gives_back_may_pay_for_what_goes_beyond_it() -> None:
    town = full()
    town.all("B", OpenSession(U1, 7_999_999), Connect(U1, A, 100 * ENT))
    town.expect({"B.ent": "0.000001 ENT"})

    town.all("U1", Consumed(B, 8_000))  # 7,999 Wh in session; one more for what it left

    town.expect({"B.ent": "0 ENT", "gap": "0 ENT", "total.energy": "2 kWh"})


def test_the_limit_is_for_one_unit() -> None:
    town = full()
    town.all("A", RegisterUnit(U2, C, 10_000))
    town.all("U2", Produced(C, 5_000))
    town.all("B", Connect(U1, A, 3 * ENT))

    town.all("U2", Consumed(B, 1_000))

    town.expect({"B.ent": "8 ENT", "gap": "1 ENT"})


def test_who_draws_beyond_everything_leaves_a_remark_and_an_empty_unit() -> None:
    town = full()
    town.all("C", OpenSession(U1, ENT))

    town.all("U1", Consumed(B, 12_000))

    town.expect({"U1.energy": "0 kWh", "total.energy": "0 kWh", "gap": "10 ENT"})
    town.expect({"C.session.U1": "none", "C.ent": "2 ENT", "rate": "0.5"})
    assert named(town, "energy.remark") == [
        {"unit": U1, "member": B, "energy_wh": 2_000, "remark": "UNIT_EMPTY"}
    ]


def test_an_empty_unit_still_takes_a_report() -> None:
    town = town_with_battery()

    assert town.do("U1", Consumed(B, 5, report=0)) is None
    assert [one["energy_wh"] for one in named(town, "energy.remark")] == [5]
    assert town.do("U1", Consumed(B, 5, report=0)) is Reason.DUPLICATE_REPORT


def test_over_consumption_takes_free_energy_then_the_drawers_own_then_that_of_others() -> None:
    town = full()
    town.all("B", OpenSession(U1, 4 * ENT))
    town.wait(HOUR_MS)
    town.all("C", OpenSession(U1, 2 * ENT))
    town.wait(HOUR_MS)  # B's has expired, C's has not

    town.all("U1", Consumed(B, 5_000))
    town.expect({"U1.free": "0 kWh", "B.session.U1": "3 ENT", "C.session.U1": "2 ENT"})
    town.all("U1", Consumed(B, 4_000))

    town.expect({"B.session.U1": "none", "C.session.U1": "1 ENT", "C.ent": "1 ENT"})
    town.expect({"B.ent": "8 ENT", "gap": "9 ENT", "U1.energy": "1 kWh"})


# What is really there.


def test_a_loss_takes_free_energy_first_then_sessions_in_proportion() -> None:
    town = full()
    town.all("B", OpenSession(U1, 6 * ENT))
    town.all("C", OpenSession(U1, 2 * ENT))

    town.all("U1", Actual(7_000))
    town.expect({"U1.free": "0 kWh", "B.session.U1": "5.25 ENT", "C.session.U1": "1.75 ENT"})
    town.all("U1", Actual(1))

    sessions = [town.ask("B.session.U1", "C.session.U1")]
    assert sessions == [["0.001 ENT", "none"]]
    town.expect({"total.ent": "10 ENT", "B.ent": "7.999 ENT", "C.ent": "2 ENT"})
    town.all("U1", Actual(0))
    town.expect({"B.session.U1": "none", "B.ent": "8 ENT", "gap": "10 ENT", "rate": "0.5"})


def test_what_a_loss_releases_is_rounded_down_so_that_the_rest_is_paid_for() -> None:
    town = charged("0.009 kWh")
    town.all("B", OpenSession(U1, 3_002))

    town.all("U1", Actual(2))

    town.expect({"B.session.U1": "0.002002 ENT", "U1.energy": "0.002 kWh"})


def test_of_a_loss_some_sessions_may_have_no_part() -> None:
    town = full()
    town.all("B", OpenSession(U1, 7 * ENT))
    town.all("C", OpenSession(U1, 1_000))
    town.all("U1", Actual(7_001))

    town.all("U1", Actual(7_000))

    town.expect({"B.session.U1": "6.999 ENT", "C.session.U1": "0.001 ENT"})


def test_fees_rounded_up_never_take_what_pays_for_the_rest() -> None:
    town = charged("20 kWh", cost_ppm=50_001)
    town.all("U1", Consumed(D, 1_000))  # D0 = 1, rate 0.050001
    town.all("B", OpenSession(U1, 3_151))

    for left in ("0.0021 ENT", "0.001049 ENT", "none"):
        town.all("U1", Consumed(B, 1))
        town.expect({"B.session.U1": left})
    town.expect({"B.ent": "15.996849 ENT", "gap": "0.999849 ENT"})


def test_what_is_found_is_free_and_closes_a_deficit() -> None:
    town = full()
    town.all("U1", Actual(8_000), Actual(8_000))
    town.expect({"gap": "2 ENT", "rate": "0.1"})

    town.all("U1", Actual(9_000))
    town.expect({"gap": "1 ENT", "rate": "0.1", "U1.free": "9 kWh"})
    town.all("U1", Actual(10_000))

    town.expect({"gap": "0 ENT", "rate": "0"})


def test_a_unit_books_its_efficiency_and_mints_for_what_it_booked() -> None:
    town = Town()
    town.all("A", RegisterUnit(U1, C, 100_000, 900_000))

    town.all("U1", Produced(B, 10_001))

    town.expect({"U1.energy": "9 kWh", "total.ent": "9 ENT", "gap": "0 ENT", "B.ent": "7.2 ENT"})


def test_who_owns_the_unit_and_produces_gets_both_shares() -> None:
    town = full(by="C")

    town.expect({"C.ent": "10 ENT"})


def test_removing_a_unit_returns_sessions_and_ends_all_that_hangs_on_it() -> None:
    town = full()
    town.all("B", OpenSession(U1, 2 * ENT), Connect(U1, A, ENT))
    town.all("U1", Delegate(R1))

    town.all("A", RemoveUnit(U1))

    assert named(town, "governance.voted")[0]["rate_after_ppm"] == 500_000
    town.expect({"B.ent": "8 ENT", "total.energy": "0 kWh", "gap": "10 ENT", "rate": "0.5"})
    assert [key for key, _ in town.rows.scan(b"energy/")] == [b"energy/rate"]
    assert town.do("R1", Produced(B, 1)) is Reason.NOT_ALLOWED


# Who reports, and which reports count.


def test_a_delegated_key_reports_until_another_does() -> None:
    town = town_with_battery()
    town.all("U1", Delegate(R1), Produced(B, 1_000))
    town.all("R1", Produced(B, 1_000))
    assert town.do("R1", Actual(1)) is Reason.NOT_ALLOWED

    town.all("U1", Delegate(D))

    assert town.do("R1", Produced(B, 1_000)) is Reason.NOT_ALLOWED
    town.all("D", Produced(B, 1_000))
    town.all("U1", Delegate(None))
    assert town.do("D", Produced(B, 1_000)) is Reason.NOT_ALLOWED
    town.expect({"U1.energy": "3 kWh"})


def test_a_key_reports_for_one_unit_only() -> None:
    town = town_with_battery()
    town.all("A", RegisterUnit(U2, C, 10_000))
    town.all("U1", Delegate(R1), Delegate(R1))

    assert town.do("U2", Delegate(R1)) is Reason.NOT_ALLOWED
    assert town.do("U2", Delegate(U1)) is Reason.NOT_ALLOWED


def test_reports_count_once_in_any_order_and_a_refused_one_may_be_sent_again() -> None:
    town = town_with_battery("3 kWh")

    town.all("U1", Produced(B, 1_000, report=2), Produced(B, 1_000, report=0))
    town.all("U1", Produced(B, 1_000))
    assert town.do("U1", Produced(B, 1, report=3)) is Reason.UNIT_FULL
    town.all("U1", Actual(0), Produced(B, 1, report=3))

    assert town.do("U1", Produced(B, 1, report=1)) is Reason.DUPLICATE_REPORT
    unit = unit_at(town.rows, U1)
    assert unit is not None
    assert unit.reports.next == 4


def test_more_than_the_ledger_can_count_is_refused() -> None:
    town = town_with_battery("100 kWh")
    most = (2**63 - 1) // 1_000
    total_key = b"total/energy"
    town.rows.apply({b"total/ent": balance_row(2**63 - 1), total_key: balance_row(most)})

    assert town.do("U1", Produced(B, 1)) is Reason.OUT_OF_RANGE
    assert town.do("U1", Actual(1)) is Reason.OUT_OF_RANGE


def test_a_key_that_becomes_a_unit_reports_for_itself_whoever_named_it_before() -> None:
    town = full()
    town.all("U1", Delegate(U2))

    town.all("A", RegisterUnit(U2, D, 5_000))
    town.all("U2", Produced(B, 1_000))

    town.expect({"U1.energy": "10 kWh", "U2.energy": "1 kWh"})
    town.all("U2", Delegate(R1), Delegate(None))
    town.all("U1", Delegate(R1))
    assert town.do("U2", Delegate(R1)) is Reason.NOT_ALLOWED
