"""Runs experiments: one with a bar that moves, or many on all cores."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from api.laboratory.summary import settings_of, summary_of
from edge.ground.kernels import load_kernels
from tangle.graph import Graph
from tangle.weights import CumulativeWeights
from tangle.window import Weights
from tip_selection.laboratory.experiment import Experiment
from tip_selection.laboratory.record import Record
from tip_selection.laboratory.simulation import Simulation

_TOLD_EVERY: Final = 200
"""Transactions between two moves of the bar."""

Row = dict[str, object]


def run_one(experiment: Experiment, *, is_quiet: bool) -> Record:
    """Run one experiment here, with a bar on stderr where a person reads along."""
    simulation = Simulation(experiment, _weights_made())
    with _bar(experiment.transactions, "transactions", is_quiet=is_quiet) as move:
        while simulation.advance():
            if simulation.done % _TOLD_EVERY == 0:
                move(_TOLD_EVERY)
        move(experiment.transactions % _TOLD_EVERY)
    return simulation.record()


def run_all(experiments: Sequence[Experiment], *, is_quiet: bool) -> list[Row]:
    """Run experiments on all cores; return settings and summary of each, in their order."""
    # Not forked: a child that begins with half a compiler's state may wait for ever.
    context = multiprocessing.get_context("spawn")
    workers = min(os.cpu_count() or 1, len(experiments))
    rows: dict[int, Row] = {}
    with (
        ProcessPoolExecutor(workers, mp_context=context) as pool,
        _bar(len(experiments), "runs", is_quiet=is_quiet) as move,
    ):
        under_way = {pool.submit(_row_of, one): at for at, one in enumerate(experiments)}
        try:
            for finished in as_completed(under_way):
                rows[under_way[finished]] = finished.result()
                move(1)
        except BaseException:  # Ctrl-C included: what has not begun is not begun
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [rows[at] for at in range(len(experiments))]


def _row_of(experiment: Experiment) -> Row:
    """Run one experiment in a process of its own."""
    record = run_one(experiment, is_quiet=True)
    return settings_of(experiment) | summary_of(record)


def _weights_made() -> Callable[[Graph], Weights]:
    kernels = load_kernels()
    return CumulativeWeights if kernels is None else kernels.weights


@contextmanager
def _bar(total: int, what: str, *, is_quiet: bool) -> Iterator[Callable[[int], None]]:
    console = Console(stderr=True)
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
    )
    is_off = is_quiet or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=is_off) as progress:
        task = progress.add_task(what, total=total)
        yield lambda steps: progress.advance(task, steps)
