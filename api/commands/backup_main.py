"""The commands `backup` and `restore`: `python -m api.commands.backup_main`."""

from pathlib import Path
from typing import Annotated

import typer

from api.commands.node_file import find_sealing_key, load_node_config
from api.contracts import CONTRACTS
from api.settings.genesis_file import load_genesis
from api.settings.private_files import create_folder
from api.terminal.options import AsJson, ConfigFile, Settings, add_command, ending, typer_app
from api.terminal.talk import put_json, say
from edge.journal.backups import Extent, restore_backup, write_backup

BackupFile = Annotated[Path, typer.Argument(metavar="FILE", help="The backup.")]
AcceptLoss = Annotated[
    bool,
    typer.Option("--accept-loss", help="Replace a journal that holds more, or cannot be read."),
]

app = typer_app("Backups of a node's journal.")


def backup(
    *, file: BackupFile, config: ConfigFile, set_: Settings = None, as_json: AsJson = False
) -> None:
    """Copy the journal of a node, which may run meanwhile, and check the copy.

    Keys and the coordinator's lock are not in it.

    Examples:
      tanglewatt backup /mnt/backup/edge-1.sqlite3 --config edge-1/node.toml
    """
    with ending(as_json=as_json):
        node = load_node_config(config, set_).node
        genesis = load_genesis(node.genesis_file)
        held = write_backup(node.data_dir, file.absolute(), genesis, CONTRACTS)
        say(f"✔ {file} holds {_words(held)}")
        if as_json:
            put_json({"file": str(file), "bytes": file.stat().st_size, **_keys(held)})


def restore(
    *,
    file: BackupFile,
    config: ConfigFile,
    set_: Settings = None,
    accept_loss: AcceptLoss = False,
    as_json: AsJson = False,
) -> None:
    """Let a stopped node start from a backup. What was there is moved aside, never deleted.

    A coordinator's lock stays as it is: one that is older than what was signed could make it
    sign an index twice. If it is lost: `tanglewatt coordinator recover`.

    Examples:
      tanglewatt restore /mnt/backup/edge-1.sqlite3 --config edge-1/node.toml
    """
    with ending(as_json=as_json):
        node = load_node_config(config, set_).node
        genesis = load_genesis(node.genesis_file)
        create_folder(node.data_dir)
        held, aside = restore_backup(
            file.absolute(),
            node.data_dir,
            genesis,
            CONTRACTS,
            accepts_loss=accept_loss,
            sealing_key=find_sealing_key(node),
        )
        say(f"✔ {node.name} starts from {_words(held)}")
        if aside is not None:
            say(f"  what was there is now {aside}")
        if as_json:
            put_json(
                {
                    "node": node.name,
                    "replaced": None if aside is None else str(aside),
                    **_keys(held),
                }
            )


add_command(app, "backup", backup)
add_command(app, "restore", restore)


def _keys(held: Extent) -> dict[str, int]:
    return {
        "milestone_index": held.milestone_index,
        "transactions": held.transactions,
        "readings": held.readings,
    }


def _words(held: Extent) -> str:
    return (
        f"{held.transactions:,} transactions and {held.readings:,} readings"
        f" up to milestone {held.milestone_index:,}"
    )


if __name__ == "__main__":
    app(prog_name="tanglewatt")
