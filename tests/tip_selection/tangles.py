"""Random tangles, their exact weights by networkx, and views upon them."""

from dataclasses import dataclass, field
from random import Random

import networkx
from hypothesis import strategies as st

from tangle.genesis import Parameters
from tangle.graph import Graph
from tangle.transaction import TransactionId
from tangle.walking import Walk, WalkEnd, step_odds, walk
from tests.drawing import draw, sketch
from tip_selection.view import UNMEASURED, Load, View


@dataclass
class OracleWeights:
    """Cumulative weights by networkx, of a graph that no longer grows."""

    graph: Graph
    known: dict[TransactionId, int] = field(default_factory=dict)

    def weight(self, tx_id: TransactionId) -> int:
        if tx_id not in self.known:
            cone = approvals(self.graph, tx_id)
            self.known[tx_id] = 1 + len(networkx.descendants(cone, tx_id))
        return self.known[tx_id]

    def walk(self, way: Walk) -> WalkEnd:
        return walk(self.graph, self.weight, way)


def approvals(graph: Graph, root: TransactionId) -> "networkx.DiGraph[TransactionId]":
    """Return the future cone of `root`, with an edge from each parent to its child."""
    drawn = networkx.DiGraph()
    drawn.add_node(root)
    walk = [root]
    while walk:
        tx_id = walk.pop()
        for child_id in graph[tx_id].children:
            if child_id not in drawn:
                walk.append(child_id)
            drawn.add_edge(tx_id, child_id)
    return drawn


@dataclass(frozen=True)
class GivenWeights:
    """Weights as the test says, whatever the graph."""

    graph: Graph
    by_id: dict[TransactionId, int]

    def weight(self, tx_id: TransactionId) -> int:
        return self.by_id[tx_id]

    def walk(self, way: Walk) -> WalkEnd:
        return walk(self.graph, self.weight, way)


def probabilities(weights: list[int], alpha: float) -> list[float]:
    """Return how likely a walk turns to each child."""
    odds = step_odds(weights, alpha)
    return [each / sum(odds) for each in odds]


def view_of(
    graph: Graph,
    confirmed_index: int = 0,
    parameters: Parameters | None = None,
    load: Load = UNMEASURED,
) -> View:
    return View(graph, OracleWeights(graph), confirmed_index, parameters or Parameters(), load)


def milestones(first: int, last: int, lowest: str = "g") -> str:
    """Return the drawing of milestones that reference nothing but the one before them."""
    lines = []
    for index in range(first, last + 1):
        before = f"M{index - 1}" if index > 1 else lowest
        lines.append(f"M{index} @{index}: h {before}")
    return "\n".join(lines)


def lines_of_random_tangle(rng: Random, steps: int) -> list[str]:
    """Draw transactions on recent and on old ones, with milestones in between."""
    names, lines, index = ["g", "h"], [], 0
    for number in range(steps):
        kind = rng.random()
        if kind < 0.3:
            index += 1
            before = f"M{index - 1}" if index > 1 else "g"
            others = sorted({rng.choice(names[-6:]), rng.choice(names)} - {before})
            lines.append(f"M{index} @{index}: {' '.join([before, *others])}")
            names.append(f"M{index}")
        else:
            known = names if kind > 0.9 else names[-5:]
            lines.append(f"t{number}: {' '.join(rng.sample(known, 2))}")
            names.append(f"t{number}")
    return lines


@st.composite
def views(draw_from: st.DrawFn) -> View:
    """Views on random tangles: young, old, busy, idle, with lazy tips and without."""
    rng = draw_from(st.randoms(use_true_random=False))
    lines = lines_of_random_tangle(rng, draw_from(st.integers(0, 60)))
    confirmed_index = sum("@" in line for line in lines)
    aged = draw_from(st.sampled_from([0, 0, 0, 6, 9, 14, 16]))
    graph = sketch("\n".join(lines))
    draw(graph, milestones(confirmed_index + 1, confirmed_index + aged))
    late = [f"l{number}: {' '.join(rng.sample(_newest(graph), 2))}" for number in range(3)]
    draw(graph, "\n".join(late[: draw_from(st.integers(0, 3))]))
    parameters = Parameters(
        walk_depth=draw_from(st.integers(1, 6)), alpha_ppm=draw_from(st.integers(0, 10**7))
    )
    return view_of(graph, confirmed_index + aged, parameters)


def _newest(graph: Graph) -> list[str]:
    from_old = [vertex.tx_id for vertex in graph.unreferenced()]
    names = [tx_id.rstrip(b"\0").decode() for tx_id in from_old]
    return ["g", "h", *names][-3:]
