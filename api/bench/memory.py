"""Memory: what one pending transaction costs a node, all that is kept of it included."""

import gc
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

from api.bench.figures import Figure
from api.bench.ingest import NOW, SENDER
from api.bench.transfer_load import LoadMaker, load_genesis
from api.contracts import CONTRACTS
from tangle.node import NodeCore
from tangle.verification import parse

WANTED_BYTES: Final = 1_000

_STATM: Final = Path("/proc/self/statm")
_PAGE_SIZE: Final = 4_096
_MEASURED: Final = 5_000
"""Transactions between two looks."""


def memory_figures(rounds: int, transactions: int) -> Iterator[Figure]:
    """Yield by how much a process grows for each transaction that becomes pending.

    Each round goes on from the one before: tables that double now and then are seen so.
    """
    genesis = load_genesis()
    core, maker = NodeCore(genesis, CONTRACTS), LoadMaker(genesis, Random(1))
    _attach(core, maker, _MEASURED)  # what is there once
    values = []
    for _ in range(rounds):
        before = _resident_bytes()
        _attach(core, maker, transactions)
        values.append((_resident_bytes() - before) / transactions)
    yield Figure("memory.pending", "bytes", tuple(values), WANTED_BYTES)


def _attach(core: NodeCore, maker: LoadMaker, count: int) -> None:
    for data in maker.transfers(count):
        core.accept(SENDER, parse(data), NOW)


def _resident_bytes() -> int:
    gc.collect()
    return int(_STATM.read_text("ascii").split()[1]) * _PAGE_SIZE
