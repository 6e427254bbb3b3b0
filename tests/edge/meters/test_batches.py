import pytest

from edge.journal.entries import FormedBatch
from edge.meters.batches import (
    MAX_BATCH,
    MAX_LIVE_BATCHES,
    MAX_LIVE_PER_DEVICE,
    RETRY_MS,
    Batcher,
    BatchToIssue,
)
from tangle.address import Address
from tangle.outcomes import Applied, Ignored, NoValue, Reason
from tangle.ranges import ReadingRange, ReadingRanges
from tangle.transaction import TransactionId
from tests.edge.making import DEVICE, OTHER_DEVICE

INTERVAL_MS = 1_000
NONE_TAKEN = ReadingRanges()
TX = TransactionId(bytes(32))
TX_2 = TransactionId(bytes([2]) * 32)


def ranges(*spans: tuple[int, int]) -> ReadingRanges:
    return ReadingRanges(tuple(ReadingRange(*span) for span in spans))


def batcher_with(count: int, now_ms: int = 0, device: Address = DEVICE) -> Batcher:
    batcher = Batcher(INTERVAL_MS)
    for sequence in range(count):
        batcher.journalled(device, sequence, now_ms)
    return batcher


def issued(batcher: Batcher, now_ms: int, tx_id: TransactionId = TX, number: int = 0) -> None:
    (batch,) = batcher.due(now_ms)
    batcher.issued(batch, tx_id, number)


def test_a_batch_is_known_until_it_is_settled_under_any_attempt() -> None:
    batcher = batcher_with(1)
    issued(batcher, INTERVAL_MS)
    batcher.expired(TX, 2 * INTERVAL_MS)
    issued(batcher, 2 * INTERVAL_MS, TX_2)

    assert (batcher.device_of(TX), batcher.device_of(TX_2)) == (DEVICE, DEVICE)
    batcher.resolved(TX_2, Applied(()), ranges((0, 0)), 3 * INTERVAL_MS)
    assert (batcher.device_of(TX), batcher.device_of(TX_2)) == (None, None)


def test_readings_wait_for_others_until_the_interval_is_over() -> None:
    batcher = batcher_with(3, now_ms=50)

    assert batcher.next_deadline_ms() == 50 + INTERVAL_MS
    assert batcher.due(49 + INTERVAL_MS) == []
    assert batcher.due(50 + INTERVAL_MS) == [BatchToIssue(DEVICE, 0, 2, None)]
    assert batcher.due(10**9) == []
    assert batcher.next_deadline_ms() is None
    assert batcher.waiting_count == batcher.unsettled_count == 3


def test_a_full_batch_does_not_wait_and_the_rest_does() -> None:
    batcher = batcher_with(2 * MAX_BATCH + 1)

    assert batcher.next_deadline_ms() == 0
    assert batcher.due(0) == [
        BatchToIssue(DEVICE, 0, MAX_BATCH - 1, None),
        BatchToIssue(DEVICE, MAX_BATCH, 2 * MAX_BATCH - 1, None),
    ]
    assert batcher.next_deadline_ms() == INTERVAL_MS
    assert batcher.due(INTERVAL_MS) == [BatchToIssue(DEVICE, 2 * MAX_BATCH, 2 * MAX_BATCH, None)]


def test_each_device_has_batches_of_its_own_and_the_oldest_come_first() -> None:
    batcher = Batcher(INTERVAL_MS)
    batcher.journalled(OTHER_DEVICE, 5, 1)
    batcher.journalled(DEVICE, 9, 0)

    assert [batch.device for batch in batcher.due(1 + INTERVAL_MS)] == [DEVICE, OTHER_DEVICE]


def test_an_applied_batch_is_settled() -> None:
    batcher = batcher_with(3)
    issued(batcher, INTERVAL_MS, number=4)
    assert batcher.reserved_numbers == {4}
    assert (batcher.waiting_count, batcher.unsettled_count) == (0, 3)

    batcher.resolved(TX, Applied(), ranges((0, 2)), INTERVAL_MS)

    assert batcher.unsettled_count == 0
    assert batcher.reserved_numbers == frozenset()
    assert batcher.next_deadline_ms() is None


def test_transactions_of_others_are_passed_over() -> None:
    batcher = batcher_with(1)

    batcher.resolved(TX, Applied(), NONE_TAKEN, 0)
    batcher.expired(TX, 0)
    batcher.settle(OTHER_DEVICE, ranges((0, 9)))

    assert batcher.waiting_count == 1


@pytest.mark.parametrize("reason", [Reason.NOT_ALLOWED, Reason.OUT_OF_RANGE, Reason.SEQUENCE_USED])
def test_a_refused_batch_waits_again_under_a_new_number(reason: Reason) -> None:
    batcher = batcher_with(2)
    issued(batcher, INTERVAL_MS)

    batcher.resolved(TX, Ignored(reason), NONE_TAKEN, 5_000)

    assert batcher.reserved_numbers == frozenset()
    assert batcher.next_deadline_ms() == 5_000 + RETRY_MS
    assert batcher.due(4_999 + RETRY_MS) == []
    assert batcher.due(5_000 + RETRY_MS) == [BatchToIssue(DEVICE, 0, 1, None)]


