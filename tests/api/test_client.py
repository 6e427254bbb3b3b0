import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result
from typing_extensions import override

from access.device import Claim, claim_registration, register_operation
from api.client.issuing import Issuer, issue, parse_amount, shown_amount, wait_final
from api.client.node_client import NodeClient
from api.client.sequence_file import USABLE, reserve_sequence
from api.commands.explore_commands import lookups
from api.exit_codes import ExitCode
from api.failures import CommandError, FailureCode
from api.http.submissions import Complete, Unworked, parse_json
from api.main import app
from api.settings.genesis_file import genesis_text
from api.settings.wallet_file import create_wallet, read_wallet_public_key
from edge.ground.key_file import Cost, write_key_file
from energy.transfer import Transfer, TransferEeuro, TransferEnt, transfer_operation
from tangle.accounts import NO_ADDRESS
from tangle.address import address_of, encode_address
from tangle.genesis import genesis_hash
from tangle.keys import SigningKey, verify
from tangle.transaction import IssuerWitness, preimage, transaction_id
from tangle.verification import parse
from tangle.work import leading_zero_bits, required_bits
from tests.api.small_node import GENESIS
from tests.api.small_node import NETWORK as NETWORK_ID

KEY = SigningKey(bytes(32))
ADDRESS = encode_address(address_of(KEY.public))
NETWORK = "ab" * 8
INFO = {
    "network": NETWORK,
    "name": "net",
    "node": "cd",
    "alias": "edge-1",
    "role": "edge",
    "confirmed_index": 5,
    "confirmed_id": "ef",
    "state_root": "aa",
    "transactions": 9,
    "milestones": 5,
    "ledger_time_ms": 1_000,
    "something_new": True,
}


@dataclass
class Server:
    """A node that gives prepared answers, and remembers what was posted."""

    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    posted: list[Any] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def server() -> Iterator[Server]:
    told = Server()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            path = self.path.partition("?")[0]
            status, body = told.answers.get(path, (404, {"detail": "unknown"}))
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            told.posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self._answer()

        @override
        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as listener:
        told.url = f"http://127.0.0.1:{listener.server_port}"
        thread = Thread(target=listener.serve_forever, args=(0.01,))
        thread.start()
        yield told
        listener.shutdown()
        thread.join()


@pytest.fixture
def ready(server: Server) -> Server:
    server.answers = {
        "/api/v1/info": (200, INFO),
        "/api/v1/tips": (200, {"parents": ["22" * 32, "11" * 32], "milestone_index": 5}),
        f"/api/v1/addresses/{ADDRESS}": (
            200,
            {"address": ADDRESS, "ent_uent": 0, "eeuro_ueur": 5, "next_sequence": 7},
        ),
        "/api/v1/transactions": (200, {"results": [{"id": "ff" * 32, "state": "tip"}]}),
        "/health/ready": (200, {}),
    }
    return server


def test_answers_are_typed_and_may_hold_more_than_is_known(ready: Server) -> None:
    client = NodeClient(ready.url)

    assert client.info().confirmed_index == 5
    assert client.is_ready()


def test_a_node_that_is_not_there_is_not_running() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # bound, but nobody listens
        client = NodeClient(f"http://127.0.0.1:{bound.getsockname()[1]}")

        with pytest.raises(CommandError) as caught:
            client.info()
        assert not client.is_ready()

    assert caught.value.failure.exit_code is ExitCode.NOT_RUNNING


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [
        (404, FailureCode.NOT_FOUND, ExitCode.NOT_FOUND),
        (503, FailureCode.UNREACHABLE, ExitCode.UNHEALTHY),
        (400, FailureCode.REFUSED, ExitCode.REFUSED),
    ],
)
def test_a_problem_is_told_with_its_detail(
    server: Server, status: int, code: FailureCode, exit_code: ExitCode
) -> None:
    server.answers["/api/v1/info"] = (status, {"detail": "port 80", "code": "X"})

    with pytest.raises(CommandError) as caught:
        NodeClient(server.url).info()

    failure = caught.value.failure
    assert (failure.code, failure.exit_code, failure.why) == (code, exit_code, "port 80")


