"""The commands `vote …`: what the voters of a community decide."""

from pathlib import Path
from typing import Annotated

import typer

from api.client.issuing import issue, wait_final
from api.commands.access_files import NodeUrl, PassphraseFile, key_issuer, network_of, node_client
from api.commands.wallet_commands import DEFAULT_WAIT_S, Waits, WaitSeconds
from api.exit_codes import ExitCode
from api.failures import CommandError, Failure, FailureCode
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
from energy.governance.acts import CoordinatorKeysAct, Vote
from energy.governance.contract import vote_operation
from tangle.keys import KEY_SIZE, PublicKey

app = typer_app("What voters decide.")

Keys = Annotated[
    list[str], typer.Option("--key", metavar="HEX", help="A coordinator key; repeat for all.")
]
QuorumNumber = Annotated[int, typer.Option("--quorum", help="How many sign a milestone.")]
No = Annotated[bool, typer.Option("--no", help="Vote against it.")]
Voter = Annotated[
    Path | None, typer.Option("--voter", help="Key file of the voter. [default: operator.key]")
]


def coordinator_keys(  # noqa: PLR0913 — to Typer each option is an argument
    *,
    key: Keys,
    quorum: QuorumNumber,
    no: No = False,
    voter: Voter = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    node: NodeUrl = None,
    passphrase_file: PassphraseFile = None,
    wait: Waits = False,
    wait_s: WaitSeconds = DEFAULT_WAIT_S,
    as_json: AsJson = False,
) -> None:
    """Vote on who signs milestones: all keys that are to sign, also those that do already.

    It holds from the milestone after the one in which more than half of the voters said yes.

    Examples:
      tanglewatt vote coordinator-keys --key 9f… --key c2… --key e0… --quorum 2 --wait
    """
    with ending(as_json=as_json):
        layout = layout_of(data_dir)
        call = Vote(_act(key, quorum), not no)
        client = node_client(layout, node)
        issuer = key_issuer(layout, voter or layout.operator_key_file, passphrase_file)
        expected = network_of(layout) if node is None else None
        tx_id = issue(client, issuer, vote_operation(call), expected)
        say(f"voted in transaction {tx_id}")
        state = wait_final(client, tx_id, wait_s).state if wait else "pending"
        if as_json:
            put_json({"id": tx_id, "state": state})
        else:
            put(tx_id)


def _act(texts: list[str], quorum: int) -> CoordinatorKeysAct:
    try:
        keys = sorted({PublicKey(bytes.fromhex(text)) for text in texts})
        wrong = next((key.hex() for key in keys if len(key) != KEY_SIZE), None)
        if wrong is not None:
            raise ValueError(f"{wrong} is not a key of {KEY_SIZE} bytes")  # noqa: TRY301
        return CoordinatorKeysAct(tuple(keys), quorum)
    except ValueError as error:
        raise CommandError(
            Failure(
                FailureCode.BAD_ARGUMENT,
                ExitCode.USAGE,
                f"--key … --quorum {quorum}",
                str(error),
                "see `tanglewatt vote coordinator-keys --help`",
            )
        ) from error


add_command(app, "coordinator-keys", coordinator_keys)
