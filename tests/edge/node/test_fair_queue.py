"""The fair queue: everybody's turn comes, whoever else sends how much."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from edge.node.fair_queue import (
    MAX_AWAITED_PENDING,
    MAX_PENDING,
    MAX_URGENT,
    QUANTUM_BYTES,
    FairQueue,
    FlowKey,
    Queued,
)
from tangle.effects import PeerId
from tangle.keys import PublicKey
from tangle.transaction import (
    MILESTONE_ISSUER,
    VERSION,
    Data,
    IssuerWitness,
    Transaction,
    TransactionId,
)
from tangle.verification import Verified

ALICE, BOB = PeerId(b"a" * 32), PeerId(b"b" * 32)
FIELDS = Transaction(VERSION, bytes(8), (), MILESTONE_ISSUER, 0, 0, Data("test", b""))
WITNESS = IssuerWitness(bytes(64), bytes(8))
SPAMMER, HONEST, OTHER = (PublicKey(bytes([n]) * 32) for n in (1, 2, 3))


def one(
    number: int, issuer: PublicKey | None = HONEST, peer: PeerId = ALICE, size_bytes: int = 200
) -> Queued:
    tx_id = TransactionId(number.to_bytes(32, "big"))
    return Queued(peer, issuer, Verified(tx_id, peer + tx_id, FIELDS, WITNESS, size_bytes))


def none_pending(_: PublicKey) -> int:
    return 0


def numbers(taken: list[Queued]) -> list[int]:
    return [int.from_bytes(queued.tx_id, "big") for queued in taken]


def test_without_load_everything_goes_at_once_in_the_order_of_arrival() -> None:
    queue = FairQueue()
    for number in range(20):
        queue.add(one(number, (SPAMMER, HONEST, OTHER)[number % 3], (ALICE, BOB)[number % 2]))

    taken = queue.take(none_pending)

    assert numbers(taken) == list(range(20))
    assert len(queue) == 0
    assert not queue.is_ready(none_pending)


def test_one_issuer_does_not_keep_another_waiting() -> None:
    queue = FairQueue()
    for number in range(1_000):
        queue.add(one(number, SPAMMER))
    for number in range(1_000, 1_010):
        queue.add(one(number, HONEST))

    taken = queue.take(none_pending, budget_bytes=2 * 10 * 200 + 2 * QUANTUM_BYTES)

    assert set(range(1_000, 1_010)) <= set(numbers(taken))
    assert queue.is_ready(none_pending)


def test_one_peer_that_invents_issuers_does_not_keep_another_peer_waiting() -> None:
    queue = FairQueue()
    for number in range(1_000):
        queue.add(one(number, PublicKey(number.to_bytes(32, "little"))))
    for number in range(1_000, 1_010):
        queue.add(one(number, HONEST, BOB))

    taken = queue.take(none_pending, budget_bytes=2 * 10 * 200 + 2 * QUANTUM_BYTES)

    assert set(range(1_000, 1_010)) <= set(numbers(taken))


def test_turns_are_shared_by_bytes_and_not_by_count() -> None:
    queue = FairQueue()
    for number in range(400):
        queue.add(one(number, SPAMMER, size_bytes=16_000))
        queue.add(one(1_000 + number, HONEST, size_bytes=160))

    spent = Counter[PublicKey | None]()
    for _ in range(4):
        for queued in queue.take(none_pending, budget_bytes=32_000):
            spent[queued.issuer] += queued.size_bytes

    assert abs(spent[SPAMMER] - spent[HONEST]) <= 16_000 + QUANTUM_BYTES


def test_the_same_bytes_wait_once_and_another_witness_beside_them() -> None:
    queue = FairQueue()
    again = one(1, peer=BOB)

    queue.add(one(1))
    queue.add(one(1))
    queue.add(again)

    assert len(queue) == 2
    assert len(queue.take(none_pending)) == 2
    assert queue.get(again.tx_id) is None


def test_a_full_queue_lets_the_newest_of_the_fullest_issuer_go() -> None:
    queue = FairQueue(limit=10)
    for number in range(9):
        queue.add(one(number, SPAMMER))

    assert queue.add(one(100, HONEST)) == []
    assert numbers(queue.add(one(101, HONEST))) == [8]
    assert numbers(queue.add(one(9, SPAMMER))) == [9]
    assert set(numbers(queue.take(none_pending))) == {0, 1, 2, 3, 4, 5, 6, 7, 100, 101}


def test_a_queue_is_full_by_bytes_too() -> None:
    queue = FairQueue(limit_bytes=1_000)
    for number in range(5):
        queue.add(one(number, SPAMMER))

    assert numbers(queue.add(one(100, HONEST, size_bytes=300))) == [4, 3]


def test_what_is_urgent_goes_first_but_takes_half_a_turn_at_most() -> None:
    queue = FairQueue()
    for number in range(50):
        queue.add(one(number, SPAMMER))
    for number in range(100, 150):
        queue.add(one(number, HONEST), is_urgent=True)

    taken = numbers(queue.take(none_pending, budget_bytes=4_000))
    rest = numbers(queue.take(none_pending))

    assert taken == [*range(10), *range(100, 110)]
    assert len(rest) == 80


def test_urgent_alone_takes_the_whole_turn_and_no_more() -> None:
    queue = FairQueue()
    for number in range(50):
        queue.add(one(number), is_urgent=True)

    assert numbers(queue.take(none_pending, budget_bytes=4_000)) == list(range(20))


def test_what_is_urgent_is_bounded_and_leaves_only_by_its_turn() -> None:
    queue = FairQueue(limit=MAX_URGENT)
    for number in range(MAX_URGENT):
        queue.add(one(number), is_urgent=True)

    gone = queue.add(one(MAX_URGENT), is_urgent=True)

    assert numbers(gone) == [MAX_URGENT]


def test_what_is_urgent_is_ready_and_leaves_for_nobody() -> None:
    queue = FairQueue(limit=2)

    gone = [queue.add(one(number), is_urgent=True) for number in range(4)]

    assert gone == [[]] * 4
    assert queue.is_ready(none_pending)


def test_what_something_waits_for_goes_ahead_of_what_its_issuer_has_waiting() -> None:
    queue = FairQueue()
    for number in range(100):
        queue.add(one(number, SPAMMER))
    queue.add(one(200, SPAMMER), sponsor=(ALICE, SPAMMER))

    is_here = queue.hasten(one(50).tx_id, (ALICE, SPAMMER))

    assert is_here
    assert not queue.hasten(one(300).tx_id, (ALICE, SPAMMER))
    taken = queue.take(none_pending, budget_bytes=400)
    assert numbers(taken) == [50, 200]
    assert [queued.sponsor for queued in taken] == [None, None]


def test_who_waits_for_something_of_a_flood_gives_it_a_turn_of_their_own() -> None:
    queue = FairQueue()
    for number in range(100):
        queue.add(one(number, SPAMMER))
    queue.add(one(200, HONEST, BOB))

    queue.hasten(one(99).tx_id, (BOB, HONEST))
    taken = queue.take(none_pending, budget_bytes=5 * 200)

    assert {99, 200} <= set(numbers(taken))
    assert [one.tx_id for one in taken if one.sponsor is not None] == [one(99).tx_id]
    assert queue.size_bytes((BOB, HONEST)) == 0
    assert queue.size_bytes((ALICE, SPAMMER)) == 200 * len(queue)


def test_a_sponsored_one_over_its_own_quota_holds_up_nothing_behind_it() -> None:
    queue = FairQueue()
    pending = {SPAMMER: MAX_AWAITED_PENDING, HONEST: 0}
    queue.add(one(1, SPAMMER), sponsor=(BOB, HONEST))
    is_ready_before = queue.is_ready(pending.__getitem__)
    queue.add(one(2, HONEST, BOB))

    assert not is_ready_before
    assert numbers(queue.take(pending.__getitem__)) == [2]
    assert len(queue) == 1


def test_what_a_banned_sponsor_gave_its_turns_to_goes_back_to_its_own_line() -> None:
    queue = FairQueue()
    queue.add(one(1, SPAMMER, ALICE), sponsor=(BOB, HONEST))
    queue.add(one(2, HONEST, BOB))
    queue.add(one(3, HONEST, BOB), sponsor=(ALICE, SPAMMER))

    dropped = queue.forget(BOB)

    assert dropped == 2
    assert queue.size_bytes((ALICE, SPAMMER)) == 200
    assert numbers(queue.take(none_pending)) == [1]


def test_what_a_milestone_comes_to_need_becomes_urgent() -> None:
    queue = FairQueue()
    for number in range(100):
        queue.add(one(number, SPAMMER))

    is_here = queue.prefer(one(99).tx_id)

    assert is_here
    assert not queue.prefer(one(300).tx_id)
    assert numbers(queue.take(none_pending, budget_bytes=2)) == [99]


def test_what_is_urgent_stays_so_whoever_waits_for_it_and_has_its_bound() -> None:
    queue = FairQueue()
    for number in range(MAX_URGENT):
        queue.add(one(number), is_urgent=True)
    queue.add(one(MAX_URGENT))

    queue.hasten(one(0).tx_id, (BOB, OTHER))
    queue.prefer(one(MAX_URGENT).tx_id)

    assert queue.size_bytes((BOB, OTHER)) == 0
    assert queue.size_bytes((ALICE, HONEST)) == 200


def test_an_issuer_over_its_quota_is_put_off_until_it_is_below() -> None:
    queue = FairQueue()
    pending = {SPAMMER: MAX_PENDING - 2, HONEST: 0}
    for number in range(10):
        queue.add(one(number, SPAMMER))
        queue.add(one(100 + number, HONEST))

    first = queue.take(pending.__getitem__)
    pending[SPAMMER] = MAX_PENDING
    is_ready_then = queue.is_ready(pending.__getitem__)
    pending[SPAMMER] = 0

    assert numbers(first) == [0, 100, 1, *range(101, 110)]
    assert not is_ready_then
    assert queue.is_ready(pending.__getitem__)
    assert numbers(queue.take(pending.__getitem__)) == list(range(2, 10))


def test_what_others_wait_for_may_exceed_the_quota_but_not_without_end() -> None:
    queue = FairQueue()
    pending = {SPAMMER: MAX_PENDING}
    for number in range(3):
        queue.add(one(number, SPAMMER))

    queue.hasten(one(2).tx_id, (ALICE, SPAMMER))
    awaited = queue.take(pending.__getitem__)
    queue.hasten(one(1).tx_id, (ALICE, SPAMMER))
    pending[SPAMMER] = MAX_AWAITED_PENDING

    assert numbers(awaited) == [2]
    assert queue.take(pending.__getitem__) == []


def test_strangers_share_one_turn_and_have_no_quota() -> None:
    queue = FairQueue()
    for number in range(2 * MAX_PENDING):
        queue.add(one(number, None, size_bytes=20))

    assert queue.is_ready(none_pending)
    taken = queue.take(lambda _: MAX_PENDING, budget_bytes=2 * MAX_PENDING * 20)
    assert len(taken) == 2 * MAX_PENDING


def test_what_a_banned_peer_sent_is_dropped() -> None:
    queue = FairQueue()
    queue.add(one(1, peer=ALICE))
    queue.add(one(2, peer=ALICE), is_urgent=True)
    queue.add(one(3, peer=BOB))

    assert queue.forget(ALICE) == 2
    assert queue.forget(ALICE) == 0
    assert numbers(queue.take(none_pending)) == [3]


arrivals = st.lists(
    st.tuples(
        st.integers(0, 40),
        st.sampled_from([SPAMMER, HONEST, OTHER, None]),
        st.sampled_from([ALICE, BOB]),
        st.integers(1, 32_768),
        st.booleans(),
        st.sampled_from([None, (ALICE, SPAMMER), (BOB, HONEST), (BOB, None)]),
    ),
    max_size=60,
)


@given(arrivals, st.integers(1, 100_000))
def test_whatever_comes_leaves_once_and_nothing_stays_behind(
    coming: list[tuple[int, PublicKey | None, PeerId, int, bool, FlowKey | None]],
    budget_bytes: int,
) -> None:
    queue = FairQueue(limit=20)
    seen: set[bytes] = set()
    gone: list[Queued] = []
    for number, issuer, peer, size_bytes, is_urgent, sponsor in coming:
        queued = one(number, issuer, peer, size_bytes)
        if queued.data not in seen | {left.data for left in gone}:
            gone += queue.add(queued, is_urgent=is_urgent, sponsor=sponsor)
            seen.add(queued.data)
    taken = []
    while turn := queue.take(none_pending, budget_bytes):
        taken += turn

    assert sorted(left.data for left in (*taken, *gone)) == sorted(seen)
    assert len(queue) == 0
    assert (queue._urgent, queue._lanes, queue._by_id, queue._awaited) == ({}, {}, {}, set())
    assert queue._size_bytes == 0
