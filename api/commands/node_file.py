"""Reads the file of a node, be it an edge's or the coordinator's."""

import os
import tomllib
from pathlib import Path

from api.settings.config import load_config
from api.settings.records import CoordinatorConfig, Identity, NodeConfig, node_part
from api.terminal.options import settings
from api.terminal.talk import say
from edge.ground.key_file import read_key_file, read_passphrase
from edge.journal.sealing import sealing_key
from tangle.errors import InvalidKeyFileError


def load_node_config(file: Path, flags: list[str] | None) -> NodeConfig:
    """Return what a `node.toml` says, or the node's part of a `coordinator.toml`.

    Raises:
        CommandError: As `load_config`.
    """
    path, given = file.absolute(), settings(flags)
    if _is_coordinator(path):
        return node_part(load_config(CoordinatorConfig, path, os.environ, given))
    return load_config(NodeConfig, path, os.environ, given)


def find_sealing_key(node: Identity) -> bytes | None:
    """Return what opens the readings, from the files that the node itself uses; nobody is asked.

    `None` where they are not: a journal may be checked away from its keys.
    """
    try:
        return sealing_key(read_key_file(node.key_file, read_passphrase(node.passphrase_file)))
    except InvalidKeyFileError as error:
        say(f"! {node.name}: readings are not opened: {error}")
        return None


def _is_coordinator(path: Path) -> bool:
    try:
        return "coordinator" in tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return False  # `load_config` says what is wrong with it
