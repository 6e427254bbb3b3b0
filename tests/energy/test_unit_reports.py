"""What units report: losses, removal, who reports, and which reports count."""

from energy.governance.acts import RegisterUnit, RemoveUnit
from energy.powerchain.calls import (
    Actual,
    CloseSession,
    Connect,
    Consumed,
    Delegate,
    OpenSession,
    Produced,
)
from energy.powerchain.records import unit_at
from tangle.accounts import balance_row
from tangle.outcomes import Reason
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
    town.all("B", OpenSession(U1, ENT), CloseSession(U1), OpenSession(U1, ENT))
    town.all("B", Connect(U1, A, ENT))
    town.all("U1", Delegate(R1))

    town.all("A", RemoveUnit(U1))

    assert named(town, "governance.voted")[0]["rate_after_ppm"] == 500_000
    town.expect({"B.ent": "8 ENT", "total.energy": "0 kWh", "gap": "10 ENT", "rate": "0.5"})
    assert [key for key, _ in town.rows.scan(b"energy/")] == [b"energy/rate"]
    assert town.do("R1", Produced(B, 1, unit=U1)) is Reason.NOT_ALLOWED


# Who reports, and which reports count.


def test_a_delegated_key_reports_until_another_does() -> None:
    town = town_with_battery()
    charge = Produced(B, 1_000, unit=U1)
    town.all("U1", Delegate(R1), Produced(B, 1_000), charge)
    town.all("R1", charge)
    assert town.do("R1", Produced(B, 1_000)) is Reason.NOT_ALLOWED
    assert town.do("R1", Actual(1)) is Reason.NOT_ALLOWED

    town.all("U1", Delegate(D))

    assert town.do("R1", charge) is Reason.NOT_ALLOWED
    town.all("D", charge)
    town.all("U1", Delegate(None))
    assert town.do("D", charge) is Reason.NOT_ALLOWED
    town.expect({"U1.energy": "4 kWh"})


def test_whoever_names_a_key_takes_nothing_from_others_who_name_it() -> None:
    """Nobody asks a key: so neither a stranger's unit nor being one itself is in its way."""
    town = town_with_battery()
    town.all("A", RegisterUnit(U2, C, 10_000))
    town.all("U2", Delegate(R1), Delegate(R1))
    town.all("U1", Delegate(R1))
    town.all("A", RegisterUnit(R1, C, 10_000))

    town.all("R1", Produced(B, 1_000, unit=U1), Produced(B, 2_000, unit=U2), Produced(B, 3_000))

    assert [unit_at(town.rows, WHO[one]).stored_wh for one in ("U1", "U2", "R1")] == [  # type: ignore[union-attr] # all are there
        1_000,
        2_000,
        3_000,
    ]
    assert town.do("U2", Produced(B, 1, unit=U1)) is Reason.NOT_ALLOWED


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
