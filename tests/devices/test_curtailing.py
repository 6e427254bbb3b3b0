from hypothesis import given
from hypothesis import strategies as st

from devices.curtailing import MAX_SWITCHINGS, Switching, drawn_wh, since

HOUR_MS = 3_600_000


def test_without_a_limit_all_is_drawn() -> None:
    assert drawn_wh(1_000, 0, HOUR_MS, ()) == 1_000
    assert drawn_wh(1_000, 0, HOUR_MS, (Switching(-5, 0), Switching(0, None))) == 1_000


def test_an_open_relay_lets_nothing_through() -> None:
    assert drawn_wh(1_000, 0, HOUR_MS, (Switching(-5, 0),)) == 0
    assert drawn_wh(1_000, 0, HOUR_MS, (Switching(HOUR_MS // 4, 0),)) == 250


def test_a_limit_lets_so_much_through_and_no_more() -> None:
    assert drawn_wh(1_000, 0, HOUR_MS, (Switching(0, 300),)) == 300
    assert drawn_wh(200, 0, HOUR_MS, (Switching(0, 300),)) == 200
    assert drawn_wh(1_000, 0, HOUR_MS, (Switching(HOUR_MS // 2, 300),)) == 650


def test_what_begins_after_the_interval_says_nothing_of_it() -> None:
    assert (
        drawn_wh(1_000, 0, HOUR_MS, (Switching(HOUR_MS, 0), Switching(HOUR_MS + 1, None))) == 1_000
    )


@given(
    st.integers(0, 10**9),
    st.integers(1, 10**9),
    st.lists(st.tuples(st.integers(-(10**9), 2 * 10**9), st.none() | st.integers(0, 10**6))),
)
def test_never_more_is_drawn_than_wanted_and_never_less_than_nothing(
    wanted_wh: int, length_ms: int, raw: list[tuple[int, int | None]]
) -> None:
    switchings = [Switching(*one) for one in sorted(raw, key=lambda one: one[0])]

    assert 0 <= drawn_wh(wanted_wh, 0, length_ms, switchings) <= wanted_wh


def test_what_is_over_is_forgotten_but_for_what_still_holds() -> None:
    switchings = (Switching(1, 0), Switching(5, None), Switching(9, 0))

    assert since(switchings, 0) == switchings
    assert since(switchings, 5) == switchings[1:]
    assert since(switchings, 100) == switchings[2:]
    assert len(since([Switching(at, 0) for at in range(1_000)], 0)) == MAX_SWITCHINGS
