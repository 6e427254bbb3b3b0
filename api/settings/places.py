"""Where the nodes of a data folder are found, as their configuration files say."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from api.settings.config import load_config
from api.settings.layout import COORDINATOR, Layout, NetworkFile
from api.settings.records import CoordinatorConfig, Http, NodeConfig


@dataclass(frozen=True, slots=True)
class NodePlace:
    """One node of this machine, as its configuration says."""

    name: str
    config_file: Path
    http: Http
    endpoints: tuple[str, ...]
    module: str


def node_places(
    layout: Layout, network: NetworkFile, environment: Mapping[str, str]
) -> tuple[NodePlace, ...]:
    """Return coordinator and edges, in order of starting. Raises `CommandError`."""
    file = layout.coordinator_config
    coordinator = load_config(CoordinatorConfig, file, environment)
    module = "api.processes.coordinator_main"
    places = [
        NodePlace(COORDINATOR, file, coordinator.http, coordinator.mesh.listen, module),
    ]
    for name in network.edges:
        file = layout.edge_config(name)
        edge = load_config(NodeConfig, file, environment)
        places.append(NodePlace(name, file, edge.http, edge.mesh.listen, "api.processes.node_main"))
    return tuple(places)
