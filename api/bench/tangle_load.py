"""The loads of `bench weights`, `bench walk` and `bench work`: what an issuing node computes.

Time is that of the processor: what else the machine does is not counted.
"""

from collections.abc import Callable, Iterator
from random import Random
from statistics import median
from time import process_time
from typing import Final

from api.bench.figures import Figure
from api.bench.made_window import MadeWindow
from tangle.genesis import Parameters
from tangle.graph import Graph
from tangle.hashing import digest
from tangle.ready_kernels import compile_kernels
from tangle.transaction import TransactionId
from tangle.weights import CumulativeWeights
from tangle.window import Weights
from tangle.work import find_nonce
from tip_selection.laboratory.experiment import Experiment
from tip_selection.laboratory.simulation import Simulation
from tip_selection.view import View
from tip_selection.weighted_walk import select_weighted_walk

SEED: Final = 1
WINDOW: Final = 20_000
BATCH: Final = 64
SMALL_WINDOW: Final = 5_000
WORK_BITS: Final = 14
"""Of a transaction of up to 256 bytes, by the default price."""

SEARCHES: Final = 64
"""Nonces found in a round: their number of trials varies much."""

SIMULATED: Final = 10_000
"""Transactions of a run of the laboratory: λ = 10/s, h = 1 s, α = 0.01."""

SIMULATIONS: Final = 5
"""Runs at most."""

WANTED_SIMULATION_S: Final = 2.0
"""For 10,000."""

WANTED_WEIGHT_US: Final = 2.0
WANTED_SELECTION_MS: Final = 0.1
WANTED_SPEED_UP: Final = 1_000

AllWeights = Callable[[Graph], dict[TransactionId, int]]
"""Another way to count them, for comparison."""


def weight_figures(rounds: int, others: AllWeights | None) -> Iterator[Figure]:
    """Yield what exact weights cost: compiled, plain, and against another library's.

    Args:
        rounds: Of each figure; the other library is run once.
        others: Counts all weights of a graph in another way; `None` if it is not there.
    """
    kernels = compile_kernels()
    compiled = _batches(rounds, kernels.weights)
    yield Figure(f"weights.batch{BATCH}", "µs/transaction", compiled, WANTED_WEIGHT_US)
    plain = _batches(rounds, CumulativeWeights)
    yield Figure(f"weights.plain.batch{BATCH}", "µs/transaction", plain)
    graph = MadeWindow(SMALL_WINDOW, SEED).graph
    seconds = [_seconds(lambda: _all(graph, kernels.weights)) for _ in range(rounds)]
    yield Figure(f"weights.all.{SMALL_WINDOW}", "ms", tuple(one * 1_000 for one in seconds))
    if others is None:
        return
    told: list[dict[TransactionId, int]] = []
    others_seconds = _seconds(lambda: told.append(others(graph)))
    assert told == [_all(graph, kernels.weights)], "both must count the same"
    yield Figure(f"weights.networkx.{SMALL_WINDOW}", "ms", (others_seconds * 1_000,))
    yield Figure(
        f"weights.speed_up.{SMALL_WINDOW}",
        "x",
        tuple(others_seconds / one for one in seconds),
        WANTED_SPEED_UP,
    )


def walk_figures(rounds: int) -> Iterator[Figure]:
    """Yield what one choice of two parents takes by the weighted walk: compiled and plain.

    And what the laboratory takes for a tangle by such choices, without milestones.
    """
    compiled = _selections(rounds, compile_kernels().weights)
    yield Figure("walk.selection", "ms", compiled, WANTED_SELECTION_MS)
    yield Figure("walk.selection.plain", "ms", _selections(rounds, CumulativeWeights))
    runs = min(rounds, SIMULATIONS)
    seconds = tuple(_seconds(lambda: _simulate(compile_kernels().weights)) for _ in range(runs))
    yield Figure(
        f"walk.simulated.{SIMULATED}",
        "s",
        seconds,
        WANTED_SIMULATION_S * SIMULATED / 10_000,
        cpu_us_per_item=median(seconds) / SIMULATED * 1e6,
    )


def work_figures(rounds: int) -> Iterator[Figure]:
    """Yield what the work of one transaction takes, and trials a second: compiled and plain."""
    kernels = compile_kernels()
    ways = (("", kernels.find_nonce), (".plain", find_nonce))
    for name, search in ways:
        seconds, trials = _searches(rounds, search)
        each = tuple(one / SEARCHES * 1_000 for one in seconds)
        yield Figure(f"work.{WORK_BITS}bits{name}", "ms", each)
        yield Figure(
            f"work.trials{name}",
            "1/s",
            tuple(trials / one for one in seconds),
            cpu_us_per_item=sum(seconds) / len(seconds) / trials * 1e6,
        )


def _batches(rounds: int, made: Callable[[Graph], Weights]) -> tuple[float, ...]:
    """Return µs for each transaction that arrives in a batch before a weight is read."""
    window = MadeWindow(WINDOW, SEED)
    weights = made(window.graph)
    weights.weight(next(window.graph.vertices()).tx_id)  # the first count is another figure
    values = []
    for _ in range(rounds):
        arrived = [window.attach() for _ in range(BATCH)]
        began = process_time()
        for tx_id in arrived:
            weights.add(tx_id)
        weights.weight(arrived[0])
        values.append((process_time() - began) / BATCH * 1e6)
    return tuple(values)


def _selections(rounds: int, made: Callable[[Graph], Weights]) -> tuple[float, ...]:
    """Return ms for each choice; a batch arrives before each round and is counted by then."""
    window, rng = MadeWindow(WINDOW, SEED), Random(SEED)
    weights = made(window.graph)
    view = View(window.graph, weights, window.index, Parameters())
    values = []
    for _ in range(rounds):
        for _ in range(BATCH):
            weights.add(window.attach())
        select_weighted_walk(view, rng, 2)
        values.append(_seconds(lambda: _select(view, rng)) / BATCH * 1_000)
    return tuple(values)


def _simulate(made: Callable[[Graph], Weights]) -> None:
    simulation = Simulation(Experiment(SIMULATED, rate_per_s=10.0, delay_s=1.0), made)
    while simulation.advance():
        pass


def _select(view: View, rng: Random) -> None:
    for _ in range(BATCH):
        selection = select_weighted_walk(view, rng, 2)
        assert not selection.fallbacks, "the window is wrong: a walk did not end"


def _searches(
    rounds: int, search: Callable[[TransactionId, int], bytes]
) -> tuple[list[float], int]:
    """Return seconds of each round, and the trials of one: the same nonces each time."""
    ids = [TransactionId(digest(number.to_bytes(2, "big"))) for number in range(SEARCHES)]
    trials = sum(int.from_bytes(search(tx_id, WORK_BITS), "big") + 1 for tx_id in ids)

    def find_all() -> None:
        for tx_id in ids:
            search(tx_id, WORK_BITS)

    return [_seconds(find_all) for _ in range(rounds)], trials


def _all(graph: Graph, made: Callable[[Graph], Weights]) -> dict[TransactionId, int]:
    weights = made(graph)
    return {vertex.tx_id: weights.weight(vertex.tx_id) for vertex in graph.vertices()}


def _seconds(work: Callable[[], object]) -> float:
    began = process_time()
    work()
    return process_time() - began
