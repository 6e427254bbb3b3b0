from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.processes.accounting import (
    DeviceSeen,
    Journalled,
    MeterKept,
    NodeSeen,
    Range,
    absent,
    common_root,
    intersection,
    registers,
    size,
    tally,
)

METER = MeterKept("home_01", "tw1meter", 10)
WHOLE = ((0, 9),)


def members(ranges: Sequence[Range]) -> set[int]:
    return {number for first, last in ranges for number in range(first, last + 1)}


@st.composite
def ranges(draw: st.DrawFn) -> list[Range]:
    edges = sorted(draw(st.sets(st.integers(0, 40), max_size=12)))
    return [(low, high - 1) for low, high in zip(edges[::2], edges[1::2], strict=False)]


def seen(
    confirmed: int = 10,
    held: tuple[Range, ...] = WHOLE,
    *,
    twice: int = 0,
    journalled: Journalled | None = None,
    audited: int | None = None,
    pruned: int = 0,
) -> DeviceSeen:
    return DeviceSeen(confirmed, twice, held, journalled, audited, pruned)


def node(name: str, device: DeviceSeen | None) -> NodeSeen:
    devices = {} if device is None else {METER.address: device}
    return NodeSeen(name, 5, "aa", 20, 5, devices)


HOME = seen(journalled=Journalled(10, 9, 700, 30), audited=10)


@given(ranges(), ranges())
def test_what_two_hold_is_what_both_sets_hold(left: list[Range], right: list[Range]) -> None:
    assert members(intersection(left, right)) == members(left) & members(right)


@given(ranges(), ranges())
def test_what_is_absent_is_the_difference_of_the_sets(
    whole: list[Range], held: list[Range]
) -> None:
    assert members(absent(whole, held)) == members(whole) - members(held)


@given(ranges())
def test_the_size_of_ranges_counts_both_ends(held: list[Range]) -> None:
    assert size(held) == len(members(held))


def test_what_all_sides_agree_on_is_complete() -> None:
    result = tally([METER], [node("edge-1", HOME), node("edge-2", seen())])

    assert result.is_complete
    assert (result.sent, result.journalled, result.lost, result.twice) == (10, 10, 0, 0)
    assert result.confirmed == {"edge-1": 10, "edge-2": 10}
    assert result.missing == ()


def test_nothing_sent_is_complete() -> None:
    assert tally([MeterKept("home_01", "tw1meter", 0)], [node("edge-1", None)]).is_complete


def test_a_reading_lost_in_the_middle_on_one_node_is_named() -> None:
    gap = seen(8, ((0, 3), (6, 9)))

    result = tally([METER], [node("edge-1", HOME), node("edge-2", gap)])

    assert not result.is_complete
    assert result.lost == 2
    assert result.missing == ("home_01: edge-2 lacks 4–5",)


def test_different_readings_lost_on_two_nodes_are_both_lost() -> None:
    first = seen(9, ((1, 9),), journalled=HOME.journalled)
    last = seen(9, ((0, 8),))

    assert tally([METER], [node("edge-1", first), node("edge-2", last)]).lost == 2


@pytest.mark.parametrize(
    ("device", "part"),
    [
        pytest.param(
            seen(journalled=Journalled(7, 6, 0, 0)), "journalled through 6 of 9", id="journal"
        ),
        pytest.param(seen(), "journalled through -1 of 9", id="no home edge"),
        pytest.param(
            seen(journalled=Journalled(10, 9, 0, 0), audited=8),
            "edge-1 found 8 of 10 commitments",
            id="audit",
        ),
        pytest.param(None, "edge-1 lacks 0–9", id="unknown device"),
    ],
)
def test_what_one_side_lacks_is_not_complete(device: DeviceSeen | None, part: str) -> None:
    result = tally([METER], [node("edge-1", device)])

    assert not result.is_complete
    assert any(part in line for line in result.missing)


@pytest.mark.parametrize(
    "device",
    [
        pytest.param(seen(journalled=Journalled(3, 9, 700, 30, 7), audited=10), id="forgotten"),
        pytest.param(seen(journalled=HOME.journalled, audited=4, pruned=6), id="pruned"),
    ],
)
def test_what_was_there_and_has_left_is_still_counted(device: DeviceSeen) -> None:
    result = tally([METER], [node("edge-1", device)])

    assert result.journalled == 10
    assert result.is_complete


def test_a_reading_that_is_not_journalled_is_lost_even_if_it_is_confirmed() -> None:
    device = seen(journalled=Journalled(7, 6, 0, 0))

    assert tally([METER], [node("edge-1", device)]).lost == 3


def test_the_worst_node_says_how_many_are_twice() -> None:
    nodes = [node("edge-1", HOME), node("edge-2", seen(twice=2))]

    result = tally([METER], nodes)

    assert result.twice == 2
    assert not result.is_complete


def test_more_confirmed_than_sent_is_not_complete() -> None:
    nodes = [node("edge-1", HOME), node("edge-2", seen(11, ((0, 10),)))]

    assert not tally([METER], nodes).is_complete


def test_many_gaps_are_counted_after_the_first_few() -> None:
    holes = tuple((number, number) for number in range(0, 30, 2))
    device = seen(15, holes, journalled=Journalled(30, 29, 0, 0))

    result = tally([MeterKept("home_01", METER.address, 30)], [node("edge-1", device)])

    assert result.missing == ("home_01: edge-1 lacks 1, 3, 5, 7, 9, and 10 more gaps",)


def test_registers_are_the_home_edges_word() -> None:
    nodes = [node("edge-1", seen()), node("edge-2", HOME)]

    assert registers([METER], nodes) == {"home_01": HOME.journalled}


def test_of_two_home_edges_the_one_with_less_is_believed() -> None:
    less = seen(journalled=Journalled(5, 4, 1, 1))

    assert registers([METER], [node("a", HOME), node("b", less)]) == {"home_01": less.journalled}


@pytest.mark.parametrize(
    ("history", "agreed"),
    [
        pytest.param({3: {"a": "x", "b": "x"}}, 3, id="same root"),
        pytest.param({3: {"a": "x", "b": "y"}}, None, id="other root"),
        pytest.param({3: {"a": "x"}, 4: {"b": "x"}}, None, id="never at one index"),
        pytest.param({3: {"a": "x", "b": "x"}, 4: {"a": "z"}}, 3, id="one is ahead"),
        pytest.param({3: {"a": "x", "b": "x"}, 4: {"a": "z", "b": "w"}}, None, id="split later"),
        pytest.param({}, None, id="nothing seen"),
    ],
)
def test_nodes_agree_at_the_highest_index_that_all_were_seen_at(
    history: dict[int, dict[str, str]], agreed: int | None
) -> None:
    assert common_root(history, ["a", "b"]) == agreed


def test_no_nodes_agree_on_nothing() -> None:
    assert common_root({1: {}}, []) is None


def test_devices_that_are_no_meter_of_this_run_do_not_count() -> None:
    other = NodeSeen("edge-1", 5, "aa", 20, 5, {METER.address: HOME, "tw1other": seen(3, twice=1)})

    assert tally([METER], [other]).is_complete
