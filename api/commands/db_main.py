"""The command `db check`: is what a node has on disk what it wrote?

`python -m api.commands.db_main`.
"""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from api.commands.node_file import find_sealing_key, load_node_config
from api.contracts import CONTRACTS
from api.settings.genesis_file import load_genesis
from api.settings.layout import load_network
from api.settings.places import node_places
from api.settings.records import Identity
from api.terminal.options import DEFAULT_DATA_DIR, AsJson, DataDir, ending, layout_of, run_single
from api.terminal.talk import put, put_json
from edge.journal.inspection import Inspection, inspect
from edge.journal.offline import open_offline
from edge.journal.storage import JOURNAL_NAME
from tangle.errors import DamagedStoreError
from tangle.genesis import network_id

NodeFile = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", envvar="TANGLEWATT_CONFIG", help="TOML file of one node. [default: all]"
    ),
]
Quick = Annotated[bool, typer.Option("--quick", help="Leave out signatures, work and seals.")]

_COUNTED: Final = (
    "transactions",
    "pending",
    "milestones",
    "rows",
    "readings",
    "opened",
    "signatures",
    "replayed",
)


@dataclass(frozen=True, slots=True)
class Checked:
    """One journal that was looked at."""

    name: str
    file: Path
    found: Inspection


def check(
    *,
    config: NodeFile = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    quick: Quick = False,
    as_json: AsJson = False,
) -> None:
    """Compute everything in the journal of a stopped node anew. Exit code 10 if it is not sound.

    Pages, checksums, ids, signatures, work, roots: what a node wrote, and nothing else, passes.
    Readings are opened with the node's key, where its configuration finds it.

    Examples:
      tanglewatt db check --config edge-1/node.toml
      tanglewatt db check --data-dir ./network --quick
    """
    with ending(as_json=as_json):
        checked = [_checked(one, quick=quick) for one in _nodes(config, data_dir)]
        if as_json:
            put_json({"sound": not any(map(_is_bad, checked)), "nodes": list(map(_shown, checked))})
        else:
            for one in checked:
                _show(one)
        bad = [one for one in checked if _is_bad(one)]
        if bad:
            raise DamagedStoreError(
                "; ".join(f"{one.file}: {one.found.fault_count} faults" for one in bad)
            )


def _nodes(config: Path | None, data_dir: Path) -> list[Identity]:
    if config is not None:
        return [load_node_config(config, None).node]
    layout = layout_of(data_dir)
    places = node_places(layout, load_network(layout), os.environ)
    return [load_node_config(place.config_file, None).node for place in places]


def _checked(node: Identity, *, quick: bool) -> Checked:
    genesis = load_genesis(node.genesis_file)
    key = None if quick else find_sealing_key(node)
    with open_offline(node.data_dir, network_id(genesis)) as reader:
        found = inspect(reader, genesis, CONTRACTS, signatures=not quick, sealing_key=key)
    return Checked(node.name, node.data_dir / JOURNAL_NAME, found)


def _is_bad(one: Checked) -> bool:
    return one.found.fault_count > 0


def _shown(one: Checked) -> dict[str, object]:
    return {"name": one.name, "file": str(one.file), **asdict(one.found)}


def _show(one: Checked) -> None:
    counts = ", ".join(f"{getattr(one.found, name):,} {name}" for name in _COUNTED)
    put(f"{'✘' if _is_bad(one) else '✔'} {one.name}: {counts}")
    for gap in one.found.gaps:
        put(f"  lost with a disk, and known to be: readings of {gap}")
    for fault in one.found.faults:
        put(f"  {fault}")
    unnamed = one.found.fault_count - len(one.found.faults)
    if unnamed:
        put(f"  and {unnamed} more")


if __name__ == "__main__":
    run_single(check, "tanglewatt db check")
