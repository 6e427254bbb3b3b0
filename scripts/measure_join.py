"""Measures how long a new node takes to join from a peer's snapshot, over mutual TLS.

    python -m scripts.measure_join [--rows 100000]

Makes an old node with so many accounts and a few milestones, which serves in a process of its
own, and lets a new one with nothing but genesis join it in this one.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from api.network.ports import free_ports
from edge.joining.snapshots import FOLDER, take_snapshot, write_snapshot
from edge.journal.journal import Journal
from scripts.measure_snapshot import MILESTONES, make
from tangle.effects import PeerId
from tangle.genesis import Allocation, Genesis, network_id
from tangle.hashing import digest
from tests.community import community, edge_key
from tests.edge.joining_nodes import Place, living, until

OLD_KEY, NEW_KEY = edge_key(0), edge_key(1)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--serve", nargs=2, metavar=("FOLDER", "PORT"), help=argparse.SUPPRESS)
    wishes = parser.parse_args()
    genesis = genesis_of(wishes.rows)
    if wishes.serve is not None:
        asyncio.run(serve(Path(wishes.serve[0]), int(wishes.serve[1]), genesis))
        return
    with TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder / "old", genesis)
        (port,) = free_ports(1, "127.0.0.1")
        command = [sys.executable, "-m", "scripts.measure_join", "--rows", str(wishes.rows)]
        server = subprocess.Popen([*command, "--serve", str(folder / "old"), str(port)])
        try:
            asyncio.run(join(folder / "new", port, genesis))
        finally:
            server.kill()
            server.wait()


def genesis_of(rows: int) -> Genesis:
    """Return a genesis with so many accounts."""
    accounts = sorted(digest(number.to_bytes(8, "big")) for number in range(rows))
    allocations = tuple(Allocation(one, 1_000_000) for one in accounts)
    return msgspec.structs.replace(community(), allocations=allocations)


def prepare(folder: Path, genesis: Genesis) -> None:
    """Make the old node's journal and its snapshot."""
    network, depth = network_id(genesis), genesis.parameters.reference_depth
    with Journal(folder, network) as journal:
        make(genesis, journal)
        taken = take_snapshot(folder, network, depth)
        assert taken is not None
        file = write_snapshot(folder / FOLDER, taken)
        sys.stdout.write(f"{len(taken.rows)} rows, {file.size_bytes} bytes\n")


async def serve(folder: Path, port: int, genesis: Genesis) -> None:
    """Run the old node until killed."""
    peers = {PeerId(NEW_KEY.public): "new"}
    async with living(Place(OLD_KEY, folder, genesis, (f"tls/127.0.0.1:{port}",), (), peers)):
        await asyncio.Event().wait()


async def join(folder: Path, port: int, genesis: Genesis) -> None:
    """Run the new node until it stands where the old one does."""
    peers = {PeerId(OLD_KEY.public): "old"}
    place = Place(NEW_KEY, folder, genesis, (), (f"tls/127.0.0.1:{port}",), peers)
    async with living(place) as new:
        await until(lambda: bool(new.node.executor.announced), "the old node speaks")
        began, used = time.perf_counter(), time.process_time()
        phases: dict[str, tuple[float, float]] = {}

        def reached(phase: str) -> None:
            now = (time.perf_counter() - began, time.process_time() - used)
            phases.setdefault(phase, now)

        def joined() -> bool:
            progress = new.joiner.state().progress
            if progress is not None:
                reached(progress.phase)
            return new.node.core.confirmed_index >= MILESTONES

        await until(joined, "the new node stands where the old one does")
        reached("joined")
        assert new.joined == [MILESTONES], new.joined
        for name, (since_s, cpu_s) in phases.items():
            sys.stdout.write(f"{name} after {since_s:.2f} s, {cpu_s:.2f} s of CPU here\n")
        sys.stdout.write(f"load {os.getloadavg()}\n")


if __name__ == "__main__":
    main()
