"""The spellings under which a journal keeps what is no transaction: outcomes and evidence."""

from collections.abc import Iterable
from typing import Annotated, Final

import msgspec

from edge.journal.entries import Review
from tangle.anchors import Rotation
from tangle.codec import Decoder, encode
from tangle.effects import Halted
from tangle.outcomes import Applied, Event, Ignored, NoValue, Outcome, Reason
from tangle.transaction import Counter, HashField, TransactionId

MAX_OUTCOME_SIZE: Final = 2**26
"""Of one stored outcome. An order meets 1,000 others at most, but to remove a storage unit reports
the end of every session there: 200 bytes for each member, so 300,000 of them find room."""

MAX_ROTATION_SIZE: Final = 2**17
"""Of a stored change of the coordinator keys: a milestone, a path and a row, each bounded."""

MAX_HALTED_SIZE: Final = 16 * 2**20
"""Of the stored evidence: far beyond a report and some milestones of 32 KiB."""


class PlainField(msgspec.Struct, frozen=True, array_like=True, tag="plain"):
    """A field of an event that is text or a number."""

    name: str
    value: str | int


class BytesField(msgspec.Struct, frozen=True, array_like=True, tag="bytes"):
    """A field of an event that is an address."""

    name: str
    value: bytes


class StoredEvent(msgspec.Struct, frozen=True, array_like=True):
    """`tangle.outcomes.Event`."""

    name: str
    fields: tuple[PlainField | BytesField, ...]


class StoredApplied(msgspec.Struct, frozen=True, array_like=True, tag="applied"):
    """`tangle.outcomes.Applied`."""

    events: tuple[StoredEvent, ...]


class StoredNoValue(msgspec.Struct, frozen=True, array_like=True, tag="no-value"):
    """`tangle.outcomes.NoValue`."""


class StoredIgnored(msgspec.Struct, frozen=True, array_like=True, tag="ignored"):
    """`tangle.outcomes.Ignored`."""

    reason: Reason


StoredOutcome = StoredApplied | StoredNoValue | StoredIgnored


class StoredHalted(msgspec.Struct, frozen=True, array_like=True):
    """`tangle.effects.Halted`."""

    index: Counter
    milestone_id: HashField
    report: str
    evidence: Annotated[tuple[bytes, ...], msgspec.Meta(max_length=64)]


class StoredReview(msgspec.Struct, frozen=True, array_like=True):
    """A halt that an operator has lifted, kept for good."""

    halted: StoredHalted
    refused: Annotated[tuple[HashField, ...], msgspec.Meta(max_length=64)]
    """Milestones of the evidence that are never considered again."""

    reviewed_at_ms: Counter
    """Wall clock."""


# A union is no `type` to a type checker, though msgspec takes one: hence the wrapping struct.
class _OutcomeRecord(msgspec.Struct, frozen=True, array_like=True):
    outcome: StoredOutcome


class _EventsRecord(msgspec.Struct, frozen=True, array_like=True):
    events: tuple[StoredEvent, ...]


_endings: Final = Decoder(_EventsRecord, "stored end of a milestone", MAX_OUTCOME_SIZE)
_outcomes: Final = Decoder(_OutcomeRecord, "stored outcome", MAX_OUTCOME_SIZE)
_reviews: Final = Decoder(StoredReview, "stored review", MAX_HALTED_SIZE)
_halts: Final = Decoder(StoredHalted, "stored evidence", MAX_HALTED_SIZE)
_rotations: Final = Decoder(Rotation, "stored rotation", MAX_ROTATION_SIZE)


def encode_outcome(outcome: Outcome) -> bytes:
    """Return the canonical bytes of what became of a transaction."""
    return encode(_OutcomeRecord(_stored(outcome)))


def decode_outcome(data: bytes) -> Outcome:
    """Parse what `encode_outcome` wrote. Raises `MalformedBytesError`."""
    match _outcomes.decode(data).outcome:
        case StoredApplied(events):
            return Applied(tuple(_event(event) for event in events))
        case StoredNoValue():
            return NoValue()
        case StoredIgnored(reason):
            return Ignored(reason)


def encode_events(events: Iterable[Event]) -> bytes:
    """Return the canonical bytes of events that no operation brought about."""
    return encode(_EventsRecord(tuple(_stored_event(event) for event in events)))


def decode_events(data: bytes) -> tuple[Event, ...]:
    """Parse what `encode_events` wrote. Raises `MalformedBytesError`."""
    return tuple(_event(event) for event in _endings.decode(data).events)


def encode_halted(halted: Halted) -> bytes:
    """Return the canonical bytes of the evidence for which confirmation stopped."""
    return encode(StoredHalted(halted.index, halted.milestone_id, halted.report, halted.evidence))


def decode_halted(data: bytes) -> Halted:
    """Parse what `encode_halted` wrote. Raises `MalformedBytesError`."""
    return _halted(_halts.decode(data))


def decode_rotation(data: bytes) -> Rotation:
    """Parse the canonical bytes of a change of keys. Raises `MalformedBytesError`."""
    return _rotations.decode(data)


def encode_review(review: Review) -> bytes:
    """Return the canonical bytes of a halt that was lifted."""
    halted = review.halted
    stored = StoredHalted(halted.index, halted.milestone_id, halted.report, halted.evidence)
    return encode(StoredReview(stored, tuple(sorted(review.refused)), review.reviewed_at_ms))


def decode_review(data: bytes) -> Review:
    """Parse what `encode_review` wrote. Raises `MalformedBytesError`."""
    stored = _reviews.decode(data)
    refused = frozenset(map(TransactionId, stored.refused))
    return Review(_halted(stored.halted), refused, stored.reviewed_at_ms)


def _halted(stored: StoredHalted) -> Halted:
    return Halted(stored.index, TransactionId(stored.milestone_id), stored.report, stored.evidence)


def _stored(outcome: Outcome) -> StoredOutcome:
    match outcome:
        case Applied(events):
            return StoredApplied(tuple(_stored_event(event) for event in events))
        case NoValue():
            return StoredNoValue()
        case Ignored(reason):
            return StoredIgnored(reason)


def _event(stored: StoredEvent) -> Event:
    return Event(stored.name, tuple((field.name, field.value) for field in stored.fields))


def _stored_event(event: Event) -> StoredEvent:
    return StoredEvent(
        event.name,
        tuple(
            BytesField(name, value) if isinstance(value, bytes) else PlainField(name, value)
            for name, value in event.fields
        ),
    )
