"""Measures how long it takes to start a node from a snapshot.

    python -m scripts.measure_snapshot [--rows 100000]

Makes a network with so many accounts and a few milestones, and then takes the time of each step.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import msgspec

from coordinator.issuer import sign_milestone
from edge.joining.snapshots import read_snapshot, take_snapshot, write_snapshot
from edge.journal.journal import Journal
from edge.node.executor import Executor
from tangle.effects import Instant
from tangle.genesis import Allocation, Genesis, entry_points, network_id
from tangle.hashing import digest
from tangle.node import NodeCore
from tangle.snapshot import start_of
from tests.community import CONTRACTS, COORDINATOR, START_MS, community
from tests.edge.history import Silence

MILESTONES = 40


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    wishes = parser.parse_args()
    accounts = sorted(digest(number.to_bytes(8, "big")) for number in range(wishes.rows))
    allocations = tuple(Allocation(one, 1_000_000) for one in accounts)
    genesis = msgspec.structs.replace(community(), allocations=allocations)
    network, depth = network_id(genesis), genesis.parameters.reference_depth
    with TemporaryDirectory() as name:
        folder = Path(name)
        with Journal(folder / "old", network) as journal:
            make(genesis, journal)
            with timed("take"):
                taken = take_snapshot(folder / "old", network, depth)
            assert taken is not None
            with timed("write"):
                file = write_snapshot(folder / "files", taken)
        sys.stdout.write(f"{len(taken.rows)} rows, {file.size_bytes} bytes\n")
        with timed("start a node, in all"), Journal(folder / "new", network) as journal:
            with timed("  read"):
                read = read_snapshot(file.path)
            with timed("  verify"):
                start = start_of(read, genesis)
            with timed("  load"):
                journal.start_from(genesis, start)
            with timed("  restore"):
                core = NodeCore(genesis, CONTRACTS, journal.restore(genesis, depth))
        assert core.confirmed_index == MILESTONES


def make(genesis: Genesis, journal: Journal) -> None:
    """Let a node apply some milestones over nothing."""
    journal.restore(genesis, genesis.parameters.reference_depth)
    core = NodeCore(genesis, CONTRACTS)
    executor = Executor(core, journal, Silence(), Random(1))
    before = entry_points(genesis)[1]
    for number in range(1, MILESTONES + 1):
        now = Instant(START_MS + number, START_MS + number)
        draft = core.draft_milestone((core.confirmed_id, before), now.ledger_ms)
        before = core.confirmed_id
        executor.carry_out(core.submit(sign_milestone(draft, (COORDINATOR,)).data, now), now)


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Print how long a step took."""
    began = time.perf_counter()
    yield
    sys.stdout.write(f"{what}: {time.perf_counter() - began:.2f} s\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
