"""The command `mesh renew`: new certificates for the nodes of a network."""

import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from api.commands.access_files import PassphraseFile, find_passphrase
from api.exit_codes import ExitCode
from api.failures import CommandError, Failure, FailureCode
from api.settings.genesis_file import load_genesis
from api.settings.layout import COORDINATOR, Layout, load_network
from api.settings.private_files import replace_file
from api.terminal.options import (
    DEFAULT_DATA_DIR,
    AsJson,
    DataDir,
    add_command,
    ending,
    layout_of,
    typer_app,
)
from api.terminal.talk import put_json, say
from edge.ground.key_file import read_key_file, read_public_key
from edge.mesh.certificates import (
    CERTIFICATE_DAYS,
    SERIAL_SIZE,
    ends_at_ms,
    issue_authority,
    issue_certificate,
    read_certificate,
)
from tangle.genesis import network_id
from tangle.keys import SigningKey

DAY_MS: Final = 86_400_000
NS_PER_MS: Final = 1_000_000

app = typer_app("Links between nodes.")

Nodes = Annotated[
    list[str] | None, typer.Argument(metavar="NODE", help="coordinator, edge-N. [default: all]")
]


@dataclass(frozen=True, slots=True)
class Renewed:
    """One certificate that was written anew."""

    node: str
    file: str
    ends_at_ms: int


def renew(
    *,
    nodes: Nodes = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Write new certificates, valid for a year. Needs authority.key; a running node stays as it is.

    The certificate of the authority is made anew too, with the same key, once it would end sooner.

    Examples:
      tanglewatt mesh renew
      tanglewatt mesh renew edge-1 edge-2 --data-dir ./network
    """
    with ending(as_json=as_json):
        layout = layout_of(data_dir)
        network = load_network(layout)
        names = _chosen(nodes or [], (COORDINATOR, *network.edges))
        file = layout.authority_key_file
        key = read_key_file(file, find_passphrase(layout, file, passphrase_file))
        now_ms = time.time_ns() // NS_PER_MS
        authority, is_new = _authority(layout, key, now_ms)
        renewed = [_renew(layout, name, key, authority, now_ms) for name in names]
        for one in renewed:
            say(f"✔ {one.node:<12} {one.file} until {_day(one.ends_at_ms)}")
        if is_new:
            say(f"✔ authority    {layout.authority_file}: copy it to every machine")
        say("  next: copy each file to its node's machine, and start the nodes anew, one by one")
        if as_json:
            put_json(
                {
                    "renewed": msgspec.to_builtins(renewed),
                    "authority_ends_at_ms": ends_at_ms(authority, "authority"),
                    "authority_renewed": is_new,
                }
            )


def _chosen(asked: list[str], known: tuple[str, ...]) -> tuple[str, ...]:
    for name in asked:
        if name not in known:
            raise CommandError(
                Failure(
                    FailureCode.BAD_ARGUMENT,
                    ExitCode.USAGE,
                    f"there is no node {name}",
                    f"nodes of this network are {', '.join(known)}",
                    "name one of them, or none for all",
                )
            )
    return tuple(dict.fromkeys(asked)) or known


def _authority(layout: Layout, key: SigningKey, now_ms: int) -> tuple[bytes, bool]:
    """Return the authority's certificate, and whether it had to be made anew."""
    file = layout.authority_file
    if file.exists():
        kept = read_certificate(file)
        if ends_at_ms(kept, str(file)) >= now_ms + CERTIFICATE_DAYS * DAY_MS:
            return kept, False
    network = network_id(load_genesis(layout.genesis_file))
    made = issue_authority(key, network, now_ms, os.urandom(SERIAL_SIZE))
    replace_file(file, made)
    return made, True


def _renew(layout: Layout, name: str, key: SigningKey, authority: bytes, now_ms: int) -> Renewed:
    node = read_public_key(layout.node_key_file(name))
    serial = os.urandom(SERIAL_SIZE)
    certificate = issue_certificate(key, authority, node, now_ms, serial)
    file: Path = layout.certificate_file(name)
    replace_file(file, certificate)
    return Renewed(name, str(file), ends_at_ms(certificate, name))


def _day(wall_ms: int) -> str:
    return datetime.fromtimestamp(wall_ms // 1_000, UTC).strftime("%Y-%m-%d")


add_command(app, "renew", renew)