def test_a_problem_that_is_no_json_is_told_as_it_is(server: Server) -> None:
    server.answers["/api/v1/info"] = (500, b"Internal Server Error")

    with pytest.raises(CommandError) as caught:
        NodeClient(server.url).info()

    assert caught.value.failure.why == "Internal Server Error"


def test_an_answer_of_another_program_is_not_understood(server: Server) -> None:
    server.answers["/api/v1/info"] = (200, {"hello": "world"})

    with pytest.raises(CommandError) as caught:
        NodeClient(server.url).info()

    assert caught.value.failure.code is FailureCode.UNEXPECTED_ANSWER


def test_an_answer_of_absurd_size_is_not_read(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers["/api/v1/info"] = (200, INFO)
    monkeypatch.setattr("api.client.node_client.MAX_ANSWER_SIZE", 10)

    with pytest.raises(CommandError, match="more than 10 bytes"):
        NodeClient(server.url).info()


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8080",
        "https://x",
        "http://",
        "http://x/api",
        "http://[::1",
        "http://x:99999",
        "http://x:port",
        "",
    ],
)
def test_an_address_that_is_no_node_is_refused(url: str) -> None:
    with pytest.raises(CommandError) as caught:
        NodeClient(url)

    assert caught.value.failure.exit_code is ExitCode.USAGE


def test_what_a_node_does_not_know_is_nothing(server: Server) -> None:
    server.answers["/api/v1/milestones/5"] = (200, {"index": 5})
    client = NodeClient(server.url)

    assert client.document("/api/v1/milestones/5") == {"index": 5}
    assert client.document("/api/v1/milestones/6") is None


def test_an_operation_is_signed_here_and_worked_there(ready: Server, tmp_path: Path) -> None:
    operation = transfer_operation(TransferEeuro(address_of(bytes(32)), 5))

    tx_id = issue(NodeClient(ready.url), Issuer(KEY, tmp_path / "next"), operation, NETWORK)

    (posted,) = ready.posted
    (item,) = parse_json(json.dumps(posted).encode())
    assert isinstance(item, Unworked)  # the node reads it, and is asked to do the work
    transaction = item.transaction
    assert transaction.parents == (b"\x11" * 32, b"\x22" * 32)
    assert (transaction.sequence, transaction.issued_at_ms) == (7, 1_000)
    assert transaction.payload == operation
    assert transaction_id(transaction).hex() == tx_id
    verify(KEY.public, preimage(transaction), item.signature)


def test_the_wallet_does_the_work_itself_where_a_door_asks_for_more(
    ready: Server, tmp_path: Path
) -> None:
    ready.answers["/api/v1/info"] = (200, INFO | {"work_per_byte": 1})
    parents = {"parents": ["22" * 32, "11" * 32], "more_bits": 3}
    ready.answers["/api/v1/tips"] = (200, parents)
    operation = transfer_operation(TransferEeuro(address_of(bytes(32)), 5))

    issue(NodeClient(ready.url), Issuer(KEY, tmp_path / "next"), operation, NETWORK)

    (posted,) = ready.posted
    (item,) = parse_json(json.dumps(posted).encode())
    assert isinstance(item, Complete)
    parsed = parse(item.data)
    assert isinstance(parsed.witness, IssuerWitness)
    bits = required_bits(parsed.size_bytes, 1) + 3
    assert leading_zero_bits(parsed.tx_id, parsed.witness.nonce) >= bits


def test_nothing_is_signed_for_another_network(ready: Server, tmp_path: Path) -> None:
    operation = transfer_operation(TransferEeuro(address_of(bytes(32)), 5))

    with pytest.raises(CommandError, match="network 00") as caught:
        issue(NodeClient(ready.url), Issuer(KEY, tmp_path / "next"), operation, "00" * 8)

    assert caught.value.failure.exit_code is ExitCode.REFUSED
    assert ready.posted == []


def test_a_node_that_returns_no_result_is_not_understood(ready: Server, tmp_path: Path) -> None:
    ready.answers["/api/v1/transactions"] = (200, {"results": []})
    operation = transfer_operation(TransferEeuro(address_of(bytes(32)), 5))

    with pytest.raises(CommandError, match="0 results"):
        issue(NodeClient(ready.url), Issuer(KEY, tmp_path / "next"), operation, None)


