"""What a selector sees: the tangle, its weights, and where confirmation stands."""

from dataclasses import dataclass
from typing import Protocol

from tangle.genesis import Parameters
from tangle.graph import Graph, Vertex
from tangle.transaction import TransactionId
from tangle.walking import Walk, WalkEnd
from tip_selection.scores import Score, is_below_max_depth, score


class Weights(Protocol):
    """Exact cumulative weights of a graph, and walks by them."""

    def weight(self, tx_id: TransactionId) -> int:
        """Return the exact cumulative weight: itself and its future cone, 1 each."""
        ...

    def walk(self, way: Walk) -> WalkEnd:
        """Walk through the graph, as `tangle.walking.walk` says."""
        ...


@dataclass(frozen=True, slots=True)
class Load:
    """What this node measured of the network; bounds the bias of the weighted walk."""

    arrival_rate_per_s: float
    """λ of *The Tangle*: transactions that become solid here in a second."""

    delay_s: float
    """h of *The Tangle*: from the choice of parents until other nodes see the transaction."""


UNMEASURED = Load(arrival_rate_per_s=0.0, delay_s=0.0)


@dataclass(frozen=True, slots=True)
class View:
    """One look at the tangle. Selectors read it and change nothing."""

    graph: Graph
    weights: Weights
    confirmed_index: int
    """Of the last milestone applied here."""

    parameters: Parameters
    load: Load = UNMEASURED

    def score(self, vertex: Vertex) -> Score:
        """Return how far back the cone of `vertex` reaches, as of now."""
        return score(vertex, self.confirmed_index, self.parameters.max_depth)

    def is_below_max_depth(self, vertex: Vertex) -> bool:
        """Tell whether the cone of `vertex` reaches back too far to be offered at all."""
        return is_below_max_depth(vertex, self.confirmed_index, self.parameters.max_depth)
