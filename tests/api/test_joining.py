"""How a node is told whether to join by a snapshot, and how it says how far it is."""

from dataclasses import replace
from pathlib import Path

import pytest

from api.compose import join_settings
from api.failures import CommandError
from api.http.app import create_app
from api.http.checks import health_checks
from api.settings.config import load_config
from api.settings.records import CoordinatorConfig, NodeConfig, node_part
from edge.joining.join_state import ASKING, JoinProgress, JoinState
from edge.joining.joining import JoinSettings
from tests.api.asking import ask
from tests.api.small_node import SmallNode, api_of
from tests.api.test_checks import WELL

NODE = """
[node]
name = "n"
data_dir = "data"
genesis_file = "genesis.json"
key_file = "node.key"
passphrase_file = "pass"
"""
SIGNING = '[coordinator]\nkey_file = "c.key"\nlock_file = "c.lock"\n'
FETCHING = JoinProgress("fetching", 43_200, 1_048_576, 3_257_483, 1_001, 2)


def configured(folder: Path, more: str) -> NodeConfig:
    file = folder / "node.toml"
    file.write_text(NODE + more)
    return load_config(NodeConfig, file, {})


@pytest.mark.parametrize(
    ("more", "settings"),
    [
        pytest.param("", JoinSettings(is_on=True, ahead=1_000), id="as it comes"),
        pytest.param(
            "[history]\npruning_depth = 0\n", JoinSettings(is_on=False, ahead=1_000), id="archive"
        ),
        pytest.param(
            '[history]\npruning_depth = 0\n[join]\nsnapshots = "on"\n',
            JoinSettings(is_on=True, ahead=1_000),
            id="an archive that is told to",
        ),
        pytest.param(
            '[join]\nsnapshots = "off"\nahead = 5\n', JoinSettings(is_on=False, ahead=5), id="never"
        ),
        pytest.param("[join]\nahead = 0\n", JoinSettings(is_on=True, ahead=0), id="at once"),
    ],
)
def test_an_archive_joins_only_where_it_is_told_to(
    tmp_path: Path, more: str, settings: JoinSettings
) -> None:
    assert join_settings(configured(tmp_path, more)) == settings


def test_a_coordinator_is_told_in_the_same_way(tmp_path: Path) -> None:
    file = tmp_path / "coordinator.toml"
    file.write_text(f"{NODE}{SIGNING}[join]\nahead = 7\n")

    config = node_part(load_config(CoordinatorConfig, file, {}))

    assert join_settings(config) == JoinSettings(is_on=True, ahead=7)


@pytest.mark.parametrize("value", ['snapshots = "maybe"', "snapshots = true", "ahead = -1"])
def test_what_is_no_choice_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(CommandError, match=r"join\.(snapshots|ahead)"):
        configured(tmp_path, f"[join]\n{value}\n")


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (JoinState(ASKING), "; asks peers for a snapshot"),
        (
            JoinState(FETCHING),
            "; fetches the snapshot of milestone 43200: 1048576 of 3257483 bytes, about 2 s to go",
        ),
        (
            JoinState(replace(FETCHING, estimate_ms=None)),
            "; fetches the snapshot of milestone 43200: 1048576 of 3257483 bytes",
        ),
        (
            JoinState(replace(FETCHING, phase="checking")),
            "; checks the snapshot of milestone 43200",
        ),
        (JoinState(None, "it is stale"), "; no snapshot is of use: it is stale"),
        (JoinState(), ""),
    ],
)
def test_the_check_says_how_far_joining_is(state: JoinState, words: str) -> None:
    checks = health_checks(replace(WELL, behind=900, joining=state))

    (sync,) = [one for one in checks if one.name == "sync"]
    assert sync.detail == f"900 milestones behind, 2 are usual{words}"


def test_info_shows_a_snapshot_on_its_way(tmp_path: Path) -> None:
    with SmallNode(tmp_path) as node:
        api = api_of(node)
        api.watch_joining(lambda: JoinState(FETCHING))

        info = ask(create_app(api), "GET", "/api/v1/info").json()

    assert info["joining"] == {
        "phase": "fetching",
        "index": 43_200,
        "fetched_bytes": 1_048_576,
        "size_bytes": 3_257_483,
        "estimate_ms": 1_001,
        "sources": 2,
    }
