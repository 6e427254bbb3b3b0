"""Commits to a journal for ever, and says so after each commit. Made to be killed.

Run as `python -m tests.edge.committing FOLDER`: goes on from what the journal holds and prints
the number of each round once it is durable.
"""

import sys
from pathlib import Path
from typing import Final

from edge.journal.entries import Arrival, Batch, TakenReading
from edge.journal.journal import Journal
from tangle.transaction import TransactionId
from tests.edge.making import DEVICE, GENESIS, NETWORK, ROOTS, arrival, confirmed

PER_ROUND: Final = 20
"""Transactions beside the milestone: wide enough for a kill to fall into the middle."""

COUNTER: Final = "round"


def commit_round(journal: Journal, number: int, previous: TransactionId) -> TransactionId:
    """Make one commit that touches every table; return the milestone's id."""
    base = number * (PER_ROUND + 1)
    notes: list[Arrival] = []
    for at in range(PER_ROUND):
        parent = notes[-1].tx_id if notes else ROOTS[0]
        notes.append(arrival(base + at, (previous, parent) if previous != parent else ROOTS))
    milestone = arrival(base + PER_ROUND, (notes[-1].tx_id, previous))
    journal.commit(
        Batch(
            arrivals=(*notes, milestone),
            confirmed=(confirmed(number, milestone, *notes, changes={b"round": b"%d" % number}),),
            readings=(TakenReading(DEVICE, number, b"sealed %d" % number),),
            counters={COUNTER: number},
        )
    )
    return milestone.tx_id


def main() -> None:
    """Commit until killed."""
    with Journal(Path(sys.argv[1]), NETWORK) as journal:
        restored = journal.restore(GENESIS, 5)
        number = 0 if restored is None else restored.index
        previous = ROOTS[0] if restored is None else restored.milestone_id
        while True:
            number += 1
            previous = commit_round(journal, number, previous)
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
