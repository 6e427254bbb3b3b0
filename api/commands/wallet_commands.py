"""The commands `wallet new`, `wallet balance`, `wallet send`."""

import os
from pathlib import Path
from typing import Annotated, Final, Literal, assert_never

import msgspec
import typer

from api.client.issuing import issue, parse_amount, shown_amount, wait_final
from api.commands.access_files import (
    Home,
    NodeUrl,
    PassphraseFile,
    WalletFileOption,
    find_passphrase,
    network_of,
    new_passphrase,
    node_client,
    wallet_issuer,
    wallet_path,
)
from api.settings.wallet_file import create_wallet, read_wallet_public_key, read_wallet_words
from api.terminal.options import (
    DEFAULT_DATA_DIR,
    MAX_SECONDS,
    AsJson,
    DataDir,
    add_command,
    ending,
    layout_of,
    typer_app,
)
from api.terminal.talk import put, put_json, say
from edge.ground.key_file import Cost
from energy.transfer import Transfer, TransferEeuro, TransferEnt, transfer_operation
from tangle.address import address_of, decode_address, encode_address
from tangle.seeds import ENTROPY_SIZE

DEFAULT_WAIT_S: Final = 60.0

app = typer_app("Keys that hold tokens.")

TokenName = Literal["eeuro", "ent"]
NewFile = Annotated[Path, typer.Argument(metavar="FILE", help="Wallet file to create.")]
AddressText = Annotated[
    str | None, typer.Argument(metavar="[ADDRESS]", help="tw1…, or --home or --wallet.")
]
Recipient = Annotated[str, typer.Option("--to", metavar="ADDRESS", help="tw1…")]
AmountText = Annotated[str, typer.Option("--amount", help="Decimal number, at most six places.")]
TokenOption = Annotated[TokenName, typer.Option("--token", help="eeuro or ent.")]
Waits = Annotated[bool, typer.Option("--wait", help="Return when it is applied or ignored.")]
WaitSeconds = Annotated[
    float, typer.Option("--wait-for", metavar="SECONDS", min=0.0, max=MAX_SECONDS)
]


def new(*, file: NewFile, passphrase_file: PassphraseFile = None, as_json: AsJson = False) -> None:
    """Create a wallet; its 24 words are shown once, on stderr.

    Examples:
      tanglewatt wallet new my.wallet
      tanglewatt wallet new my.wallet --passphrase-file pass.txt --json
    """
    with ending(as_json=as_json):
        passphrase = new_passphrase(passphrase_file)
        public = create_wallet(file, os.urandom(ENTROPY_SIZE), passphrase, Cost())
        address = encode_address(address_of(public))
        say("Write these 24 words down; with them the wallet can be restored, by anyone:")
        say(f"  {read_wallet_words(file, passphrase)}")
        if as_json:
            put_json({"address": address, "public_key": public.hex(), "file": str(file)})
        else:
            put(address)


def words(
    *,
    home: Home = None,
    wallet: WalletFileOption = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Show the 24 words of a wallet again, on stderr.

    Examples:
      tanglewatt wallet words --home home_01
    """
    with ending():
        layout = layout_of(data_dir)
        file = wallet_path(layout, home, wallet)
        say(read_wallet_words(file, find_passphrase(layout, file, passphrase_file)))


def balance(
    *,
    address: AddressText = None,
    home: Home = None,
    wallet: WalletFileOption = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    node: NodeUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show what an address holds after the last milestone.

    Examples:
      tanglewatt wallet balance --home home_01
      tanglewatt wallet balance tw1… --node http://127.0.0.1:8080 --json
    """
    with ending(as_json=as_json):
        layout = layout_of(data_dir)
        if address is None:
            public = read_wallet_public_key(wallet_path(layout, home, wallet))
            address = encode_address(address_of(public))
        else:
            decode_address(address)
        answer = node_client(layout, node).address(address)
        if as_json:
            put_json(msgspec.to_builtins(answer))
        else:
            put(address)
            put(f"{shown_amount(answer.eeuro_ueur)} eEuro")
            put(f"{shown_amount(answer.ent_uent)} ENT")


def send(  # noqa: PLR0913 — to Typer each option is an argument
    *,
    to: Recipient,
    amount: AmountText,
    token: TokenOption = "eeuro",
    home: Home = None,
    wallet: WalletFileOption = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    node: NodeUrl = None,
    passphrase_file: PassphraseFile = None,
    wait: Waits = False,
    wait_s: WaitSeconds = DEFAULT_WAIT_S,
    as_json: AsJson = False,
) -> None:
    """Send tokens. The key stays here; the node chooses the parents and does the work.

    Exit code 5 with the reason if the ledger ignores it, 8 if nothing is decided in time.

    Examples:
      tanglewatt wallet send --home home_01 --to tw1… --amount 1.5 --wait
      tanglewatt wallet send --wallet my.wallet --to tw1… --amount 2 --token ent
    """
    with ending(as_json=as_json):
        layout = layout_of(data_dir)
        call = _transfer(token, to, parse_amount(amount))
        client = node_client(layout, node)
        issuer = wallet_issuer(layout, wallet_path(layout, home, wallet), passphrase_file)
        expected = network_of(layout) if node is None else None
        tx_id = issue(client, issuer, transfer_operation(call), expected)
        say(f"sent {amount} {token} in transaction {tx_id}")
        state = "pending"
        if wait:
            state = wait_final(client, tx_id, wait_s).state
            say(f"✔ {state}")
        if as_json:
            put_json({"id": tx_id, "state": state})
        else:
            put(tx_id)


def _transfer(token: TokenName, to: str, base_units: int) -> Transfer:
    recipient = decode_address(to)
    match token:
        case "eeuro":
            return TransferEeuro(recipient, base_units)
        case "ent":
            return TransferEnt(recipient, base_units)
        case _:
            assert_never(token)


add_command(app, "new", new)
add_command(app, "words", words)
add_command(app, "balance", balance)
add_command(app, "send", send)
