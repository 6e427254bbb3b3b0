"""What operators see of settlements: which unit waits, for which report, and why."""

from api.http.checks import SettlingState
from api.http.exposition import exposition
from api.node.settlement_view import settlement_families, settling_state
from edge.settlement.reporting import Refusal
from edge.settlement.settling import NOTHING_SETTLED, SettlingStand, UnitStand
from energy.settlement.records import Report
from tangle.address import Address, encode_address
from tangle.outcomes import Reason

UNIT, WELL, EDGE, MEMBER = (Address(bytes([number]) * 32) for number in range(1, 5))
REFUSAL = Refusal(Report(UNIT, 0, "produced", MEMBER, 700, 1_000, 12), Reason.UNKNOWN_MEMBER)
STAND = SettlingStand(
    5_000,
    {UNIT: UnitStand(3_000, 2, REFUSAL, 1), WELL: UnitStand(5_000, 0, None, 0)},
    4,
    ((UNIT, EDGE),),
    {"told": 3},
)


def test_the_check_names_unit_report_and_reason() -> None:
    state = settling_state(STAND)

    unit, member, edge = map(encode_address, (UNIT, MEMBER, EDGE))
    assert state.refused == (
        f"unit {unit}, report 12 (produced, 700 Wh, member {member}): UNKNOWN_MEMBER",
    )
    assert state.unreachable == (
        f"unit {unit} is settled at {edge}, which is no peer or does not settle it",
    )
    assert settling_state(NOTHING_SETTLED) == SettlingState()


def test_the_metrics_say_where_each_unit_stands() -> None:
    text = exposition(settlement_families(STAND))

    unit = encode_address(UNIT)
    assert "settlement_homes_timestamp_seconds 5" in text
    assert f'settlement_unit_timestamp_seconds{{unit="{unit}"}} 3' in text
    assert f'settlement_reports_waiting{{unit="{unit}"}} 2' in text
    assert f'settlement_missing_homes{{unit="{unit}"}} 1' in text
    assert f'settlement_refused{{unit="{unit}",reason="UNKNOWN_MEMBER"}} 1' in text
    assert "settlement_owed_periods 4" in text
    assert 'settlement_frames_total{event="told"} 3' in text
