"""A node's own transactions: numbered without holes, and an expired number is used again."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from edge.ground.clock import Clock
from edge.journal.journal import Journal
from edge.node.executor import Executor
from edge.node.issuance import Issuance
from edge.node.load import LoadMeter
from tangle.effects import Expired
from tangle.errors import NoTipsError, QueueFullError, UnknownParentsError
from tangle.node import NodeCore
from tangle.outcomes import State
from tangle.transaction import Data, TransactionId
from tests.community import CONTRACTS, START_MS
from tests.edge.node.test_executor import FakeGossip
from tests.tangle.cores import ALICE, EDGE, GENESIS, H, at, confirm, milestone

NOTE = Data("note", b"")


class Bench:
    """One node without a network, that can be started again from its journal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journal = Journal(folder, NodeCore(GENESIS, CONTRACTS).rules.network)
        self._start()

    def _start(self) -> None:
        self.core = NodeCore(GENESIS, CONTRACTS, self.journal.restore(GENESIS, 20))
        self.executor = Executor(self.core, self.journal, FakeGossip(self.journal), Random(1))
        clock = Clock(GENESIS, lambda: START_MS, lambda: 0)
        self.issuance = Issuance(self.executor, EDGE, clock, Random(1), LoadMeter())

    def restart(self) -> None:
        self._start()

    def issue(self, number: int | None = None) -> tuple[TransactionId, int]:
        return asyncio.run(self.issuance.issue(NOTE, number=number))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.journal.close()


def test_numbers_follow_each_other_and_go_on_after_a_restart(bench: Bench) -> None:
    numbers = [bench.issue()[1] for _ in range(3)]
    bench.restart()

    assert numbers == [0, 1, 2]
    assert bench.issue()[1] == 3


def test_numbers_go_on_after_what_is_referenced(bench: Bench) -> None:
    tx_id, _ = bench.issue()
    issued = confirm(bench.core, tx_id, ms=10)

    assert [one for one, _ in issued.outcomes] == [tx_id]
    assert bench.issue()[1] == 1


def test_an_expired_number_is_used_again_but_not_one_that_is_reserved(bench: Bench) -> None:
    first, _ = bench.issue()
    second, _ = bench.issue()
    bench.executor.carry_out([Expired(first), Expired(second)], at(1))
    bench.issuance.reserved = lambda: frozenset({0})

    assert bench.issue()[1] == 1
    assert bench.issue(number=0)[1] == 0


def test_nothing_is_issued_upon_what_the_network_left_behind_long_ago(bench: Bench) -> None:
    source, issued = NodeCore(GENESIS, CONTRACTS), list[bytes]()
    for number in range(1, 18):
        newest = source.graph.milestone_id(source.confirmed_index - 1) or H
        issued.append(milestone(source, (newest,), 10 * number).data)
        source.submit(issued[-1], at(10 * number))
    bench.core.receive(ALICE, issued[0], at(300))
    bench.core.receive(ALICE, issued[15], at(300))
    assert bench.issue()[1] == 0  # 15 behind: a milestone may still take it

    bench.core.receive(ALICE, issued[16], at(300))

    with pytest.raises(NoTipsError, match="16 milestones behind"):
        bench.issue()


def test_a_number_is_free_again_when_nothing_was_issued(bench: Bench) -> None:
    unknown = (TransactionId(b"a" * 32), TransactionId(b"b" * 32))

    with pytest.raises(UnknownParentsError):
        asyncio.run(bench.issuance.issue(NOTE, parents=unknown))

    assert bench.issue()[1] == 0


def test_two_at_once_take_two_numbers(bench: Bench) -> None:
    async def both() -> list[tuple[TransactionId, int]]:
        return list(await asyncio.gather(bench.issuance.issue(NOTE), bench.issuance.issue(NOTE)))

    assert sorted(number for _, number in asyncio.run(both())) == [0, 1]


def test_a_full_window_is_said(bench: Bench) -> None:
    bench.issuance.reserved = lambda: frozenset(range(1_024))

    with pytest.raises(QueueFullError, match="1024 own transactions"):
        bench.issue()


def test_what_is_issued_is_journalled_and_a_tip(bench: Bench) -> None:
    tx_id, _ = bench.issue()

    assert bench.core.state(tx_id) is State.TIP
    assert bench.journal.transaction(tx_id) is not None
