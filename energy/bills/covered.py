"""From what a home exchanged with the world and what the ledger applied to the sums of a bill.

Both sides of a bill compute with this: the issuer from settled days, the member from its own
registers. What storage and energy accounts covered comes from applied reports alone; what they did
not cover is the grid's.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from energy.bills.days import Day
from energy.bills.reported import AppliedReport, ReportKind
from energy.bills.sums import DaySum, Regime
from tangle.transaction import Counter


class NetDay(msgspec.Struct, frozen=True, array_like=True):
    """What a member exchanged under one regime on one local day, own production netted by slot."""

    day: Day
    regime: Regime
    import_wh: Counter
    export_wh: Counter
    is_estimated: bool = False
    produced_wh: Counter | None = None
    load_wh: int | None = None


class OwnerDay(msgspec.Struct, frozen=True, array_like=True):
    """What a storage unit exchanged with the grid on one local day: its owner's."""

    day: Day
    charge_wh: Counter
    """Reported as charged by the owner, out of the grid."""

    grid_wh: Counter
    """Taken from the grid in all."""

    feed_in_wh: Counter
    """Reported as drawn by the owner, into the grid."""

    is_estimated: bool = False


@dataclass(frozen=True, slots=True)
class Covered:
    """The sums of a member's days."""

    sums: list[DaySum]
    """Ascending by day and regime."""

    beyond_wh: Mapping[ReportKind, int] = field(default_factory=dict)
    """Reported beyond all that was metered up to the report: of days before the first."""


_KINDS: Final[tuple[ReportKind, ...]] = ("produced", "consumed", "recharged", "depleted")


def covered_sums(
    days: Iterable[NetDay],
    reports: Iterable[AppliedReport],
    own: Sequence[OwnerDay],
    starts: Sequence[int],
    first_day: int,
) -> Covered:
    """Return what of each day was storage's, the accounts' and the grid's.

    A report counts on the local day in which its interval ended, up to what was metered then. What
    is beyond that is of the days before it, the latest first: reports follow what they report.

    Args:
        days: Of one member, in any order; others than those that begin are left out.
        reports: That the ledger applied about the member; of other times are left out.
        own: Of units that the member owns: in the reports, and no home's.
        starts: When the days begin, and when the last one ends (`energy.bills.days.day_starts`).
        first_day: Which day begins first.
    """
    wanted = range(first_day, first_day + len(starts) - 1)
    net = {(one.day, one.regime): one for one in _merged(days) if one.day in wanted}
    own = [one for one in own if one.day in wanted]
    reported = _by_day(reports, starts, first_day)
    for unit in own:
        reported["produced"][unit.day] -= unit.charge_wh
        reported["consumed"][unit.day] -= unit.feed_in_wh
    placed: dict[ReportKind, dict[int, int]] = {}
    beyond: dict[ReportKind, int] = {}
    for kind in _KINDS:
        regime: Regime = "storage" if kind in ("produced", "consumed") else "ctt"
        is_import = kind in ("consumed", "depleted")
        room = {
            day: one.import_wh if is_import else one.export_wh
            for (day, name), one in net.items()
            if name == regime
        }
        placed[kind], rest_wh = _placed(reported[kind], room)
        if rest_wh:
            beyond[kind] = rest_wh
    sums = [_sum(one, placed) for one in net.values()]
    owners = [_owner_sum(one) for one in own]
    return Covered(merged(sums, owners), beyond)


def merged(*parts: Iterable[DaySum]) -> list[DaySum]:
    """Return sums of several metering points of one member as one: of each day and regime one."""
    found: dict[tuple[int, Regime], DaySum] = {}
    for one in (one for part in parts for one in part):
        key = (one.day, one.regime)
        found[key] = _both(found[key], one) if key in found else one
    return [one for _, one in sorted(found.items())]


def _by_day(
    reports: Iterable[AppliedReport], starts: Sequence[int], first_day: int
) -> dict[ReportKind, dict[int, int]]:
    found: dict[ReportKind, dict[int, int]] = {kind: defaultdict(int) for kind in _KINDS}
    for one in reports:
        place = bisect_left(starts, one.at_ms)  # what ends at midnight is of the day before
        if 0 < place < len(starts):
            found[one.kind][first_day + place - 1] += one.energy_wh
    return found


def _placed(reported: Mapping[int, int], room: Mapping[int, int]) -> tuple[dict[int, int], int]:
    """Return how much counts on each day, and what fits on none."""
    left = dict(room)
    placed: dict[int, int] = defaultdict(int)
    rest_wh = 0
    for day in sorted(reported):
        wh = reported[day]
        for at in sorted((one for one in left if one <= day), reverse=True):
            part = max(0, min(wh, left[at]))
            placed[at] += part
            left[at] -= part
            wh -= part
            if not wh:
                break
        rest_wh += wh
    return placed, rest_wh


def _sum(one: NetDay, placed: Mapping[ReportKind, Mapping[int, int]]) -> DaySum:
    def counted(kind: ReportKind, regime: Regime) -> int:
        return placed[kind].get(one.day, 0) if one.regime == regime else 0

    drawn_wh, depleted_wh = counted("consumed", "storage"), counted("depleted", "ctt")
    charged_wh = counted("produced", "storage") + counted("recharged", "ctt")
    return DaySum(
        one.day,
        one.regime,
        from_storage_wh=drawn_wh,
        from_ctt_wh=depleted_wh,
        from_grid_wh=one.import_wh - drawn_wh - depleted_wh,
        charged_wh=charged_wh,
        feed_in_wh=one.export_wh - charged_wh,
        is_estimated=one.is_estimated,
        produced_wh=one.produced_wh,
        load_wh=one.load_wh,
    )


def _owner_sum(one: OwnerDay) -> DaySum:
    return DaySum(
        one.day,
        "grid",
        from_grid_wh=one.grid_wh,
        feed_in_wh=one.feed_in_wh,
        is_estimated=one.is_estimated,
    )


def _merged(days: Iterable[NetDay]) -> list[NetDay]:
    """Return one for each day and regime: a day may be settled in several periods."""
    found: dict[tuple[int, Regime], NetDay] = {}
    for one in days:
        before = found.get((one.day, one.regime))
        found[one.day, one.regime] = one if before is None else _added(before, one)
    return [one for _, one in sorted(found.items())]


def _added(one: NetDay, other: NetDay) -> NetDay:
    return NetDay(
        one.day,
        one.regime,
        one.import_wh + other.import_wh,
        one.export_wh + other.export_wh,
        one.is_estimated or other.is_estimated,
        _known(one.produced_wh, other.produced_wh),
        _known(one.load_wh, other.load_wh),
    )


def _both(one: DaySum, other: DaySum) -> DaySum:
    return msgspec.structs.replace(
        one,
        from_storage_wh=one.from_storage_wh + other.from_storage_wh,
        from_ctt_wh=one.from_ctt_wh + other.from_ctt_wh,
        from_grid_wh=one.from_grid_wh + other.from_grid_wh,
        charged_wh=one.charged_wh + other.charged_wh,
        feed_in_wh=one.feed_in_wh + other.feed_in_wh,
        is_estimated=one.is_estimated or other.is_estimated,
        produced_wh=_known(one.produced_wh, other.produced_wh),
        load_wh=_known(one.load_wh, other.load_wh),
    )


def _known(one: int | None, other: int | None) -> int | None:
    """Return the sum of two, unknown if either is."""
    return None if one is None or other is None else one + other
