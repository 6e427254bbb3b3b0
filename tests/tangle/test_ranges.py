import pytest
from hypothesis import given
from hypothesis import strategies as st

from tangle.codec import Decoder, encode
from tangle.errors import MalformedBytesError
from tangle.outcomes import Reason
from tangle.ranges import MAX_GAPS, ReadingRange, ReadingRanges, count, gaps, take
from tangle.transaction import MAX_INTEGER
from tests.vectors import load

rows = Decoder(ReadingRanges, "readings row", 4_096)


def ranges_of(*pairs: tuple[int, int]) -> ReadingRanges:
    return ReadingRanges(tuple(ReadingRange(first, last) for first, last in pairs))


def taken(*pairs: tuple[int, int]) -> ReadingRanges:
    ranges = ReadingRanges()
    for first, last in pairs:
        after = take(ranges, first, last)
        assert isinstance(after, ReadingRanges)
        ranges = after
    return ranges


def naive_gaps(numbers: set[int]) -> int:
    """Count the holes below the highest number one by one."""
    return sum(
        number not in numbers and (number + 1 in numbers)
        for number in range(max(numbers, default=0))
    )


batches = st.lists(
    st.tuples(st.integers(0, 300), st.integers(0, 4)).map(lambda pair: (pair[0], sum(pair))),
    max_size=150,
)


@given(batches)
def test_ranges_answer_as_a_set_of_all_taken_numbers_would(batches: list[tuple[int, int]]) -> None:
    ranges, numbers = ReadingRanges(), set[int]()

    for first, last in batches:
        batch = set(range(first, last + 1))
        after = take(ranges, first, last)
        if numbers & batch:
            assert after is Reason.READING_USED
        elif naive_gaps(numbers | batch) > MAX_GAPS:
            assert after is Reason.OUT_OF_RANGE
        else:
            assert isinstance(after, ReadingRanges)
            ranges, numbers = after, numbers | batch
        spelt = {n for held in ranges.taken for n in range(held.first, held.last + 1)}
        assert (spelt, count(ranges)) == (numbers, len(numbers))
        assert gaps(ranges) == naive_gaps(numbers)
        assert rows.decode(encode(ranges)) == ranges


@given(st.permutations([(0, 3), (4, 4), (5, 9), (12, 15), (16, 16), (20, 29)]))
def test_the_order_of_arrival_leaves_no_trace(batches: list[tuple[int, int]]) -> None:
    assert taken(*batches) == ranges_of((0, 9), (12, 16), (20, 29))


@pytest.mark.parametrize(
    ("first", "last"), [(10, 19), (10, 10), (19, 19), (5, 10), (19, 25), (0, 99), (12, 13)]
)
def test_a_batch_that_overlaps_is_refused_whole(first: int, last: int) -> None:
    assert take(taken((10, 19)), first, last) is Reason.READING_USED


@pytest.mark.parametrize(("first", "last"), [(9, 9), (20, 20), (0, 9)])
def test_a_batch_that_touches_is_merged(first: int, last: int) -> None:
    assert len(taken((10, 19), (first, last)).taken) == 1


def test_64_gaps_are_held_and_the_65th_is_refused() -> None:
    full = taken(*((2 * number, 2 * number) for number in range(MAX_GAPS + 1)))

    assert gaps(full) == MAX_GAPS
    assert take(full, 1_000, 1_000) is Reason.OUT_OF_RANGE
    assert isinstance(take(full, 129, 200), ReadingRanges)
    assert isinstance(take(full, 1, 1), ReadingRanges)


def test_a_hole_before_the_first_range_is_a_gap() -> None:
    odd = taken(*((2 * number + 1, 2 * number + 1) for number in range(MAX_GAPS)))

    assert gaps(odd) == MAX_GAPS
    assert take(odd, 1_000, 1_000) is Reason.OUT_OF_RANGE
    assert gaps(taken((1, 1))) == 1
    assert gaps(taken((0, 1))) == 0


def test_all_readings_of_all_time_are_one_range() -> None:
    ranges = taken((0, MAX_INTEGER - 1), (MAX_INTEGER, MAX_INTEGER))

    assert ranges == ranges_of((0, MAX_INTEGER))
    assert count(ranges) == MAX_INTEGER + 1
    assert rows.decode(encode(ranges)) == ranges


def test_the_steps_of_the_vector_are_taken_as_written() -> None:
    ranges = ReadingRanges()

    for step in load("ranges")["steps"]:
        after = take(ranges, *step["take"])
        assert (after.value if isinstance(after, Reason) else None) == step["reason"]
        ranges = ranges if isinstance(after, Reason) else after
        assert encode(ranges).hex() == step["row"]


@pytest.mark.parametrize(
    "pairs",
    [
        pytest.param([[3, 2]], id="backwards"),
        pytest.param([[0, 3], [4, 5]], id="neighbours not merged"),
        pytest.param([[0, 3], [3, 5]], id="overlapping"),
        pytest.param([[6, 7], [0, 3]], id="descending"),
        pytest.param([[2 * at + 1, 2 * at + 1] for at in range(65)], id="65 gaps"),
        pytest.param([[2 * at, 2 * at] for at in range(66)], id="66 ranges"),
        pytest.param([[-1, 2]], id="negative"),
        pytest.param([[0, 2**63]], id="above the largest number"),
    ],
)
def test_a_row_with_a_second_spelling_does_not_decode(pairs: list[list[int]]) -> None:
    with pytest.raises(MalformedBytesError):
        rows.decode(encode([pairs]))


@pytest.mark.parametrize(("first", "last"), [(2, 1), (-1, 1)])
def test_a_range_that_phase_1_refuses_is_a_bug_here(first: int, last: int) -> None:
    with pytest.raises(AssertionError):
        take(ReadingRanges(), first, last)
