from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from edge.ground.spans import Span, Spans, added, has_all, size, without

spans = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 6)).map(lambda pair: (pair[0], sum(pair)))
)


def numbers(some: list[Span] | Spans) -> set[int]:
    return {number for first, last in some for number in range(first, last + 1)}


def is_spelled_once(some: Spans) -> bool:
    apart = all(low[1] + 1 < high[0] for low, high in pairwise(some))
    return apart and all(first <= last for first, last in some)


@given(spans, spans)
def test_a_union_holds_the_numbers_of_both_and_has_one_spelling(
    one: list[Span], other: list[Span]
) -> None:
    union = added(added((), one), other)

    assert numbers(union) == numbers(one) | numbers(other)
    assert is_spelled_once(union)
    assert size(union) == len(numbers(union))


@given(spans, spans)
def test_a_difference_holds_what_is_left_and_has_one_spelling(
    one: list[Span], other: list[Span]
) -> None:
    left = without(added((), one), other)

    assert numbers(left) == numbers(one) - numbers(other)
    assert is_spelled_once(left)


@given(spans, st.integers(0, 30), st.integers(0, 6))
def test_a_range_is_held_only_as_a_whole(some: list[Span], first: int, more: int) -> None:
    held = added((), some)

    is_held = has_all(held, first, first + more)

    assert is_held == (numbers(held) >= set(range(first, first + more + 1)))
