"""Which journalled readings become a reading batch, and when: each is committed to exactly once.

A reading waits, is in a batch that is being issued, is in a live batch, or is settled: committed
to on the ledger. Only the ledger settles. Decides, never does: the shell issues what `due` yields
and tells what became of it; after a restart the journal and the ledger's row say it again.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from edge.ground.spans import Span, Spans, added, has_all, size, without
from edge.journal.entries import FormedBatch
from tangle.address import Address
from tangle.outcomes import Applied, Ignored, NoValue, Outcome, Reason
from tangle.ranges import ReadingRanges
from tangle.transaction import TransactionId

MAX_BATCH: Final = 256
"""Readings under one root: a proof that one of them is there has eight hashes."""

MAX_LIVE_BATCHES: Final = 512
"""Half of what one issuer may have unreferenced: the rest is for operations of the node."""

MAX_LIVE_PER_DEVICE: Final = 32
"""Batches may be applied in any order, and the ledger allows a meter 64 gaps."""

RETRY_MS: Final = 5_000
"""Pause after a refusal: whoever must register the meter needs a milestone or two."""


@dataclass(frozen=True, slots=True)
class BatchToIssue:
    """Consecutive readings that the shell is to commit to now."""

    device: Address
    first_sequence: int
    last_sequence: int
    """Inclusive."""

    issuer_sequence: int | None
    """Number to issue anew under, so that a late first copy cannot count twice; `None` for the
    lowest unused one that `Batcher.reserved_numbers` does not hold."""


@dataclass(slots=True)
class _Meter:
    waiting: Spans = ()
    settled: Spans = ()
    issuing: set[Span] = field(default_factory=set)
    live_count: int = 0
    since_ms: int = 0  # not after the oldest reading in `waiting` came
    not_before_ms: int = 0


@dataclass(slots=True)
class _Live:
    """One issuer sequence number and the attempts made under it, all for the same readings."""

    device: Address
    span: Span
    pending: set[TransactionId] = field(default_factory=set)
    """Attempts that a milestone may be expected to reference."""

    attempts: set[TransactionId] = field(default_factory=set)
    """All of them: an expired one may be referenced after all."""

    is_issuing: bool = False
    not_before_ms: int = 0


class Batcher:
    """The readings of one node on their way to the ledger. No input or output."""

    def __init__(self, interval_ms: int) -> None:
        """Start empty.

        Args:
            interval_ms: Wall time that a reading waits at most for others to share its batch.
        """
        self._interval_ms = interval_ms
        self._meters: dict[Address, _Meter] = {}
        self._live: dict[int, _Live] = {}
        self._numbers: dict[TransactionId, int] = {}

    @property
    def reserved_numbers(self) -> frozenset[int]:
        """Issuer sequence numbers that belong to a batch, live or to be issued anew."""
        return frozenset(self._live)

    @property
    def waiting_count(self) -> int:
        """How many journalled readings are in no transaction."""
        return sum(size(meter.waiting) + size(meter.issuing) for meter in self._meters.values())

    @property
    def unsettled_count(self) -> int:
        """How many journalled readings the ledger does not show as committed to yet."""
        live = sum(size((live.span,)) for live in self._live.values())
        return self.waiting_count + live

    def device_of(self, tx_id: TransactionId) -> Address | None:
        """Return whose readings a batch on its way commits to; `None` for all else."""
        number = self._numbers.get(tx_id)
        return None if number is None else self._live[number].device

    def restore_device(
        self, device: Address, journalled: Spans, taken: ReadingRanges, now_ms: int
    ) -> None:
        """Take in what is journalled of one device, at start; then `restore_batch`.

        Args:
            device: The meter.
            journalled: Its sequences; no batch reaches over what lies between two spans.
            taken: The ledger's row of this meter.
            now_ms: Wall clock.
        """
        settled = added((), _spans(taken))
        self._meters[device] = _Meter(
            waiting=without(journalled, settled), settled=settled, since_ms=now_ms
        )

    def restore_batch(self, formed: FormedBatch) -> None:
        """Take in an own batch that no milestone references, at start.

        One that the ledger has settled in part can only be refused, so it is left out.
        """
        meter = self._meters.get(formed.device)
        span = (formed.first_sequence, formed.last_sequence)
        live = self._live.get(formed.issuer_sequence)
        if live is None:
            if meter is None or not has_all(meter.waiting, *span):
                return
            meter.waiting = without(meter.waiting, (span,))
            live = self._begin(meter, formed.device, span, formed.issuer_sequence)
        if (live.device, live.span) == (formed.device, span):
            self._attempt(live, formed.issuer_sequence, formed.tx_id)

    def journalled(self, device: Address, sequence: int, now_ms: int) -> None:
        """Take in a reading that was journalled just now."""
        meter = self._meters.setdefault(device, _Meter())
        self._wait(meter, without(((sequence, sequence),), meter.settled), now_ms)

    def due(self, now_ms: int) -> list[BatchToIssue]:
        """Return what to issue now, what waits longest first.

        For each the shell answers with `issued` or `not_issued`; until then it is not yielded
        again.
        """
        batches = []
        for number, live in self._live.items():
            if not live.pending and not live.is_issuing and live.not_before_ms <= now_ms:
                live.is_issuing = True
                batches.append(BatchToIssue(live.device, *live.span, number))
        room = self._room()
        for device, meter in sorted(self._meters.items(), key=lambda item: item[1].since_ms):
            if meter.not_before_ms > now_ms:
                continue
            for span in self._cut(meter, now_ms)[:room]:
                meter.waiting = without(meter.waiting, (span,))
                meter.issuing.add(span)
                batches.append(BatchToIssue(device, *span, None))
                room -= 1
        return batches

    def next_deadline_ms(self) -> int | None:
        """When to call `due`, wall clock; `None` for not before something else happens."""
        deadlines = [
            live.not_before_ms
            for live in self._live.values()
            if not live.pending and not live.is_issuing
        ]
        if self._room() > 0:
            for meter in self._meters.values():
                if meter.waiting and _room_of(meter) > 0:
                    is_full = any(_is_full(span) for span in meter.waiting)
                    full_ms = meter.since_ms + (0 if is_full else self._interval_ms)
                    deadlines.append(max(full_ms, meter.not_before_ms))
        return min(deadlines, default=None)

    def issued(self, batch: BatchToIssue, tx_id: TransactionId, issuer_sequence: int) -> None:
        """Record that `batch` is journalled as transaction `tx_id` under `issuer_sequence`."""
        span = (batch.first_sequence, batch.last_sequence)
        live = self._live.get(issuer_sequence)
        if batch.issuer_sequence is None:
            assert live is None, f"number {issuer_sequence} is that of another batch"
            meter = self._meters[batch.device]
            meter.issuing.remove(span)
            live = self._begin(meter, batch.device, span, issuer_sequence)
        assert batch.issuer_sequence in (None, issuer_sequence), "issued under another number"
        if live is not None:  # else an older attempt was referenced while this one was made
            live.is_issuing = False
            self._attempt(live, issuer_sequence, tx_id)

    def not_issued(self, batch: BatchToIssue, now_ms: int) -> None:
        """Record that `batch` could not be issued: it will be yielded again after a pause."""
        if batch.issuer_sequence is None:
            meter = self._meters[batch.device]
            span = (batch.first_sequence, batch.last_sequence)
            meter.issuing.remove(span)
            self._refuse(meter, without((span,), meter.settled), now_ms)
        elif batch.issuer_sequence in self._live:
            live = self._live[batch.issuer_sequence]
            live.is_issuing = False
            live.not_before_ms = now_ms + RETRY_MS

    def expired(self, tx_id: TransactionId, now_ms: int) -> None:
        """Record that `tx_id` will not be referenced: issue anew, under the same number."""
        number = self._numbers.get(tx_id)
        if number is not None:
            live = self._live[number]
            live.pending.discard(tx_id)
            live.not_before_ms = now_ms

    def resolved(
        self, tx_id: TransactionId, outcome: Outcome, taken: ReadingRanges, now_ms: int
    ) -> None:
        """Record what became of `tx_id`, referenced now. Other nodes' transactions are ignored.

        Args:
            tx_id: Any referenced transaction.
            outcome: What the ledger made of it.
            taken: The ledger's row of the meter, after the milestone.
            now_ms: Wall clock.
        """
        number = self._numbers.get(tx_id)
        if number is None:
            return
        live = self._live[number]
        match outcome:
            case Applied():
                self._close(number, (live.span,), now_ms)
            case Ignored(Reason.SEQUENCE_AHEAD | Reason.ISSUER_UNKNOWN):
                # Uses no number, so this batch still owns it: another attempt, after a pause.
                live.pending.discard(tx_id)
                live.not_before_ms = now_ms + RETRY_MS
            case Ignored():
                self._close(number, _spans(taken), now_ms)
            case NoValue():
                raise AssertionError(f"reading batch {tx_id.hex()} carried no value")

    def settle(self, device: Address, taken: ReadingRanges) -> None:
        """Take in that the ledger shows readings of `device` as committed to, by anyone."""
        meter = self._meters.get(device)
        if meter is not None:
            meter.settled = added(meter.settled, _spans(taken))
            meter.waiting = without(meter.waiting, meter.settled)

    def _close(self, number: int, settled: Iterable[Span], now_ms: int) -> None:
        """End a batch whose number is used: what is not settled waits again."""
        live = self._live.pop(number)
        for tx_id in live.attempts:
            del self._numbers[tx_id]
        meter = self._meters[live.device]
        meter.live_count -= 1
        meter.settled = added(meter.settled, settled)
        meter.waiting = without(meter.waiting, meter.settled)
        self._refuse(meter, without((live.span,), meter.settled), now_ms)

    def _refuse(self, meter: _Meter, spans: Spans, now_ms: int) -> None:
        if spans:
            meter.not_before_ms = now_ms + RETRY_MS
            self._wait(meter, spans, now_ms)

    def _wait(self, meter: _Meter, spans: Spans, now_ms: int) -> None:
        if spans and not meter.waiting:
            meter.since_ms = now_ms
        meter.waiting = added(meter.waiting, spans)

    def _begin(self, meter: _Meter, device: Address, span: Span, number: int) -> _Live:
        meter.live_count += 1
        return self._live.setdefault(number, _Live(device, span))

    def _attempt(self, live: _Live, number: int, tx_id: TransactionId) -> None:
        live.pending.add(tx_id)
        live.attempts.add(tx_id)
        self._numbers[tx_id] = number

    def _room(self) -> int:
        issuing = sum(len(meter.issuing) for meter in self._meters.values())
        return max(0, MAX_LIVE_BATCHES - len(self._live) - issuing)

    def _cut(self, meter: _Meter, now_ms: int) -> list[Span]:
        """Return the batches that the waiting readings of one meter are ripe for, lowest first."""
        is_late = now_ms - meter.since_ms >= self._interval_ms
        pieces = []
        for first, last in meter.waiting:
            for start in range(first, last + 1, MAX_BATCH):
                piece = (start, min(start + MAX_BATCH - 1, last))
                if is_late or _is_full(piece):
                    pieces.append(piece)
        return pieces[: _room_of(meter)]


def _spans(ranges: ReadingRanges) -> Spans:
    return tuple((held.first, held.last) for held in ranges.taken)


def _room_of(meter: _Meter) -> int:
    return max(0, MAX_LIVE_PER_DEVICE - meter.live_count - len(meter.issuing))


def _is_full(span: Span) -> bool:
    return size((span,)) >= MAX_BATCH
