"""Sessions: stories, and the reason for each refusal."""

import pytest

from energy.governance.acts import SetParameter
from energy.powerchain import contract
from energy.powerchain.calls import (
    Actual,
    CloseSession,
    Connect,
    Consumed,
    Delegate,
    EnergyCall,
    OpenSession,
    Produced,
    Reported,
)
from energy.powerchain.records import Session, put_unit, sessions_at, unit_at
from energy.powerchain.sessions import MAX_SESSIONS, end_session, with_free
from energy.transfer import TransferEnt
from energy.units import QUARTER_MS
from tangle.address import Address
from tangle.outcomes import Event, Reason
from tangle.rows import Draft
from tangle.sequences import WINDOW
from tests.energy.town import HOUR_MS, WHO, Town, charged, town_with_battery

A, B, C, D, U1, U2, R1, X = (WHO[name] for name in ("A", "B", "C", "D", "U1", "U2", "R1", "X"))
DAY_MS = 24 * HOUR_MS
ENT = 1_000_000


def named(town: Town, name: str) -> list[dict[str, str | int | bytes]]:
    """Return the fields of the events of that name in the last operation."""
    return [dict(one.fields) for one in town.events if one.name == name]


def named_at_end(town: Town, name: str) -> list[dict[str, str | int | bytes]]:
    """Return the fields of the events of that name at the end of the last milestone."""
    return [dict(one.fields) for one in town.ended if one.name == name]


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
        ("U1", Reported(2**62), Reason.OUT_OF_RANGE),
        ("B", Reported(0), Reason.NOT_ALLOWED),
        ("U1", Reported(0, B), Reason.NOT_ALLOWED),
        ("B", Reported(0, U1), Reason.NOT_ALLOWED),
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


def quarter(town: Town) -> int:
    """Let time pass until a quarter of an hour begins, and return that moment."""
    town.wait(-town.now_ms % QUARTER_MS)
    return town.now_ms


def test_a_closed_session_waits_for_late_reports_as_an_expired_one_does() -> None:
    town = full()
    began_ms = quarter(town)
    town.all("B", OpenSession(U1, 3 * ENT))
    town.wait(QUARTER_MS + 1)
    town.all("B", CloseSession(U1))

    (closed,) = named(town, "energy.session_closed")
    ends_ms = began_ms + 2 * QUARTER_MS
    assert closed["expires_at_ms"] == ends_ms + 1
    assert closed["returns_at_ms"] == ends_ms + 1 + 2 * DAY_MS
    town.expect({"B.session.U1": "3 ENT", "B.ent_locked": "3 ENT", "U1.free": "7 kWh"})
    town.wait(ends_ms + 2 * DAY_MS - town.now_ms)
    town.expect({"B.session.U1": "3 ENT"})
    town.wait(1)
    town.expect({"B.ent": "8 ENT", "B.ent_locked": "0 ENT", "U1.free": "10 kWh"})
    town.expect({"B.session.U1": "none"})
    assert [one["why"] for one in named_at_end(town, "energy.session_ended")] == ["expired"]
    assert list(town.rows.scan(b"energy/expiry/")) == []


