"""Energy drawn beyond a session: who pays for it, and up to which limit."""

import pytest

from energy.governance.acts import RegisterUnit
from energy.powerchain import contract
from energy.powerchain.calls import (
    Connect,
    Consumed,
    OpenSession,
    Produced,
)
from energy.powerchain.records import connection_at
from energy.units import QUARTER_MS
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


def quarter(town: Town) -> int:
    """Let time pass until a quarter of an hour begins, and return that moment."""
    town.wait(-town.now_ms % QUARTER_MS)
    return town.now_ms


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


def test_a_lower_limit_holds_when_no_sum_can_come_any_more() -> None:
    town = full()
    signed_ms = quarter(town)
    town.all("B", Connect(U1, A, 3 * ENT), Connect(U1, A, 0))
    (fields,) = named(town, "energy.connected")
    falls_at_ms = signed_ms + QUARTER_MS + 2 * DAY_MS
    assert (fields["limit_uent"], fields["from_ms"]) == (0, falls_at_ms)

    town.now_ms = falls_at_ms - 1
    town.all("U1", Consumed(B, 1_000, interval_end_ms=signed_ms))
    town.expect({"B.ent": "7 ENT", "gap": "0 ENT"})
    town.wait(1)
    town.all("U1", Consumed(B, 1_000, interval_end_ms=signed_ms))

    town.expect({"B.ent": "7 ENT", "gap": "1 ENT"})


def test_who_takes_its_limit_back_before_the_sum_arrives_pays_and_nobody_else() -> None:
    """The story again with the old rule planted: what is signed anew holds at once."""

    def story() -> Town:
        town = full()
        town.all("B", Connect(U1, A, 3 * ENT))
        town.wait(HOUR_MS)
        town.all("B", Connect(U1, A, 0))
        town.all("U1", Consumed(B, 3_000))
        return town

    story().expect({"B.ent": "5 ENT", "gap": "0 ENT"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contract, "signed_anew", lambda _old, new, _falls_at_ms: new)
        story().expect({"B.ent": "8 ENT", "gap": "3 ENT"})


def test_a_higher_limit_holds_at_once_and_takes_back_a_lower_one() -> None:
    town = full()
    town.all("B", Connect(U1, A, 3 * ENT), Connect(U1, C, ENT), Connect(U1, D, 2 * ENT))
    signed = connection_at(town.rows, U1, B)
    assert signed is not None
    assert (signed.edge, signed.limit_uent, signed.falls_to_uent) == (D, 3 * ENT, 2 * ENT)

    town.all("B", Connect(U1, A, 4 * ENT))
    town.wait(3 * DAY_MS)
    town.all("U1", Consumed(B, 4_000))

    town.expect({"B.ent": "4 ENT", "gap": "0 ENT"})


def test_what_a_limit_falls_to_never_gives_back_what_was_paid() -> None:
    town = full()
    town.all("B", Connect(U1, A, 3 * ENT), Connect(U1, A, 2 * ENT))
    town.all("U1", Consumed(B, 2_500))
    town.wait(3 * DAY_MS)

    town.all("U1", Consumed(B, 1_000))

    town.expect({"B.ent": "5 ENT", "gap": "0.5 ENT"})
    signed = connection_at(town.rows, U1, B)
    assert signed is not None
    assert (signed.limit_uent, signed.falls_at_ms) == (0, None)


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
    town.all("B", Connect(U1, A, 100 * ENT), OpenSession(U1, 6 * ENT))

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
