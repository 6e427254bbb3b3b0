"""Options that several commands share, and how every command ends."""

import inspect
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer

from api.exit_codes import ExitCode
from api.failures import CommandError, Failure, FailureCode
from api.settings.layout import Layout
from api.terminal.talk import end_with, say
from tangle.errors import TanglewattError

DEFAULT_DATA_DIR: Final = Path("tanglewatt-data")

DataDir = Annotated[
    Path,
    typer.Option(
        "--data-dir", envvar="TANGLEWATT_DATA_DIR", help="Folder of the network.", show_default=True
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object to stdout.")]
ConfigFile = Annotated[
    Path, typer.Option("--config", "-c", envvar="TANGLEWATT_CONFIG", help="TOML file.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Goes before environment and file."),
]
Homes = Annotated[
    str | None,
    typer.Option("--homes", metavar="N|DIR", help="So many synthetic homes, or recorded ones."),
]
Edges = Annotated[int | None, typer.Option("--edges", help="Edge nodes. [default: 3]")]
Coordinators = Annotated[
    int | None,
    typer.Option("--coordinators", help="Coordinator keys: one leads, edges hold the rest. [1]"),
]
Quorum = Annotated[
    int | None,
    typer.Option("--quorum", help="How many of them sign a milestone. [default: over half]"),
]
TimeScale = Annotated[
    int | None,
    typer.Option(
        "--time-scale",
        help="Ledger seconds per second. [default: 1800, recordings 14400]",
        min=1,
        max=10**6,
    ),
]
NetworkName = Annotated[str | None, typer.Option("--name", help="Name of the network.")]
SeedNumber = Annotated[
    int | None, typer.Option("--seed", help="Of the synthetic homes.", min=0, max=2**63 - 1)
]
People = Annotated[
    bool | None,
    typer.Option(
        "--people/--no-people",
        help="Whether a new network has people who act by themselves, and a battery.",
        show_default=False,
    ),
]
BasePort = Annotated[
    int | None,
    typer.Option(
        "--base-port", help="First of the ports. [default: free ones]", min=1_024, max=65_000
    ),
]


MAX_SECONDS: Final = 1e9
"""More than thirty years: who asks for `inf` gets a refusal and no arithmetic on it."""

EXAMPLES: Final = "Examples:\n"
KEEP_LINES: Final = "\b\n"
"""Click's sign that the lines of a paragraph stay as they are."""


def add_command(group: typer.Typer, name: str, command: Callable[..., None]) -> None:
    """Make a function a command; its docstring is the help, its examples keep their lines."""
    assert command.__doc__ is not None, f"{name} has no help"
    text = inspect.cleandoc(command.__doc__).replace(EXAMPLES, KEEP_LINES + EXAMPLES)
    group.command(name, help=text)(command)


def typer_app(help_text: str | None = None) -> typer.Typer:
    """Return an empty group of commands, or the frame of a single one."""
    return typer.Typer(
        help=help_text,
        no_args_is_help=help_text is not None,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )


def run_single(command: Callable[..., None], name: str) -> None:
    """Run a program that is one command, known to people as `name`."""
    hear_ctrl_c()
    app = typer_app()
    add_command(app, name, command)
    app(prog_name=name)


def hear_ctrl_c() -> None:
    """Let Ctrl-C interrupt from now on: `api.starting` had it end the process without a word."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def layout_of(data_dir: Path) -> Layout:
    """Return the paths of a data folder, absolute."""
    return Layout(data_dir.expanduser().absolute())


@contextmanager
def ending(*, as_json: bool = False) -> Iterator[None]:
    """Turn whatever a command raises on purpose into three lines and an exit code."""
    try:
        yield
    except TanglewattError as error:
        end_with(error, as_json=as_json)
    except KeyboardInterrupt:
        say("interrupted")
        raise SystemExit(int(ExitCode.INTERRUPTED)) from None


def settings(given: list[str] | None) -> dict[str, str]:
    """Return `SECTION.KEY=VALUE` flags as a mapping. Raises `CommandError`."""
    values: dict[str, str] = {}
    for one in given or []:
        name, separator, value = one.partition("=")
        if not separator or "." not in name:
            raise CommandError(
                Failure(
                    FailureCode.BAD_ARGUMENT,
                    ExitCode.USAGE,
                    f"--set {one}",
                    "must be SECTION.KEY=VALUE",
                    "for example --set http.port=8080",
                )
            )
        values[name] = value
    return values
