"""Settlement against the ledger: each equation holds, and a watt-hour off breaks it alone."""

import msgspec
import pytest

from energy.audit import Verdict
from energy.bills.reported import AppliedReport, Reported, ReportKind
from energy.settled_audit import SettledHome, SettledUnit, audit_settled, unknown_settlements
from energy.settlement.records import MemberDay, SharedDay, UnitDay
from energy.settlement.regimes import Grid, Storage
from tangle.address import Address

UNIT, ANNA, OWNER = (Address(bytes([at]) * 32) for at in range(1, 4))
START, END = 1_000, 2_000


def report(kind: ReportKind, member: Address, wh: int, at_ms: int = END) -> Reported:
    applied = AppliedReport(bytes([wh % 256]) * 32, kind, wh, at_ms)
    return Reported(member, UNIT, applied)


HOME = MemberDay(ANNA, Storage(UNIT), 5, pv_wh=50, load_wh=410, import_wh=500, export_wh=140)
GRID = MemberDay(OWNER, Grid(), 5, pv_wh=0, load_wh=70, import_wh=70, export_wh=0)
SHARED = SharedDay(ANNA, 5, 500, 140, session_wh=200, over_wh=30, charge_wh=100)
OWN = UnitDay(
    UNIT,
    OWNER,
    5,
    member_charge_wh=100,
    member_draw_wh=230,
    own_charge_wh=40,
    own_grid_wh=45,
    own_feed_in_wh=20,
)
REPORTS = (
    report("consumed", ANNA, 200),
    report("consumed", ANNA, 30),
    report("consumed", OWNER, 20),
    report("produced", ANNA, 100),
    report("produced", OWNER, 40),
    report("consumed", ANNA, 999, START),
    report("produced", ANNA, 999, END + 1),
)


def broken(
    home: MemberDay = HOME,
    shared: SharedDay = SHARED,
    own: UnitDay = OWN,
    reports: tuple[Reported, ...] = REPORTS,
) -> dict[str, Verdict]:
    """Return the equations that do not hold, by name."""
    found = audit_settled(
        [SettledHome(END, (home, GRID))],
        [SettledUnit(UNIT, START, END, (shared,), (own,))],
        reports,
    )
    assert len(found) == 6
    return {one.name: one.verdict for one in found if one.verdict is not Verdict.HOLDS}


def test_what_settlement_and_ledger_agree_on_holds() -> None:
    assert broken() == {}


BROKEN = Verdict.BROKEN


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"home": msgspec.structs.replace(HOME, pv_wh=51)}, {"home.energy"}),
        ({"home": msgspec.structs.replace(HOME, load_wh=411)}, {"home.energy"}),
        ({"shared": msgspec.structs.replace(SHARED, over_wh=31)}, {"home.drawn", "home.energy"}),
        (
            {"shared": msgspec.structs.replace(SHARED, charge_wh=99)},
            {"home.charged", "home.energy"},
        ),
        ({"own": msgspec.structs.replace(OWN, own_charge_wh=41)}, {"unit.charge"}),
        ({"own": msgspec.structs.replace(OWN, member_draw_wh=231)}, {"unit.discharge"}),
        (
            {"reports": REPORTS[1:]},
            {"unit.discharge", "home.drawn", "home.energy"},
        ),
        (
            {"reports": (*REPORTS, report("produced", ANNA, 1))},
            {"unit.charge", "home.charged", "home.energy"},
        ),
    ],
)
def test_a_watt_hour_off_is_found(changes: dict[str, object], names: set[str]) -> None:
    assert broken(**changes) == dict.fromkeys(names, BROKEN)  # type: ignore[arg-type] # one of them


def test_an_owner_that_is_a_member_too_is_not_credited_with_its_unit() -> None:
    shared = msgspec.structs.replace(SHARED, member=OWNER)
    home = msgspec.structs.replace(HOME, member=OWNER)
    reports = (report("consumed", OWNER, 250), report("produced", OWNER, 140))

    assert broken(home=home, shared=shared, reports=reports) == {}


def test_sums_that_are_not_counted_yet_are_not_known() -> None:
    shared = msgspec.structs.replace(SHARED, import_wh=480)

    assert broken(shared=shared) == {"home.energy": Verdict.UNKNOWN}


def test_a_home_ahead_of_its_unit_is_audited_as_far_as_that_is_settled() -> None:
    later = msgspec.structs.replace(HOME, day=6, import_wh=1, load_wh=1, export_wh=0, pv_wh=0)

    found = audit_settled(
        [SettledHome(END, (HOME,)), SettledHome(END + 1, (later,))],
        [SettledUnit(UNIT, START, END, (SHARED,), (OWN,))],
        REPORTS,
    )

    assert {one.verdict for one in found} == {Verdict.HOLDS}


def test_a_home_whose_unit_is_settled_elsewhere_is_audited_by_its_netting() -> None:
    (found,) = audit_settled([SettledHome(END, (HOME,))], [], REPORTS)

    assert (found.left, found.right) == (550, 550)


def test_what_is_sealed_is_not_known() -> None:
    (found,) = unknown_settlements("sealed")

    assert (found.verdict, found.why_unknown) == (Verdict.UNKNOWN, "sealed")
