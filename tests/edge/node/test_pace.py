"""How long a turn is follows from how long the one before took."""

from hypothesis import given
from hypothesis import strategies as st

from edge.node.pace import FIRST, GROWTH, LEAST, LONG_MS, MOST, SHORT_MS, adapted


def test_a_quick_turn_is_followed_by_a_longer_one_and_a_long_one_by_a_short() -> None:
    assert adapted(FIRST, SHORT_MS) == FIRST + GROWTH
    assert adapted(FIRST, SHORT_MS + 1) == FIRST
    assert adapted(FIRST, LONG_MS - 1) == FIRST
    assert adapted(FIRST, LONG_MS) == FIRST // 2


@given(st.lists(st.integers(0, 10_000)))
def test_a_turn_never_takes_nothing_and_never_everything(worked_ms: list[int]) -> None:
    most = FIRST
    for one in worked_ms:
        most = adapted(most, one)

        assert LEAST <= most <= MOST


@given(st.integers(10, 1_000))
def test_turns_come_to_rest_at_what_the_machine_does_in_time(worked_us_each: int) -> None:
    most = FIRST
    for _ in range(200):
        most = adapted(most, most * worked_us_each // 1_000)

    assert most in (LEAST, MOST) or SHORT_MS / 2 <= most * worked_us_each / 1_000 <= LONG_MS * 2
