"""What a node answers to each peer is bounded, and one peer's appetite is no other's loss."""

from hypothesis import given
from hypothesis import strategies as st

from edge.node.answer_budget import BURST_BYTES, BYTES_PER_S, AnswerBudget
from tangle.effects import PeerId

ALICE, BOB = PeerId(b"a" * 32), PeerId(b"b" * 32)


def test_a_burst_is_answered_and_then_what_flows_in() -> None:
    budget = AnswerBudget()

    assert budget.take(ALICE, BURST_BYTES, 0)
    assert not budget.take(ALICE, 1, 0)
    assert budget.take(ALICE, BYTES_PER_S, 1_000)
    assert not budget.take(ALICE, BYTES_PER_S, 1_999)
    assert budget.take(BOB, BURST_BYTES, 0)


def test_a_bucket_never_holds_more_than_a_burst() -> None:
    budget = AnswerBudget()
    budget.take(ALICE, 0, 0)

    assert not budget.take(ALICE, BURST_BYTES + 1, 10**9)


def test_what_was_given_anyway_is_charged_and_never_owed() -> None:
    budget = AnswerBudget()

    budget.charge(ALICE, 1_000, 0)
    after = budget.left(ALICE, 0)
    budget.charge(ALICE, 2 * BURST_BYTES, 0)

    assert after == BURST_BYTES - 1_000
    assert budget.left(ALICE, 0) == 0
    assert budget.left(ALICE, 1_000) == BYTES_PER_S
    assert budget.left(BOB, 0) == BURST_BYTES


@given(st.lists(st.tuples(st.integers(0, 2**22), st.integers(0, 2_000)), min_size=1, max_size=60))
def test_never_more_than_a_burst_and_what_time_brings(asked: list[tuple[int, int]]) -> None:
    budget, now_ms, answered = AnswerBudget(), 0, 0

    for size_bytes, pause_ms in asked:
        now_ms += pause_ms
        if budget.take(ALICE, size_bytes, now_ms):
            answered += size_bytes

    assert answered <= BURST_BYTES + now_ms * BYTES_PER_S // 1_000
