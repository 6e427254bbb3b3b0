"""Reads the file of a node, be it an edge's or the coordinator's."""

import os
import tomllib
from pathlib import Path

from api.settings.config import load_config
from api.settings.records import CoordinatorConfig, NodeConfig, node_part
from api.terminal.options import settings


def load_node_config(file: Path, flags: list[str] | None) -> NodeConfig:
    """Return what a `node.toml` says, or the node's part of a `coordinator.toml`.

    Raises:
        CommandError: As `load_config`.
    """
    path, given = file.absolute(), settings(flags)
    if _is_coordinator(path):
        return node_part(load_config(CoordinatorConfig, path, os.environ, given))
    return load_config(NodeConfig, path, os.environ, given)


def _is_coordinator(path: Path) -> bool:
    try:
        return "coordinator" in tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return False  # `load_config` says what is wrong with it
