"""`tanglewatt db check` over a network that `init` made."""

import json
import sqlite3
from contextlib import closing

from typer.testing import CliRunner, Result

from api.commands.db_main import check
from api.settings.genesis_file import load_genesis
from api.settings.layout import Layout
from api.terminal.options import add_command, typer_app
from edge.entries import Batch
from edge.journal import Journal
from edge.sealing import SaltedReading, seal
from edge.storage import JOURNAL_NAME
from tangle.address import Address
from tangle.genesis import network_id

NODES = ("coordinator", "edge-1", "edge-2", "edge-3")


def run(*arguments: str) -> Result:
    single = typer_app()
    add_command(single, "check", check)
    return CliRunner().invoke(single, arguments)


def start_all(layout: Layout) -> None:
    """Leave what a first start leaves."""
    genesis = load_genesis(layout.genesis_file)
    for name in NODES:
        with Journal(layout.root / name / "data", network_id(genesis)) as journal:
            journal.restore(genesis, 20)


def test_every_node_of_a_folder_is_checked(made: Layout) -> None:
    start_all(made)

    result = run("--data-dir", str(made.root), "--json")

    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said["sound"] is True
    assert tuple(one["name"] for one in said["nodes"]) == NODES
    assert all(one["rows"] > 0 and one["faults"] == [] for one in said["nodes"])


def test_a_fault_is_named_and_ends_with_10(made: Layout) -> None:
    start_all(made)
    file = made.root / "edge-2" / "data" / JOURNAL_NAME
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("DELETE FROM ledger WHERE key = CAST('network' AS BLOB)")

    result = run("--config", str(made.edge_config("edge-2")), "--quick")

    assert result.exit_code == 10
    assert "✘ edge-2" in result.stdout
    assert "rows have the root" in result.stdout
    assert f"{file}: 1 faults" in result.stderr


def test_readings_are_opened_with_the_key_of_the_configuration(made: Layout) -> None:
    start_all(made)
    genesis = load_genesis(made.genesis_file)
    other = seal(bytes(32), Address(bytes(32)), 0, SaltedReading(bytes(32), b""), bytes(24))
    with Journal(made.root / "edge-1" / "data", network_id(genesis)) as journal:
        journal.commit(Batch(readings=(other,)))
    config = str(made.edge_config("edge-1"))

    opened, quick = run("--config", config), run("--config", config, "--quick")
    (made.root / "edge-1" / "node.key").unlink()
    without_key = run("--config", config)

    assert opened.exit_code == 10
    assert "sealed reading 0 of device" in opened.stdout
    assert (quick.exit_code, without_key.exit_code) == (0, 0)
    assert "readings are counted and not opened" in without_key.stderr


def test_a_node_that_never_ran_has_no_journal(made: Layout) -> None:
    result = run("--config", str(made.coordinator_config))

    assert result.exit_code == 10
    assert "there is no journal" in result.stderr
