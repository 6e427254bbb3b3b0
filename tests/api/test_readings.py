"""One's own readings: proven to their owner alone, checked offline, erased for good."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from fastapi import FastAPI
from typer.testing import CliRunner, Result

from api.commands.reading_commands import parse_moment
from api.exit_codes import ExitCode
from api.failures import CommandError
from api.http.app import create_app
from api.main import app as commands
from api.node.reading_answers import proven_reading
from api.settings.genesis_file import genesis_text
from api.settings.wallet_file import create_wallet
from devices.reading import decode_reading
from devices.reading_proof import (
    ReadingProof,
    decode_reading_proof,
    encode_reading_proof,
    verify_reading_proof,
)
from edge.ground.key_file import PASSPHRASE_VARIABLE, Cost
from edge.journal.sealing import sealing_key
from tangle.address import address_of, encode_address
from tangle.errors import InvalidProofError, NotProvableError
from tests.api.asking import ask
from tests.api.metered_node import (
    FIRST_MS,
    METER_ADDRESS,
    SLOT_MS,
    asked,
    register,
    salt_of,
    settled_node,
    signed_reading,
    take,
)
from tests.api.small_node import BOB, EDGE, GENESIS, METER, SmallNode, api_of
from tests.api.test_server import with_server
from tests.community import with_parameters

METER_TEXT = encode_address(METER_ADDRESS)
PASSPHRASE = b"nine words that nobody guesses"
THIRD_MS = FIRST_MS + 3 * SLOT_MS


@pytest.fixture
def app(node: SmallNode) -> FastAPI:
    return create_app(api_of(node, sealing_key(EDGE)))


def get(app: FastAPI, request: bytes, method: str = "GET") -> tuple[int, dict[str, object]]:
    answer = ask(app, method, f"/api/v1/readings/{request.hex()}")
    return answer.status_code, answer.json()


def proof_of(app: FastAPI, at_ms: int) -> ReadingProof:
    status, answer = get(app, asked("prove", at_ms))
    assert status == 200, answer
    return decode_reading_proof(bytes.fromhex(str(answer["proof"])))


@pytest.mark.parametrize("sequence", range(5))
def test_every_committed_reading_is_proven_offline(
    node: SmallNode, app: FastAPI, sequence: int
) -> None:
    settled_node(node)

    for at_ms in (FIRST_MS + sequence * SLOT_MS, FIRST_MS + (sequence + 1) * SLOT_MS - 1):
        proven = verify_reading_proof(proof_of(app, at_ms), GENESIS)

        assert proven.reading == decode_reading(signed_reading(sequence)).reading
        assert proven.milestone.index == (2 if sequence < 3 else 4)


def test_the_answer_says_what_is_proven(node: SmallNode, app: FastAPI) -> None:
    settled_node(node)

    _, answer = get(app, asked("prove", THIRD_MS, METER))

    about = answer["about"]
    assert isinstance(about, dict)
    assert about["meter"] == METER_TEXT
    assert (about["sequence"], about["import_wh"], about["export_wh"]) == (3, 300, 2_100)
    assert (about["interval_start_ms"], about["quality"]) == (THIRD_MS, "measured")


@pytest.mark.parametrize(
    ("request_bytes", "why"),
    [
        pytest.param(
            asked("prove", THIRD_MS, BOB), "neither the meter's nor its owner's", id="who"
        ),
        pytest.param(asked("erase", THIRD_MS), "to erase, not to prove", id="action"),
        pytest.param(asked("prove", THIRD_MS, milestone_index=400), "at most 300", id="age"),
        pytest.param(asked("prove", THIRD_MS, network=bytes(8)), "is for network", id="network"),
        pytest.param(
            asked("prove", THIRD_MS, meter=address_of(BOB.public)),
            "is no registered meter",
            id="meter",
        ),
        pytest.param(asked("prove", THIRD_MS)[:-1] + b"\0", "is not signed by key", id="forged"),
        pytest.param(b"\x90", "", id="no request"),
    ],
)
def test_nobody_else_sees_a_reading(
    node: SmallNode, app: FastAPI, request_bytes: bytes, why: str
) -> None:
    settled_node(node)

    status, problem = get(app, request_bytes)

    assert status == 400
    assert why in str(problem["detail"])
    assert signed_reading(3).hex() not in str(problem)


@pytest.mark.parametrize(
    ("at_ms", "why"),
    [
        pytest.param(FIRST_MS - 1, "no reading here", id="before the first"),
        pytest.param(FIRST_MS + 6 * SLOT_MS, "no reading here", id="after the last"),
        pytest.param(FIRST_MS + 5 * SLOT_MS, "no applied batch", id="not committed to yet"),
    ],
)
def test_what_cannot_be_proven_yet_is_said(
    node: SmallNode, app: FastAPI, at_ms: int, why: str
) -> None:
    settled_node(node)

    status, problem = get(app, asked("prove", at_ms))

    assert (status, problem["code"]) == (503, "NOT_PROVABLE")
    assert why in str(problem["detail"])


def test_a_node_without_the_readings_answers_nothing(node: SmallNode) -> None:
    settled_node(node)

    elsewhere = create_app(api_of(node))

    status, _ = get(elsewhere, asked("prove", THIRD_MS))
    erased = get(elsewhere, asked("erase", THIRD_MS), "DELETE")

    assert (status, erased) == (503, (200, {"erased": 0}))


def test_a_node_whose_own_proof_does_not_hold_says_that_it_cannot_prove(
    node: SmallNode, app: FastAPI
) -> None:
    settled_node(node)
    proof = msgspec.structs.replace(proof_of(app, THIRD_MS), salt=bytes(32))

    with pytest.raises(NotProvableError, match="does not prove it"):
        proven_reading(proof, GENESIS)


# Erasing.


def test_without_its_salt_a_reading_can_never_be_proven_again(
    node: SmallNode, app: FastAPI
) -> None:
    settled_node(node)
    sealed = [one.sealed for one in node.journal.readings(METER_ADDRESS, 0, 2)]

    status, answer = get(app, asked("erase", FIRST_MS + 3 * SLOT_MS), "DELETE")

    assert (status, answer) == (200, {"erased": 3})
    assert node.journal.meters() == {METER_ADDRESS: ((3, 5),)}
    assert get(app, asked("prove", FIRST_MS))[0] == 503
    assert verify_reading_proof(proof_of(app, THIRD_MS), GENESIS).reading.sequence == 3
    on_disk = b"".join(file.read_bytes() for file in node.folder.iterdir() if file.is_file())
    assert not [one for one in sealed if one[24:] in on_disk]


def test_the_root_alone_says_nothing_without_the_salt(node: SmallNode, app: FastAPI) -> None:
    settled_node(node)
    proof = proof_of(app, THIRD_MS)

    for guess in (bytes(32), salt_of(4)):
        with pytest.raises(InvalidProofError):
            verify_reading_proof(msgspec.structs.replace(proof, salt=guess), GENESIS)


def test_what_the_ledger_has_not_yet_and_the_newest_stay(node: SmallNode, app: FastAPI) -> None:
    settled_node(node)

    _, first = get(app, asked("erase", FIRST_MS + 99 * SLOT_MS), "DELETE")
    _, again = get(app, asked("erase", FIRST_MS + 99 * SLOT_MS), "DELETE")

    assert (first, again) == ({"erased": 5}, {"erased": 0})
    assert node.journal.meters() == {METER_ADDRESS: ((5, 5),)}


def test_nothing_is_erased_for_strangers_or_where_nothing_is(node: SmallNode, app: FastAPI) -> None:
    register(node)
    _, empty = get(app, asked("erase", THIRD_MS), "DELETE")
    take(node, 0, 3)

    status, _ = get(app, asked("erase", THIRD_MS, BOB), "DELETE")

    assert (empty, status) == ({"erased": 0}, 400)
    assert node.journal.meters() == {METER_ADDRESS: ((0, 3),)}


def test_the_rest_of_a_batch_that_was_erased_in_part_is_not_proven(
    node: SmallNode, app: FastAPI
) -> None:
    settled_node(node)
    get(app, asked("erase", FIRST_MS + SLOT_MS), "DELETE")

    status, problem = get(app, asked("prove", FIRST_MS + SLOT_MS))

    assert status == 503
    assert "others of its batch were erased" in str(problem["detail"])


# What a proof must not prove.


def changed(proof: ReadingProof, **changes: object) -> ReadingProof:
    return msgspec.structs.replace(proof, **changes)


BREAKS: dict[str, Callable[[ReadingProof, ReadingProof], ReadingProof]] = {
    "another reading": lambda proof, _: changed(proof, signed=signed_reading(4)),
    "another salt": lambda proof, _: changed(proof, salt=bytes(32)),
    "another key": lambda proof, _: changed(proof, key=BOB.public),
    "another batch": lambda proof, other: changed(proof, batch=other.batch),
    "another path": lambda proof, other: changed(proof, path=other.path),
    "not applied": lambda proof, _: changed(
        proof, batch=msgspec.structs.replace(proof.batch, applied=None)
    ),
    "no reading": lambda proof, _: changed(proof, signed=b"\x90"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_proof_with_a_part_of_another_proves_nothing(
    node: SmallNode, app: FastAPI, name: str
) -> None:
    settled_node(node)
    proof, other = proof_of(app, THIRD_MS), proof_of(app, FIRST_MS)

    with pytest.raises(InvalidProofError):
        verify_reading_proof(BREAKS[name](proof, other), GENESIS)


def test_a_damaged_copy_and_another_network_are_refused(node: SmallNode, app: FastAPI) -> None:
    settled_node(node)
    proof = proof_of(app, THIRD_MS)
    data = encode_reading_proof(proof)

    with pytest.raises(InvalidProofError, match="the checksum is"):
        decode_reading_proof(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(InvalidProofError):
        verify_reading_proof(proof, with_parameters(GENESIS, work_per_byte=2))


# Commands.


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(commands, [str(one) for one in arguments])


@pytest.fixture
def wallet(node: SmallNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a wallet that owns the meter."""
    passphrase = tmp_path / "passphrase"
    passphrase.write_bytes(PASSPHRASE)
    passphrase.chmod(0o600)
    monkeypatch.setenv(PASSPHRASE_VARIABLE, str(passphrase))
    file = tmp_path / "my.wallet"
    public = create_wallet(file, bytes(32), PASSPHRASE, Cost(1, 64))
    settled_node(node, address_of(public))
    return file


