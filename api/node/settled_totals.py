"""What all that was settled at one node comes to, added up as its journal grows."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from api.http.energy_forms import SettledJson, SettlementJson
from edge.journal.journal import Journal
from edge.journal.settled import SettledPeriod, SharedPeriod
from tangle.keys import SigningKey
from tangle.transaction import MAX_INTEGER

MAX_POINTS: Final = 16
"""Periods that are remembered one by one: nodes are compared at one that all have settled."""

_Sums = tuple[int, ...]
_NO_HOMES: Final[_Sums] = (0, 0, 0, 0)
_NO_UNITS: Final[_Sums] = (0, 0, 0, 0)


@dataclass
class _Running:
    """Sums that only grow, as they stood at the end of each of the last periods."""

    ends_ms: list[int] = field(default_factory=list)
    sums: list[_Sums] = field(default_factory=list)

    @property
    def through_ms(self) -> int:
        return self.ends_ms[-1] if self.ends_ms else 0

    def add(self, end_ms: int, added: _Sums) -> None:
        """Add a period; several of one end are one."""
        total = _added(added, self.sums[-1:])
        if self.through_ms == end_ms:
            self.sums[-1] = total
            return
        self.ends_ms = [*self.ends_ms[1 - MAX_POINTS :], end_ms]
        self.sums = [*self.sums[1 - MAX_POINTS :], total]

    def at(self, end_ms: int, nothing: _Sums) -> _Sums:
        """Return how they stood at a time."""
        place = bisect_right(self.ends_ms, end_ms)
        return self.sums[place - 1] if place else nothing


class SettledTotals:
    """Remembers how far it has added up. Used with the journal only, from one thread at a time."""

    def __init__(self, key: SigningKey) -> None:
        """Read what is sealed with the node's `key`."""
        self._key = key
        self._homes = _Running()
        self._units = _Running()

    def catch_up(self, journal: Journal) -> Sequence[SettledJson]:
        """Add what was settled since the last call; return how it stood after each period.

        A period counts once the homes and the storage units of the node are settled for it.
        """
        settled = journal.settled(self._key)
        for period in settled.periods(self._homes.through_ms, MAX_INTEGER):
            self._homes.add(period.end_ms, _of_homes(period))
        for shared in settled.shared(self._units.through_ms, MAX_INTEGER):
            self._units.add(shared.end_ms, _of_unit(shared))
        through_ms = self._units.through_ms or MAX_INTEGER
        ends_ms = [one for one in self._homes.ends_ms if one <= through_ms]
        return [
            SettledJson(one, *self._homes.at(one, _NO_HOMES), *self._units.at(one, _NO_UNITS))
            for one in ends_ms
        ]


def settlement_json(journal: Journal, totals: SettledTotals | None) -> SettlementJson:
    """Return what a door tells of settlements: nothing without totals."""
    if totals is None:
        return SettlementJson(is_shown=False, periods=[])
    return SettlementJson(is_shown=True, periods=list(totals.catch_up(journal)))


def _of_homes(period: SettledPeriod) -> _Sums:
    rows = ((one.pv_wh, one.load_wh, one.import_wh, one.export_wh) for one in period.members)
    return _added(_NO_HOMES, rows)


def _of_unit(period: SharedPeriod) -> _Sums:
    members = ((one.charge_wh, one.session_wh + one.over_wh, 0, 0) for one in period.members)
    own = ((0, 0, one.own_grid_wh, one.own_feed_in_wh) for one in period.own)
    return _added(_NO_UNITS, (*members, *own))


def _added(before: _Sums, rows: Iterable[_Sums]) -> _Sums:
    """Return sums column by column."""
    return tuple(map(sum, zip(before, *rows, strict=True)))
