"""Those commands `bench …` that load kernels or run a node: a program of its own."""

from typing import Annotated

import typer

from api.bench.confirm import confirm_figures
from api.bench.figures import Rounds, show
from api.bench.growth import growth_figures
from api.bench.ingest import ingest_figures
from api.bench.limit import limit_figures
from api.bench.memory import memory_figures
from api.bench.mesh import mesh_figures
from api.bench.tangle_load import walk_figures, weight_figures, work_figures
from api.terminal.extras import is_there, module_over
from api.terminal.options import AsJson, add_command, ending, typer_app
from api.terminal.talk import say

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


def weights(*, rounds: Rounds = 30, as_json: AsJson = False) -> None:
    """Measure exact cumulative weights, and hold them against networkx if that is installed.

    A window of 20,000 transactions; a round is a batch of 64.

    Examples:
      tanglewatt bench weights
    """
    with ending(as_json=as_json):
        others = None
        if is_there("networkx"):
            others = module_over("networkx", "api.bench.networkx_weights").networkx_weights
        else:
            say("networkx is not installed: no comparison with it")
        show(weight_figures(rounds, others), as_json=as_json)


def walk(*, rounds: Rounds = 30, as_json: AsJson = False) -> None:
    """Measure the choice of two parents by the weighted walk, in a window of 20,000.

    A round is 64 choices, after 64 arrivals. And a tangle of 10,000 in the laboratory.

    Examples:
      tanglewatt bench walk
    """
    show(walk_figures(rounds), as_json=as_json)


def work(*, rounds: Rounds = 5, as_json: AsJson = False) -> None:
    """Measure the work of a transaction of up to 256 bytes. A round finds 64 nonces.

    Examples:
      tanglewatt bench work --json
    """
    show(work_figures(rounds), as_json=as_json)


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


add_command(app, "limit", limit)
add_command(app, "ingest", ingest)
add_command(app, "confirm", confirm)
add_command(app, "mesh", mesh)
add_command(app, "memory", memory)
add_command(app, "growth", growth)
add_command(app, "weights", weights)
add_command(app, "walk", walk)
add_command(app, "work", work)

if __name__ == "__main__":
    app(prog_name="tanglewatt bench")
