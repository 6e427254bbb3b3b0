"""Trades out of a journal, a bounded slice of the ledger's past at a time."""

from typing import Final

from api.http.service import PlacedTrade, TradePlace, TradeSlice
from edge.journal.history import NEWEST, Place, Settled
from edge.journal.journal import Journal
from energy.market.trades import Trade, trades_of
from tangle.outcomes import Applied

SLICE: Final = 2_000
"""Transactions looked at while the journal waits: a tenth of a second if each is a trade."""


def trade_slice(journal: Journal, before: TradePlace | None, most: int = SLICE) -> TradeSlice:
    """Return the trades among the last transactions before a place, the newest first.

    Args:
        journal: Of the node.
        before: The place of a trade; `None` for the end of the ledger.
        most: Transactions to look at.
    """
    below = NEWEST
    if before is not None:  # earlier trades of the same transaction are before it as well
        below = Place(before.milestone, before.position + (before.number > 0))
    settled = journal.history.before(below, most)
    times: dict[int, int] = {}
    found = []
    for one in settled:
        for number, trade in reversed(list(enumerate(_trades(one)))):
            place = TradePlace(*one.place, number)
            if before is None or place < before:
                timestamp_ms = _timestamp_ms(journal, place.milestone, times)
                found.append(PlacedTrade(place, one.tx_id, timestamp_ms, trade))
    if len(settled) < most:
        return TradeSlice(tuple(found), None, None)
    last = TradePlace(*settled[-1].place, 0)
    return TradeSlice(tuple(found), last, _timestamp_ms(journal, last.milestone, times))


def _trades(settled: Settled) -> list[Trade]:
    return trades_of(settled.outcome.events) if isinstance(settled.outcome, Applied) else []


def _timestamp_ms(journal: Journal, index: int, times: dict[int, int]) -> int:
    if index not in times:
        milestone = journal.milestone(index)
        assert milestone is not None, f"transactions of milestone {index}, which is not here"
        times[index] = milestone.timestamp_ms
    return times[index]
