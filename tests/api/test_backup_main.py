"""`tanglewatt backup` and `tanglewatt restore` on a network that `init` made."""

import json
from pathlib import Path

from typer.testing import CliRunner, Result

from api.commands.backup_main import app
from api.settings.genesis_file import load_genesis
from api.settings.layout import Layout
from edge.journal.journal import Journal
from tangle.genesis import network_id


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(one) for one in arguments])


def test_a_coordinator_goes_back_to_a_backup_and_keeps_its_lock(
    made: Layout, tmp_path: Path
) -> None:
    genesis = load_genesis(made.genesis_file)
    lock = made.coordinator_folder / "coordinator.lock"
    signed = lock.read_bytes()
    config = ("--config", made.coordinator_config)
    with Journal(made.coordinator_folder / "data", network_id(genesis)) as journal:
        journal.restore(genesis, 20)
        written = run("backup", tmp_path / "copy", *config, "--json")
        refused = run("restore", tmp_path / "copy", *config)

    restored = run("restore", tmp_path / "copy", *config, "--json")

    assert written.exit_code == 0, written.output
    assert json.loads(written.stdout)["milestone_index"] == 0
    assert refused.exit_code == 10
    assert restored.exit_code == 0, restored.output
    assert json.loads(restored.stdout)["replaced"].endswith("journal.sqlite3.replaced-1")
    assert lock.read_bytes() == signed


def test_a_backup_of_a_node_that_never_ran_fails_with_10(made: Layout, tmp_path: Path) -> None:
    result = run("backup", tmp_path / "copy", "--config", made.edge_config("edge-1"))

    assert result.exit_code == 10
    assert "TW-DIR-003" in result.stderr
