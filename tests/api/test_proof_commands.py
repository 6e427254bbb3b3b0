"""`proof get` from a node on a real socket, `proof verify` with a file and genesis alone."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result
from typing_extensions import override

from api.commands.proof_commands import lines, proof_path
from api.commands.proof_files import MAX_PROOF_FILE_SIZE, proof_text
from api.exit_codes import ExitCode
from api.failures import CommandError
from api.http.app import create_app
from api.http.service import Proved
from api.main import app as commands
from api.node.node_service import NodeApi, NodeCard
from api.row_keys import parse_row_key, row_key_text
from api.settings.genesis_file import genesis_text
from energy.transfer import TransferEeuro, transfer_operation
from tangle.accounts import SEQUENCE_PREFIX
from tangle.address import Address, address_of, encode_address
from tangle.errors import InvalidAddressError, InvalidError
from tangle.genesis import Genesis
from tangle.proofs import MAX_KEY_SIZE
from tangle.transaction import TransactionId, decode, transaction_id
from tests.api.small_node import ALICE, BOB, GENESIS, SmallNode
from tests.api.test_server import with_server
from tests.community import with_parameters

ALICE_TEXT = encode_address(address_of(ALICE.public))
BOB_ADDRESS = address_of(BOB.public)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(commands, [str(one) for one in arguments])


def get(app: FastAPI, *arguments: str) -> Result:
    """Run `proof get` against `app` on a socket."""
    results: list[Result] = []

    async def act(host: str) -> None:
        command = ("proof", "get", *arguments, "--node", f"http://{host}")
        results.append(await asyncio.to_thread(run, *command))

    with_server(app, act)
    return results[0]


@pytest.fixture
def payment(node: SmallNode) -> str:
    """Return the id of an applied payment of a small network."""
    data = node.signed(transfer_operation(TransferEeuro(BOB_ADDRESS, 2_000_000)))
    node.take_in(data)
    node.confirm()
    return transaction_id(decode(data).transaction).hex()


@pytest.fixture
def genesis_file(tmp_path: Path) -> Path:
    return written(tmp_path / "genesis.json", genesis_text(GENESIS))


def written(file: Path, text: str) -> Path:
    file.write_text(text, "utf-8")
    return file


def test_a_payment_is_fetched_from_a_node_and_proven_without_it(
    app: FastAPI, payment: str, genesis_file: Path, tmp_path: Path
) -> None:
    fetched = get(app, payment)
    file = written(tmp_path / "payment.proof", fetched.stdout)

    people = run("proof", "verify", file, "--genesis", genesis_file)
    programs = run("proof", "verify", file, "--genesis", genesis_file, "--json")

    assert (fetched.exit_code, people.exit_code, programs.exit_code) == (0, 0, 0)
    shown = people.stdout.splitlines()
    assert shown[0] == "kind: transaction"
    assert "outcome: applied" in shown
    assert "milestone.index: 1" in shown
    assert "payload.fields.amount_ueur: 2000000" in shown
    assert people.stderr == "✔ proven by milestone 1 of test-net\n"
    told = json.loads(programs.stdout)
    assert (told["holds"], told["id"], told["outcome"]) == (True, payment, "applied")


@pytest.mark.usefixtures("payment")
@pytest.mark.parametrize(
    ("subject", "line"),
    [
        (encode_address(BOB_ADDRESS), "eeuro_ueur: 2000000"),
        (encode_address(BOB_ADDRESS).upper(), "eeuro_ueur: 2000000"),
        (f"balance/eeuro/{encode_address(BOB_ADDRESS)}", "fields.amount: 2000000"),
        (f"balance/ent/{encode_address(BOB_ADDRESS)}", "value: none"),
        ("coordinators", "fields.quorum: 1"),
        ("0xff", "value: none"),
    ],
)
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_addresses_and_rows_are_proven_by_the_names_that_people_use(
    app: FastAPI, genesis_file: Path, tmp_path: Path, subject: str, line: str, form: tuple[str]
) -> None:
    file = written(tmp_path / "some.proof", get(app, subject, *form).stdout)

    result = run("proof", "verify", file, "--genesis", genesis_file)

    assert result.exit_code == 0, result.stderr
    assert line in result.stdout.splitlines()


def test_the_summary_of_a_file_is_not_believed(
    service: NodeApi, payment: str, genesis_file: Path, tmp_path: Path
) -> None:
    proved = asyncio.run(service.prove_transaction(_id(payment)))
    assert proved is not None
    lie = proof_text(proved.data.hex(), {"id": "00" * 32, "outcome": "referenced"})

    result = run("proof", "verify", written(tmp_path / "lie", lie), "--genesis", genesis_file)

    assert f"id: {payment}" in result.stdout
    assert "outcome: applied" in result.stdout


def _id(text: str) -> TransactionId:
    return TransactionId(bytes.fromhex(text))


@pytest.fixture
def proof_hex(service: NodeApi, payment: str) -> str:
    del payment
    return asyncio.run(service.prove_row(b"coordinators")).data.hex()


def broken_texts(proof: str) -> Iterator[str]:
    """Yield files that hold no proof, or not this one."""
    swapped = "0" if proof[100] != "0" else "1"
    for changed in (proof[:-2], proof[:100] + swapped + proof[101:], proof.upper(), "zz", ""):
        yield proof_text(changed, {})
    yield from ("", "[]", "{}", '{"proof": 5}', proof, "\x00")


def test_what_is_damaged_does_not_hold(proof_hex: str, genesis_file: Path, tmp_path: Path) -> None:
    for text in broken_texts(proof_hex):
        file = written(tmp_path / "broken", text)

        result = run("proof", "verify", file, "--genesis", genesis_file, "--json")

        assert result.exit_code == ExitCode.REFUSED, text[:80]
        assert json.loads(result.stdout)["error"]["code"] == "TW-LED-005"


def test_a_file_beyond_all_proofs_is_not_read(genesis_file: Path, tmp_path: Path) -> None:
    file = tmp_path / "large"
    with file.open("wb") as large:
        large.truncate(MAX_PROOF_FILE_SIZE + 1)

    result = run("proof", "verify", file, "--genesis", genesis_file)

    assert result.exit_code == ExitCode.REFUSED
    assert f"at most {MAX_PROOF_FILE_SIZE}" in result.stderr


@pytest.mark.parametrize("foreign", [with_parameters(GENESIS, work_per_byte=2)])
def test_the_genesis_of_another_network_proves_nothing(
    proof_hex: str, tmp_path: Path, foreign: Genesis
) -> None:
    file = written(tmp_path / "row.proof", proof_text(proof_hex, {}))
    genesis = written(tmp_path / "other.json", genesis_text(foreign))

    result = run("proof", "verify", file, "--genesis", genesis)

    assert result.exit_code == ExitCode.REFUSED
    assert "why:  milestone: network" in result.stderr


def test_files_that_are_not_there_are_named(
    proof_hex: str, genesis_file: Path, tmp_path: Path
) -> None:
    file = written(tmp_path / "row.proof", proof_text(proof_hex, {}))

    no_proof = run("proof", "verify", tmp_path / "none", "--genesis", genesis_file)
    no_genesis = run("proof", "verify", file, "--genesis", tmp_path / "none")

    assert (no_proof.exit_code, no_genesis.exit_code) == (
        ExitCode.USAGE,
        ExitCode.BAD_CONFIGURATION,
    )
    assert "none cannot be read" in no_proof.stderr


def test_what_a_node_cannot_prove_is_told_with_its_exit_code(node: SmallNode, app: FastAPI) -> None:
    pending = node.signed()
    node.take_in(pending)

    unknown = get(app, "00" * 32)
    early = get(app, transaction_id(decode(pending).transaction).hex())

    assert unknown.exit_code == ExitCode.NOT_FOUND
    assert early.exit_code == ExitCode.UNHEALTHY
    assert "no milestone references it" in early.stderr


class Elsewhere(NodeApi):
    """A node that answers whatever it is asked with the proof of something else."""

    other = TransactionId(bytes(32))

    @override
    async def prove_transaction(self, tx_id: TransactionId) -> Proved | None:
        return await super().prove_transaction(self.other)

    @override
    async def prove_row(self, key: bytes) -> Proved:
        return await super().prove_row(b"coordinators")

    @override
    async def prove_address(self, address: Address) -> Proved:
        return await super().prove_address(address_of(ALICE.public))


@pytest.mark.parametrize("asked", ["network", encode_address(BOB_ADDRESS), "00" * 32])
def test_a_node_that_proves_something_else_is_found_out(
    node: SmallNode, payment: str, asked: str
) -> None:
    lying = Elsewhere(node, NodeCard(ALICE.public, "south", "edge", "1", None), lambda: (), None)
    lying.other = _id(payment)

    result = get(create_app(lying), asked)

    assert result.exit_code == ExitCode.REFUSED
    assert "asked for" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    "subject", ["deadbeef", "AB" * 32, "0xzz", "0x", "", "balance/eeuro/tw1nobody", "a b", "é"]
)
def test_what_names_nothing_is_a_usage_error(subject: str) -> None:
    with pytest.raises(CommandError) as caught:
        proof_path(subject)

    assert caught.value.failure.exit_code is ExitCode.USAGE


def test_a_mistyped_address_is_said_to_be_one() -> None:
    with pytest.raises(InvalidAddressError):
        proof_path(ALICE_TEXT[:-1] + "b")


def test_lists_stay_on_their_line() -> None:
    assert lines({"a": {"b": [1, 2], "c": None}}) == ["a.b: [1, 2]", "a.c: none"]


@given(st.binary(min_size=1, max_size=60) | st.text(min_size=1).map(str.encode))
def test_any_key_has_a_text_that_leads_back_to_it(key: bytes) -> None:
    assert parse_row_key(row_key_text(key)) == key


@given(st.binary(min_size=32, max_size=32))
def test_a_key_that_ends_in_an_address_shows_it(address: bytes) -> None:
    text = row_key_text(SEQUENCE_PREFIX + address)

    assert text == f"sequence/{encode_address(Address(address))}"


@pytest.mark.parametrize("text", ["x" * (MAX_KEY_SIZE + 1), "0x" + "00" * (MAX_KEY_SIZE + 1)])
def test_a_key_is_not_longer_than_a_proof_may_hold(text: str) -> None:
    with pytest.raises(InvalidError):
        parse_row_key(text)


def test_text_that_looks_like_an_address_and_is_none_is_shown_in_hex() -> None:
    assert row_key_text(b"a/tw1nobody") == "0x" + b"a/tw1nobody".hex()
    assert row_key_text(b"0xab") == "0x" + b"0xab".hex()