@pytest.mark.parametrize("state", ["applied", "no-value"])
def test_waiting_ends_with_what_counts(server: Server, state: str) -> None:
    server.answers["/api/v1/transactions/aa"] = (200, {"id": "aa", "state": state})

    assert wait_final(NodeClient(server.url), "aa", 0.0).state == state


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"state": "ignored", "reason": "INSUFFICIENT_EEURO"}, "INSUFFICIENT_EEURO"),
        ({"state": "expired"}, "it lies too deep to be referenced any more"),
    ],
)
def test_what_the_ledger_refused_is_told_with_its_reason(
    server: Server, answer: dict[str, str], why: str
) -> None:
    server.answers["/api/v1/transactions/aa"] = (200, {"id": "aa", **answer})

    with pytest.raises(CommandError) as caught:
        wait_final(NodeClient(server.url), "aa", 0.0)

    assert caught.value.failure.exit_code is ExitCode.REFUSED
    assert caught.value.failure.why == why


def test_waiting_ends_when_the_time_is_over(server: Server) -> None:
    server.answers["/api/v1/transactions/aa"] = (200, {"id": "aa", "state": "pending"})

    with pytest.raises(CommandError) as caught:
        wait_final(NodeClient(server.url), "aa", 0.3)

    assert caught.value.failure.exit_code is ExitCode.TIMED_OUT


def test_a_wallet_that_sends_twice_at_once_uses_two_numbers(tmp_path: Path) -> None:
    file = tmp_path / "next"

    numbers = [reserve_sequence(file, "n", ledger_next) for ledger_next in (7, 7, 8, 20)]

    assert numbers == [7, 8, 9, 20]


def test_numbers_of_another_network_are_counted_for_themselves(tmp_path: Path) -> None:
    file = tmp_path / "next"

    assert [reserve_sequence(file, network, 0) for network in ("a", "b")] == [0, 0]


def test_when_the_window_is_full_the_lowest_hole_is_filled(tmp_path: Path) -> None:
    file = tmp_path / "next"
    for _ in range(USABLE):
        reserve_sequence(file, "n", 0)

    assert reserve_sequence(file, "n", 0) == 0


def test_a_torn_note_falls_back_to_the_ledgers_word(tmp_path: Path) -> None:
    (tmp_path / "next").write_text("{")

    assert reserve_sequence(tmp_path / "next", "n", 3) == 3


def test_a_note_that_cannot_be_written_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot write"):
        reserve_sequence(tmp_path / "none" / "next", "n", 3)


@given(st.integers(1, 10**18 - 1))
def test_an_amount_reads_back_as_it_is_shown(base_units: int) -> None:
    assert parse_amount(shown_amount(base_units)) == base_units


@pytest.mark.parametrize(("text", "amount"), [("1", 10**6), ("1.5", 1_500_000), (".5", 500_000)])
def test_an_amount_may_leave_out_zeroes(text: str, amount: int) -> None:
    assert parse_amount(text) == amount


@pytest.mark.parametrize(
    "text",
    ["", "0", "0.0", "-1", "+1", "1.", "1e3", "1,5", "0.0000001", "١", "1" * 13, ".", "1.2.3"],
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(CommandError) as caught:
        parse_amount(text)

    assert caught.value.failure.exit_code is ExitCode.USAGE


@pytest.mark.parametrize(
    ("thing", "paths"),
    [
        ("AB" * 32, ["/api/v1/transactions/" + "ab" * 32]),
        (ADDRESS, [f"/api/v1/addresses/{ADDRESS}"]),
        ("41", ["/api/v1/milestones/41"]),
        (" latest ", ["/api/v1/milestones/latest"]),
        ("1" * 64, ["/api/v1/transactions/" + "1" * 64]),
        ("tw1/../..", []),
        ("edge-1", []),
        ("", []),
    ],
)
def test_an_id_is_looked_up_where_it_can_be(thing: str, paths: list[str]) -> None:
    assert lookups(thing) == paths


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(one) for one in arguments])


@pytest.fixture
def passphrase(tmp_path: Path) -> Path:
    file = tmp_path / "pass"
    file.write_text("correct horse\n")
    file.chmod(0o600)
    return file


