"""Catching up over changes of the coordinator keys, by milestone."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from edge.joining.snapshots import take_snapshot
from edge.journal.journal import Journal
from edge.node.catch_up import FAR_BEHIND
from edge.node.executor import Executor
from tangle.effects import Instant
from tangle.genesis import network_id
from tangle.node import NodeCore
from tangle.snapshot import Snapshot, start_of
from tests.community import START_MS
from tests.edge.history import Silence, Wires, extend, opened
from tests.edge.rotating import FIRST, MILESTONES, QUORUM, SECOND, VOTES, vote, vote_twice
from tests.tangle.cores import ALICE, BOB, GENESIS

LATER_MS = 60_000
ROUNDS_S = 30


@dataclass
class Meeting:
    """One node that is behind, and one that is ahead, each with its journal."""

    ahead: Executor
    behind: Executor
    wires: Wires
    now_ms: int = START_MS + LATER_MS
    spent_ms: int = field(default=0)

    def play(self) -> None:
        """Let the two speak, a heartbeat each second, until they agree or time is up."""
        for _ in range(ROUNDS_S):
            now = Instant(self.now_ms, self.now_ms)
            for peer, one in ((ALICE, self.behind), (BOB, self.ahead)):
                self.wires.ends[peer].broadcast(one.heartbeat("1"))
            while self.wires.deliver({ALICE: self.behind, BOB: self.ahead}, now):
                if self.behind.core.confirmed_id == self.ahead.core.confirmed_id:
                    return
            self.behind.carry_out(self.behind.core.tick(now), now)
            self.now_ms += 1_000
            self.spent_ms += 1_000


def met(ahead: tuple[Journal, NodeCore], behind: tuple[Journal, NodeCore]) -> Meeting:
    wires = Wires()
    ends = [wires.join(peer) for peer in (ALICE, BOB)]
    return Meeting(
        Executor(ahead[1], ahead[0], ends[1], Random(1)),
        Executor(behind[1], behind[0], ends[0], Random(2)),
        wires,
    )


def grown(folder: Path, milestones: int) -> Snapshot:
    """Return a snapshot of the past of `vote_twice`, at one of its milestones."""
    journal, core = opened(folder)
    with journal:
        executor = Executor(core, journal, Silence(), Random(1))
        extend(executor, min(milestones, VOTES[0] - 1), 3)
        if milestones >= VOTES[0]:
            vote(executor, FIRST, SECOND)
            extend(executor, milestones - VOTES[0], 3, SECOND[:QUORUM])
    taken = take_snapshot(folder, network_id(GENESIS), GENESIS.parameters.reference_depth)
    assert taken is not None
    return taken


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as held:
        yield held


@pytest.mark.parametrize(
    ("start", "asked_from"),
    [(None, 1), (5, 6), (VOTES[0], VOTES[0] + 1), (15, 16)],
    ids=["genesis", "before both votes", "a vote", "between the votes"],
)
def test_a_node_catches_up_over_the_votes_and_keeps_their_proofs(
    stack: ExitStack, tmp_path: Path, start: int | None, asked_from: int
) -> None:
    old = opened(tmp_path / "old")
    stack.enter_context(old[0])
    vote_twice(Executor(old[1], old[0], Silence(), Random(1)))
    if start is not None:
        snapshot = grown(tmp_path / "donor", start)
        with opened(tmp_path / "new")[0] as journal:
            journal.start_from(GENESIS, start_of(snapshot, GENESIS))
    new = opened(tmp_path / "new")
    stack.enter_context(new[0])
    meeting = met(old, new)

    meeting.play()

    assert new[1].confirmed_index == MILESTONES
    assert new[1].state_root == old[1].state_root
    assert meeting.spent_ms == 0  # at once: nothing had to be asked for twice
    asked = [index for _, index in meeting.wires.ends[ALICE].asked()]
    assert asked == sorted(set(asked))
    assert asked[0] == asked_from
    assert new[0].rotations(below=10**6) == old[0].rotations(below=10**6)
    assert meeting.behind.counts["misbehaved"] == 0


@pytest.mark.parametrize("gap", range(1, FAR_BEHIND + 1))
def test_a_small_gap_with_a_vote_in_it_is_closed_though_nothing_else_is_said(
    stack: ExitStack, tmp_path: Path, gap: int
) -> None:
    """The newest milestone is signed by keys that the node behind has not heard of."""
    before = opened(tmp_path / "behind")
    with before[0]:
        extend(Executor(before[1], before[0], Silence(), Random(1)), 9, 2)
    shutil.copytree(tmp_path / "behind", tmp_path / "ahead")
    old, new = opened(tmp_path / "ahead"), opened(tmp_path / "behind")
    for journal, _ in (old, new):
        stack.enter_context(journal)
    quiet = Executor(old[1], old[0], Silence(), Random(1))
    vote(quiet, FIRST, SECOND)
    extend(quiet, gap - 1, 0, SECOND[1:])
    meeting = met(old, new)

    meeting.play()

    assert new[1].confirmed_index == 9 + gap
    assert new[1].state_root == old[1].state_root
    assert meeting.spent_ms <= 6_000


def test_a_restart_between_the_votes_goes_on(stack: ExitStack, tmp_path: Path) -> None:
    old, new = opened(tmp_path / "old"), opened(tmp_path / "new")
    stack.enter_context(old[0])
    vote_twice(Executor(old[1], old[0], Silence(), Random(1)), 40)
    meeting = met(old, new)
    now = Instant(meeting.now_ms, meeting.now_ms)
    meeting.wires.ends[BOB].broadcast(meeting.ahead.heartbeat("1"))
    while new[1].confirmed_index < VOTES[0]:
        meeting.wires.deliver({ALICE: meeting.behind, BOB: meeting.ahead}, now)
    stopped_at = new[1].confirmed_index
    new[0].close()
    new = opened(tmp_path / "new")
    stack.enter_context(new[0])
    meeting = met(old, new)

    meeting.play()

    assert stopped_at < VOTES[1]
    assert new[1].confirmed_index == MILESTONES
    assert len(new[0].rotations(below=10**6)) == 2
