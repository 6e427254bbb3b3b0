"""Growth: does a node take in its millionth transaction as fast as its ten-thousandth?

Milestones of 10,000 transfers each, pruned as an edge node prunes. What is compared is processor
time, of all that is not the making of the load.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

from api.bench.figures import Figure
from api.bench.ingest import NOW, bench_node, take_in
from api.bench.transfer_load import LoadMaker, load_genesis
from edge.node.executor import Executor
from tangle.effects import Instant

STEP: Final = 10_000
"""Transactions of one milestone."""

KEPT_MILESTONES: Final = 20
"""The least that a node keeps."""

_COMPARED: Final = 5
"""Steps at each end: the median of so many is compared."""

_PRUNED_AT_ONCE: Final = 1_000


def growth_figures(transactions: int) -> Iterator[Figure]:
    """Yield what ingest of one transaction costs at the beginning and at the end, in µs."""
    genesis, costs = load_genesis(), []
    maker = LoadMaker(genesis, Random(1))
    with TemporaryDirectory() as name, bench_node(Path(name), genesis) as executor:
        for _ in range(max(1, transactions // STEP)):
            load = list(maker.transfers(STEP - maker.to_close()))
            load += maker.closing()
            costs.append(asyncio.run(take_in(executor, load)).cpu_us)
            _confirm(executor, maker)
    first, last = tuple(costs[:_COMPARED]), tuple(costs[-_COMPARED:])
    yield Figure("growth.first", "µs", first)
    yield Figure("growth.last", "µs", last, median(first))


def _confirm(executor: Executor, maker: LoadMaker) -> None:
    core = executor.core
    now = Instant(NOW.wall_ms, core.confirmed_at_ms + 1)
    executor.carry_out(core.submit(maker.milestone(core), now), now)
    through = core.confirmed_index - KEPT_MILESTONES
    while through > 0 and executor.journal.prune(through, _PRUNED_AT_ONCE):
        pass
