import pytest
from hypothesis import given
from hypothesis import strategies as st

from tangle.graph import Vertex
from tangle.transaction import TransactionId
from tip_selection.scores import Score, is_below_max_depth, least_roots, score

NOW = 100


def vertex(youngest_age: int, oldest_age: int) -> Vertex:
    return Vertex(
        TransactionId(bytes(32)),
        (),
        0,
        0,
        0,
        youngest_root_index=NOW - youngest_age,
        oldest_root_index=NOW - oldest_age,
    )


@pytest.mark.parametrize(
    ("youngest_age", "oldest_age", "expected"),
    [
        pytest.param(0, 0, Score.NON_LAZY, id="fresh"),
        pytest.param(8, 8, Score.NON_LAZY, id="youngest root as old as C1 allows"),
        pytest.param(9, 9, Score.LAZY, id="youngest root one too old"),
        pytest.param(0, 13, Score.NON_LAZY, id="oldest root as old as C2 allows"),
        pytest.param(0, 14, Score.SEMI_LAZY, id="oldest root one beyond C2"),
        pytest.param(8, 15, Score.SEMI_LAZY, id="at max depth, youngest at C1"),
        pytest.param(0, 16, Score.LAZY, id="below max depth"),
    ],
)
def test_the_score_is_that_of_tip_3(youngest_age: int, oldest_age: int, expected: Score) -> None:
    assert score(vertex(youngest_age, oldest_age), NOW, max_depth=15) is expected


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))
def test_the_least_roots_of_what_is_non_lazy_are_those_of_the_score(
    youngest_age: int, further: int, max_depth: int
) -> None:
    one = vertex(youngest_age, youngest_age + further)
    youngest, oldest = least_roots(NOW, max_depth)

    is_non_lazy = one.youngest_root_index >= youngest and one.oldest_root_index >= oldest

    assert is_non_lazy == (score(one, NOW, max_depth) is Score.NON_LAZY)


def test_below_max_depth_begins_one_after_it() -> None:
    assert not is_below_max_depth(vertex(0, 15), NOW, max_depth=15)
    assert is_below_max_depth(vertex(0, 16), NOW, max_depth=15)


def test_a_network_with_little_depth_knows_no_semi_lazy_tips() -> None:
    scores = {score(vertex(0, age), NOW, max_depth=10) for age in range(20)}

    assert scores == {Score.NON_LAZY, Score.LAZY}
