"""Rooms where transactions wait: bounded, fair, and nothing a milestone needs is ever evicted."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tangle.effects import PeerId
from tangle.transaction import TransactionId
from tangle.verification import Verified
from tangle.waiting import (
    MAX_REPEATS,
    MAX_REQUEST_TRIES,
    REQUEST_TIMEOUT_MS,
    Arrival,
    HoldingRoom,
    WaitingRoom,
)
from tests.community import Maker, community, edge_key
from tests.drawing import tx

MAKE = Maker(community())
LOUD, QUIET = PeerId(b"l" * 32), PeerId(b"q" * 32)
MISSING = tx("missing")


def orphan(number: int, parent: TransactionId = MISSING) -> Verified:
    return MAKE.transaction(edge_key(0), number, (parent, tx("other")))


def filled(limit: int) -> tuple[WaitingRoom, list[Verified]]:
    """Return a room that one loud and one quiet sender have just filled."""
    room = WaitingRoom(limit)
    orphans = [orphan(number) for number in range(limit)]
    for number, one in enumerate(orphans):
        room.add(Arrival(one, QUIET if number == 0 else LOUD), (MISSING,))
    return room, orphans


def test_a_full_room_evicts_the_newest_of_the_heaviest_sender() -> None:
    room, orphans = filled(4)

    evicted = room.add(Arrival(orphan(9), QUIET), (MISSING,))

    assert evicted == [orphans[-1].tx_id]
    assert orphan(9).tx_id in room
    assert len(room) == 4


def test_the_newcomer_of_the_heaviest_sender_is_the_one_to_leave() -> None:
    room, _ = filled(4)
    newcomer = orphan(9)

    assert room.add(Arrival(newcomer, LOUD), (MISSING,)) == [newcomer.tx_id]


def test_what_a_milestone_needs_is_not_evicted_and_does_not_count() -> None:
    room, orphans = filled(4)
    room.need([one.tx_id for one in orphans[1:]])

    evicted = [room.add(Arrival(orphan(number), LOUD), (MISSING,)) for number in range(10, 14)]

    assert all(one.tx_id in room for one in orphans[1:])
    assert [len(gone) for gone in evicted] == [0, 0, 0, 1]
    assert len(room) == 7


def test_need_reaches_down_to_what_is_not_here_yet() -> None:
    room = WaitingRoom()
    parent = orphan(1)
    child = orphan(2, parent.tx_id)
    room.add(Arrival(child, LOUD), (parent.tx_id,))

    room.need([child.tx_id])
    room.add(Arrival(parent, LOUD), (MISSING,))

    assert room.is_needed(parent.tx_id)
    assert room.is_needed(MISSING)


def test_release_gives_back_what_waited_for_the_last_missing_parent() -> None:
    room = WaitingRoom()
    one, both = orphan(1), orphan(2)
    room.add(Arrival(one, LOUD), (MISSING,))
    room.add(Arrival(both, LOUD), (MISSING, tx("other")))

    assert room.release(MISSING) == [Arrival(one, LOUD)]
    assert room.release(tx("other")) == [Arrival(both, LOUD)]
    assert len(room) == 0


def test_descendants_leave_with_what_can_never_come() -> None:
    room = WaitingRoom()
    parent = orphan(1)
    child = orphan(2, parent.tx_id)
    bystander = orphan(3, tx("elsewhere"))
    room.add(Arrival(child, LOUD), (parent.tx_id,))
    room.add(Arrival(parent, LOUD), (MISSING,))
    room.add(Arrival(bystander, LOUD), (tx("elsewhere"),))
    room.ask((MISSING,), LOUD, 0)

    removed = room.remove_with_descendants(MISSING)

    assert sorted(removed) == sorted([parent.tx_id, child.tx_id])
    assert bystander.tx_id in room
    assert room.request_count == 0


def test_requests_are_repeated_then_given_up_unless_a_milestone_needs_them() -> None:
    room = WaitingRoom()
    room.add(Arrival(orphan(1), LOUD), (MISSING, tx("needed")))
    room.need((tx("needed"),))
    assert room.ask((MISSING, tx("needed")), LOUD, 0) == (MISSING, tx("needed"))
    assert room.ask((MISSING,), LOUD, 0) == ()

    said = [room.overdue(tries * REQUEST_TIMEOUT_MS) for tries in range(1, MAX_REQUEST_TRIES + 1)]

    assert said[:-1] == [([MISSING, tx("needed")], [])] * (MAX_REQUEST_TRIES - 1)
    assert said[-1] == ([tx("needed")], [MISSING])


def test_what_only_a_heartbeat_named_is_asked_for_once() -> None:
    room = WaitingRoom()
    room.ask((tx("tip"),), LOUD, 0)

    assert room.overdue(REQUEST_TIMEOUT_MS) == ([], [])
    assert room.next_deadline_ms() is None


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([LOUD, QUIET])), max_size=60))
def test_the_room_never_exceeds_its_limit(arrivals: list[tuple[int, PeerId]]) -> None:
    room, limit = WaitingRoom(5), 5
    senders: Counter[PeerId] = Counter()

    for number, (parent, sender) in enumerate(arrivals):
        one = orphan(number, tx(f"parent{parent}"))
        evicted = room.add(Arrival(one, sender), (tx(f"parent{parent}"),))
        senders[sender] += 1
        assert len(evicted) == (1 if number >= limit else 0)
        assert len(room) <= limit


def test_a_held_transaction_leaves_when_due_when_needed_or_when_registered() -> None:
    room = HoldingRoom(limit=3)
    early, stranger, needed = (Arrival(orphan(number), LOUD) for number in range(3))

    assert room.hold(early, 500) == []
    assert room.hold(stranger, None) == []
    assert room.hold(needed, 900) == []
    assert room.hold(Arrival(orphan(9), LOUD), None) == [orphan(9).tx_id]
    assert room.next_deadline_ms() == 500
    assert room.take_due(499) == []
    assert room.take_due(500) == [early]
    assert room.take(needed.verified.tx_id) == needed
    assert room.take_strangers() == [stranger]
    assert len(room) == 0
    assert room.next_deadline_ms() is None


def test_who_fills_the_holding_room_displaces_only_its_own() -> None:
    room = HoldingRoom(limit=3)
    loud = [Arrival(orphan(number), LOUD) for number in range(3)]
    for one in loud:
        room.hold(one, None)

    evicted = room.hold(Arrival(orphan(9), QUIET), 500)

    assert evicted == [loud[-1].verified.tx_id]
    assert room.take_due(500) == [Arrival(orphan(9), QUIET)]
    assert room.take_strangers() == loud[:-1]


def test_an_evicted_parent_is_asked_for_when_the_request_is_due_and_not_before() -> None:
    room = WaitingRoom(limit=1)
    parent = orphan(1)
    room.add(Arrival(orphan(2, parent.tx_id), QUIET), (parent.tx_id,))
    evicted = room.add(Arrival(parent, LOUD), (MISSING,))

    room.ask_later(evicted, 0)

    assert evicted == [parent.tx_id]
    assert room.overdue(REQUEST_TIMEOUT_MS - 1) == ([], [])
    assert room.overdue(REQUEST_TIMEOUT_MS) == ([parent.tx_id], [])


def test_a_request_that_was_repeated_is_due_after_those_that_were_not() -> None:
    room = WaitingRoom()
    room.need((tx("first"), tx("second")))
    room.ask((tx("first"),), LOUD, 0)
    room.ask((tx("second"),), LOUD, 600)

    assert room.overdue(REQUEST_TIMEOUT_MS) == ([tx("first")], [])
    assert room.next_deadline_ms() == 600 + REQUEST_TIMEOUT_MS
    assert room.overdue(600 + REQUEST_TIMEOUT_MS) == ([tx("second")], [])
    assert room.next_deadline_ms() == 2 * REQUEST_TIMEOUT_MS


def test_few_requests_are_repeated_at_a_time_and_none_is_forgotten() -> None:
    room = WaitingRoom()
    missing = [tx(f"missing{number}") for number in range(MAX_REPEATS + 10)]
    for number, parent in enumerate(missing):
        room.add(Arrival(orphan(number, parent), LOUD), (parent,))
    room.ask(missing, LOUD, 0)

    first, _ = room.overdue(REQUEST_TIMEOUT_MS)
    rest, _ = room.overdue(REQUEST_TIMEOUT_MS)

    assert first == missing[:MAX_REPEATS]
    assert rest == missing[MAX_REPEATS:]
