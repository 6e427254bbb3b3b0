"""Where walkers start, how they end, and what stops them."""

from collections import Counter
from random import Random

import pytest

from tangle.genesis import Parameters
from tests.drawing import draw, name_of, sketch, tx
from tests.tip_selection.tangles import GivenWeights, milestones, view_of
from tip_selection import walk
from tip_selection.unweighted_walk import select_unweighted_walk
from tip_selection.view import View
from tip_selection.walk import Draw, draw_start, draw_tip

SHALLOW = Parameters(walk_depth=1)


def starts(view: View) -> Counter[str]:
    rng = Random(3)
    drawn = [draw_start(view, rng) for _ in range(600)]
    return Counter(name_of(vertex.tx_id) for vertex in drawn if vertex is not None)


def test_walkers_start_between_one_and_two_walk_depths_back() -> None:
    graph = sketch("""
        a: g h
        M1 @1: a g
        b: M1 a
        c: M1 a
        M2 @2: M1 b c
        d: M2 b
        M3 @3: M2 d
        e: M3 d
        M4 @4: M3 e
    """)

    assert set(starts(view_of(graph, 4, SHALLOW))) == {"M1", "b", "c", "M2", "d"}
    assert set(starts(view_of(graph, 4, Parameters(walk_depth=2)))) == {
        *("g", "h", "a", "M1", "b", "c")
    }


def test_every_start_is_equally_likely() -> None:
    graph = sketch("a: g h\nb: g h\nc: g h\nM1 @1: g a b c\nM2 @2: M1 a")
    draw(graph, "M3 @3: M2 M1")

    counts = starts(view_of(graph, 3, Parameters(walk_depth=2)))

    assert set(counts) == {"g", "h", "a", "b", "c"}
    assert all(80 <= count <= 160 for count in counts.values())


def test_a_young_tangle_is_walked_from_genesis() -> None:
    graph = sketch("a: g h\nM1 @1: a g\nb: M1 a")

    assert set(starts(view_of(graph, 1))) == {"g", "h"}


def test_after_a_snapshot_walkers_start_from_what_has_children() -> None:
    graph = sketch("a: c d", entry_points={"b": 4, "c": 5, "d": 9})

    assert set(starts(view_of(graph, 10))) == {"c"}
    assert set(starts(view_of(graph, 14))) == {"c", "d"}
    assert set(starts(view_of(graph, 9, SHALLOW))) == {"d"}


def test_without_a_start_the_choice_is_uniform_and_counted() -> None:
    graph = sketch("a: c d\nb: c d", entry_points={"c": 2, "d": 2})
    view = view_of(graph, 9, SHALLOW)

    selection = select_unweighted_walk(view, Random(1), 2)

    assert selection.parents == (tx("a"), tx("b"))
    assert (selection.walks, selection.fallbacks) == (0, 2)


def test_a_walk_passes_milestones_and_may_end_on_the_last() -> None:
    graph = sketch("a: g h\nM1 @1: a g\nM2 @2: M1 a\nb: a g")
    view = view_of(graph, 2, SHALLOW)

    ends = {draw_tip(view, Random(seed), 0.0, ()).tx_id for seed in range(50)}

    assert ends == {tx("M2"), tx("b")}


def test_a_lazy_result_is_walked_again() -> None:
    graph = sketch(f"a: g h\n{milestones(1, 16)}\nfresh: M16 M15\nlazy: M15 a")
    view = view_of(graph, 16, Parameters(walk_depth=1))

    draws = [draw_tip(view, Random(seed), 0.0, ()) for seed in range(50)]

    assert {draw.tx_id for draw in draws} == {tx("fresh")}


def test_a_step_never_leads_to_what_is_below_max_depth() -> None:
    graph = sketch(f"a: g h\n{milestones(1, 16)}\nfresh: M16 M15\nhidden: fresh a\nalso: M16 a")
    view = view_of(graph, 16, SHALLOW)

    draws = [draw_tip(view, Random(seed), 0.0, ()) for seed in range(50)]

    # Nothing that counts approves it, so it is as good as a tip.
    assert {draw.tx_id for draw in draws} == {tx("fresh")}
    assert {draw.walks for draw in draws} == {1}


