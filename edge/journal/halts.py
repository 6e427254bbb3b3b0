"""Why a node stopped confirming, and what an operator said about it: kept in its journal."""

from edge.journal.entries import Review
from edge.journal.records import decode_halted, decode_review, encode_review
from edge.journal.storage import Storage
from edge.journal.sums import summed
from tangle.effects import Halted
from tangle.transaction import TransactionId


def halted(storage: Storage) -> Halted | None:
    """Return why confirmation stopped, `None` if it did not."""
    found = storage.table("meta", "WHERE name = 'halted'")
    with storage.reported():
        return decode_halted(found[0][1]) if found else None


def reviews(storage: Storage) -> list[Review]:
    """Return the halts that were lifted, oldest first."""
    found = storage.table("meta", "WHERE name LIKE 'review/%' ORDER BY name")
    with storage.reported():
        return [decode_review(value) for _, value in found]


def lift_halt(storage: Storage, refused: frozenset[TransactionId], now_ms: int) -> None:
    """Let the node confirm again from its next start on. Durable; the evidence is kept.

    Args:
        storage: Of the journal.
        refused: Milestones of the evidence that are never to be considered again.
        now_ms: Wall clock.
    """
    why = halted(storage)
    assert why is not None, "the node has not halted"
    name = f"review/{len(reviews(storage)):08}"
    review = encode_review(Review(why, refused, now_ms))
    with storage.transaction() as connection:
        connection.execute("INSERT INTO meta VALUES (?, ?, ?)", summed("meta", name, review))
        connection.execute("DELETE FROM meta WHERE name = 'halted'")
