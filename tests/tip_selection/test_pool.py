from tests.drawing import sketch, tx
from tests.tip_selection.tangles import milestones, view_of
from tip_selection.pool import candidates, has_non_lazy_tip, tip_pool

AGED = f"""
    old: g h
    {milestones(1, 14)}
    fresh: M14 M13
    mixed: M14 old
"""


def test_tips_are_sorted_by_score_and_counted() -> None:
    graph = sketch(f"{AGED}\nlazy: g h")
    view = view_of(graph, confirmed_index=14)

    pool = tip_pool(view)

    assert pool.non_lazy == (tx("fresh"),)
    assert pool.semi_lazy == (tx("mixed"),)
    assert pool.lazy == (tx("lazy"),)
    assert len(pool) == graph.tip_count == 3
    assert candidates(view) == (tx("fresh"),)
    assert has_non_lazy_tip(view)


def test_semi_lazy_tips_are_offered_for_want_of_others() -> None:
    graph = sketch(f"old: g h\n{milestones(1, 14)}\nmixed: M14 old\nalso: M13 old\nlazy: g h")
    view = view_of(graph, confirmed_index=14)

    assert candidates(view) == (tx("also"), tx("mixed"))
    assert not has_non_lazy_tip(view)


def test_below_max_depth_nothing_is_offered() -> None:
    graph = sketch(f"old: g h\n{milestones(1, 16)}\nmixed: M16 old")

    assert candidates(view_of(graph, confirmed_index=16)) == ()


def test_what_has_a_child_or_is_a_milestone_is_no_tip() -> None:
    graph = sketch("a: g h\nb: a g\nc: a h\nM1 @1: g c")

    assert candidates(view_of(graph, confirmed_index=1)) == (tx("b"),)