@pytest.fixture
def wallet(server: Server, tmp_path: Path) -> Path:
    file = tmp_path / "my.wallet"
    create_wallet(file, bytes(32), b"correct horse", Cost(1, 8))
    address = encode_address(address_of(read_wallet_public_key(file)))
    server.answers |= {
        "/api/v1/info": (200, INFO),
        "/api/v1/tips": (200, {"parents": ["22" * 32, "11" * 32]}),
        f"/api/v1/addresses/{address}": (
            200,
            {"address": address, "ent_uent": 0, "eeuro_ueur": 1_500_000, "next_sequence": 0},
        ),
        "/api/v1/transactions": (200, {"results": [{"id": "ff" * 32, "state": "tip"}]}),
    }
    return file


def test_a_balance_is_shown_with_its_address_in_the_unit_that_people_use(
    server: Server, wallet: Path
) -> None:
    people = invoke("wallet", "balance", "--wallet", wallet, "--node", server.url)
    programs = invoke("wallet", "balance", "--wallet", wallet, "--node", server.url, "--json")

    address = encode_address(address_of(read_wallet_public_key(wallet)))
    assert people.stdout == f"{address}\n1.500000 eEuro\n0.000000 ENT\n"
    assert json.loads(programs.stdout)["eeuro_ueur"] == 1_500_000


@pytest.mark.parametrize(
    ("token", "call"),
    [
        ("eeuro", TransferEeuro(address_of(bytes(32)), 250_000)),
        ("ent", TransferEnt(address_of(bytes(32)), 250_000)),
    ],
)
def test_sending_posts_the_transfer_and_prints_its_id(
    server: Server, wallet: Path, passphrase: Path, token: str, call: Transfer
) -> None:
    to = encode_address(address_of(bytes(32)))
    where = ("--wallet", wallet, "--node", server.url, "--passphrase-file", passphrase)

    result = invoke("wallet", "send", *where, "--to", to, "--amount", "0.25", "--token", token)

    (item,) = parse_json(json.dumps(server.posted[0]).encode())
    assert isinstance(item, Unworked)
    assert item.transaction.payload == transfer_operation(call)
    assert result.stdout.strip() == transaction_id(item.transaction).hex()


def test_a_device_is_registered_by_its_own_proof_and_a_sponsor(
    ready: Server, passphrase: Path, tmp_path: Path
) -> None:
    genesis = tmp_path / "net" / "genesis.json"
    genesis.parent.mkdir()
    genesis.write_text(genesis_text(GENESIS))
    device, sponsor = SigningKey(b"d" * 32), SigningKey(b"v" * 32)
    for name, key in (("device.key", device), ("sponsor.key", sponsor)):
        write_key_file(tmp_path / name, key, b"correct horse", Cost(1, 8))
    voter = encode_address(address_of(sponsor.public))
    ready.answers["/api/v1/info"] = (200, INFO | {"network": NETWORK_ID.hex()})
    ready.answers[f"/api/v1/addresses/{voter}"] = (
        200,
        {"address": voter, "ent_uent": 0, "eeuro_ueur": 0, "next_sequence": 3},
    )
    edge = encode_address(address_of(bytes(32)))

    result = invoke(
        *("device", "register", "--key-file", tmp_path / "device.key", "--edge", edge),
        *("--sponsor", tmp_path / "sponsor.key", "--data-dir", genesis.parent),
        *("--passphrase-file", passphrase, "--sponsor-passphrase-file", passphrase),
        *("--node", ready.url, "--json"),
    )

    assert result.exit_code == 0, result.stderr
    (item,) = parse_json(json.dumps(ready.posted[0]).encode())
    assert isinstance(item, Unworked)
    assert item.transaction.issuer == sponsor.public
    claim = Claim(genesis_hash(GENESIS), device.public, "meter", NO_ADDRESS, address_of(bytes(32)))
    assert item.transaction.payload == register_operation(claim_registration(claim, device))


def test_exploring_shows_what_is_found(server: Server) -> None:
    server.answers["/api/v1/milestones/41"] = (200, {"index": 41})

    found = invoke("explore", "41", "--node", server.url, "--json")
    missing = invoke("explore", "42", "--node", server.url)

    assert json.loads(found.stdout)["index"] == 41
    assert missing.exit_code == ExitCode.NOT_FOUND
    assert "/api/v1/milestones/42" in missing.stderr
