"""A tangle as GraphML, for other programs. Importing this needs networkx."""

from pathlib import Path

import networkx

from tip_selection.laboratory.record import Record


def write_graphml(record: Record, file: Path) -> None:
    """Write every transaction with its times; an edge from each to what it approves."""
    networkx.write_graphml(graph_of(record), file)


def graph_of(record: Record) -> "networkx.DiGraph[int]":
    """Return the tangle of a record; what is not known of a vertex is left out."""
    graph: networkx.DiGraph[int] = networkx.DiGraph()
    for number, entry in enumerate(record.entries):
        times = {
            "issued_s": entry.issued_s,
            "seen_s": entry.seen_s,
            "first_approved_s": entry.first_approved_s,
            "referenced_s": entry.referenced_s,
            "expired_s": entry.expired_s,
        }
        known = {name: value for name, value in times.items() if value is not None}
        graph.add_node(number, party=str(entry.party), branch=str(entry.branch), **known)
        graph.add_edges_from((number, parent) for parent in entry.parents)
    return graph
