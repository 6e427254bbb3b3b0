"""The commands `bench …`: what this machine can do, measured where they run."""

from typing import Annotated

import typer

from api.bench.access_load import access_figures
from api.bench.bill_load import bill_figures
from api.bench.confirm import confirm_figures
from api.bench.energy_load import energy_figures
from api.bench.figures import Rounds, show
from api.bench.growth import growth_figures
from api.bench.ingest import ingest_figures
from api.bench.limit import limit_figures
from api.bench.memory import memory_figures
from api.bench.mesh import mesh_figures
from api.terminal.options import AsJson, add_command, typer_app

app = typer_app("What this machine can do.")

Operations = Annotated[
    int, typer.Option("--operations", min=100, max=50_000, help="In each round.", show_default=True)
]
Signatures = Annotated[
    int, typer.Option("--signatures", min=256, max=1_000_000, help="In each round.")
]
Transactions = Annotated[
    int, typer.Option("--transactions", min=100, max=300_000, help="In each round.")
]
Total = Annotated[int, typer.Option("--total", min=10_000, max=10_000_000, help="Transactions.")]
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


def limit(*, rounds: Rounds = 5, signatures: Signatures = 10_000, as_json: AsJson = False) -> None:
    """Measure how many signatures one processor verifies in a second, and how many all do.

    Nothing else is done: no node that verifies everything is faster.

    Examples:
      tanglewatt bench limit
    """
    show(limit_figures(rounds, signatures), as_json=as_json)


def ingest(
    *, rounds: Rounds = 5, transactions: Transactions = 10_000, as_json: AsJson = False
) -> None:
    """Measure how fast one node verifies, attaches and journals, without a network.

    In the same run: what the same processors verify when they do nothing else.

    Examples:
      tanglewatt bench ingest
      tanglewatt bench ingest --transactions 30000 --json
    """
    show(ingest_figures(rounds, transactions), as_json=as_json)


def confirm(
    *, rounds: Rounds = 5, operations: Operations = 10_000, as_json: AsJson = False
) -> None:
    """Measure what a node does for one milestone over transfers, its roots and commit included.

    Examples:
      tanglewatt bench confirm
      tanglewatt bench confirm --operations 50000
    """
    show(confirm_figures(rounds, operations), as_json=as_json)


def mesh(
    *, rounds: Rounds = 3, transactions: Transactions = 20_000, as_json: AsJson = False
) -> None:
    """Measure how fast one node takes in what another process sends over the mesh.

    Both share the processors. Held against the signatures that these verify when they do nothing
    else.

    Examples:
      tanglewatt bench mesh
    """
    show(mesh_figures(rounds, transactions), as_json=as_json)


def memory(
    *, rounds: Rounds = 5, transactions: Transactions = 20_000, as_json: AsJson = False
) -> None:
    """Measure by how much a node grows for each transaction that no milestone references yet.

    Examples:
      tanglewatt bench memory
    """
    show(memory_figures(rounds, transactions), as_json=as_json)


def growth(*, total: Total = 1_000_000, as_json: AsJson = False) -> None:
    """Measure whether ingest becomes dearer as a journal grows that is pruned. Takes minutes.

    Examples:
      tanglewatt bench growth --total 100000
    """
    show(growth_figures(total), as_json=as_json)


add_command(app, "access", access)
add_command(app, "bills", bills)
add_command(app, "confirm", confirm)
add_command(app, "energy", energy)
add_command(app, "growth", growth)
add_command(app, "ingest", ingest)
add_command(app, "limit", limit)
add_command(app, "memory", memory)
add_command(app, "mesh", mesh)
