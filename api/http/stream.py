"""What happens on the node, told to everyone who listens: bounded, and honest about gaps."""

import asyncio
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import Final, Literal, assert_never

import msgspec

from tangle.effects import (
    Attached,
    Confirmed,
    Dropped,
    Effect,
    Expired,
    Halted,
    Misbehaved,
    Requested,
)
from tangle.errors import QueueFullError
from tangle.outcomes import Applied, Ignored, NoValue, Outcome, state_of
from tangle.transaction import Data, Milestone, Operation, Payload, ReadingBatch, decode

MAX_SUBSCRIBERS: Final = 64
"""Pages and tools that listen to one node at once."""

MAX_BUFFERED_EVENTS: Final = 1_024
"""Per listener; some 300 KiB. Beyond it the oldest go: a page wants what is new."""

PayloadKind = Literal["data", "readings", "operation", "milestone"]


class AttachedEvent(msgspec.Struct, frozen=True, tag_field="type", tag="attached"):
    """A transaction became solid."""

    id: str
    parents: tuple[str, ...]
    issuer: str
    """Public key, hex."""

    payload: PayloadKind
    at_ms: int
    """Wall clock of the node."""


class ConfirmedEvent(msgspec.Struct, frozen=True, tag_field="type", tag="confirmed"):
    """A milestone decided what became of one transaction."""

    id: str
    state: str
    """`applied`, `no-value` or `ignored`."""

    reason: str | None
    index: int


class MilestoneEvent(msgspec.Struct, frozen=True, tag_field="type", tag="milestone"):
    """A milestone was applied; follows the `confirmed` events of what it references."""

    index: int
    id: str
    timestamp_ms: int
    """Ledger time."""

    state_root: str
    applied: int
    no_value: int
    ignored: int
    ended: int
    """How many things ran out or began to hold after the last operation: ask for the milestone."""


class ExpiredEvent(msgspec.Struct, frozen=True, tag_field="type", tag="expired"):
    """A pending transaction fell below max depth: it will not be referenced."""

    id: str


class DroppedEvent(msgspec.Struct, frozen=True, tag_field="type", tag="dropped"):
    """A transaction was not kept, through no fault of its sender."""

    id: str
    reason: str


class HaltedEvent(msgspec.Struct, frozen=True, tag_field="type", tag="halted"):
    """Confirmation stopped: an operator must decide."""

    index: int
    id: str
    report: str


StreamEvent = (
    AttachedEvent | ConfirmedEvent | MilestoneEvent | ExpiredEvent | DroppedEvent | HaltedEvent
)


class Frame(msgspec.Struct, frozen=True):
    """What one listener gets at once."""

    missed: int
    """Events dropped since the frame before, because the listener was too slow."""

    events: tuple[StreamEvent, ...]
    """In the order in which they happened."""


class Subscription:
    """One listener's buffer. A context manager: leaving it ends the subscription."""

    def __init__(self, hub: "Hub", max_buffered: int) -> None:
        self._hub = hub
        self._events: deque[StreamEvent] = deque(maxlen=max_buffered)
        self._missed = 0
        self._has_news = asyncio.Event()

    def __enter__(self) -> "Subscription":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._hub.unsubscribe(self)

    def push(self, event: StreamEvent) -> None:
        """Add one event; when full, drop the oldest and count it as missed."""
        if len(self._events) == self._events.maxlen:
            self._missed += 1
        self._events.append(event)
        self._has_news.set()

    async def wait_for_news(self) -> None:
        """Return once there is something to take."""
        await self._has_news.wait()

    def take(self) -> Frame:
        """Return all that is buffered, and empty the buffer."""
        frame = Frame(self._missed, tuple(self._events))
        self._events.clear()
        self._missed = 0
        self._has_news.clear()
        return frame


class Hub:
    """Copies each event to every listener. Owned by the node's loop; never blocks it."""

    def __init__(
        self,
        max_subscribers: int = MAX_SUBSCRIBERS,
        max_buffered: int = MAX_BUFFERED_EVENTS,
    ) -> None:
        self._max_subscribers = max_subscribers
        self._max_buffered = max_buffered
        self._subscriptions: dict[Subscription, None] = {}

    @property
    def has_subscribers(self) -> bool:
        """Whether anyone listens: if not, events need not be made."""
        return bool(self._subscriptions)

    @property
    def subscriber_count(self) -> int:
        """How many listen."""
        return len(self._subscriptions)

    def subscribe(self) -> Subscription:
        """Return a new, empty buffer.

        Raises:
            QueueFullError: The node has as many listeners as it serves.
        """
        if len(self._subscriptions) >= self._max_subscribers:
            raise QueueFullError(
                f"{len(self._subscriptions)} listeners: at most {self._max_subscribers} at once"
            )
        subscription = Subscription(self, self._max_buffered)
        self._subscriptions[subscription] = None
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription; ending it twice is no error."""
        self._subscriptions.pop(subscription, None)

    def publish(self, event: StreamEvent) -> None:
        """Hand `event` to every listener."""
        for subscription in self._subscriptions:
            subscription.push(event)


def events_of(effect: Effect, at_ms: int) -> Iterator[StreamEvent]:
    """Yield what listeners are told of one effect of the core, in order.

    Args:
        effect: What the core decided. Its bytes are not kept: events are small.
        at_ms: Wall clock of the node.
    """
    match effect:
        case Attached():
            yield _attached(effect, at_ms)
        case Confirmed():
            yield from _confirmed(effect)
        case Expired(tx_id):
            yield ExpiredEvent(tx_id.hex())
        case Dropped(tx_id, reason):
            yield DroppedEvent(tx_id.hex(), reason)
        case Halted(index, milestone_id, report):
            yield HaltedEvent(index, milestone_id.hex(), report)
        case Requested() | Misbehaved():
            return  # between nodes; of no use to a page
        case _:
            assert_never(effect)


def payload_kind(payload: Payload) -> PayloadKind:
    """Return the name of a payload's kind, its tag in canonical bytes."""
    match payload:
        case Data():
            return "data"
        case ReadingBatch():
            return "readings"
        case Operation():
            return "operation"
        case Milestone():
            return "milestone"
        case _:
            assert_never(payload)


def _attached(effect: Attached, at_ms: int) -> AttachedEvent:
    transaction = decode(effect.data).transaction
    return AttachedEvent(
        effect.tx_id.hex(),
        tuple(parent.hex() for parent in transaction.parents),
        transaction.issuer.hex(),
        payload_kind(transaction.payload),
        at_ms,
    )


def _confirmed(effect: Confirmed) -> Iterator[StreamEvent]:
    counts: dict[type[Outcome], int] = {Applied: 0, NoValue: 0, Ignored: 0}
    for tx_id, outcome in effect.outcomes:
        counts[type(outcome)] += 1
        reason = outcome.reason if isinstance(outcome, Ignored) else None
        yield ConfirmedEvent(tx_id.hex(), state_of(outcome), reason, effect.index)
    yield MilestoneEvent(
        effect.index,
        effect.milestone_id.hex(),
        effect.timestamp_ms,
        effect.state_root.hex(),
        applied=counts[Applied],
        no_value=counts[NoValue],
        ignored=counts[Ignored],
        ended=len(effect.ended),
    )
