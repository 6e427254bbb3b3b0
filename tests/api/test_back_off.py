from hypothesis import given
from hypothesis import strategies as st

from api.processes.back_off import FIRST_DELAY_MS, MAX_DELAY_MS, STEADY_MS, BackOff


def test_the_first_death_is_followed_by_the_shortest_wait() -> None:
    assert BackOff().delay_ms == 0
    assert BackOff().after_death(10).delay_ms == FIRST_DELAY_MS


def test_each_quick_death_doubles_the_wait() -> None:
    twice = BackOff().after_death(10).after_death(10)

    assert twice.delay_ms == 2 * FIRST_DELAY_MS


def test_who_ran_steadily_starts_anew() -> None:
    often = BackOff(12)

    assert often.after_death(STEADY_MS - 1).delay_ms == MAX_DELAY_MS
    assert often.after_death(STEADY_MS).delay_ms == FIRST_DELAY_MS


@given(st.integers(0, 10**9))
def test_the_wait_is_bounded_however_often_it_dies(deaths: int) -> None:
    assert 0 <= BackOff(deaths).delay_ms <= MAX_DELAY_MS
