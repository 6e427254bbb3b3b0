"""The command `db salvage`: saves readings of a damaged journal."""

from pathlib import Path
from typing import Annotated

import typer

from api.commands.node_file import load_node_config
from api.settings.genesis_file import load_genesis
from api.terminal.options import AsJson, ConfigFile, Settings, ending, run_single
from api.terminal.talk import put_json, say
from edge.ground.key_file import read_key_file, read_passphrase
from edge.ground.spans import size
from edge.journal.salvage import Salvaged, salvage
from edge.journal.sealing import sealing_key
from tangle.address import encode_address

Also = Annotated[
    list[Path] | None,
    typer.Option(
        "--also", metavar="FILE", help="A backup, or a journal that was moved aside. May repeat."
    ),
]


def salvage_readings(
    *, config: ConfigFile, also: Also = None, set_: Settings = None, as_json: AsJson = False
) -> None:
    """Give a stopped home edge a new journal with the readings that are left of a damaged one.

    All else comes from its peers. The damaged journal is moved aside, never deleted.

    Examples:
      tanglewatt db salvage --config edge-1/node.toml
      tanglewatt db salvage --config edge-1/node.toml --also /mnt/backup/edge-1.sqlite3
    """
    with ending(as_json=as_json):
        node = load_node_config(config, set_).node
        genesis = load_genesis(node.genesis_file)
        key = sealing_key(read_key_file(node.key_file, read_passphrase(node.passphrase_file)))
        files = [file.absolute() for file in also or ()]
        saved = salvage(node.data_dir, files, genesis, key)
        _show(node.name, saved)
        if as_json:
            put_json({"node": node.name, **_shown(saved)})


def _shown(saved: Salvaged) -> dict[str, object]:
    return {
        "readings": saved.readings,
        "unopened": saved.unopened,
        "meters": {encode_address(device): spans for device, spans in saved.meters.items()},
        "halt_known": saved.is_halt_known,
        "replaced": None if saved.aside is None else str(saved.aside),
    }


def _show(name: str, saved: Salvaged) -> None:
    say(f"✔ {name}: {saved.readings:,} readings of {len(saved.meters):,} meters are saved")
    for device, spans in saved.meters.items():
        gone = spans[-1][1] - spans[0][0] + 1 - size(spans)
        lost = f", {gone:,} between are lost" if gone else ""
        say(f"  {encode_address(device)}: {spans[0][0]} to {spans[-1][1]}{lost}")
    if saved.unopened:
        say(f"! {saved.unopened:,} are sealed with another key and were left out")
    if not saved.is_halt_known:
        say("! whether confirmation had stopped cannot be read any more: look at the node's log")
    if saved.aside is not None:
        say(f"  the journal before is now {saved.aside}")


if __name__ == "__main__":
    run_single(salvage_readings, "tanglewatt db salvage")
