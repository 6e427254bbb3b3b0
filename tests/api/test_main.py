import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from signal import SIGTERM
from typing import Any

import msgspec
import pytest
import typer
from typer.testing import CliRunner, Result

from api.exit_codes import ExitCode
from api.failures import CommandError, Failure, FailureCode
from api.main import app
from api.network.init import Tools, create_network
from api.network.plan import Wishes, make_plan
from api.network.ports import free_ports
from api.processes import broker_main, meter_main, node_main, up_main
from api.processes.pid_files import write_pid_file
from api.processes.up_network import assemble, require_free_ports
from api.settings.layout import Layout, load_network
from api.terminal.options import add_command, typer_app
from api.terminal.talk import failure_of
from energy.forms.operations import ACTS, FORMS, SET_PARAMETER
from tangle import errors
from tangle.errors import TanglewattError

RUNNER = CliRunner()


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path / "net")
    plan = make_plan(Wishes(edges=1, homes=2), 1_000, free_ports(5, "127.0.0.1"))
    create_network(layout, plan, {}, Tools(Random(1).randbytes, Path.touch))
    return layout


def run(*arguments: str | Path) -> Result:
    return RUNNER.invoke(app, [str(one) for one in arguments])


def last_json(text: str) -> dict[str, Any]:
    value = msgspec.json.decode(text.splitlines()[-1])
    assert isinstance(value, dict)
    return value


def all_commands() -> list[tuple[tuple[str, ...], Any]]:
    found: list[tuple[tuple[str, ...], Any]] = []
    groups: list[tuple[tuple[str, ...], Any]] = [((), typer.main.get_command(app))]
    for path, group in groups:
        for name, command in sorted(group.commands.items()):
            within = groups if hasattr(command, "commands") else found
            within.append(((*path, name), command))
    return found


def test_every_command_that_was_asked_for_is_there() -> None:
    assert {" ".join(path) for path, _ in all_commands()} == {
        "init",
        "up",
        "down",
        "status",
        "explore",
        "version",
        "node run",
        "coordinator run",
        "coordinator recover",
        "snapshot write",
        "snapshot inspect",
        "snapshot verify",
        "snapshot load",
        "db check",
        "db salvage",
        "backup",
        "restore",
        "meter run",
        "broker run",
        "wallet new",
        "wallet words",
        "wallet balance",
        "wallet send",
        "device register",
        "evidence resume",
        "evidence show",
        "vote coordinator-keys",
        "key new",
        "key show",
        "proof get",
        "proof verify",
        "reading prove",
        "reading verify",
        "reading erase",
        "mesh renew",
        "query",
        *(f"simulate {verb}" for verb in ("run", "sweep")),
        *(f"bench {load}" for load in ("access", "bills", "energy")),
        *(f"bench {load}" for load in ("walk", "weights", "work", "limit", "ingest")),
        *(f"bench {load}" for load in ("confirm", "mesh", "memory", "growth")),
        "energy show",
        "member show",
        "vote list",
        *(f"market {verb}" for verb in ("depth", "orders", "trades", "candles")),
        "scenario run",
        "scenario list",
        "session open",
        "session close",
        *(f"energy {verb}" for verb in ("connect", "produced", "consumed", "actual")),
        *(f"energy {verb}" for verb in ("reported", "delegate")),
        *(f"bank {verb}" for verb in ("mint", "burn", "unlock", "lock")),
        *(f"market {verb}" for verb in ("sell", "buy", "cancel")),
        *(f"ctt {name[4:].replace('_', '-')}" for name in FORMS if name.startswith("ctt.")),
        "audit",
        *(f"bill {verb}" for verb in ("preview", "issue", "show", "verify", "credit")),
        *(f"bill {verb}" for verb in ("tariff", "pay", "refund")),
        *(f"vote {name.replace('_', '-')}" for name in (*ACTS, SET_PARAMETER)),
    }


def test_every_command_shows_examples_that_keep_their_lines() -> None:
    for path, command in all_commands():
        if command.add_help_option:  # the others pass --help on to their own program
            assert "Examples:\n    tanglewatt " in run(*path, "--help").output, path


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (up_main.up, "tanglewatt up"),
        (node_main.run, "tanglewatt node run"),
        (meter_main.run, "tanglewatt meter run"),
        (broker_main.run, "tanglewatt broker run"),
    ],
)
def test_programs_of_their_own_show_examples_too(command: Callable[..., None], name: str) -> None:
    single = typer_app()
    add_command(single, "x", command)

    assert f"Examples:\n    {name}" in RUNNER.invoke(single, ["--help"]).output


