"""A real network whose voters change the coordinator keys twice: proofs hold by genesis alone."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from api.client.polling import poll
from api.settings.genesis_file import load_genesis
from api.settings.layout import Layout
from edge.ground.key_file import read_public_key
from edge.joining.snapshots import read_snapshot
from tangle.snapshot import verify_snapshot
from tests.network.test_up import DEADLINE_S, result, up

pytestmark = pytest.mark.skipif(
    os.environ.get("TANGLEWATT_NIGHTLY") != "1", reason="two minutes: TANGLEWATT_NIGHTLY=1"
)


def run(*arguments: str | Path) -> str:
    """Run a command of the project; return what it printed."""
    command = [sys.executable, "-P", "-m", "api", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    return done.stdout


def wait_for_a_proof(layout: Layout, rotations: int) -> str:
    """Return a proof of the coordinators' row under so many changes of the keys."""

    def proven() -> str | None:
        command = ("proof", "get", "coordinators", "--data-dir", layout.root, "--json")
        done = subprocess.run(
            [sys.executable, "-P", "-m", "api", *map(str, command)],
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        if done.returncode == 0:
            proof: dict[str, Any] = json.loads(done.stdout)
            if proof["about"]["milestone"]["rotations"] == rotations:
                return done.stdout
        return None

    proof_text = poll(proven, DEADLINE_S)
    assert proof_text is not None, f"no proof over {rotations} changes of the keys"
    return proof_text


def vote(layout: Layout, quorum: int, *keys: str) -> None:
    named = [part for one in keys for part in ("--key", one)]
    run(
        *("vote", "coordinator-keys", *named, "--quorum", str(quorum), "--wait"),
        *("--data-dir", layout.root, "--passphrase-file", layout.passphrase_file),
    )


def test_proofs_hold_before_between_and_after_two_votes(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "net")
    signing = ("--coordinators", "3", "--quorum", "2")

    with up(
        layout.root, "--for", "90", "--homes", "1", "--edges", "2", "--no-people", *signing
    ) as process:
        proofs = [wait_for_a_proof(layout, 0)]
        leader, first = (
            read_public_key(file).hex()
            for file in (
                layout.coordinator_folder / "coordinator.key",
                layout.edge_folder("edge-1") / "cosigner.key",
            )
        )
        vote(layout, 2, leader, first)
        proofs.append(wait_for_a_proof(layout, 1))
        vote(layout, 1, leader)
        proofs.append(wait_for_a_proof(layout, 2))
        config = layout.edge_config("edge-1")
        snapshot = Path(run("snapshot", "write", "--config", config).strip())
        said = result(process)

    for number, proof in enumerate(proofs):
        file = tmp_path / f"{number}.proof"
        file.write_text(proof, "utf-8")
        shown = run("proof", "verify", file, "--genesis", layout.genesis_file)
        assert f"milestone.rotations: {number}" in shown.splitlines()
    read = read_snapshot(snapshot)
    verify_snapshot(read, load_genesis(layout.genesis_file))
    assert len(read.rotations) == 2
    assert said["converged"] is True
    assert said["readings"]["lost"] == 0
    run("db", "check", "--data-dir", layout.root)
