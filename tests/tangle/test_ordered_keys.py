"""Keys in order, in blocks: as a sorted set, forks included."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule
from typing_extensions import override

from tangle.ordered_keys import OrderedKeys
from tangle.rows import Draft, Rows, first_row

SMALL_BLOCK = 3
"""So that a few keys already split and join blocks."""

KEYS = st.binary(min_size=1, max_size=2)


class ForkedKeys(RuleBasedStateMachine):
    """Sets and forks of forks, each beside a plain Python set."""

    pairs = Bundle("pairs")

    def __init__(self) -> None:
        super().__init__()
        self.all: list[tuple[OrderedKeys, set[bytes]]] = []

    @rule(target=pairs, keys=st.sets(KEYS, max_size=30))
    def begin(self, keys: set[bytes]) -> tuple[OrderedKeys, set[bytes]]:
        self.all.append((OrderedKeys(keys, SMALL_BLOCK), set(keys)))
        return self.all[-1]

    @rule(target=pairs, origin=pairs)
    def fork(self, origin: tuple[OrderedKeys, set[bytes]]) -> tuple[OrderedKeys, set[bytes]]:
        self.all.append((origin[0].fork(), set(origin[1])))
        return self.all[-1]

    @rule(pair=pairs, keys=st.lists(KEYS, min_size=1, max_size=20))
    def toggle(self, pair: tuple[OrderedKeys, set[bytes]], keys: list[bytes]) -> None:
        ordered, model = pair
        for key in keys:
            if key in model:
                ordered.remove(key)
                model.remove(key)
            else:
                ordered.add(key)
                model.add(key)

    @rule(pair=pairs, from_above=st.booleans())
    def empty(self, pair: tuple[OrderedKeys, set[bytes]], from_above: bool) -> None:
        for key in sorted(pair[1], reverse=from_above):
            pair[0].remove(key)
        pair[1].clear()

    @rule(pair=pairs, prefix=KEYS)
    def walk_below(self, pair: tuple[OrderedKeys, set[bytes]], prefix: bytes) -> None:
        wanted = sorted(key for key in pair[1] if key.startswith(prefix))
        assert list(pair[0].walk(prefix)) == wanted

    @invariant()
    def all_agree(self) -> None:
        for ordered, model in self.all:
            assert list(ordered.walk(b"")) == sorted(model)

    @invariant()
    def neighbours_together_are_more_than_a_block(self) -> None:
        """So a fork copies no more references than there are keys to a half block."""
        for ordered, _ in self.all:
            sizes = [len(block) for block in ordered._blocks]
            assert all(low + high > SMALL_BLOCK for low, high in pairwise(sizes))
            assert max(sizes) < 2 * SMALL_BLOCK


TestForkedKeys = ForkedKeys.TestCase


def test_a_key_that_is_not_there_cannot_be_removed() -> None:
    with pytest.raises(AssertionError, match="not in order"):
        OrderedKeys([b"a", b"c"]).remove(b"b")


def test_a_change_during_a_walk_is_a_bug_and_noticed() -> None:
    keys = OrderedKeys([b"a", b"b"])
    walk = keys.walk(b"")
    next(walk)
    keys.add(b"c")

    with pytest.raises(AssertionError, match="changed during a walk"):
        next(walk)


class _CountingRows(Rows):
    """Rows that count how often a value is looked up."""

    looked_up = 0

    @override
    def get(self, key: bytes) -> bytes | None:
        self.looked_up += 1
        return super().get(key)


def test_the_first_row_of_a_draft_costs_the_same_however_much_it_deleted() -> None:
    rows = _CountingRows({b"a/%06d" % n: b"1" for n in range(5_000)})
    draft = Draft(rows)
    draft.put({b"a/%06d" % n: None for n in range(4_000)})
    first_row(draft, b"b/")  # makes the order of the draft
    rows.looked_up = 0

    found = first_row(draft, b"a/")

    assert found == (b"a/004000", b"1")
    assert rows.looked_up == 1


def test_no_row_of_a_prefix_is_none_first() -> None:
    rows = Rows({b"a/1": b"1", b"c/1": b"1"})

    assert first_row(rows, b"b/") is None
    assert first_row(Draft(rows), b"d/") is None


def test_a_draft_that_only_changes_values_walks_what_is_below() -> None:
    rows = Rows({b"a/1": b"1", b"a/2": b"2"})
    draft = Draft(Draft(rows))
    draft.put({b"a/1": b"3"})

    assert list(draft.scan(b"a/")) == [(b"a/1", b"3"), (b"a/2", b"2")]
    assert draft._keys is None


def test_a_draft_that_was_walked_follows_its_later_changes() -> None:
    draft = Draft(Rows({b"a/1": b"1", b"a/2": b"2"}))
    for changes in ({b"a/0": b"0", b"a/1": None}, {b"a/1": b"1"}, {b"a/0": None, b"a/1": None}):
        list(draft.scan(b""))
        draft.put(changes)
        assert [key for key, _ in draft.scan(b"a/")] == [
            key for key in (b"a/0", b"a/1", b"a/2") if draft.get(key) is not None
        ]


CHANGES = st.dictionaries(KEYS, st.none() | st.binary(max_size=1), max_size=8)


@given(
    st.dictionaries(KEYS, st.binary(max_size=1)),
    CHANGES,
    CHANGES,
    st.binary(max_size=1),
    st.booleans(),
)
def test_a_draft_upon_a_draft_is_as_both_after_another(
    start: dict[bytes, bytes],
    first: dict[bytes, bytes | None],
    second: dict[bytes, bytes | None],
    prefix: bytes,
    is_walked: bool,
) -> None:
    rows = Rows(start)
    lower = Draft(rows)
    lower.put(first)
    upper = Draft(lower)
    before = list(lower.scan(b"")) if is_walked else None

    upper.put(second)

    plain = {**start, **first, **second}
    wanted = sorted((key, value) for key, value in plain.items() if value is not None)
    assert list(upper.scan(prefix)) == [row for row in wanted if row[0].startswith(prefix)]
    assert before in (None, list(lower.scan(b"")))
    lower.put(upper.changes)
    rows.apply(lower.changes)
    assert list(lower.scan(b"")) == list(rows.scan(b"")) == wanted
