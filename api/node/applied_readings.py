"""Which readings stand in applied batches, counted from the journalled transactions.

The ledger's rows say it too; that both are counted apart is what makes one evidence for the
other.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from edge.ground.spans import Spans, added, size
from edge.journal.entries import AppliedBatch, StoredTransaction
from edge.journal.journal import Journal
from edge.journal.sealing import SaltedReading, open_sealed
from edge.meters.audit import audit
from tangle.address import Address
from tangle.outcomes import Applied
from tangle.transaction import ReadingBatch, decode


@dataclass(frozen=True, slots=True)
class Tally:
    """What is applied of one meter."""

    spans: Spans = ()
    """Sequences in applied batches."""

    claims: int = 0
    """Readings in applied batches, counted once for each batch."""

    proven: Spans = ()
    """Sequences whose commitment was computed anew here and is the one on the ledger."""

    pruned: int = 0
    """Readings that only the ledger's rows show: their transactions had left before."""

    @property
    def confirmed(self) -> int:
        """Readings in applied batches, each counted once."""
        return size(self.spans)

    @property
    def twice(self) -> int:
        """How often an applied batch holds a reading that another one holds too."""
        return self.claims - self.confirmed


class AppliedReadings:
    """The tally of every meter, brought up to date milestone by milestone.

    Used in one thread at a time, with the journal.
    """

    def __init__(self, sealing_key: bytes | None) -> None:
        """Start with nothing; `sealing_key` opens the readings of this node, if it has any."""
        self._sealing_key = sealing_key
        self._through: int | None = None
        self._tallies: dict[Address, Tally] = {}

    def catch_up(self, journal: Journal) -> dict[Address, Tally]:
        """Take in every milestone applied since the last call; return the tally of each meter.

        The first call decodes the whole journal, a later one what is new. Of what was pruned
        before that, the ledger's rows are the only witness.
        """
        latest = journal.latest_milestone()
        index = 0 if latest is None else latest.index
        if index != self._through:
            kept = journal.meters()
            for device, batch in self._fresh(journal, index):
                self._add(journal, device, batch, kept.get(device))
            if self._through is None and journal.oldest_cone() > 1:
                self._add_pruned(journal)
            self._through = index
        return dict(self._tallies)

    def _fresh(self, journal: Journal, index: int) -> Iterator[tuple[Address, AppliedBatch]]:
        if self._through is None:
            for device, batches in journal.confirmed_readings().items():
                yield from ((device, batch) for batch in batches)
            return
        for number in range(self._through + 1, index + 1):
            yield from _applied_batches(journal.referenced_by(number))

    def _add_pruned(self, journal: Journal) -> None:
        """Take from the ledger's rows what the pruned transactions can no longer say."""
        for device, ranges in journal.committed_ranges().items():
            tally = self._tallies.get(device, Tally())
            spans = added(tally.spans, tuple((one.first, one.last) for one in ranges.taken))
            gone = size(spans) - size(tally.spans)
            self._tallies[device] = Tally(spans, tally.claims + gone, tally.proven, gone)

    def _add(
        self, journal: Journal, device: Address, batch: AppliedBatch, kept: Spans | None
    ) -> None:
        tally = self._tallies.get(device, Tally())
        span = (batch.first_sequence, batch.last_sequence)
        is_proven = kept is not None and self._is_commitment(journal, device, batch, kept)
        self._tallies[device] = Tally(
            added(tally.spans, (span,)),
            tally.claims + size((span,)),
            added(tally.proven, (span,)) if is_proven else tally.proven,
            tally.pruned,
        )

    def _is_commitment(
        self, journal: Journal, device: Address, batch: AppliedBatch, kept: Spans
    ) -> bool:
        """Return whether the root of `batch` is that of the readings journalled here."""
        key = self._sealing_key
        if key is None:
            return False

        def opened(device: Address, first: int, last: int) -> Iterator[tuple[int, SaltedReading]]:
            for taken in journal.readings(device, first, last):
                yield taken.sequence, open_sealed(key, taken)

        return audit({device: kept}, {device: (batch,)}, opened).mismatch_count == 0


def _applied_batches(
    stored: Iterable[StoredTransaction],
) -> Iterator[tuple[Address, AppliedBatch]]:
    for one in stored:
        payload = decode(one.data).transaction.payload
        if isinstance(payload, ReadingBatch) and isinstance(one.outcome, Applied):
            first, last = payload.first_sequence, payload.last_sequence
            yield Address(payload.meter), AppliedBatch(one.tx_id, first, last, payload.root)
