"""Checksums of rows: what they must tell apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.journal.sums import row_sum, summed, verified
from tangle.errors import MalformedBytesError

VALUES = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.binary(), st.text())


@given(st.lists(VALUES))
def test_a_row_is_verified_by_its_own_sum(content: list[object]) -> None:
    assert verified("rows", summed("rows", *content)) == tuple(content)


@given(st.lists(VALUES, min_size=1), st.data())
def test_a_row_with_another_value_is_refused(content: list[object], data: st.DataObject) -> None:
    row = summed("rows", *content)
    place = data.draw(st.integers(0, len(content)))
    other = data.draw(VALUES.filter(lambda value: value != row[place]))

    with pytest.raises(MalformedBytesError, match="a row of rows is not what was written"):
        verified("rows", (*row[:place], other, *row[place + 1 :]))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a", 1), ("b", 1)),
        (("a", 1, 2), ("a", 2, 1)),
        (("a", b"1"), ("a", "1")),
        (("a", None), ("a", b"")),
        (("a", b"12", b"3"), ("a", b"1", b"23")),
        (("a", 1), ("a", 1, None)),
    ],
)
def test_what_is_not_the_same_has_another_sum(
    one: tuple[object, ...], other: tuple[object, ...]
) -> None:
    assert row_sum(str(one[0]), one[1:]) != row_sum(str(other[0]), other[1:])


def test_what_was_never_written_is_refused() -> None:
    with pytest.raises(MalformedBytesError, match="holds what was never written"):
        row_sum("rows", (object(),))