@pytest.mark.parametrize("reason", [Reason.SEQUENCE_AHEAD, Reason.ISSUER_UNKNOWN])
def test_a_batch_that_used_no_number_is_issued_anew_under_it(reason: Reason) -> None:
    batcher = batcher_with(2)
    issued(batcher, INTERVAL_MS, number=7)

    batcher.resolved(TX, Ignored(reason), NONE_TAKEN, 5_000)

    assert batcher.reserved_numbers == {7}
    assert batcher.next_deadline_ms() == 5_000 + RETRY_MS
    assert batcher.due(4_999 + RETRY_MS) == []
    assert batcher.due(5_000 + RETRY_MS) == [BatchToIssue(DEVICE, 0, 1, 7)]


def test_used_readings_are_settled_and_the_rest_waits_again() -> None:
    batcher = batcher_with(10)
    issued(batcher, INTERVAL_MS)

    batcher.resolved(TX, Ignored(Reason.READING_USED), ranges((0, 2), (5, 6)), 2_000)

    assert batcher.unsettled_count == 5
    assert batcher.due(2_000 + RETRY_MS) == [
        BatchToIssue(DEVICE, 3, 4, None),
        BatchToIssue(DEVICE, 7, 9, None),
    ]


def test_readings_that_another_node_committed_to_are_settled() -> None:
    batcher = batcher_with(5)

    batcher.settle(DEVICE, ranges((0, 2)))
    batcher.journalled(DEVICE, 1, 0)

    assert batcher.due(INTERVAL_MS) == [BatchToIssue(DEVICE, 3, 4, None)]


def test_a_reading_batch_without_value_is_a_bug() -> None:
    batcher = batcher_with(1)
    issued(batcher, INTERVAL_MS)

    with pytest.raises(AssertionError, match="carried no value"):
        batcher.resolved(TX, NoValue(), NONE_TAKEN, 0)


def test_an_expired_batch_is_issued_anew_under_its_number() -> None:
    batcher = batcher_with(2)
    issued(batcher, INTERVAL_MS, number=3)

    batcher.expired(TX, 9_000)

    assert batcher.next_deadline_ms() == 9_000
    (again,) = batcher.due(9_000)
    assert again == BatchToIssue(DEVICE, 0, 1, 3)
    assert batcher.due(9_000) == []
    batcher.issued(again, TX_2, 3)
    assert batcher.due(10**9) == []
    assert batcher.reserved_numbers == {3}


def test_a_batch_is_issued_anew_only_when_every_attempt_has_expired() -> None:
    batcher = batcher_with(2)
    issued(batcher, INTERVAL_MS, number=3)
    batcher.expired(TX, 0)
    (again,) = batcher.due(0)
    batcher.issued(again, TX_2, 3)

    batcher.expired(TX, 0)

    assert batcher.due(10**9) == []


@pytest.mark.parametrize("late", [TX, TX_2])
def test_either_of_two_attempts_settles_the_batch_once(late: TransactionId) -> None:
    batcher = batcher_with(2)
    issued(batcher, INTERVAL_MS)
    batcher.expired(TX, 0)
    (again,) = batcher.due(0)
    batcher.issued(again, TX_2, 0)
    other = TX_2 if late == TX else TX

    batcher.resolved(late, Applied(), ranges((0, 1)), 0)
    batcher.resolved(other, Ignored(Reason.SEQUENCE_USED), ranges((0, 1)), 0)
    batcher.expired(other, 0)

    assert batcher.unsettled_count == 0
    assert batcher.due(10**9) == []


@pytest.mark.parametrize("is_issued", [True, False])
def test_a_late_first_copy_ends_the_attempt_that_is_being_made(is_issued: bool) -> None:
    batcher = batcher_with(2)
    issued(batcher, INTERVAL_MS)
    batcher.expired(TX, 0)
    (again,) = batcher.due(0)

    batcher.resolved(TX, Applied(), ranges((0, 1)), 0)
    if is_issued:
        batcher.issued(again, TX_2, 0)
    else:
        batcher.not_issued(again, 0)

    assert batcher.unsettled_count == 0
    assert batcher.due(10**9) == []
    assert batcher.reserved_numbers == frozenset()


def test_a_batch_that_could_not_be_issued_comes_again_after_a_pause() -> None:
    batcher = batcher_with(2)
    (first,) = batcher.due(INTERVAL_MS)

    batcher.not_issued(first, 2_000)

    assert batcher.due(1_999 + RETRY_MS) == []
    assert batcher.due(2_000 + RETRY_MS) == [first]


