"""The commands `reading prove`, `reading verify` and `reading erase`: a member's own readings."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
import typer

from api.client.answers import InfoAnswer
from api.client.node_client import NodeClient
from api.commands.access_files import (
    Home,
    NodeUrl,
    PassphraseFile,
    WalletFileOption,
    node_client,
    wallet_issuer,
    wallet_path,
)
from api.commands.proof_commands import GenesisFile, ProofFile, lines
from api.commands.proof_files import load_reading_proof, parse_reading_proof_hex, proof_text
from api.exit_codes import ExitCode
from api.failures import CommandError, Failure, FailureCode
from api.hexadecimal import from_hex
from api.proof_forms import about_reading
from api.settings.config import load_config
from api.settings.genesis_file import load_genesis
from api.settings.layout import Layout, load_network
from api.settings.records import NodeConfig, http_url
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
from devices.reading import decode_reading
from devices.reading_proof import verify_reading_proof
from devices.reading_request import ReadingRequest, sign_request
from tangle.address import Address, decode_address, encode_address
from tangle.errors import InvalidProofError
from tangle.genesis import network_id
from tangle.transaction import MAX_INTEGER, NETWORK_SIZE

app = typer_app("Readings of one's own meter: proven, checked offline, erased.")

_SECOND_MS: Final = 1_000

Meter = Annotated[str, typer.Argument(metavar="METER", help="Address of the meter, tw1…")]
Slot = Annotated[
    str, typer.Argument(metavar="SLOT", help="A moment of it: 2026-06-01T12:00Z, or Unix ms.")
]
Before = Annotated[
    str, typer.Option("--before", metavar="TIME", help="What ended by then: as SLOT.")
]


def prove(  # noqa: PLR0913 — to Typer each option is an argument
    *,
    meter: Meter,
    slot: Slot,
    home: Home = None,
    wallet: WalletFileOption = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    node: NodeUrl = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Ask the home node for the proof of one reading, as its owner, and print it as a file.

    Examples:
      tanglewatt reading prove tw1… 2026-06-01T12:00Z --home home_01 > noon.proof
      tanglewatt reading prove tw1… 1780315200000 --wallet my.wallet --node http://127.0.0.1:8080
    """
    with ending(as_json=as_json):
        layout, device, at_ms = layout_of(data_dir), decode_address(meter), parse_moment(slot)
        key = wallet_issuer(layout, wallet_path(layout, home, wallet), passphrase_file).key
        client = _home_node(layout, device, node)
        request = _request(client.info(), device, "prove", at_ms)
        answer = client.reading_proof(sign_request(request, key))
        _verify_subject(answer.proof, device, at_ms)
        if as_json:
            put_json(msgspec.to_builtins(answer))
        else:
            put(proof_text(answer.proof, answer.about))


def verify(*, file: ProofFile, genesis: GenesisFile, as_json: AsJson = False) -> None:
    """Check the proof of a reading offline and print it. Exit code 5 if it does not hold.

    Examples:
      tanglewatt reading verify noon.proof --genesis genesis.json
    """
    with ending(as_json=as_json):
        trusted = load_genesis(genesis)
        proven = verify_reading_proof(load_reading_proof(file), trusted)
        shown = about_reading(proven, network_id(trusted))
        if as_json:
            put_json({"holds": True, **shown})
            return
        for line in lines(shown):
            put(line)
        say(f"✔ committed to under milestone {proven.milestone.index} of {trusted.name}")


def erase(  # noqa: PLR0913 — to Typer each option is an argument
    *,
    meter: Meter,
    before: Before,
    home: Home = None,
    wallet: WalletFileOption = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    node: NodeUrl = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Have the home node delete old readings of one's meter with their salts, for good.

    What is left on the ledger says nothing of them any more, and they can never be proven again.

    Examples:
      tanglewatt reading erase tw1… --before 2026-01-01T00:00Z --home home_01
    """
    with ending(as_json=as_json):
        layout, device, at_ms = layout_of(data_dir), decode_address(meter), parse_moment(before)
        key = wallet_issuer(layout, wallet_path(layout, home, wallet), passphrase_file).key
        client = _home_node(layout, device, node)
        request = _request(client.info(), device, "erase", at_ms)
        erased = client.erase_readings(sign_request(request, key))
        if as_json:
            put_json({"erased": erased})
        else:
            put(f"{erased} readings erased")


def parse_moment(text: str) -> int:
    """Return a moment as people write it in ms since the Unix epoch. Raises `CommandError`."""
    if text.isascii() and text.isdigit() and int(text) <= MAX_INTEGER:
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _bad_moment(text) from None
    if moment.tzinfo is None or moment.timestamp() < 0:
        raise _bad_moment(text)
    return int(moment.timestamp()) * _SECOND_MS


def _home_node(layout: Layout, meter: Address, url: str | None) -> NodeClient:
    """Return the node that has the readings of a meter: the one named, else of the folder."""
    if url is not None:
        return node_client(layout, url)
    name = encode_address(meter)
    for client in _edges(layout):
        for one in client.devices().devices:
            if one.address == name and one.journalled is not None:
                return client
    raise CommandError(
        Failure(
            FailureCode.NOT_FOUND,
            ExitCode.NOT_FOUND,
            f"no node of {layout.root} has readings of {name}",
            "only the home node of a meter keeps what it measured",
            "name its home node with --node",
        )
    )


def _edges(layout: Layout) -> Iterator[NodeClient]:
    for edge in load_network(layout).edges:
        yield NodeClient(http_url(load_config(NodeConfig, layout.edge_config(edge), {}).http))


def _request(
    info: InfoAnswer, meter: Address, action: Literal["prove", "erase"], at_ms: int
) -> ReadingRequest:
    network = from_hex(info.network, "network", size=NETWORK_SIZE)
    return ReadingRequest(network, meter, action, at_ms, info.confirmed_index)


def _verify_subject(proof: str, meter: Address, at_ms: int) -> None:
    """Check that a node answers what it was asked. Raises `InvalidProofError`."""
    reading = decode_reading(parse_reading_proof_hex(proof).signed).reading
    is_asked = reading.interval_start_ms <= at_ms < reading.interval_end_ms
    if reading.device != meter or not is_asked:
        raise InvalidProofError(
            f"asked for {at_ms} ms of {encode_address(meter)}, the node proves"
            f" {reading.interval_start_ms} to {reading.interval_end_ms} ms of"
            f" {encode_address(Address(reading.device))}"
        )


def _bad_moment(text: str) -> CommandError:
    return CommandError(
        Failure(
            FailureCode.BAD_ARGUMENT,
            ExitCode.USAGE,
            f"{text!r} is no moment",
            "a date and time with its offset from UTC, or ms since the Unix epoch",
            "write it like 2026-06-01T12:00Z or 2026-06-01T14:00+02:00",
        )
    )


add_command(app, "prove", prove)
add_command(app, "verify", verify)
add_command(app, "erase", erase)
