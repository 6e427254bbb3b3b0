"""What bills take of a settled period."""

from energy.bills.sums import SlotSum
from energy.settlement.records import MemberSums


def billed(start_ms: int, sums: MemberSums) -> SlotSum:
    """Return a member's sums of one period as bills add them up.

    Args:
        start_ms: When the period began: all of it counts for the day in which that lies, so that
            a period must not reach over midnight.
        sums: Of one member in one regime.
    """
    return SlotSum(
        start_ms,
        sums.session_wh + sums.over_wh,
        sums.tokens_out_wh,
        sums.grid_wh,
        sums.charge_wh + sums.tokens_in_wh,
        sums.feed_in_wh,
        sums.substitute_slots > 0,
    )
