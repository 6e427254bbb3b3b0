"""The commands `bench walk`, `weights` and `work`: a program of its own, for they load kernels."""

from api.bench.figures import Rounds, show
from api.bench.tangle_load import walk_figures, weight_figures, work_figures
from api.terminal.extras import is_there, module_over
from api.terminal.options import AsJson, add_command, ending, typer_app
from api.terminal.talk import say

app = typer_app("What this machine can do.")


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


add_command(app, "weights", weights)
add_command(app, "walk", walk)
add_command(app, "work", work)

if __name__ == "__main__":
    app(prog_name="tanglewatt bench")
