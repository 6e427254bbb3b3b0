import asyncio

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.stream import (
    AttachedEvent,
    ConfirmedEvent,
    DroppedEvent,
    ExpiredEvent,
    Frame,
    HaltedEvent,
    Hub,
    MilestoneEvent,
    events_of,
    payload_kind,
)
from tangle.effects import (
    Attached,
    Confirmed,
    Dropped,
    Effect,
    Expired,
    Halted,
    Misbehaved,
    PeerId,
    Requested,
)
from tangle.errors import MalformedBytesError, QueueFullError
from tangle.outcomes import Applied, Event, Ignored, NoValue, Reason
from tangle.transaction import Data, Operation, Payload, ReadingBatch, TransactionId, decode
from tests.api.small_node import ALICE, SmallNode

ONE, TWO, THREE = (TransactionId(bytes([number]) * 32) for number in (1, 2, 3))


def expired(number: int) -> ExpiredEvent:
    return ExpiredEvent(str(number))


def test_every_listener_gets_every_event_in_order() -> None:
    hub = Hub()
    first, second = hub.subscribe(), hub.subscribe()

    for number in range(3):
        hub.publish(expired(number))

    frame = Frame(0, tuple(map(expired, range(3))))
    assert (first.take(), second.take()) == (frame, frame)
    assert first.take() == Frame(0, ())


@given(st.integers(0, 40), st.integers(1, 8))
def test_a_slow_listener_loses_the_oldest_and_is_told_how_many(count: int, room: int) -> None:
    hub = Hub(max_buffered=room)
    slow = hub.subscribe()

    for number in range(count):
        hub.publish(expired(number))

    frame = slow.take()
    assert frame.missed + len(frame.events) == count
    assert frame.events == tuple(map(expired, range(count)))[-room:]
    assert slow.take() == Frame(0, ())


def test_a_listener_hears_nothing_from_before_and_nothing_after() -> None:
    hub = Hub()
    hub.publish(expired(0))

    with hub.subscribe() as listener:
        hub.publish(expired(1))
        assert hub.has_subscribers
    hub.publish(expired(2))

    assert listener.take().events == (expired(1),)
    assert not hub.has_subscribers


def test_listeners_are_bounded() -> None:
    hub = Hub(max_subscribers=2)
    first = hub.subscribe()
    hub.subscribe()

    with pytest.raises(QueueFullError, match="2 listeners: at most 2 at once"):
        hub.subscribe()

    hub.unsubscribe(first)
    hub.unsubscribe(first)
    hub.subscribe()


def test_a_listener_waits_until_there_is_news() -> None:
    async def waits() -> list[bool | Frame]:
        hub = Hub()
        listener = hub.subscribe()
        seen: list[bool | Frame] = []
        for number in range(2):
            async with asyncio.TaskGroup() as group:
                waiting = group.create_task(listener.wait_for_news())
                await asyncio.sleep(0)
                seen.append(waiting.done())
                hub.publish(expired(number))
            seen.append(listener.take())
        return seen

    frames = [Frame(0, (expired(number),)) for number in range(2)]
    assert asyncio.run(waits()) == [False, frames[0], False, frames[1]]


def test_an_attached_transaction_is_told_without_its_bytes(node: SmallNode) -> None:
    data = node.signed()

    told = list(events_of(Attached(ONE, data, None, is_milestone=False), at_ms=5))

    parents = tuple(parent.hex() for parent in decode(data).transaction.parents)
    assert told == [AttachedEvent(ONE.hex(), parents, ALICE.public.hex(), "data", 5)]


def test_a_milestone_is_told_after_what_it_decided() -> None:
    outcomes = ((ONE, Applied()), (TWO, NoValue()), (THREE, Ignored(Reason.SELF)))
    ended = (Event("governance.lapsed", (("act", "add_voter"),)),)
    effect = Confirmed(4, TransactionId(b"m" * 32), 9, outcomes, {}, b"r" * 32, ended)

    told = list(events_of(effect, at_ms=5))

    assert told == [
        ConfirmedEvent(ONE.hex(), "applied", None, 4),
        ConfirmedEvent(TWO.hex(), "no-value", None, 4),
        ConfirmedEvent(THREE.hex(), "ignored", "SELF", 4),
        MilestoneEvent(4, "6d" * 32, 9, "72" * 32, applied=1, no_value=1, ignored=1, ended=1),
    ]


def test_what_is_between_nodes_is_not_told() -> None:
    quiet: list[Effect] = [
        Requested((ONE,), None),
        Misbehaved(PeerId(b""), MalformedBytesError("bad")),
    ]

    assert [event for effect in quiet for event in events_of(effect, 0)] == []


def test_losses_are_told_with_their_reason() -> None:
    effects: list[Effect] = [
        Expired(ONE),
        Dropped(TWO, "full"),
        Halted(3, THREE, "fork", (b"evidence",)),
    ]

    told = [event for effect in effects for event in events_of(effect, 0)]

    assert told == [
        ExpiredEvent(ONE.hex()),
        DroppedEvent(TWO.hex(), "full"),
        HaltedEvent(3, THREE.hex(), "fork"),
    ]


def test_a_frame_names_the_type_of_each_event() -> None:
    text = msgspec.json.encode(Frame(2, (expired(1),)))

    assert text == b'{"missed":2,"events":[{"type":"expired","id":"1"}]}'


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (Data("note", b""), "data"),
        (ReadingBatch(ONE, 0, 1, TWO), "readings"),
        (Operation("transfer", b""), "operation"),
    ],
)
def test_a_payload_is_told_by_its_kind(payload: Payload, kind: str) -> None:
    assert payload_kind(payload) == kind


def test_an_attached_milestone_is_told_as_one(node: SmallNode) -> None:
    heard: list[Effect] = []
    node.told = heard.append
    node.confirm()

    told = [event for effect in heard for event in events_of(effect, 0)]

    assert isinstance(told[0], AttachedEvent)
    assert told[0].payload == "milestone"