def test_no_command_takes_a_secret_as_an_argument() -> None:
    for path, command in all_commands():
        for parameter in command.params:
            assert parameter.name not in ("passphrase", "password", "words", "secret"), path


def test_the_version_is_data() -> None:
    assert run("version").stdout == "0.1.0\n"
    assert last_json(run("version", "--json").stdout)["version"] == "0.1.0"


def test_the_version_does_not_wait_for_heavy_libraries() -> None:
    code = (
        "import sys, api.main\n"
        "print([one for one in ('fastapi', 'zenoh', 'uvicorn', 'amqtt', 'aiomqtt', 'structlog',"
        " 'pandas', 'rich', 'sqlite3') if one in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)

    assert done.stdout == "[]\n"


def test_a_command_that_needs_heavy_libraries_becomes_a_program_of_its_own(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-m", "api", "broker", "run", "--config", str(tmp_path / "none")]

    done = subprocess.run(command, capture_output=True, check=False, text=True)

    assert done.returncode == ExitCode.BAD_CONFIGURATION
    assert done.stdout == ""
    assert "TW-CFG-004" in done.stderr


def test_init_makes_a_network_and_finds_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.processes.opening.write_profile", Path.touch)
    folder = tmp_path / "net"

    first = run("init", folder, "--homes", "1", "--edges", "1", "--json")
    again = run("init", folder, "--json")
    other = run("init", folder, "--homes", "2")

    assert last_json(first.stdout)["made"] is True
    assert last_json(again.stdout)["made"] is False
    assert other.exit_code == ExitCode.BAD_CONFIGURATION
    assert "TW-CFG-007" in other.stderr


def test_a_failure_is_three_lines_for_people_and_an_object_for_programs(tmp_path: Path) -> None:
    result = run("status", "--data-dir", tmp_path, "--json")

    assert result.exit_code == ExitCode.NOT_RUNNING
    assert [line.split()[0] for line in result.stderr.splitlines()] == ["✘", "why:", "next:"]
    assert last_json(result.stdout)["error"]["code"] == "TW-DIR-002"


def test_status_of_what_does_not_run_is_not_running(layout: Layout) -> None:
    people = run("status", "--data-dir", layout.root)
    programs = run("status", "--data-dir", layout.root, "--json")

    assert people.exit_code == programs.exit_code == ExitCode.NOT_RUNNING
    assert "edge-1" in people.stdout
    assert "does not answer" in people.stdout
    assert last_json(programs.stdout)["healthy"] is False


def test_down_stops_what_runs(layout: Layout) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    write_pid_file(layout.up_pid_file, child.pid)

    result = run("down", "--data-dir", layout.root, "--json")

    assert result.exit_code == ExitCode.OK
    assert last_json(result.stdout)["stopped"] is True
    assert child.wait() == -SIGTERM


def test_down_with_nothing_to_stop_is_done(layout: Layout) -> None:
    result = run("down", "--data-dir", layout.root)

    assert result.exit_code == ExitCode.OK
    assert "nothing was running" in result.stderr


def test_a_new_key_is_shown_by_its_public_half(tmp_path: Path) -> None:
    passphrase = tmp_path / "pass"
    passphrase.write_text("correct horse\n")
    passphrase.chmod(0o600)
    file = tmp_path / "x.key"

    made = run("key", "new", file, "--passphrase-file", passphrase, "--json")
    shown = run("key", "show", file, "--json")
    again = run("key", "new", file, "--passphrase-file", passphrase)

    assert last_json(made.stdout) == last_json(shown.stdout)
    assert run("key", "show", file).stdout.split() == [
        last_json(made.stdout)["public_key"],
        last_json(made.stdout)["address"],
    ]
    assert again.exit_code == ExitCode.NOT_AUTHORISED


def test_a_new_wallet_shows_its_words_on_stderr_only(tmp_path: Path) -> None:
    passphrase = tmp_path / "pass"
    passphrase.write_text("correct horse\n")
    passphrase.chmod(0o600)
    file = tmp_path / "my.wallet"

    made = run("wallet", "new", file, "--passphrase-file", passphrase, "--json")
    shown = run("wallet", "words", "--wallet", file, "--passphrase-file", passphrase)

    words = made.stderr.splitlines()[-1].split()
    assert len(words) == 24
    assert shown.stderr.split() == words
    assert words[0] not in made.stdout.split()
    assert last_json(made.stdout)["address"].startswith("tw1")


def test_without_a_terminal_a_passphrase_is_not_asked_for(tmp_path: Path) -> None:
    result = run("wallet", "new", tmp_path / "my.wallet")

    assert result.exit_code == ExitCode.NOT_AUTHORISED
    assert "TW-KEY-002" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("wallet", "balance"), id="no wallet"),
        pytest.param(("wallet", "balance", "--home", "a", "--wallet", "b"), id="two wallets"),
        pytest.param(("wallet", "balance", "--home", "home_99"), id="no such home"),
        pytest.param(("wallet", "balance", "tw1nonsense"), id="no address"),
        pytest.param(
            ("wallet", "send", "--home", "home_01", "--to", "x", "--amount", "1"), id="to"
        ),
        pytest.param(("wallet", "balance", "--home", "home_01", "--node", "x"), id="no url"),
    ],
)
def test_arguments_that_make_no_sense_are_usage_errors(
    layout: Layout, arguments: tuple[str, ...]
) -> None:
    assert run(*arguments, "--data-dir", layout.root).exit_code == ExitCode.USAGE


