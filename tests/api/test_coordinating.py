"""The coordinator's loop: its milestone comes in time whatever becomes of the checkpoints."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from random import Random
from typing import cast

import pytest

from api.node.coordinating import Coordinating, read_lock
from coordinator.issuer import Issuer
from coordinator.lock import first_lock
from edge.ground.clock import Clock
from edge.journal.journal import Journal
from edge.node.executor import Executor
from edge.node.issuance import Issuance
from edge.node.load import LoadMeter
from edge.runtime import EdgeNode
from tangle.genesis import Genesis
from tangle.node import NodeCore
from tests.community import CONTRACTS, COORDINATOR, START_MS
from tests.edge.node.test_executor import FakeGossip
from tests.tangle.cores import ALICE, EDGE, GENESIS, MAKE, NOW, G, H


@dataclass
class FakeNode:
    """What the coordinator's loop needs of a node, without a mesh."""

    genesis: Genesis
    core: NodeCore
    executor: Executor
    clock: Clock
    issuance: Issuance

    def submit(self, data: bytes) -> None:
        now = self.clock.instant()
        self.executor.carry_out(self.core.submit(data, now), now)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[FakeNode]:
    core, ticks = NodeCore(GENESIS, CONTRACTS), count(START_MS)
    with Journal(tmp_path, core.rules.network) as journal:
        journal.restore(GENESIS, 20)
        executor = Executor(core, journal, FakeGossip(journal), Random(1))
        clock = Clock(GENESIS, lambda: next(ticks), lambda: 0)  # each look takes a millisecond
        issuance = Issuance(executor, COORDINATOR, clock, Random(1), LoadMeter())
        yield FakeNode(GENESIS, core, executor, clock, issuance)


def test_a_checkpoint_that_is_refused_ends_the_merging_and_the_milestone_comes(
    node: FakeNode, tmp_path: Path
) -> None:
    for number in range(20):
        one = MAKE.transaction(EDGE, number, (G, H))
        node.executor.carry_out(node.core.receive(ALICE, one.data, NOW), NOW)
    attempts = []

    def reserved() -> frozenset[int]:
        attempts.append(node.clock.wall_ms())
        return frozenset(range(2_000))  # its window is full: every checkpoint is refused

    node.issuance.reserved = reserved
    lock_file = tmp_path / "coordinator.lock"
    issuer = Issuer(node.core, (COORDINATOR,), first_lock(GENESIS))

    async def until_issued() -> None:
        coordinating = Coordinating(cast(EdgeNode, node), issuer, lock_file, Random(1))
        with suppress(TimeoutError):
            await asyncio.wait_for(coordinating.run(), 0.2)

    asyncio.run(until_issued())

    assert node.core.confirmed_index == 1
    assert len(attempts) == 1
    assert read_lock(lock_file, node.core.rules.network).milestone_id == node.core.confirmed_id
