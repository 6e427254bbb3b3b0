"""The command `tanglewatt`: a thin table of commands.

What needs heavy libraries (gossip, web server, broker) runs as `python -m api.…_main`, which
takes the place of this process: `tanglewatt version` must not wait for what it does not use.
"""

import os
import sys
from collections.abc import Callable
from importlib.metadata import version as installed_version
from typing import Final

import typer

from api.commands import (
    bench_commands,
    energy_commands,
    explore_commands,
    key_commands,
    market_commands,
    mesh_commands,
    network_commands,
    operation_commands,
    proof_commands,
    query_commands,
    reading_commands,
    vote_commands,
    wallet_commands,
)
from api.terminal.options import AsJson, add_command, hear_ctrl_c, typer_app
from api.terminal.talk import put, put_json

DISTRIBUTION: Final = "tanglewatt"

_PASSED_ON: Final = {"allow_extra_args": True, "ignore_unknown_options": True}

app = typer_app("A feeless DAG ledger for energy communities.")


def _replaced_by(
    module: str, help_text: str, words: tuple[str, ...] = ()
) -> Callable[[typer.Context], None]:
    """Return a command that becomes `python -m module words…`, arguments and `--help` included."""

    def command(context: typer.Context) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        started = [sys.executable, "-m", "api.starting", module, *words, *context.args]
        os.execv(sys.executable, started)

    command.__doc__ = help_text
    return command


def _add(
    group: typer.Typer, name: str, module: str, help_text: str, words: tuple[str, ...] = ()
) -> None:
    group.command(name, context_settings=_PASSED_ON, add_help_option=False)(
        _replaced_by(module, help_text, words)
    )


def _group(name: str, help_text: str) -> typer.Typer:
    group = typer_app(help_text)
    app.add_typer(group, name=name)
    return group


def version(*, as_json: AsJson = False) -> None:
    """Print the version.

    Examples:
      tanglewatt version
    """
    number = installed_version(DISTRIBUTION)
    if as_json:
        put_json({"version": number, "python": sys.version.split()[0]})
    else:
        put(number)


add_command(app, "init", network_commands.init)
_add(app, "up", "api.processes.up_main", "Start a whole network on this machine.")
add_command(app, "down", network_commands.down)
add_command(app, "status", network_commands.status)
add_command(app, "explore", explore_commands.explore)
add_command(app, "query", query_commands.query)
_add(_group("node", "An edge node."), "run", "api.processes.node_main", "Run an edge node.")
_snapshot = _group("snapshot", "States of the ledger to start from.")
for _word, _text in (
    ("write", "Write a snapshot of a node's last milestone."),
    ("inspect", "Show what a snapshot says of itself."),
    ("verify", "Check a snapshot against the genesis alone."),
    ("load", "Let an empty node start from a snapshot."),
):
    _add(_snapshot, _word, "api.commands.snapshot_main", _text, (_word,))
_scenario = _group("scenario", "What people do, and what must come out.")
_add(_scenario, "run", "api.commands.scenario_main", "Run a scenario.", ("run",))
_add(_scenario, "list", "api.commands.scenario_main", "Show the scenarios that ship.", ("list",))
_coordinator = _group("coordinator", "Who issues milestones.")
_add(_coordinator, "run", "api.processes.coordinator_main", "Run the coordinator.")
_add(_coordinator, "recover", "api.commands.recover_main", "Make a lost lock file anew.")
_add(app, "backup", "api.commands.backup_main", "Copy the journal of a running node.", ("backup",))
_add(
    app,
    "restore",
    "api.commands.backup_main",
    "Let a stopped node start from a backup.",
    ("restore",),
)
_database = _group("db", "The database of a node.")
_add(
    _database,
    "check",
    "api.commands.db_main",
    "Compute everything in the journal of a stopped node anew.",
)
_add(
    _database,
    "salvage",
    "api.commands.salvage_main",
    "Save the readings of a damaged journal.",
)
_add(_group("meter", "A meter."), "run", "api.processes.meter_main", "Run one meter.")
_add(_group("broker", "MQTT."), "run", "api.processes.broker_main", "Run the embedded MQTT broker.")
app.add_typer(wallet_commands.app, name="wallet")
app.add_typer(key_commands.devices, name="device")
app.add_typer(key_commands.keys, name="key")
_add(app, "audit", "api.commands.audit_main", "Compute whether energy and money add up.")
_groups = operation_commands.add_operations(app, vote_commands.app)
for _word, _text in (
    ("preview", "Show what a bill would say."),
    ("issue", "Make a final bill: the next number, its digest on the ledger, its file here."),
    ("show", "Show a document: as text, a page, a table or paper."),
    ("verify", "Hold a document against the ledger, and with --sums compute the bill anew."),
    ("credit", "Take a whole bill back by a credit note."),
):
    _add(_groups["bill"], _word, "api.commands.bill_main", _text, (_word,))
app.add_typer(vote_commands.app, name="vote")
add_command(_groups["energy"], "show", energy_commands.show)
add_command(vote_commands.app, "list", energy_commands.list_votes)
add_command(_group("member", "Who takes part."), "show", energy_commands.show_member)
market_commands.add_reads(_groups["market"])
_evidence = _group("evidence", "What a halted node keeps for its operator.")
_add(_evidence, "show", "api.commands.evidence_main", "Show why a stopped node halted.", ("show",))
_add(_evidence, "resume", "api.commands.evidence_main", "Lift a halt, after a review.", ("resume",))
app.add_typer(proof_commands.app, name="proof")
app.add_typer(reading_commands.app, name="reading")
app.add_typer(mesh_commands.app, name="mesh")
for _word, _text in (
    ("limit", "Measure how many signatures the processors verify in a second."),
    ("ingest", "Measure how fast one node verifies, attaches and journals, without a network."),
    ("confirm", "Measure what a node does for one milestone over transfers."),
    ("mesh", "Measure how fast one node takes in what another process sends over the mesh."),
    ("memory", "Measure what a node needs for each transaction that is not referenced yet."),
    ("growth", "Measure whether ingest becomes dearer as a pruned journal grows."),
    ("walk", "Measure the choice of two parents by the weighted walk."),
    ("weights", "Measure exact cumulative weights."),
    ("work", "Measure the work of a transaction."),
):
    _add(bench_commands.app, _word, "api.commands.bench_main", _text, (_word,))
app.add_typer(bench_commands.app, name="bench")
_simulate = _group("simulate", "The laboratory of tip selection.")
for _word, _text in (
    ("run", "Let a tangle grow by chance, and tell what came out."),
    ("sweep", "Run every combination of some settings on all cores."),
):
    _add(_simulate, _word, "api.commands.simulate_main", _text, (_word,))
add_command(app, "version", version)


def main() -> None:
    """Run the command line."""
    hear_ctrl_c()
    app(prog_name=DISTRIBUTION)
