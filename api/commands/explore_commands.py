"""The command `explore`: whatever an id names, as the node tells it."""

import json
import re
from typing import Annotated, Final

import typer

from api.commands.access_files import NodeUrl, node_client
from api.exit_codes import ExitCode
from api.failures import CommandError, Failure, FailureCode
from api.terminal.options import DEFAULT_DATA_DIR, AsJson, DataDir, ending, layout_of
from api.terminal.talk import put, put_json

LATEST: Final = "latest"
_TRANSACTION: Final = re.compile(r"[0-9a-f]{64}")
_ADDRESS_PREFIX: Final = "tw1"

ThingId = Annotated[
    str, typer.Argument(metavar="ID", help="Transaction, address, milestone index, or latest.")
]


def explore(
    *,
    thing: ThingId,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    node: NodeUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show a transaction, an address or a milestone.

    Examples:
      tanglewatt explore latest
      tanglewatt explore 41 --json
      tanglewatt explore tw1…
    """
    with ending(as_json=as_json):
        paths = lookups(thing)
        client = node_client(layout_of(data_dir), node)
        for path in paths:
            found = client.document(path)
            if isinstance(found, dict):
                break
        else:
            tried = ", ".join(paths) or "nothing: it is neither hex, nor tw1…, nor a number"
            raise CommandError(
                Failure(
                    FailureCode.NOT_FOUND,
                    ExitCode.NOT_FOUND,
                    f"nothing is known as {thing!r}",
                    f"tried: {tried}",
                    "check the id; a node that has just started may not know it yet",
                )
            )
        if as_json:
            put_json(found)
        else:
            put(json.dumps(found, indent=2, ensure_ascii=False))


def lookups(thing: str) -> list[str]:
    """Return where to look for `thing`, most likely first; empty if it cannot be anything."""
    name = thing.strip().lower()
    paths: list[str] = []
    if _TRANSACTION.fullmatch(name):
        paths.append(f"/api/v1/transactions/{name}")
    if name.startswith(_ADDRESS_PREFIX) and name.isalnum() and name.isascii():
        paths.append(f"/api/v1/addresses/{name}")
    if name == LATEST or (name.isascii() and name.isdecimal() and len(name) <= 19):
        paths.append(f"/api/v1/milestones/{name}")
    return paths
