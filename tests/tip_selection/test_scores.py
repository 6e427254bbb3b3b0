import pytest

from tangle.graph import Vertex
from tangle.transaction import TransactionId
from tip_selection.scores import Score, is_below_max_depth, score

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


def test_below_max_depth_begins_one_after_it() -> None:
    assert not is_below_max_depth(vertex(0, 15), NOW, max_depth=15)
    assert is_below_max_depth(vertex(0, 16), NOW, max_depth=15)


def test_a_network_with_little_depth_knows_no_semi_lazy_tips() -> None:
    scores = {score(vertex(0, age), NOW, max_depth=10) for age in range(20)}

    assert scores == {Score.NON_LAZY, Score.LAZY}
