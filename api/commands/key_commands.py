"""The commands `key new` and `key show`, and `device register`."""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from access.device import Claim, claim_registration, register_operation
from api.client.issuing import issue, wait_final
from api.commands.access_files import (
    NodeUrl,
    PassphraseFile,
    key_issuer,
    network_of,
    new_passphrase,
    node_client,
    open_key_file,
)
from api.commands.wallet_commands import DEFAULT_WAIT_S, Waits, WaitSeconds
from api.settings.genesis_file import load_genesis
from api.terminal.options import (
    DEFAULT_DATA_DIR,
    AsJson,
    DataDir,
    add_command,
    ending,
    layout_of,
    typer_app,
)
from api.terminal.talk import put, put_json, say
from edge.ground.key_file import read_public_key, write_key_file
from tangle.accounts import NO_ADDRESS
from tangle.address import address_of, decode_address, encode_address
from tangle.genesis import genesis_hash
from tangle.keys import SEED_SIZE, PublicKey, SigningKey

keys = typer_app("Key files.")
devices = typer_app("Who may issue.")

KeyFileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="Key file.")]
DeviceKey = Annotated[Path, typer.Option("--key-file", help="Key file of the new device.")]
Owner = Annotated[
    str | None, typer.Option("--owner", metavar="ADDRESS", help="Its owner. [default: itself]")
]
EdgeAddress = Annotated[
    str | None, typer.Option("--edge", metavar="ADDRESS", help="Home edge of a meter.")
]
RoleName = Annotated[Literal["meter", "member"], typer.Option("--role", help="meter or member.")]
Sponsor = Annotated[
    Path | None,
    typer.Option("--sponsor", help="Key file of a voter or edge. [default: operator.key]"),
]

SponsorPassphraseFile = Annotated[
    Path | None, typer.Option("--sponsor-passphrase-file", help="Of the sponsor's key file.")
]


def new(
    *, file: KeyFileArgument, passphrase_file: PassphraseFile = None, as_json: AsJson = False
) -> None:
    """Make a new key; print its public half.

    Examples:
      tanglewatt key new meter.key --passphrase-file pass.txt
    """
    with ending(as_json=as_json):
        key = SigningKey(os.urandom(SEED_SIZE))
        write_key_file(file, key, new_passphrase(passphrase_file))
        _show(key.public, as_json=as_json)


def show(*, file: KeyFileArgument, as_json: AsJson = False) -> None:
    """Print the public key and the address of a key file; no passphrase is needed.

    Examples:
      tanglewatt key show meter.key --json
    """
    with ending(as_json=as_json):
        _show(read_public_key(file), as_json=as_json)


def register(  # noqa: PLR0913 — to Typer each option is an argument
    *,
    key_file: DeviceKey,
    role: RoleName = "meter",
    owner: Owner = None,
    edge: EdgeAddress = None,
    sponsor: Sponsor = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    node: NodeUrl = None,
    passphrase_file: PassphraseFile = None,
    sponsor_passphrase_file: SponsorPassphraseFile = None,
    wait: Waits = False,
    wait_s: WaitSeconds = DEFAULT_WAIT_S,
    as_json: AsJson = False,
) -> None:
    """Enter a new key into the register, sponsored by a voter or an edge node.

    The device's own key signs the proof that it agrees, so its key file must be here.

    Examples:
      tanglewatt device register --key-file meter.key --edge tw1… --owner tw1… --wait
    """
    with ending(as_json=as_json):
        layout = layout_of(data_dir)
        genesis = load_genesis(layout.genesis_file)
        device = open_key_file(layout, key_file, passphrase_file)
        claim = Claim(
            genesis_hash(genesis),
            device.public,
            role,
            NO_ADDRESS if owner is None else decode_address(owner),
            NO_ADDRESS if edge is None else decode_address(edge),
        )
        operation = register_operation(claim_registration(claim, device))
        voter = sponsor or layout.operator_key_file
        issuer = key_issuer(layout, voter, sponsor_passphrase_file)
        client = node_client(layout, node)
        tx_id = issue(client, issuer, operation, network_of(layout))
        say(f"registering {encode_address(address_of(device.public))} in transaction {tx_id}")
        state = wait_final(client, tx_id, wait_s).state if wait else "pending"
        if as_json:
            put_json({"id": tx_id, "state": state})
        else:
            put(tx_id)


def _show(public: PublicKey, *, as_json: bool) -> None:
    address = encode_address(address_of(public))
    if as_json:
        put_json({"public_key": public.hex(), "address": address})
    else:
        put(public.hex())
        put(address)


add_command(keys, "new", new)
add_command(keys, "show", show)
add_command(devices, "register", register)
