"""The commands `proof get` and `proof verify`."""

import re
from pathlib import Path
from typing import Annotated, Any, Final, assert_never

import msgspec
import typer

from api.commands.access_files import NodeUrl, node_client
from api.commands.proof_files import load_proof, parse_proof_hex, proof_text
from api.contracts import CONTRACTS
from api.exit_codes import ExitCode
from api.failures import CommandError, Failure, FailureCode
from api.proof_forms import about
from api.row_keys import parse_row_key
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
from tangle.address import PREFIX, decode_address, encode_address
from tangle.errors import InvalidError, InvalidProofError
from tangle.genesis import network_id
from tangle.proofs import AddressProof, Proof, RowProof, TransactionProof
from tangle.proven import verify_proof
from tangle.verification import parse

app = typer_app("Proofs that anyone checks offline.")

_TRANSACTION: Final = re.compile(r"[0-9a-f]{64}\Z")
_HEX: Final = re.compile(r"[0-9a-fA-F]{2,}\Z")

Subject = Annotated[
    str,
    typer.Argument(
        metavar="ID|ADDRESS|ROWKEY", help="64 hex digits, tw1…, coordinators, PREFIX/tw1… or 0xHEX."
    ),
]
ProofFile = Annotated[Path, typer.Argument(metavar="FILE", help="What `proof get` printed.")]
GenesisFile = Annotated[
    Path, typer.Option("--genesis", help="genesis.json of the network, from where you trust.")
]


def get(
    *,
    subject: Subject,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    node: NodeUrl = None,
    as_json: AsJson = False,
) -> None:
    """Ask a node for a proof and print it as a file; with --json on one line.

    Examples:
      tanglewatt proof get 4f0c… > payment.proof
      tanglewatt proof get tw1… > balance.proof
      tanglewatt proof get identity/tw1… --node http://127.0.0.1:8080 > row.proof
    """
    with ending(as_json=as_json):
        path = proof_path(subject)
        answer = node_client(layout_of(data_dir), node).proof(path)
        _verify_subject(parse_proof_hex(answer.proof), path)
        if as_json:
            put_json(msgspec.to_builtins(answer))
        else:
            put(proof_text(answer.proof, answer.about))


def verify(*, file: ProofFile, genesis: GenesisFile, as_json: AsJson = False) -> None:
    """Check a proof offline and print what is proven. Exit code 5 if it does not hold.

    Examples:
      tanglewatt proof verify payment.proof --genesis genesis.json
      tanglewatt proof verify balance.proof --genesis genesis.json --json
    """
    with ending(as_json=as_json):
        trusted = load_genesis(genesis)
        proven = verify_proof(load_proof(file), trusted)
        shown = about(proven, network_id(trusted), CONTRACTS)
        if as_json:
            put_json({"holds": True, **shown})
            return
        for line in lines(shown):
            put(line)
        say(f"✔ proven by milestone {proven.milestone.index} of {trusted.name}")


def proof_path(subject: str) -> str:
    """Return the route, below `proofs/`, of what a person asks a proof of.

    Raises:
        CommandError: Hex digits that are no transaction id.
        InvalidError: No address, or no key of a row.
    """
    name = subject.strip()
    if _TRANSACTION.match(name):
        return f"transactions/{name}"
    if name.lower().startswith(f"{PREFIX}1"):
        return f"addresses/{encode_address(decode_address(name))}"
    if _HEX.match(name):
        raise _usage(name, "a transaction is 64 lower-case hex digits, a row begins with 0x")
    try:
        return f"rows/{parse_row_key(name).hex()}"
    except InvalidError as error:
        raise _usage(name, str(error)) from error


def lines(shown: dict[str, Any]) -> list[str]:
    """Return a summary as lines of a name and a value, parts below their name."""
    found: list[str] = []
    for name, value in shown.items():
        if isinstance(value, dict):
            found += [f"{name}.{line}" for line in lines(value)]
        else:
            found.append(f"{name}: {'none' if value is None else value}")
    return found


def _verify_subject(proof: Proof, path: str) -> None:
    """Check that a node answers what it was asked. Raises `InvalidProofError`."""
    match proof:
        case TransactionProof():
            answered = f"transactions/{parse(proof.transaction).tx_id.hex()}"
        case RowProof():
            answered = f"rows/{proof.key.hex()}"
        case AddressProof():
            answered = f"addresses/{encode_address(proof.address)}"
        case _:
            assert_never(proof)
    if answered != path:
        raise InvalidProofError(f"asked for {path}, the node proves {answered}")


def _usage(what: str, why: str) -> CommandError:
    return CommandError(
        Failure(
            FailureCode.BAD_ARGUMENT,
            ExitCode.USAGE,
            f"no proof can be of {what!r}",
            why,
            "see `tanglewatt proof get --help`",
        )
    )


add_command(app, "get", get)
add_command(app, "verify", verify)
