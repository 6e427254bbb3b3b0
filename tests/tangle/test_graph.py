import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tangle.graph import Graph
from tangle.restored import StoredVertex
from tests.drawing import draw, name_of, new_cone, sketch, tx


def names(graph: Graph) -> list[str]:
    return [name_of(vertex.tx_id) for vertex in graph.vertices()]


def tips(graph: Graph) -> set[str]:
    found = {name_of(vertex.tx_id) for vertex in graph.vertices() if graph.is_tip(vertex.tx_id)}
    assert found == {name_of(tx_id) for tx_id in graph.tips}
    assert graph.tip_count == len(found)
    return found


def pending(graph: Graph) -> list[str]:
    found = [name_of(vertex.tx_id) for vertex in graph.unreferenced()]
    assert graph.unreferenced_count == len(found)
    return found


def roots(graph: Graph, name: str) -> tuple[int, int]:
    vertex = graph[tx(name)]
    return vertex.oldest_root_index, vertex.youngest_root_index


def test_entry_points_are_present_and_referenced_but_no_tips() -> None:
    graph = sketch("", {"g": 0, "h": 4})

    assert names(graph) == ["g", "h"]
    assert len(graph) == 2
    assert tips(graph) == set()
    assert pending(graph) == []
    assert graph.referenced_at(4) == (tx("h"),)
    assert roots(graph, "h") == (4, 4)


def test_a_transaction_takes_the_place_of_its_parents_among_the_tips() -> None:
    graph = sketch("""
        a: g h
        b: g h
    """)
    assert tips(graph) == {"a", "b"}

    draw(graph, "c: a b")

    assert tips(graph) == {"c"}
    assert pending(graph) == ["a", "b", "c"]
    assert graph[tx("a")].children == [tx("c")]
    assert graph[tx("c")].parents == (tx("a"), tx("b"))


def test_parents_always_have_the_lower_order() -> None:
    graph = sketch("""
        a: g h
        b: a h
    """)

    orders = [vertex.order for vertex in graph.vertices()]

    assert orders == sorted(set(orders))
    assert graph[tx("a")].order < graph[tx("b")].order


def test_what_is_not_there_is_none_or_a_key_error() -> None:
    graph = sketch("")

    assert graph.get(tx("a")) is None
    assert tx("a") not in graph
    assert tx("g") in graph
    with pytest.raises(KeyError):
        graph[tx("a")]


def test_attaching_twice_is_a_bug() -> None:
    graph = sketch("a: g h")

    with pytest.raises(AssertionError):
        draw(graph, "a: g h")


def test_roots_are_the_youngest_and_the_oldest_end_of_all_walks() -> None:
    graph = sketch(
        """
        a: g h
        b: h k
        c: a b
        """,
        {"g": 1, "h": 3, "k": 7},
    )

    assert roots(graph, "a") == (1, 3)
    assert roots(graph, "b") == (3, 7)
    assert roots(graph, "c") == (1, 7)


def test_a_milestone_is_a_root_of_its_own_index_and_no_tip() -> None:
    graph = sketch("""
        a: g h
        M1 @1: a g
        b: M1 h
    """)

    assert roots(graph, "M1") == (1, 1)
    assert roots(graph, "b") == (0, 1)
    assert tips(graph) == {"b"}
    assert graph.milestone_id(1) == tx("M1")
    assert graph.milestone_id(2) is None


def test_what_a_milestone_references_is_no_longer_pending() -> None:
    graph = sketch("""
        a: g h
        b: g h
        c: a h
        M1 @1: c g
    """)

    assert graph.referenced_at(1) == (tx("a"), tx("c"))
    assert graph[tx("a")].referenced_index == 1
    assert pending(graph) == ["b", "M1"]
    assert tips(graph) == {"b"}


def test_roots_of_what_stays_pending_follow_the_milestone() -> None:
    graph = sketch("""
        a: g h
        b: a h
        c: a b
    """)
    assert roots(graph, "c") == (0, 0)

    graph.mark_referenced([tx("a")], 5)

    assert roots(graph, "a") == (5, 5)
    assert roots(graph, "b") == (0, 5)
    assert roots(graph, "c") == (0, 5)


def test_a_pending_milestone_keeps_its_roots_when_another_is_applied() -> None:
    graph = sketch("""
        a: g h
        M1 @1: a g
        b: a h
    """)

    graph.mark_referenced([tx("b")], 2)

    assert roots(graph, "M1") == (1, 1)


def test_references_keep_the_order_of_the_white_flag() -> None:
    graph = sketch("""
        a: g h
        b: g h
    """)

    graph.mark_referenced([tx("b"), tx("a")], 1)

    assert graph.referenced_at(1) == (tx("b"), tx("a"))
    assert graph.referenced_at(2) == ()


def test_forgetting_drops_what_old_milestones_reference_and_nothing_else() -> None:
    graph = sketch("""
        a: g h
        M1 @1: a g
        b: M1 a
        M2 @2: b M1
        c: b h
    """)

    first = graph.forget(1)
    second = graph.forget(2)

    assert first == [tx("g"), tx("h")]
    assert second == [tx("a")]
    assert names(graph) == ["M1", "b", "M2", "c"]
    assert graph.referenced_at(1) == ()
    assert graph.milestone_id(1) == tx("M1")
    assert set(graph.forget(3)) == {tx("M1"), tx("b")}
    assert graph.milestone_id(1) is None
    assert graph.milestone_id(2) == tx("M2")
    assert graph.forget(3) == []


