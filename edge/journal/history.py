"""What became of transactions, read backwards from the newest: for what the ledger keeps no rows.

Trades are events, not rows (ADR 0067). Whoever wants them asks the journal for outcomes, a bounded
number at a time.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from edge.journal.records import decode_outcome
from edge.journal.storage import Storage
from tangle.outcomes import Outcome
from tangle.transaction import MAX_INTEGER, TransactionId


class Place(NamedTuple):
    """Where the ledger decided about a transaction; places rise in the order of the ledger."""

    milestone: int
    """Its index."""

    position: int
    """In white-flag order within it."""


@dataclass(frozen=True, slots=True)
class Settled:
    """One referenced transaction and what became of it."""

    tx_id: TransactionId
    place: Place
    outcome: Outcome


NEWEST: Final = Place(MAX_INTEGER, 0)
"""Above every place there is."""


class History:
    """The part of one journal that looks back. Raises as `Journal` does."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def before(self, place: Place, most: int) -> list[Settled]:
        """Return the last transactions below a place, the newest first.

        Args:
            place: Where to begin; `NEWEST` for the end of the ledger.
            most: How many at most. Fewer means that there are no more here: what was pruned, or
                came with a snapshot, has no outcome in this journal.
        """
        found = self._storage.table(
            "transactions",
            "WHERE milestone_index IS NOT NULL AND outcome IS NOT NULL"
            " AND (milestone_index, position) < (?, ?)"
            " ORDER BY milestone_index DESC, position DESC LIMIT ?",
            (*place, most),
        )
        with self._storage.reported():
            return [
                Settled(TransactionId(tx_id), Place(index, position), decode_outcome(outcome))
                for _, tx_id, _, index, position, outcome in found
            ]
