"""A long batch is taken in by turns: in order, each one commit, and what else there is between."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
from typing_extensions import override

from edge.journal.entries import Batch, TakenReading
from edge.journal.journal import Journal
from edge.journal.storage import JOURNAL_NAME, Storage
from edge.mesh.frames import Heartbeat, Request, Transactions
from edge.node.executor import Executor
from edge.node.standing import FULL_STANDING
from tangle.genesis import network_id
from tangle.node import NodeCore
from tangle.verification import Verified
from tests.community import CONTRACTS
from tests.edge.history import Silence, Wires, extend, opened
from tests.edge.making import DEVICE
from tests.edge.node.test_executor import FakeGossip
from tests.tangle.cores import ALICE, BOB, EDGE, GENESIS, MAKE, NOW, G, H, at, milestone

NETWORK = network_id(GENESIS)


class Told(Journal):
    """A journal that says what it was told: transactions, and whether to wait for the disk."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, NETWORK)
        self.commits: list[tuple[int, bool]] = []

    @override
    def commit(self, batch: Batch, *, is_synced: bool = True) -> None:
        super().commit(batch, is_synced=is_synced)
        self.commits.append((len(batch.arrivals), is_synced))


@dataclass
class Stage:
    core: NodeCore
    journal: Told
    gossip: FakeGossip
    executor: Executor


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    core = NodeCore(GENESIS, CONTRACTS)
    with Told(tmp_path) as journal:
        journal.restore(GENESIS, 20)
        gossip = FakeGossip(journal)
        yield Stage(core, journal, gossip, Executor(core, journal, gossip, Random(1)))


def chain(count: int) -> list[Verified]:
    """Return so many transactions, each upon the one before."""
    made: list[Verified] = []
    for number in range(count):
        below = made[-1].tx_id if made else H
        made.append(MAKE.transaction(EDGE, number, (G, below)))
    return made


def frame(made: list[Verified]) -> Transactions:
    return Transactions(tuple(one.data for one in made))


def test_a_frame_is_taken_in_by_turns_while_a_node_catches_up(stage: Stage) -> None:
    stage.core.is_catching_up = True
    stage.executor.catch_up.heard(ALICE, 100, 1)
    made = chain(10)

    stage.executor.hear([(ALICE, frame(made))], NOW, most=4)
    first = [one.tx_id in stage.core.graph for one in made]
    rests = [stage.executor.is_behind]
    while stage.executor.is_behind:
        stage.executor.hear((), NOW, most=4)
        rests.append(stage.executor.is_behind)

    assert first == [True] * 4 + [False] * 6
    assert rests == [True, True, False]
    assert [count for count, _ in stage.journal.commits] == [4, 4, 2]
    assert all(one.tx_id in stage.core.graph for one in made)


def test_what_was_said_after_waits_its_turn(stage: Stage) -> None:
    stage.core.is_catching_up = True
    stage.executor.catch_up.heard(ALICE, 100, 1)
    made = chain(3)
    beat = Heartbeat(100, b"m" * 32, (), "1")

    stage.executor.hear([(ALICE, frame(made)), (BOB, beat)], NOW, most=3)
    before = dict(stage.executor.announced)
    stage.executor.hear((), NOW, most=3)

    assert before == {}
    assert stage.executor.announced == {BOB: 100}
    assert not stage.executor.is_behind


def test_all_is_in_the_fair_queue_before_it_is_served(stage: Stage) -> None:
    """What lies before the queue is in no fair order: a flood there would hold up the others."""
    made = chain(6)

    stage.executor.hear([(ALICE, frame(made[:5])), (BOB, frame(made[5:]))], NOW, most=5)
    waiting = len(stage.executor.admission)
    stage.executor.hear((), NOW, most=5)

    assert waiting == 5
    assert stage.journal.commits == [(6, True)]
    assert len(stage.executor.admission) == 0