@pytest.mark.parametrize("seconds", ["inf", "1e308", "nan", "-1"])
@pytest.mark.parametrize("option", ["--for", "--settle"])
def test_up_waits_for_a_number_of_seconds_that_ends(
    tmp_path: Path, option: str, seconds: str
) -> None:
    app = typer_app()
    add_command(app, "up", up_main.up)
    result = RUNNER.invoke(app, [option, seconds, "--data-dir", str(tmp_path / "new")])

    assert result.exit_code == ExitCode.USAGE
    assert not (tmp_path / "new").exists()


def test_nobody_waits_for_ever_for_a_transaction(layout: Layout) -> None:
    pay = ("wallet", "send", "--home", "home_01", "--to", "x", "--amount", "1", "--wait")
    result = run(*pay, "--wait-for", "inf", "--data-dir", layout.root)

    assert result.exit_code == ExitCode.USAGE
    assert "--wait-for" in result.stderr


def test_a_node_that_does_not_run_cannot_be_reached(layout: Layout) -> None:
    result = run("wallet", "balance", "--home", "home_01", "--data-dir", layout.root)

    assert result.exit_code == ExitCode.NOT_RUNNING
    assert "TW-NET-002" in result.stderr


def test_every_port_of_a_network_is_checked_before_anything_starts(layout: Layout) -> None:
    network = load_network(layout)
    require_free_ports(layout, network, {})

    with pytest.raises(CommandError) as caught:
        require_free_ports(layout, network, {"TANGLEWATT_HTTP__HOST": "203.0.113.1"})

    failure = caught.value.failure
    assert failure.code is FailureCode.PORT_IN_USE
    assert "203.0.113.1 port" in failure.what
    assert str(layout.coordinator_config) in failure.what


def test_a_network_starts_broker_then_nodes_then_meters(layout: Layout) -> None:
    network = assemble(layout, load_network(layout), {}, lambda _: 0)

    names = [[spec.name for spec in stage] for stage in network.stages]
    assert names == [["broker"], ["coordinator", "edge-1"], ["home_01", "home_02"]]
    assert [spec.may_finish for stage in network.stages for spec in stage] == [
        False,
        False,
        False,
        True,
        True,
    ]
    assert len(network.urls) == 2
    assert network.recorded == {}


def leaves(kind: type[TanglewattError]) -> Iterator[type[TanglewattError]]:
    below = kind.__subclasses__()
    for one in below:
        yield from leaves(one)
    if not below:
        yield kind


def test_every_error_raised_on_purpose_has_words_and_an_exit_code() -> None:
    assert errors.InvalidError.__subclasses__()
    for kind in leaves(TanglewattError):
        if not issubclass(kind, CommandError):
            failure = failure_of(kind("the reason"))
            assert failure.why == "the reason"
            assert failure.exit_code not in (ExitCode.OK, ExitCode.FAILED)


def test_a_failure_of_a_command_is_told_as_it_is() -> None:
    failure = Failure(FailureCode.NOT_FOUND, ExitCode.NOT_FOUND, "what", "why", "next")

    assert failure_of(CommandError(failure)) is failure
    assert str(CommandError(failure)) == "TW-LED-003: what: why"


def test_exit_codes_are_what_the_handbook_says() -> None:
    assert {code.name: int(code) for code in ExitCode} == {
        "OK": 0,
        "FAILED": 1,
        "USAGE": 2,
        "NOT_RUNNING": 3,
        "UNHEALTHY": 4,
        "REFUSED": 5,
        "NOT_FOUND": 6,
        "NOT_AUTHORISED": 7,
        "TIMED_OUT": 8,
        "BAD_CONFIGURATION": 9,
        "STORAGE": 10,
        "INTERRUPTED": 130,
    }
    assert run("nonsense").exit_code == ExitCode.USAGE


def test_failure_codes_are_distinct() -> None:
    names = FailureCode.__members__
    assert len({code.value for code in names.values()}) == len(names)
