"""The commands `bench …`: what this machine can do, measured where they run."""

from typing import Annotated

import typer

from api.bench.access_load import access_figures
from api.bench.bill_load import bill_figures
from api.bench.energy_load import energy_figures
from api.bench.figures import Rounds, show
from api.terminal.options import AsJson, add_command, typer_app

app = typer_app("What this machine can do.")

Operations = Annotated[
    int, typer.Option("--operations", min=100, max=50_000, help="In each round.", show_default=True)
]
Members = Annotated[int, typer.Option("--members", min=1, max=100_000, show_default=True)]


def energy(*, rounds: Rounds = 5, operations: Operations = 10_000, as_json: AsJson = False) -> None:
    """Measure the ledger of energy operations, without signatures.

    A round is a milestone: rules, state trie and roots, as a node computes them.

    Examples:
      tanglewatt bench energy
      tanglewatt bench energy --rounds 15 --json
    """
    show(energy_figures(rounds, operations), as_json=as_json)


def bills(*, rounds: Rounds = 3, members: Members = 1_000, as_json: AsJson = False) -> None:
    """Measure a bill run: a month of 15-minute slots for so many members, one after the other.

    From netted slots and applied reports to the bytes of final bills.

    Examples:
      tanglewatt bench bills
    """
    show(bill_figures(rounds, members), as_json=as_json)


def access(*, rounds: Rounds = 15, as_json: AsJson = False) -> None:
    """Measure the threshold scheme, in multiples of one scalar multiplication of the same run.

    Encapsulate, partial, verify, combine for k = 3 of n = 5.

    Examples:
      tanglewatt bench access
    """
    show(access_figures(rounds), as_json=as_json)


add_command(app, "access", access)
add_command(app, "bills", bills)
add_command(app, "energy", energy)
