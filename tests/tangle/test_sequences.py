import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tangle.codec import Decoder, encode
from tangle.errors import MalformedBytesError
from tangle.outcomes import Reason
from tangle.sequences import WINDOW, SequenceWindow, is_unused, lowest_unused, use
from tangle.transaction import MAX_INTEGER
from tests.vectors import load

rows = Decoder(SequenceWindow, "sequence row", 1_024)


class NaiveWindow:
    """The rule word for word, on a set."""

    def __init__(self) -> None:
        self.used: set[int] = set()

    @property
    def next(self) -> int:
        return next(number for number in range(len(self.used) + 1) if number not in self.used)

    def use(self, number: int) -> Reason | None:
        if number in self.used:
            return Reason.SEQUENCE_USED
        if number > self.next + 1_023:
            return Reason.SEQUENCE_AHEAD
        self.used.add(number)
        return None


def used_up(*numbers: int) -> SequenceWindow:
    window = SequenceWindow()
    for number in numbers:
        after = use(window, number)
        assert isinstance(after, SequenceWindow)
        window = after
    return window


near = st.integers(0, 20)
far = st.integers(1_000, 1_060)


@settings(deadline=None)
@given(st.lists(near | far | st.integers(0, 3_000), max_size=80))
def test_the_window_answers_as_a_set_of_all_used_numbers_would(numbers: list[int]) -> None:
    window, naive = SequenceWindow(), NaiveWindow()

    for number in numbers:
        expected = naive.use(number)
        after = use(window, number)
        assert (after if isinstance(after, Reason) else None) == expected
        window = window if isinstance(after, Reason) else after
        assert window.next == naive.next
        assert rows.decode(encode(window)) == window


@given(st.permutations(range(12)))
def test_the_order_of_use_leaves_no_trace(numbers: list[int]) -> None:
    assert used_up(*numbers) == SequenceWindow(12, b"")
    assert used_up(*numbers[:6]) == used_up(*sorted(numbers[:6]))


@given(st.sets(st.integers(0, 40), max_size=30), st.sets(st.integers(0, 40)))
def test_the_oldest_hole_is_filled_first(used: set[int], pending: set[int]) -> None:
    window = used_up(*sorted(used))

    number = lowest_unused(window, pending)

    assert number is not None
    assert isinstance(use(window, number), SequenceWindow)
    assert number not in pending
    assert all(lower in used | pending for lower in range(number))


def test_nothing_is_issued_while_1024_are_outstanding() -> None:
    window = used_up(0, 1, 2)
    outstanding = set(range(3, 3 + WINDOW))

    assert lowest_unused(window, outstanding) is None
    assert lowest_unused(window, outstanding - {700}) == 700


def test_used_numbers_above_the_lowest_hole_also_fill_the_window() -> None:
    window = used_up(*range(1, WINDOW))

    assert lowest_unused(window, set()) == 0
    assert lowest_unused(window, {0}) is None


def test_filling_the_lowest_hole_opens_the_whole_window_again() -> None:
    window = used_up(*range(1, WINDOW), 0)

    assert window == SequenceWindow(WINDOW, b"")


def test_the_very_last_number_is_never_usable() -> None:
    window = SequenceWindow(MAX_INTEGER - 1)

    after = use(window, MAX_INTEGER - 1)

    assert use(window, MAX_INTEGER) is Reason.SEQUENCE_AHEAD
    assert after == SequenceWindow(MAX_INTEGER)
    assert isinstance(after, SequenceWindow)
    assert rows.decode(encode(after)) == after
    assert lowest_unused(after, set()) is None


@pytest.mark.parametrize("step", load("sequences")["steps"], ids=lambda step: str(step["use"]))
def test_the_row_of_a_vector_decodes(step: dict[str, str]) -> None:
    row = bytes.fromhex(step["row"])

    assert encode(rows.decode(row)) == row


def test_the_steps_of_the_vector_are_taken_as_written() -> None:
    window = SequenceWindow()

    for step in load("sequences")["steps"]:
        after = use(window, step["use"])
        assert (after.value if isinstance(after, Reason) else None) == step["reason"]
        window = window if isinstance(after, Reason) else after
        assert encode(window).hex() == step["row"]


@pytest.mark.parametrize(
    "row",
    [
        pytest.param([0, b"\0"], id="a zero byte for nothing"),
        pytest.param([0, b"\1\0"], id="trailing zero byte"),
        pytest.param([0, bytes(127) + b"\x80"], id="a bit beyond the window"),
        pytest.param([0, bytes(128) + b"\1"], id="a byte beyond the window"),
        pytest.param([-1, b""], id="negative"),
        pytest.param([0], id="default left out"),
    ],
)
def test_a_row_with_a_second_spelling_does_not_decode(row: list[object]) -> None:
    with pytest.raises(MalformedBytesError):
        rows.decode(encode(row))


@given(st.lists(st.integers(0, 40)), st.integers(0, 2 * WINDOW))
def test_a_number_is_unused_until_it_is_used(used: list[int], number: int) -> None:
    window = SequenceWindow()
    for one in used:
        after = use(window, one)
        window = window if isinstance(after, Reason) else after

    assert is_unused(window, number) == (number not in used)
