"""Snapshots over the command line and over HTTP."""

import http.client
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fastapi import FastAPI
from typer.testing import CliRunner, Result

from api.commands import snapshot_main
from api.commands.node_file import load_node_config
from api.commands.snapshot_main import app as commands
from api.exit_codes import ExitCode
from api.settings.genesis_file import genesis_text
from api.terminal.talk import failure_of
from edge.joining.snapshots import FOLDER, take_snapshot, write_snapshot
from edge.journal.journal import Journal
from tangle.errors import InvalidSnapshotError
from tangle.hashing import digest
from tests.api.asking import ask
from tests.api.small_node import GENESIS, NETWORK, SmallNode

RUNNER = CliRunner()
DEPTH = GENESIS.parameters.reference_depth


@pytest.fixture
def old(tmp_path: Path) -> Iterator[SmallNode]:
    """A node with five milestones, which runs."""
    with SmallNode(tmp_path / "old") as node:
        for sequence in range(5):
            node.take_in(node.signed(sequence=sequence))
            node.confirm()
        yield node


@pytest.fixture
def place(old: SmallNode) -> Path:
    """The folder with the genesis, and the files of that node and of one that is empty."""
    folder = old.folder.parent
    (folder / "genesis.json").write_text(genesis_text(GENESIS))
    for name in ("old", "new"):
        (folder / f"{name}.toml").write_text(node_file(name))
    return folder


def node_file(name: str) -> str:
    return (
        f'[node]\nname = "{name}"\ndata_dir = "{name}"\ngenesis_file = "genesis.json"\n'
        f'key_file = "{name}.key"\npassphrase_file = "pass"\n'
    )


def run(*arguments: str | Path) -> Result:
    return RUNNER.invoke(commands, [str(one) for one in arguments])


def last_json(text: str) -> dict[str, Any]:
    value = msgspec.json.decode(text.splitlines()[-1])
    assert isinstance(value, dict)
    return value


def written(place: Path, *more: str) -> Path:
    done = run("write", "--config", place / "old.toml", *more)
    assert done.exit_code == 0, done.output
    return Path(done.stdout.splitlines()[-1])


def test_a_snapshot_is_written_beside_a_running_node_and_says_what_it_is(place: Path) -> None:
    file = written(place)

    said = last_json(run("inspect", file, "--json").stdout)

    assert file.parent == place / "old" / FOLDER
    assert (said["kind"], said["index"], said["milestones"]) == ("full", 5, 5)
    assert f"network        {NETWORK.hex()}" in run("inspect", file).stdout


def test_a_genuine_one_is_verified_offline(place: Path) -> None:
    done = run("verify", written(place), "--genesis", place / "genesis.json", "--json")

    assert done.exit_code == 0
    assert last_json(done.stdout)["valid"] is True


def test_a_damaged_one_is_refused_with_its_code(place: Path) -> None:
    file = written(place)
    file.write_bytes(file.read_bytes()[:-30])

    done = run("verify", file, "--genesis", place / "genesis.json")

    assert done.exit_code == ExitCode.REFUSED
    assert "TW-LED-006" in done.output


def test_an_empty_node_starts_from_a_file(place: Path) -> None:
    done = run("load", written(place), "--config", place / "new.toml", "--json")

    assert done.exit_code == 0, done.output
    assert last_json(done.stdout)["index"] == 5
    with Journal(place / "new", NETWORK) as journal:
        restored = journal.restore(GENESIS, DEPTH)
        assert restored is not None
        assert restored.index == 5
    again = run("load", written(place), "--config", place / "new.toml")
    assert again.exit_code == ExitCode.STORAGE
    assert "only an empty journal" in again.output


def test_an_empty_node_starts_from_another_nodes_address(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = written(place).read_bytes()
    asked = []

    def fetched(url: str) -> bytes:
        asked.append(url)
        return served

    monkeypatch.setattr(snapshot_main, "_fetched", fetched)

    done = run("load", "http://127.0.0.1:1", "--config", place / "new.toml")

    assert done.exit_code == 0
    assert asked == ["http://127.0.0.1:1"]


def test_a_delta_needs_its_base(place: Path, old: SmallNode) -> None:
    base = written(place)
    old.take_in(old.signed(sequence=5))
    old.confirm()
    delta = written(place, "--delta")
    genesis = ("--genesis", place / "genesis.json")

    alone = run("verify", delta, *genesis)
    joined = run("verify", delta, "--base", base, *genesis)
    loaded = run("load", delta, "--base", base, "--config", place / "new.toml", "--json")

    assert delta.name.startswith("delta-000000000005-000000000006")
    assert alone.exit_code == ExitCode.REFUSED
    assert joined.exit_code == 0
    assert last_json(loaded.stdout)["index"] == 6


def test_what_is_not_there_is_said(place: Path) -> None:
    empty = run("write", "--config", place / "new.toml")
    no_base = run("write", "--config", place / "old.toml", "--delta")
    no_file = run("inspect", place / "none")
    no_address = run("load", "ftp://x", "--config", place / "new.toml")
    no_port = run("load", "http://x:99999", "--config", place / "new.toml")
    no_bracket = run("load", "http://[::1", "--config", place / "new.toml")
    nobody = run("load", "http://127.0.0.1:1", "--config", place / "new.toml")

    assert empty.exit_code == ExitCode.STORAGE
    assert no_base.exit_code == ExitCode.NOT_FOUND
    assert no_file.exit_code == ExitCode.STORAGE
    assert no_address.exit_code == no_port.exit_code == ExitCode.USAGE
    assert no_bracket.exit_code == ExitCode.USAGE
    assert nobody.exit_code == ExitCode.NOT_RUNNING


def test_the_file_of_a_coordinator_will_do_too(place: Path) -> None:
    signing = '[coordinator]\nkey_file = "c.key"\nlock_file = "c.lock"\n'
    (place / "coordinator.toml").write_text(node_file("old") + signing)

    assert load_node_config(place / "coordinator.toml", None).node.data_dir == place / "old"


def test_a_refused_snapshot_has_a_failure_of_its_own() -> None:
    assert failure_of(InvalidSnapshotError("x")).code == "TW-LED-006"


# Over HTTP.


def test_the_list_names_every_snapshot(node: SmallNode, app: FastAPI) -> None:
    empty = ask(app, "GET", "/api/v1/snapshots").json()
    none = ask(app, "GET", "/api/v1/snapshots/latest")
    node.take_in(node.signed())
    node.confirm()
    taken = take_snapshot(node.folder, NETWORK, DEPTH)
    assert taken is not None
    file = write_snapshot(node.folder / FOLDER, taken)

    listed = ask(app, "GET", "/api/v1/snapshots").json()
    latest = ask(app, "GET", "/api/v1/snapshots/latest")

    assert empty == {"snapshots": []}
    assert (none.status_code, none.json()["code"]) == (404, "NOT_FOUND")
    (one,) = listed["snapshots"]
    assert (one["index"], one["kind"], one["hash"]) == (1, "full", file.file_hash.hex())
    assert one["state_root"] == node.core.state_root.hex()
    assert latest.status_code == http.client.OK
    assert digest(latest.content) == file.file_hash
    assert latest.headers["etag"] == f'"{one["hash"]}"'
    shutil.rmtree(node.folder / FOLDER)
