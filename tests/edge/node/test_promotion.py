"""Promotion: what entered here and stays behind is approved anew, in time and within bounds."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from typing_extensions import override

from coordinator.issuer import sign_milestone
from edge.ground.clock import Clock
from edge.node.promoting import Promoting
from edge.node.promotion import LABEL, MAX_PER_MINUTE, MAX_WATCHED, PATIENCE, Promoter
from tangle.effects import Expired
from tangle.errors import StorageError
from tangle.node import NodeCore
from tangle.outcomes import State
from tangle.transaction import Data, TransactionId
from tests.community import COORDINATOR, START_MS, edge_key
from tests.edge.node.test_issuance import Bench
from tests.tangle.cores import ALICE, EDGE, GENESIS, MAKE, G, H, at, confirm, fresh_core


def pass_by(core: NodeCore, milestones: int) -> None:
    """Issue milestones over nothing but each other."""
    for _ in range(milestones):
        index = core.confirmed_index
        confirm(core, core.graph.milestone_id(index - 1) or H, ms=10 * (index + 1))


def left_behind(milestones: int) -> tuple[NodeCore, Promoter, TransactionId]:
    core, promoter = fresh_core(), Promoter()
    left = MAKE.transaction(EDGE, 0, (G, H))
    core.receive(ALICE, left.data, at(0))
    promoter.watch(left.tx_id, 0)
    pass_by(core, milestones)
    return core, promoter, left.tx_id


@pytest.mark.parametrize(("milestones", "is_due"), [(0, False), (3, False), (PATIENCE, True)])
def test_what_a_few_milestones_passed_by_is_promoted(milestones: int, is_due: bool) -> None:
    core, promoter, tx_id = left_behind(milestones)

    due = promoter.due(core.graph, core.confirmed_index, START_MS)

    assert due == (tx_id if is_due else None)


def test_what_soon_turns_semi_lazy_is_promoted_at_the_next_milestone() -> None:
    core, promoter, _ = left_behind(11)
    parents = core.graph.milestone_id(10) or H, core.confirmed_id
    fresh = MAKE.transaction(EDGE, 1, parents)
    young = MAKE.transaction(EDGE, 2, (H, core.confirmed_id))
    for one in (fresh, young):
        core.receive(ALICE, one.data, at(200))
        promoter.watch(one.tx_id, core.confirmed_index)
    promoter.forget([next(iter(promoter._since))])

    before = promoter.due(core.graph, core.confirmed_index, START_MS)
    pass_by(core, 1)

    assert before is None
    assert promoter.due(core.graph, core.confirmed_index, START_MS) == young.tx_id


def test_what_was_promoted_has_time_again() -> None:
    core, promoter, tx_id = left_behind(PATIENCE)

    promoter.promoted(tx_id, core.confirmed_index, START_MS)
    at_once = promoter.due(core.graph, core.confirmed_index, START_MS)
    pass_by(core, PATIENCE)

    assert at_once is None
    assert promoter.due(core.graph, core.confirmed_index, START_MS) == tx_id


def test_what_is_referenced_or_forgotten_is_not_promoted() -> None:
    core, promoter, tx_id = left_behind(PATIENCE)
    confirm(core, tx_id, ms=100)

    assert promoter.due(core.graph, core.confirmed_index, START_MS) is None
    promoter.watch(TransactionId(b"?" * 32), 0)
    assert promoter.due(core.graph, core.confirmed_index, START_MS) is None
    promoter.forget([tx_id, TransactionId(b"?" * 32)])
    assert len(promoter) == 0


def test_only_so_many_are_promoted_in_a_minute() -> None:
    core, promoter, tx_id = left_behind(PATIENCE)
    for number in range(MAX_PER_MINUTE):
        promoter.promoted(TransactionId(bytes(32)), 0, START_MS + number)

    assert promoter.due(core.graph, core.confirmed_index, START_MS + 59_999) is None
    assert promoter.due(core.graph, core.confirmed_index, START_MS + 60_000) == tx_id


def test_only_so_many_are_watched() -> None:
    promoter = Promoter()

    for number in range(MAX_WATCHED + 5):
        promoter.watch(TransactionId(number.to_bytes(32, "big")), 0)

    assert len(promoter) == MAX_WATCHED


class Lively(Bench):
    """A node that promotes."""

    @override
    def _start(self) -> None:
        super()._start()
        clock = Clock(GENESIS, lambda: START_MS, lambda: 0)
        self.promoting = Promoting(self.executor, self.issuance, clock)

    def submit(self, data: bytes) -> None:
        self.executor.carry_out(self.core.submit(data, at(0)), at(0))

    def pass_by(self, milestones: int) -> None:
        for _ in range(milestones):
            index = self.core.confirmed_index
            parents = {self.core.confirmed_id, self.core.graph.milestone_id(index - 1) or H}
            moment = at(10 * (index + 1))
            draft = self.core.draft_milestone(parents, moment.ledger_ms)
            issued = sign_milestone(draft, (COORDINATOR,))
            self.executor.carry_out(self.core.submit(issued.data, moment), moment)

    def promote(self) -> int:
        return asyncio.run(self.promoting.promote_due())

    def promotions(self) -> list[tuple[TransactionId, ...]]:
        return [
            one.transaction.parents
            for one in map(self.core.pending, self.core.graph.tips)
            if one is not None and one.transaction.payload == Data(LABEL, b"")
        ]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Lively]:
    node = Lively(tmp_path)
    yield node
    node.journal.close()


def test_a_node_promotes_what_its_door_took_in_over_a_fresh_tip(node: Lively) -> None:
    left = MAKE.transaction(edge_key(1), 0, (G, H))
    foreign = MAKE.transaction(edge_key(1), 1, (G, H))
    node.submit(left.data)
    node.executor.carry_out(node.core.receive(ALICE, foreign.data, at(0)), at(0))
    node.pass_by(PATIENCE)

    count = node.promote()

    (parents,) = node.promotions()
    assert count == 1
    assert left.tx_id in parents
    assert node.executor.counts["promoted"] == 1
    assert node.promote() == 0


def test_a_promotion_makes_it_confirmed_by_a_milestone_over_the_promotion(node: Lively) -> None:
    left = MAKE.transaction(edge_key(1), 0, (G, H))
    node.submit(left.data)
    node.pass_by(PATIENCE)
    node.promote()
    graph = node.core.graph
    (promotion,) = (one for one in graph.tips if left.tx_id in graph[one].parents)

    issued = confirm(node.core, promotion, ms=900)

    assert left.tx_id in dict(issued.outcomes)


def test_what_the_node_issued_before_a_restart_is_watched_again(node: Lively) -> None:
    tx_id, _ = asyncio.run(node.issuance.issue(Data("note", b"some")))
    empty, _ = asyncio.run(node.issuance.issue(Data("checkpoint", b"")))

    node.restart()

    assert list(node.promoting.promoter._since) == [tx_id]
    assert node.core.state(empty) in (State.TIP, State.PENDING)


def test_what_expired_is_watched_no_more(node: Lively) -> None:
    left = MAKE.transaction(edge_key(1), 0, (G, H))
    node.submit(left.data)

    node.executor.carry_out([Expired(left.tx_id)], at(1))

    assert len(node.promoting.promoter) == 0


def test_a_promotion_that_is_refused_is_tried_later_and_a_full_disk_stops_the_node(
    node: Lively, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = MAKE.transaction(edge_key(1), 0, (G, H))
    node.submit(left.data)
    node.pass_by(PATIENCE)
    monkeypatch.setattr(node.issuance, "reserved", lambda: frozenset(range(1_024)))

    assert node.promote() == 1
    assert node.promotions() == []

    def full(_: object, *, is_synced: bool) -> None:
        assert is_synced
        raise StorageError("the disk is full")

    monkeypatch.undo()
    monkeypatch.setattr(node.journal, "commit", full)
    node.promoting.promoter.watch(left.tx_id, 0)
    with pytest.raises(StorageError):
        node.promote()
