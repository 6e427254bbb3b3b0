"""Draw a tangle as text, one transaction a line, parents first.

a: g h          a transaction and its parents; g and h are the entry points
M1 @1: a g      a milestone, applied: it references what is new under its parents
"""

from collections.abc import Mapping

from tangle.graph import Graph
from tangle.transaction import TransactionId

SIZE_BYTES = 200


def tx(name: str) -> TransactionId:
    """Return the id of a drawn transaction: its name, padded, so that ids sort as names do."""
    return TransactionId(name.encode().ljust(32, b"\0"))


def name_of(tx_id: TransactionId) -> str:
    return tx_id.rstrip(b"\0").decode()


ENTRY_POINTS: Mapping[str, int] = {"g": 0, "h": 0}


def sketch(drawing: str, entry_points: Mapping[str, int] = ENTRY_POINTS) -> Graph:
    """Return the graph of `drawing` upon `entry_points`, which are names with milestone indexes."""
    graph = Graph([(tx(name), index) for name, index in entry_points.items()])
    draw(graph, drawing)
    return graph


def draw(graph: Graph, drawing: str) -> None:
    """Add the transactions of `drawing` to `graph`."""
    for line in filter(None, map(str.strip, drawing.splitlines())):
        head, parents_text = line.split(":")
        name, _, index = head.partition("@")
        parents = tuple(tx(parent) for parent in parents_text.split())
        if not index:
            graph.attach(tx(name.strip()), parents, SIZE_BYTES, 0)
            continue
        graph.attach_milestone(tx(name.strip()), parents, SIZE_BYTES, 0, int(index))
        graph.mark_referenced(new_cone(graph, parents), int(index))


def new_cone(graph: Graph, parents: tuple[TransactionId, ...]) -> list[TransactionId]:
    """Return what is not yet referenced under `parents`, parents before children."""
    cone: set[TransactionId] = set()
    walk = list(parents)
    while walk:
        vertex = graph[walk.pop()]
        if vertex.referenced_index is None and vertex.tx_id not in cone:
            cone.add(vertex.tx_id)
            walk.extend(vertex.parents)
    return sorted(cone, key=lambda tx_id: graph[tx_id].order)
