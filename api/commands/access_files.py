"""Finds what commands need in a data folder or where they are told: nodes, keys, passphrases."""

import getpass
import os
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from api.client.issuing import Issuer
from api.client.node_client import NodeClient
from api.client.sequence_file import sequence_file
from api.exit_codes import ExitCode
from api.failures import CommandError, Failure, FailureCode
from api.settings.config import load_config
from api.settings.genesis_file import load_genesis
from api.settings.layout import Layout, load_network
from api.settings.records import NodeConfig, http_url
from api.settings.wallet_file import read_wallet_words
from edge.ground.key_file import (
    PASSPHRASE_VARIABLE,
    passphrase_from,
    read_key_file,
    read_passphrase,
)
from tangle.genesis import network_id
from tangle.keys import SigningKey
from tangle.seeds import wallet_key

MIN_PASSPHRASE_SIZE: Final = 8
"""Characters of one that a person makes up."""

NodeUrl = Annotated[
    str | None,
    typer.Option(
        "--node", envvar="TANGLEWATT_NODE", help="http://HOST:PORT. [default: edge of --data-dir]"
    ),
]
Home = Annotated[str | None, typer.Option("--home", help="The wallet of this home of --data-dir.")]
WalletFileOption = Annotated[Path | None, typer.Option("--wallet", help="Wallet file.")]
PassphraseFile = Annotated[
    Path | None,
    typer.Option("--passphrase-file", help=f"Or {PASSPHRASE_VARIABLE}; else it is asked for."),
]


def node_client(layout: Layout, url: str | None) -> NodeClient:
    """Return the node to ask: the one named, else the first edge of the data folder."""
    if url is None:
        network = load_network(layout)
        edge = load_config(NodeConfig, layout.edge_config(network.edges[0]), os.environ)
        url = http_url(edge.http)
    return NodeClient(url)


def network_of(layout: Layout) -> str | None:
    """Return the hex id of the folder's network; `None` if the folder holds none."""
    if not layout.genesis_file.exists():
        return None
    return network_id(load_genesis(layout.genesis_file)).hex()


def wallet_path(layout: Layout, home: str | None, wallet: Path | None) -> Path:
    """Return the wallet that `--wallet` or `--home` names. Raises `CommandError` for neither."""
    if (home is None) == (wallet is None):
        raise _usage("which wallet?", "give either --wallet FILE or --home NAME")
    if wallet is not None:
        return wallet.expanduser()
    assert home is not None, "one of both is given"
    network = load_network(layout)
    if home not in network.homes:
        raise _usage(f"--home {home}", f"homes are {', '.join(network.homes[:12])}")
    return layout.wallet_file(home)


def wallet_issuer(layout: Layout, file: Path, passphrase_file: Path | None) -> Issuer:
    """Return the first account of a wallet, opened. Raises `InvalidKeyFileError`."""
    words = read_wallet_words(file, find_passphrase(layout, file, passphrase_file))
    return Issuer(wallet_key(words), sequence_file(file))


def key_issuer(layout: Layout, file: Path, passphrase_file: Path | None) -> Issuer:
    """Return the key of a key file, opened. Raises `InvalidKeyFileError`."""
    return Issuer(open_key_file(layout, file, passphrase_file), sequence_file(file))


def open_key_file(layout: Layout, file: Path, passphrase_file: Path | None) -> SigningKey:
    """Return the key of a key file. Raises `InvalidKeyFileError`."""
    return read_key_file(file, find_passphrase(layout, file, passphrase_file))


def find_passphrase(layout: Layout, file: Path, passphrase_file: Path | None) -> bytes:
    """Return the passphrase of a file: as told, of the environment, of the folder, or asked."""
    if passphrase_file is not None:
        return read_passphrase(passphrase_file)
    named = passphrase_from(os.environ)
    if named is not None:
        return named
    if file.absolute().is_relative_to(layout.root) and layout.passphrase_file.exists():
        return read_passphrase(layout.passphrase_file)
    return _asked(f"Passphrase of {file}: ")


def new_passphrase(passphrase_file: Path | None) -> bytes:
    """Return the passphrase for a new file: as told, of the environment, or asked for twice."""
    if passphrase_file is not None:
        return read_passphrase(passphrase_file)
    named = passphrase_from(os.environ)
    if named is not None:
        return named
    first = _asked("New passphrase: ")
    if len(first) < MIN_PASSPHRASE_SIZE:
        raise _usage("the passphrase is too short", f"at least {MIN_PASSPHRASE_SIZE} characters")
    if _asked("Once more: ") != first:
        raise _usage("the passphrases differ", "type the same one twice")
    return first


def _asked(prompt: str) -> bytes:
    if not sys.stdin.isatty():
        raise CommandError(
            Failure(
                FailureCode.NO_PASSPHRASE,
                ExitCode.NOT_AUTHORISED,
                "no passphrase",
                "there is no terminal to ask at",
                f"give --passphrase-file FILE, or name the file in {PASSPHRASE_VARIABLE}",
            )
        )
    return getpass.getpass(prompt, stream=sys.stderr).encode("utf-8")


def _usage(what: str, why: str) -> CommandError:
    return CommandError(Failure(FailureCode.BAD_ARGUMENT, ExitCode.USAGE, what, why, "see --help"))