def test_a_pending_transaction_with_a_forgotten_parent_keeps_its_roots() -> None:
    graph = sketch(
        """
        a: g k
        """,
        {"g": 2, "k": 6},
    )
    graph.forget(5)

    graph.mark_referenced([], 9)

    assert tx("g") not in graph
    assert roots(graph, "a") == (2, 6)


def test_dropping_makes_a_pending_parent_a_tip_again() -> None:
    graph = sketch("""
        a: g h
        b: a h
    """)

    graph.drop(tx("b"))

    assert tips(graph) == {"a"}
    assert graph[tx("a")].children == []
    assert tx("b") not in graph
    assert pending(graph) == ["a"]


def test_dropping_one_of_two_children_makes_no_tip() -> None:
    graph = sketch("""
        a: g h
        b: a h
        c: a g
    """)

    graph.drop(tx("b"))

    assert tips(graph) == {"c"}


def test_dropping_never_makes_a_tip_of_what_is_referenced() -> None:
    graph = sketch("""
        a: g h
        M1 @1: a g
        b: M1 a
    """)

    graph.drop(tx("b"))

    assert tips(graph) == set()
    assert pending(graph) == ["M1"]


def test_dropping_above_a_forgotten_parent_leaves_the_rest() -> None:
    graph = sketch("a: g k", {"g": 0, "k": 6})
    graph.forget(3)

    graph.drop(tx("a"))

    assert names(graph) == ["k"]
    assert graph[tx("k")].children == []


def test_dropping_under_a_child_is_a_bug() -> None:
    graph = sketch("""
        a: g h
        b: a h
    """)

    with pytest.raises(AssertionError):
        graph.drop(tx("a"))


def restored(graph: Graph, entry_points: dict[str, int]) -> Graph:
    """Return what a restart makes of the journal of `graph`."""
    copy = Graph([(tx(name), index) for name, index in entry_points.items()])
    for vertex in graph.vertices():
        if name_of(vertex.tx_id) not in entry_points:
            stored = StoredVertex(vertex.tx_id, b"", vertex.attached_at_ms, vertex.referenced_index)
            copy.restore(stored, vertex.parents, vertex.size_bytes, vertex.milestone_index)
    return copy


DRAWING = """
    a: g h
    b: g h
    M1 @1: a g
    c: M1 b
    d: c a
    e: c M1
    M2 @2: M1 d
    f: M2 e
"""


def test_a_restart_puts_everything_back() -> None:
    graph = sketch(DRAWING)

    copy = restored(graph, {"g": 0, "h": 0})

    assert tips(copy) == tips(graph) == {"f"}
    assert pending(copy) == pending(graph) == ["e", "M2", "f"]
    assert [copy.milestone_id(index) for index in range(4)] == [
        graph.milestone_id(index) for index in range(4)
    ]
    for index in range(4):
        assert copy.referenced_at(index) == graph.referenced_at(index)
    for vertex in graph.vertices():
        assert copy[vertex.tx_id].milestone_index == vertex.milestone_index
        assert copy[vertex.tx_id].size_bytes == vertex.size_bytes
        assert roots(copy, name_of(vertex.tx_id)) == roots(graph, name_of(vertex.tx_id))
        assert copy[vertex.tx_id].children == vertex.children


def test_a_restart_leaves_out_what_was_forgotten() -> None:
    graph = sketch(DRAWING)
    graph.forget(2)

    copy = restored(graph, {})

    assert names(copy) == names(graph) == ["b", "M1", "c", "d", "e", "M2", "f"]
    assert tips(copy) == {"f"}
    assert roots(copy, "c") == (2, 2)
    assert copy.forget(3) == graph.forget(3)


@settings(deadline=None)
@given(st.data())
def test_tips_are_always_what_is_pending_without_children(data: st.DataObject) -> None:
    graph, index = sketch(""), 0
    for number in range(data.draw(st.integers(0, 25))):
        ids = [vertex.tx_id for vertex in graph.vertices()]
        first, second = sorted(
            data.draw(st.lists(st.sampled_from(ids), min_size=2, max_size=2, unique=True))
        )
        act = data.draw(st.sampled_from(["attach", "attach", "attach", "reference", "drop"]))
        if act == "attach":
            graph.attach(tx(f"t{number}"), (first, second), 100, 0)
        elif act == "reference":
            index += 1
            graph.mark_referenced(new_cone(graph, (first, second)), index)
        elif graph.tips:
            graph.drop(data.draw(st.sampled_from(sorted(graph.tips))))

        bare = {vertex.tx_id for vertex in graph.unreferenced() if not vertex.children}
        assert graph.tips == bare
        for vertex in graph.unreferenced():
            parents = [graph[parent] for parent in vertex.parents]
            assert vertex.oldest_root_index == min(p.oldest_root_index for p in parents)
            assert vertex.youngest_root_index == max(p.youngest_root_index for p in parents)
