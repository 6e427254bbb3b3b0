"""All weights of a graph by networkx, for comparison. Importing this needs networkx."""

import networkx

from tangle.graph import Graph
from tangle.transaction import TransactionId


def networkx_weights(graph: Graph) -> dict[TransactionId, int]:
    """Return the exact cumulative weight of each transaction that is present."""
    cones: networkx.DiGraph[TransactionId] = networkx.DiGraph()
    for vertex in graph.vertices():
        cones.add_node(vertex.tx_id)
        cones.add_edges_from((parent, vertex.tx_id) for parent in vertex.parents if parent in graph)
    return {tx_id: 1 + len(networkx.descendants(cones, tx_id)) for tx_id in cones}