def test_who_closes_before_the_sum_arrives_pays_for_it_and_nobody_else() -> None:
    """The hole that closing left before: the story again with the old rule planted."""

    def story() -> Town:
        town = full()
        quarter(town)
        town.all("B", OpenSession(U1, 3 * ENT))
        town.wait(HOUR_MS)
        drawn_ms = town.now_ms
        town.all("B", CloseSession(U1))
        town.wait(23 * HOUR_MS)
        town.all("U1", Consumed(B, 3_000, interval_end_ms=drawn_ms))
        return town

    story().expect({"B.ent": "5 ENT", "gap": "0 ENT", "total.ent": "7 ENT"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contract, "close", _returned_at_once)
        story().expect({"B.ent": "8 ENT", "gap": "3 ENT", "total.ent": "10 ENT"})


def _returned_at_once(
    draft: Draft, unit: Address, member: Address, session: Session, *_: int
) -> Event:
    held = unit_at(draft, unit)
    assert held is not None
    put_unit(draft, unit, with_free(held, session.energy_wh))
    return end_session(draft, unit, member, session, "closed")


def test_what_is_drawn_in_the_slot_of_the_closing_is_still_in_the_session() -> None:
    town = full()
    began_ms = quarter(town)
    town.all("B", OpenSession(U1, 3 * ENT))
    town.wait(QUARTER_MS - 1)
    town.all("B", CloseSession(U1))
    town.wait(QUARTER_MS + 1)

    town.all("U1", Consumed(B, 1_000, interval_end_ms=began_ms + QUARTER_MS))
    town.expect({"B.session.U1": "2 ENT", "gap": "0 ENT"})
    town.all("U1", Consumed(B, 1_000, interval_end_ms=began_ms + QUARTER_MS + 1))

    town.expect({"B.session.U1": "2 ENT", "gap": "1 ENT"})


def test_a_new_session_is_opened_beside_a_closed_one_at_once() -> None:
    town = full()
    town.all("B", OpenSession(U1, 3 * ENT), CloseSession(U1))
    assert town.do("B", CloseSession(U1)) is Reason.NO_SESSION

    town.all("B", OpenSession(U1, 5 * ENT))

    town.expect({"B.session.U1": "8 ENT", "B.ent": "0 ENT", "U1.free": "2 kWh"})
    assert town.do("B", OpenSession(U1, ENT)) is Reason.SESSION_EXISTS


def test_a_session_that_is_closed_never_returns_later_than_it_would_have() -> None:
    town = full()
    town.all("B", OpenSession(U1, 3 * ENT))
    (opened,) = sessions_at(town.rows, U1, B)
    town.all("A", SetParameter("report_grace", 60 * DAY_MS))

    town.all("B", CloseSession(U1))

    (closed,) = sessions_at(town.rows, U1, B)
    assert closed.returns_at_ms == opened.returns_at_ms


def test_a_session_does_not_pay_for_what_was_drawn_before_it_was_opened() -> None:
    town = full()
    before_ms = quarter(town)
    town.wait(QUARTER_MS)
    opened_ms = town.now_ms
    town.all("B", OpenSession(U1, 3 * ENT))

    town.all("U1", Consumed(B, 1_000, interval_end_ms=before_ms))
    town.expect({"B.session.U1": "3 ENT", "gap": "1 ENT"})
    town.all("U1", Consumed(B, 1_000, interval_end_ms=opened_ms))

    town.expect({"B.session.U1": "2 ENT"})


def test_what_waits_returns_once_the_unit_has_reported_all_of_its_time() -> None:
    town = full()
    began_ms = quarter(town)
    town.all("B", OpenSession(U1, 2 * ENT))
    town.all("C", OpenSession(U1, ENT))
    town.wait(QUARTER_MS)
    town.all("B", CloseSession(U1), OpenSession(U1, 3 * ENT))
    ends_ms = began_ms + 2 * QUARTER_MS
    town.wait(QUARTER_MS)
    town.all("U1", Consumed(B, 500, interval_end_ms=ends_ms), Reported(ends_ms - 1))
    town.expect({"B.session.U1": "4.5 ENT"})

    town.all("U1", Reported(ends_ms))

    town.expect({"B.session.U1": "3 ENT", "B.ent": "4.5 ENT", "C.session.U1": "1 ENT"})
    (ended,) = named(town, "energy.session_ended")
    assert (ended["why"], ended["returned_uent"]) == ("expired", 1_500_000)
    assert len(list(town.rows.scan(b"energy/expiry/"))) == 2
    town.all("U1", Reported(1))
    unit = unit_at(town.rows, U1)
    assert unit is not None
    assert (unit.reported_ms, unit.free_wh) == (ends_ms, 5_500)


def test_so_many_sessions_wait_and_no_more() -> None:
    town = full()
    for _ in range(MAX_SESSIONS):
        town.all("B", OpenSession(U1, 1_000), CloseSession(U1))

    assert town.do("B", OpenSession(U1, 1_000)) is Reason.SESSION_EXISTS
    town.all("C", OpenSession(U1, 1_000))
    town.wait(3 * DAY_MS)
    town.all("B", OpenSession(U1, 1_000))
    town.expect({"U1.free": "9.999 kWh"})


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


def test_a_new_session_is_opened_beside_one_that_waits_and_each_pays_for_its_own() -> None:
    """The other half of that hole: opened anew, the old one's tokens came back as well."""
    town = full()
    in_time_ms = town.now_ms + HOUR_MS
    town.all("B", OpenSession(U1, 3 * ENT))
    town.wait(2 * HOUR_MS)

    assert town.do("B", OpenSession(U1, 8 * ENT)) is Reason.INSUFFICIENT_ENT
    town.all("B", OpenSession(U1, 5 * ENT))
    town.expect({"B.session.U1": "8 ENT", "B.ent": "0 ENT", "U1.free": "2 kWh"})
    town.all("U1", Consumed(B, 3_000, interval_end_ms=in_time_ms), Consumed(B, 5_000))

    town.expect({"B.session.U1": "none", "gap": "0 ENT", "total.ent": "2 ENT"})


def test_a_sum_goes_to_the_session_opened_first_and_what_it_lacks_to_the_next() -> None:
    town = full()
    slot_end_ms = quarter(town) + QUARTER_MS
    town.all("B", OpenSession(U1, 3 * ENT), CloseSession(U1), OpenSession(U1, 4 * ENT))
    town.wait(HOUR_MS)

    town.all("U1", Consumed(B, 4_000, interval_end_ms=slot_end_ms))

    assert [one["energy_wh"] for one in named(town, "energy.drawn")] == [3_000, 1_000]
    assert [one.energy_wh for one in sessions_at(town.rows, U1, B)] == [3_000]
    town.all("U1", Consumed(B, 3_001))
    town.expect({"gap": "0.001 ENT", "B.session.U1": "none"})


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