def test_an_attempt_that_could_not_be_made_comes_again_under_its_number() -> None:
    batcher = batcher_with(2)
    issued(batcher, INTERVAL_MS, number=3)
    batcher.expired(TX, 0)
    (again,) = batcher.due(0)

    batcher.not_issued(again, 2_000)

    assert batcher.next_deadline_ms() == 2_000 + RETRY_MS
    assert batcher.due(2_000 + RETRY_MS) == [again]


def test_a_meter_has_a_bounded_number_of_live_batches() -> None:
    batcher = batcher_with((MAX_LIVE_PER_DEVICE + 2) * MAX_BATCH)

    batches = batcher.due(0)

    assert len(batches) == MAX_LIVE_PER_DEVICE
    assert batcher.next_deadline_ms() is None
    for number, batch in enumerate(batches):
        batcher.issued(batch, TransactionId(bytes([number]) * 32), number)
    assert batcher.due(10**9) == []
    batcher.resolved(TX, Applied(), ranges((0, MAX_BATCH - 1)), 10**9)
    assert [batch.first_sequence for batch in batcher.due(10**9)] == [
        MAX_LIVE_PER_DEVICE * MAX_BATCH
    ]


def test_a_node_has_a_bounded_number_of_live_batches() -> None:
    batcher = Batcher(INTERVAL_MS)
    for number in range(MAX_LIVE_BATCHES + 3):
        batcher.journalled(Address(number.to_bytes(32, "big")), 0, number)

    batches = batcher.due(10**9)

    assert len(batches) == MAX_LIVE_BATCHES
    assert batches[0].device == Address(bytes(32))
    assert batcher.next_deadline_ms() is None
    batcher.issued(batches[0], TX, 0)
    batcher.resolved(TX, Applied(), ranges((0, 0)), 0)
    assert batcher.next_deadline_ms() is not None
    assert len(batcher.due(10**9)) == 1


def test_a_number_that_belongs_to_another_batch_is_a_bug() -> None:
    batcher = batcher_with(1)
    issued(batcher, INTERVAL_MS, number=3)
    batcher.journalled(DEVICE, 1, INTERVAL_MS)
    (batch,) = batcher.due(2 * INTERVAL_MS)

    with pytest.raises(AssertionError, match="that of another batch"):
        batcher.issued(batch, TX_2, 3)


def test_another_number_than_the_one_asked_for_is_a_bug() -> None:
    batcher = batcher_with(1)
    issued(batcher, INTERVAL_MS, number=3)
    batcher.expired(TX, 0)
    (again,) = batcher.due(0)

    with pytest.raises(AssertionError, match="another number"):
        batcher.issued(again, TX_2, 4)


def test_a_restart_goes_on_from_journal_and_ledger() -> None:
    batcher = Batcher(INTERVAL_MS)
    batcher.restore_device(DEVICE, ((10, 29),), ranges((0, 12), (20, 21)), 500)
    live = FormedBatch(TX, DEVICE, 13, 15, 7)

    batcher.restore_batch(live)
    batcher.restore_batch(FormedBatch(TX_2, DEVICE, 13, 15, 7))

    assert batcher.reserved_numbers == {7}
    assert batcher.due(500 + INTERVAL_MS) == [
        BatchToIssue(DEVICE, 16, 19, None),
        BatchToIssue(DEVICE, 22, 29, None),
    ]
    batcher.expired(TX, 0)
    assert batcher.due(10**6) == []
    batcher.expired(TX_2, 0)
    assert batcher.due(10**6) == [BatchToIssue(DEVICE, 13, 15, 7)]


@pytest.mark.parametrize(
    "dead",
    [
        pytest.param(FormedBatch(TX, DEVICE, 0, 3, 7), id="settled by another attempt"),
        pytest.param(FormedBatch(TX, DEVICE, 3, 5, 7), id="settled in part"),
        pytest.param(FormedBatch(TX, DEVICE, 8, 11, 7), id="beyond the journal"),
        pytest.param(FormedBatch(TX, OTHER_DEVICE, 4, 5, 7), id="of a device not homed here"),
    ],
)
def test_a_restart_leaves_out_what_can_only_be_refused(dead: FormedBatch) -> None:
    batcher = Batcher(INTERVAL_MS)
    batcher.restore_device(DEVICE, ((0, 9),), ranges((0, 3)), 0)

    batcher.restore_batch(dead)

    assert batcher.reserved_numbers == frozenset()
    assert batcher.due(INTERVAL_MS) == [BatchToIssue(DEVICE, 4, 9, None)]


def test_a_restart_takes_no_second_range_under_one_number() -> None:
    batcher = Batcher(INTERVAL_MS)
    batcher.restore_device(DEVICE, ((0, 9),), NONE_TAKEN, 0)
    batcher.restore_batch(FormedBatch(TX, DEVICE, 0, 3, 7))

    batcher.restore_batch(FormedBatch(TX_2, DEVICE, 4, 9, 7))

    assert batcher.due(INTERVAL_MS) == [BatchToIssue(DEVICE, 4, 9, None)]
