"""Confirm: what a node does for one milestone, from its bytes to the durable rows.

The signatures of the milestone, its cone in white-flag order, every operation under its contract,
the three roots, one commit: all of it holds up the loop, so the wall clock counts.
"""

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Final

from api.bench.figures import Figure
from api.bench.ingest import NOW, bench_node, take_in
from api.bench.transfer_load import LoadMaker, load_genesis
from edge.node.executor import Executor
from tangle.effects import Confirmed, Instant
from tangle.outcomes import Applied

WANTED_S: Final = 0.5
"""For 10,000 operations."""

_WANTED_FOR: Final = 10_000


def confirm_figures(rounds: int, operations: int) -> Iterator[Figure]:
    """Yield how long a milestone over so many transfers takes, and what of it is which."""
    genesis, whole, used = load_genesis(), [], []
    parts: dict[str, list[float]] = {"judge": [], "journal": []}
    maker = LoadMaker(genesis, Random(1))
    with TemporaryDirectory() as name, bench_node(Path(name), genesis) as executor:
        for _ in range(rounds):
            load = list(maker.transfers(operations - maker.to_close()))
            load += maker.closing()
            asyncio.run(take_in(executor, load))
            judge_s, journal_s, cpu_s = _milestone(
                executor, maker.milestone(executor.core), len(load)
            )
            whole.append(judge_s + journal_s)
            parts["judge"].append(judge_s)
            parts["journal"].append(journal_s)
            used.append(cpu_s / len(load) * 1e6)
    wanted_s = WANTED_S * operations / _WANTED_FOR
    yield Figure("confirm", "s", tuple(whole), wanted_s, sum(used) / len(used))
    for part, values in parts.items():
        yield Figure(f"confirm.{part}", "s", tuple(values))


def _milestone(executor: Executor, data: bytes, operations: int) -> tuple[float, float, float]:
    """Let a node take over a milestone; return seconds in the core, then for the rest, and CPU."""
    now = Instant(NOW.wall_ms + executor.core.confirmed_index, executor.core.confirmed_at_ms + 1)
    gc.collect()
    gc.freeze()  # as a node does once it has started
    began, used = perf_counter(), process_time()
    effects = executor.core.submit(data, now)
    judged = perf_counter()
    executor.carry_out(effects, now)
    done, used = perf_counter(), process_time() - used
    gc.unfreeze()
    (confirmed,) = [effect for effect in effects if isinstance(effect, Confirmed)]
    applied = sum(isinstance(outcome, Applied) for _, outcome in confirmed.outcomes)
    assert applied == operations, f"{applied} of {operations} transfers are applied"
    return judged - began, done - judged, used
