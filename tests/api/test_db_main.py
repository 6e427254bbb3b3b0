"""`tanglewatt db check` over a network that `init` made."""

import json
import sqlite3
from contextlib import closing
from dataclasses import replace

from typer.testing import CliRunner, Result

from api.commands.db_main import check
from api.commands.node_file import load_node_config
from api.commands.salvage_main import salvage_readings
from api.settings.genesis_file import load_genesis
from api.settings.layout import Layout
from api.terminal.options import add_command, typer_app
from edge.ground.key_file import read_key_file, read_passphrase
from edge.journal.entries import Batch
from edge.journal.journal import Journal
from edge.journal.sealing import SaltedReading, seal, sealing_key
from edge.journal.storage import JOURNAL_NAME
from tangle.address import Address, encode_address
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
    assert "readings are not opened" in without_key.stderr


def test_readings_of_a_damaged_journal_are_saved(made: Layout) -> None:
    start_all(made)
    genesis, folder = load_genesis(made.genesis_file), made.root / "edge-1" / "data"
    config, device = str(made.edge_config("edge-1")), Address(bytes(32))
    record = load_node_config(made.edge_config("edge-1"), None).node
    key = sealing_key(read_key_file(record.key_file, read_passphrase(record.passphrase_file)))
    content = SaltedReading(bytes(32), b"")
    with Journal(folder, network_id(genesis)) as journal:
        for number, anew in ((0, False), (1, False), (5, True)):
            taken = seal(key, device, number, content, bytes([number]) * 24)
            journal.commit(Batch(readings=(replace(taken, begins_anew=anew),)))
    data = bytearray((folder / JOURNAL_NAME).read_bytes())
    data[:4_096] = bytes(4_096)
    (folder / JOURNAL_NAME).write_bytes(data)

    single = typer_app()
    add_command(single, "salvage", salvage_readings)
    result = CliRunner().invoke(single, ["--config", config, "--json"])

    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {
        "schema": 1,
        "node": "edge-1",
        "readings": 3,
        "unopened": 0,
        "meters": {encode_address(device): [[0, 1], [5, 5]]},
        "halt_known": False,
        "replaced": str(folder / f"{JOURNAL_NAME}.replaced-1"),
    }
    assert "0 to 5, 3 between are lost" in result.stderr
    checked = run("--config", config)
    assert checked.exit_code == 0
    assert "readings of 0000" in checked.stdout


def test_a_node_that_never_ran_has_no_journal(made: Layout) -> None:
    result = run("--config", str(made.coordinator_config))

    assert result.exit_code == 10
    assert "there is no journal" in result.stderr