def test_a_walk_passes_referenced_transactions_deeper_than_max_depth() -> None:
    graph = sketch(f"{milestones(1, 40)}\na: M39 M40\nb: M39 M40")
    view = view_of(graph, 40, Parameters(walk_depth=20, max_depth=2))

    assert draw_tip(view, Random(1), 0.0, ()).walks == 1


def test_walkers_that_meet_take_distinct_tips() -> None:
    graph = sketch("a: g h\nb: g h")
    view = view_of(graph)

    selections = [select_unweighted_walk(view, Random(seed), 2) for seed in range(50)]

    assert {selection.parents for selection in selections} == {(tx("a"), tx("b"))}
    assert max(selection.walks for selection in selections) > 2


def test_a_tip_no_walk_finds_is_drawn_uniformly_and_counted() -> None:
    graph = sketch("a: g h\nb: g h")
    weights = GivenWeights(graph, {tx("a"): 9, tx("b"): 1})
    view = View(graph, weights, 0, Parameters())

    drawn = draw_tip(view, Random(1), 1_000.0, taken=(tx("a"),))

    assert drawn == Draw(tx("b"), walk.MAX_TRIES, is_fallback=True)


def test_nothing_left_to_offer_is_no_fallback() -> None:
    graph = sketch("a: g h")

    drawn = draw_tip(view_of(graph), Random(1), 0.0, taken=(tx("a"),))

    assert drawn == Draw(None, walk.MAX_TRIES, is_fallback=False)


def test_a_walk_over_budget_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    view = view_of(sketch("a: g h\nb: a\nc: b\nd: c"))
    vertices_and_children = 5 + 4

    monkeypatch.setattr(walk, "STEP_BUDGET", vertices_and_children)
    in_time = draw_tip(view, Random(2), 0.0, ())
    monkeypatch.setattr(walk, "STEP_BUDGET", vertices_and_children - 1)
    too_late = draw_tip(view, Random(2), 0.0, ())

    assert in_time == Draw(tx("d"), 1, is_fallback=False)
    assert too_late == Draw(tx("d"), 1, is_fallback=True)


def test_the_budget_is_that_of_all_walks_of_a_walker(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = sketch("a: g h\nb: a\nc: b\nd: c")
    monkeypatch.setattr(walk, "STEP_BUDGET", 20)

    drawn = draw_tip(view_of(chain), Random(2), 0.0, taken=(tx("d"),))

    assert drawn == Draw(None, 3, is_fallback=False)


def test_a_walk_never_ends_on_what_is_referenced() -> None:
    graph = sketch("lazy: c d", entry_points={"c": 1, "d": 2, "e": 29, "f": 30})
    view = view_of(graph, 30, Parameters(walk_depth=15, max_depth=20))

    selection = select_unweighted_walk(view, Random(1), 2)

    assert selection.parents == (tx("e"), tx("f"))
    assert selection.walks == walk.MAX_TRIES


def test_a_young_entry_point_under_lazy_children_is_no_result_either() -> None:
    graph = sketch("lazy: c f", entry_points={"c": 1, "d": 30, "e": 30, "f": 29})

    selection = select_unweighted_walk(view_of(graph, 30, SHALLOW), Random(1), 2)

    assert selection.parents == (tx("d"), tx("e"))


def test_a_tip_without_a_recent_root_is_walked_away_from() -> None:
    graph = sketch(f"lazy: g h\n{milestones(1, 10)}\nfresh: M10 M9")
    view = view_of(graph, 10)

    draws = [draw_tip(view, Random(seed), 0.0, ()) for seed in range(50)]

    assert {draw.tx_id for draw in draws} == {tx("fresh")}
    assert max(draw.walks for draw in draws) > 1


def test_semi_lazy_results_stand_for_want_of_better() -> None:
    graph = sketch(f"old: g h\n{milestones(1, 14)}\nmixed: M14 old\nalso: M14 old")
    view = view_of(graph, 14, SHALLOW)

    draws = [draw_tip(view, Random(seed), 0.0, ()) for seed in range(20)]

    assert {draw.tx_id for draw in draws} == {tx("mixed"), tx("also")}
    assert {draw.walks for draw in draws} == {1}