def test_what_a_banned_peer_said_before_is_left_unread(stage: Stage) -> None:
    junk = Transactions((b"\xc0",) * (FULL_STANDING // 20))
    good = chain(1)

    stage.executor.hear([(ALICE, junk), (ALICE, frame(good)), (BOB, Request((G,)))], NOW, most=5)
    stage.executor.hear((), NOW, most=5)

    assert [peer for peer, _ in stage.gossip.bans] == [ALICE]
    assert good[0].tx_id not in stage.core.graph
    assert not stage.executor.is_behind


# What waits for the disk.


def test_history_does_not_wait_for_the_disk_and_all_else_does(stage: Stage) -> None:
    made = chain(4)
    stage.executor.hear([(ALICE, frame(made[:1]))], NOW)
    stage.core.is_catching_up = True

    for one in made[1:3]:
        stage.executor.carry_out(stage.core.receive(ALICE, one.data, NOW), NOW)
    issued = milestone(stage.core, (made[2].tx_id,), 1)
    stage.executor.carry_out(stage.core.receive(ALICE, issued.data, at(1)), at(1))
    own = stage.core.submit(made[3].data, NOW)
    stage.executor.carry_out(own, NOW)
    reading = TakenReading(DEVICE, 0, b"sealed")
    stage.executor.carry_out((), NOW, readings=(reading,))
    stage.core.is_catching_up = False
    late = MAKE.transaction(EDGE, 9, (G, made[0].tx_id))
    stage.executor.carry_out(stage.core.receive(BOB, late.data, NOW), NOW)

    waited = [is_synced for _, is_synced in stage.journal.commits]
    assert waited == [True, False, False, False, True, True, True]


def test_a_contradiction_waits_for_the_disk(stage: Stage) -> None:
    stage.core.is_catching_up = True
    two = [milestone(stage.core, (H,), ms) for ms in (1, 2)]
    stage.core.receive(ALICE, two[0].data, NOW)

    stage.executor.carry_out(stage.core.receive(ALICE, two[1].data, NOW), NOW)

    assert stage.core.halted is not None
    assert stage.journal.commits == [(0, True)]


def test_a_node_that_caught_up_on_all_waits_for_the_disk_again(tmp_path: Path) -> None:
    old_journal, old_core = opened(tmp_path / "old")
    wires = Wires()
    with old_journal, Told(tmp_path / "new") as journal:
        ahead = Executor(old_core, old_journal, wires.join(BOB), Random(1))
        extend(Executor(old_core, old_journal, Silence(), Random(1)), 30, 3)
        journal.restore(GENESIS, 20)
        core = NodeCore(GENESIS, CONTRACTS)
        behind = Executor(core, journal, wires.join(ALICE), Random(1))
        wires.ends[BOB].broadcast(ahead.heartbeat("1"))
        while core.confirmed_index < 30:
            wires.deliver({ALICE: behind, BOB: ahead}, NOW)
        caught_up = len(journal.commits)
        below = core.graph.milestone_id(29)
        assert below is not None
        live = MAKE.transaction(EDGE, 99, (below, core.confirmed_id))
        behind.hear([(BOB, frame([live]))], NOW)

    waited = [is_synced for _, is_synced in journal.commits]
    assert set(waited[:caught_up]) == {False}
    assert waited[caught_up:] == [True]


def stored(folder: Path) -> list[int]:
    with Storage(folder, NETWORK) as storage:
        assert storage.row("PRAGMA integrity_check") == ("ok",)
        return [number for (number,) in storage.rows("SELECT number FROM bodies ORDER BY number")]


def test_what_did_not_wait_survives_a_kill_and_goes_whole_with_the_power(tmp_path: Path) -> None:
    """A kill leaves what the system was given, a power cut what the disk was told to keep."""
    node, killed, cut = (tmp_path / name for name in ("node", "killed", "cut"))
    log = f"{JOURNAL_NAME}-wal"
    kept_size = 0
    with Storage(node, NETWORK) as storage:
        for number in range(6):
            with storage.transaction(is_synced=number < 2) as connection:
                connection.execute("INSERT INTO bodies VALUES (?, ?, 0)", (number, bytes(9_000)))
            if number == 1:
                kept_size = (node / log).stat().st_size
        for copy in (killed, cut):
            copy.mkdir()
            for name in (JOURNAL_NAME, log):
                shutil.copy(node / name, copy / name)
        lost = (cut / log).read_bytes()
        torn = lost[:kept_size] + bytes(4_096) + lost[kept_size + 4_096 :]
        (cut / log).write_bytes(torn)

    assert stored(killed) == [0, 1, 2, 3, 4, 5]
    assert stored(cut) == [0, 1]


def test_a_commit_that_waits_makes_all_before_it_durable(tmp_path: Path) -> None:
    with Storage(tmp_path, NETWORK) as storage:
        levels = []
        for is_synced in (True, False, False, True):
            with storage.transaction(is_synced=is_synced) as connection:
                levels += connection.execute("PRAGMA synchronous").fetchone()

    assert levels == [2, 1, 1, 2]
