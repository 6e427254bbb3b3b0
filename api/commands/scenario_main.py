"""The commands `scenario run` and `scenario list`.

`python -m api.commands.scenario_main`.
"""

import tempfile
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Final

import typer

from api.contracts import CONTRACTS
from api.exit_codes import ExitCode
from api.failures import CommandError, Failure, FailureCode
from api.processes.live_scenario import run_live
from api.terminal.options import AsJson, add_command, ending, typer_app
from api.terminal.talk import put, put_json, say
from energy.scenarios.file import Scenario, parse_scenario
from energy.scenarios.run import Report, run_scenario
from tangle.errors import InvalidError

MAX_FILE_SIZE: Final = 2**20

ScenarioName = Annotated[
    str, typer.Argument(metavar="FILE|NAME", help="TOML file, or one of `scenario list`.")
]
IsLive = Annotated[
    bool, typer.Option("--live", help="Through a network of four processes, made for it.")
]
LiveFolder = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Where --live makes it. [default: in /tmp]"),
]

app = typer_app("What people do, and what must come out.")


def run(
    *,
    scenario: ScenarioName,
    live: IsLive = False,
    data_dir: LiveFolder = None,
    as_json: AsJson = False,
) -> None:
    """Run a scenario: on the pure ledger in milliseconds, or with --live through real nodes.

    Exit code 0 only if every step holds; the first difference is printed with its step.

    Examples:
      tanglewatt scenario run thesis_chapter6
      tanglewatt scenario run my.toml --live --json
    """
    with ending(as_json=as_json):
        parsed = _parsed(scenario)
        try:
            report = _run_live(parsed, data_dir) if live else run_scenario(parsed, CONTRACTS)
        except InvalidError as error:  # a step that is no operation: a fault of the file
            raise _unusable(scenario, str(error)) from error
        if as_json:
            put_json(asdict(report))
        else:
            _tell(scenario, report, len(parsed.steps))
        if report.difference is not None:
            raise SystemExit(int(ExitCode.REFUSED))


def list_(*, as_json: AsJson = False) -> None:
    """Show the scenarios that ship.

    Examples:
      tanglewatt scenario list
    """
    with ending(as_json=as_json):
        found = {name: parse_scenario(text).name for name, text in _library().items()}
        if as_json:
            put_json(found)
            return
        for name, title in found.items():
            put(f"{name:<24} {title}")


def _run_live(scenario: Scenario, folder: Path | None) -> Report:
    if folder is not None:
        return run_live(scenario, folder.expanduser().absolute(), say)
    with tempfile.TemporaryDirectory(prefix="tanglewatt-") as made:
        return run_live(scenario, Path(made) / "network", say)


def _tell(name: str, report: Report, steps: int) -> None:
    difference = report.difference
    if difference is None:
        put(f"{report.name}: all {steps} steps hold")
        return
    put(f"{name}: step {difference.step}, {difference.key}")
    put(f"  expected {difference.expected}")
    put(f"  found    {difference.found}")


def _parsed(name: str) -> Scenario:
    """Return the scenario of a file, or of a name. Raises `CommandError`."""
    library = _library()
    try:
        if name in library:
            return parse_scenario(library[name])
        file = Path(name).expanduser()
        if file.stat().st_size > MAX_FILE_SIZE:
            raise _unusable(name, f"more than {MAX_FILE_SIZE} bytes")
        return parse_scenario(file.read_text("utf-8"))
    except OSError as error:
        why = f"{error.strerror or error}; it is none of {', '.join(library)} either"
        raise _unusable(name, why) from error
    except (InvalidError, UnicodeDecodeError) as error:
        raise _unusable(name, str(error)) from error


def _unusable(name: str, why: str) -> CommandError:
    return CommandError(
        Failure(
            FailureCode.BAD_SCENARIO,
            ExitCode.USAGE,
            f"scenario {name} cannot be run",
            why,
            "see docs/scenarios.md, or `tanglewatt scenario list`",
        )
    )


def _library() -> dict[str, str]:
    folder = files("energy.scenarios") / "library"
    found = sorted(folder.iterdir(), key=lambda one: one.name)
    return {one.name.removesuffix(".toml"): one.read_text("utf-8") for one in found}


add_command(app, "run", run)
add_command(app, "list", list_)

if __name__ == "__main__":
    app(prog_name="tanglewatt scenario")