def on_a_socket(app: FastAPI, *arguments: str | Path) -> Result:
    results: list[Result] = []

    async def act(host: str) -> None:
        results.append(await asyncio.to_thread(run, *arguments, "--node", f"http://{host}"))

    with_server(app, act)
    return results[0]


def test_a_member_proves_a_slot_and_checks_it_with_genesis_alone(
    app: FastAPI, wallet: Path, tmp_path: Path
) -> None:
    proof, genesis = tmp_path / "noon.proof", tmp_path / "genesis.json"
    genesis.write_text(genesis_text(GENESIS), "utf-8")

    made = on_a_socket(app, "reading", "prove", METER_TEXT, str(THIRD_MS), "--wallet", wallet)
    proof.write_text(made.stdout, "utf-8")
    checked = run("reading", "verify", proof, "--genesis", genesis, "--json")
    shown = run("reading", "verify", proof, "--genesis", genesis)

    assert made.exit_code == 0, made.output
    found = json.loads(checked.stdout)
    assert (found["holds"], found["meter"], found["sequence"]) == (True, METER_TEXT, 3)
    assert "import_wh: 300" in shown.stdout
    assert "✔" in shown.stderr


def test_a_proof_that_does_not_hold_ends_with_5(app: FastAPI, wallet: Path, tmp_path: Path) -> None:
    proof, genesis = tmp_path / "noon.proof", tmp_path / "genesis.json"
    genesis.write_text(genesis_text(with_parameters(GENESIS, work_per_byte=2)), "utf-8")
    made = on_a_socket(
        app, "reading", "prove", METER_TEXT, str(THIRD_MS), "--wallet", wallet, "--json"
    )
    proof.write_text(made.stdout, "utf-8")

    assert made.exit_code == 0, made.output
    assert run("reading", "verify", proof, "--genesis", genesis).exit_code == ExitCode.REFUSED


def test_a_member_erases_old_readings(node: SmallNode, app: FastAPI, wallet: Path) -> None:
    erased = on_a_socket(
        app, "reading", "erase", METER_TEXT, "--before", str(THIRD_MS), "--wallet", wallet
    )
    again = on_a_socket(
        app, "reading", "erase", METER_TEXT, "--before", str(THIRD_MS), "--wallet", wallet, "--json"
    )

    assert (erased.exit_code, erased.stdout) == (0, "3 readings erased\n")
    assert json.loads(again.stdout)["erased"] == 0
    assert node.journal.meters() == {METER_ADDRESS: ((3, 5),)}


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1780315200000", 1_780_315_200_000),
        ("2026-06-01T12:00Z", 1_780_315_200_000),
        ("2026-06-01T14:00+02:00", 1_780_315_200_000),
    ],
)
def test_a_moment_is_read_exactly(text: str, ms: int) -> None:
    assert parse_moment(text) == ms


@pytest.mark.parametrize("text", ["", "noon", "2026-06-01T12:00", "1" * 30, "1960-01-01T00:00Z"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match="is no moment"):
        parse_moment(text)
