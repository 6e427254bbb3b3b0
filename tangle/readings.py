"""Reading batches on the ledger: who may commit to which readings of a meter, and once only.

Source: PROTOCOL §11. The values are never here: a batch is a range and a salted root.
"""

from tangle.accounts import identity, reading_ranges, reading_ranges_row
from tangle.address import Address
from tangle.contracts import Changed, Context
from tangle.outcomes import Event, Reason
from tangle.ranges import take
from tangle.rows import RowReader
from tangle.transaction import ReadingBatch


def apply_reading_batch(rows: RowReader, batch: ReadingBatch, context: Context) -> Changed | Reason:
    """Commit to a range of one meter's readings.

    Returns:
        The changed row, or `NOT_ALLOWED` (no such meter, or the issuer is neither the meter nor
        its home edge node), `READING_USED` (part of the range is committed already),
        `OUT_OF_RANGE` (it would leave too many gaps).
    """
    meter = Address(batch.meter)
    known = identity(rows, meter)
    if known is None or known.role != "meter":
        return Reason.NOT_ALLOWED
    if context.address not in (meter, known.edge):
        return Reason.NOT_ALLOWED
    taken = take(reading_ranges(rows, meter), batch.first_sequence, batch.last_sequence)
    if isinstance(taken, Reason):
        return taken
    key, value = reading_ranges_row(meter, taken)
    event = Event(
        "readings.committed",
        (
            ("meter", meter),
            ("first_sequence", batch.first_sequence),
            ("last_sequence", batch.last_sequence),
        ),
    )
    return Changed({key: value}, (event,))
