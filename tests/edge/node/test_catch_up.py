"""Catching up by milestone: the plan, and two executors that follow it."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from edge.journal.journal import Journal
from edge.mesh.frames import ConeRequest, Request, Transactions
from edge.node.answer_budget import BURST_BYTES, RESERVE_BYTES, AnswerBudget
from edge.node.catch_up import (
    DISTRUST_MS,
    FAR_BEHIND,
    MAX_CONES_ASKED,
    MAX_CONES_BYTES,
    REPEAT_MS,
    SILENCE_MS,
    STALL_MS,
    STUCK_MS,
    CatchUp,
    Wanted,
)
from edge.node.executor import Executor
from edge.node.serving import MAX_CONES_QUEUED, MAX_FRAMES_WAITING, ConeServer
from tangle.effects import Instant, PeerId
from tangle.transaction import TransactionId
from tests.community import START_MS
from tests.edge.history import Silence, Wires, extend, opened
from tests.tangle.cores import ALICE, BOB, EDGE, GENESIS, MAKE

CAROL = PeerId(b"c" * 32)
LATER_MS = 60_000
NOW_MS = START_MS


def started(confirmed: int = 0, has: int = 100, oldest: int = 1) -> CatchUp:
    """Return a plan in which Bob was asked for the first cone at 0 ms."""
    plan = CatchUp()
    plan.heard(BOB, has, oldest)
    plan.plan(confirmed, has, [BOB], 0)
    return plan


# The plan.


def test_a_small_gap_is_left_to_heartbeats() -> None:
    plan = CatchUp()
    plan.heard(BOB, FAR_BEHIND, 1)

    assert plan.plan(0, FAR_BEHIND, [BOB], 0) == ()
    assert not plan.is_under_way
    assert plan.progress().behind == FAR_BEHIND


def test_a_small_gap_that_does_not_close_is_closed_by_cones() -> None:
    plan = CatchUp()
    plan.heard(BOB, 9, 1)
    plan.plan(5, 9, [BOB], 0)

    early = plan.plan(6, 9, [BOB], STUCK_MS)
    still = plan.plan(6, 9, [BOB], 2 * STUCK_MS - 1)
    late = plan.plan(6, 9, [BOB], 2 * STUCK_MS)

    assert (early, still) == ((), ())
    assert late == (Wanted(BOB, 7),)


def test_who_waits_for_the_next_milestone_alone_is_not_stuck() -> None:
    plan = CatchUp()
    for second in range(20):
        plan.heard(BOB, 7, 1)
        assert plan.plan(6, 7, [BOB], 1_000 * second) == ()
    plan.heard(BOB, 8, 1)

    assert plan.plan(6, 8, [BOB], 20_000) == ()
    assert plan.plan(6, 8, [BOB], 19_000 + STUCK_MS) == (Wanted(BOB, 7),)


def test_one_cone_comes_first_to_learn_its_size() -> None:
    plan = CatchUp()
    plan.heard(BOB, 100, 1)

    assert plan.plan(7, 0, [BOB], 0) == (Wanted(BOB, 8),)
    assert plan.is_under_way
    assert plan.plan(7, 0, [BOB], 10) == ()


def test_then_many_are_under_way_and_each_is_asked_for_once() -> None:
    plan = started()
    plan.received(BOB, 1_000, 10)

    many = plan.plan(1, 100, [BOB], 20)
    more = plan.plan(3, 100, [BOB], 30)

    assert many == tuple(Wanted(BOB, index) for index in range(2, 2 + MAX_CONES_ASKED))
    assert more == (Wanted(BOB, 2 + MAX_CONES_ASKED), Wanted(BOB, 3 + MAX_CONES_ASKED))


def test_large_cones_are_asked_for_one_by_one() -> None:
    plan = started()
    plan.received(BOB, MAX_CONES_BYTES, 10)

    assert plan.plan(1, 100, [BOB], 20) == (Wanted(BOB, 2),)


def test_what_a_peer_does_not_have_yet_is_not_asked_of_it() -> None:
    plan = started(has=10)
    plan.received(BOB, 100, 10)

    assert [one.index for one in plan.plan(1, 50, [BOB], 20)] == list(range(2, 11))


def test_a_pruned_peer_is_not_asked_for_what_it_dropped() -> None:
    plan = CatchUp()
    plan.heard(BOB, 100, 9)

    assert plan.plan(7, 100, [BOB], 0) == ()
    assert not plan.is_under_way
    assert plan.progress().behind == 93
    assert plan.progress().is_stranded
    assert plan.plan(8, 100, [BOB], 1) == (Wanted(BOB, 9),)


def test_a_node_is_not_stranded_while_one_peer_keeps_the_next_cone() -> None:
    plan = CatchUp()
    plan.heard(BOB, 100, 9)
    plan.heard(ALICE, 100, 8)

    assert plan.plan(7, 100, [BOB, ALICE], 0) == (Wanted(ALICE, 8),)
    assert not plan.progress().is_stranded


def test_another_peer_is_asked_for_the_rest_when_one_falls_silent() -> None:
    plan = started()
    plan.heard(ALICE, 100, 1)

    assert plan.plan(0, 100, [BOB, ALICE], SILENCE_MS - 1) == ()
    assert plan.plan(0, 100, [BOB, ALICE], SILENCE_MS) == (Wanted(ALICE, 1),)


def test_what_does_not_come_is_asked_for_again_though_a_little_comes_without_it() -> None:
    plan = started()
    plan.received(BOB, 100, 0)
    plan.plan(1, 100, [BOB], 0)

    asked = []
    for number in range(1, 5):  # a milestone now and then, by way of missing parents
        now_ms = number * REPEAT_MS // 4
        plan.received(BOB, 100, now_ms)
        asked.append(plan.plan(1 + number, 100, [BOB], now_ms)[:1])

    assert asked[3] == (Wanted(BOB, 6),)
    assert all(one != (Wanted(BOB, 2 + number),) for number, one in enumerate(asked[:3], 1))


def test_another_peer_is_asked_when_one_is_gone() -> None:
    plan = started()
    plan.heard(ALICE, 100, 1)

    assert plan.plan(0, 100, [ALICE], 1) == (Wanted(ALICE, 1),)


def test_who_sends_much_and_helps_little_is_replaced() -> None:
    plan = started()
    plan.heard(ALICE, 100, 1)
    asked: tuple[Wanted, ...] = ()

    for now_ms in range(0, STALL_MS + 1, 1_000):
        plan.received(BOB, 10, now_ms)
        asked = plan.plan(0, 100, [BOB, ALICE], now_ms)

    assert asked == (Wanted(ALICE, 1),)


def test_the_only_peer_is_asked_again_when_the_gap_is_proven() -> None:
    plan = started()

    assert plan.plan(0, 100, [BOB], SILENCE_MS) == (Wanted(BOB, 1),)


def test_a_liar_does_not_keep_a_node_catching_up() -> None:
    plan = CatchUp()
    plan.heard(BOB, 10**9, 1)
    first = plan.plan(7, 7, [BOB], 0)

    plan.plan(7, 7, [BOB], SILENCE_MS)

    assert first == (Wanted(BOB, 8),)
    assert not plan.is_under_way
    assert plan.progress().behind == 0
    assert plan.plan(7, 7, [BOB], DISTRUST_MS) == ()


def test_it_ends_when_one_milestone_is_left_and_starts_anew_after_the_next_gap() -> None:
    plan = started(has=10)

    plan.plan(9, 10, [BOB], 100)

    assert not plan.is_under_way
    assert plan.progress().estimate_ms is None
    plan.heard(BOB, 30, 1)
    assert plan.plan(10, 30, [BOB], 200) == (Wanted(BOB, 11),)


def test_a_peer_that_gave_all_it_has_is_left_without_blame() -> None:
    plan = started(has=10)
    plan.heard(ALICE, 100, 1)

    asked = plan.plan(10, 100, [BOB, ALICE], 10)

    assert asked == (Wanted(ALICE, 11),)
    plan.heard(BOB, 200, 1)
    assert plan.plan(99, 200, [BOB], 20) == (Wanted(BOB, 100),)


def test_the_rest_is_estimated_from_the_measured_rate() -> None:
    plan = started()
    assert plan.progress().estimate_ms is None

    plan.plan(10, 100, [BOB], 2_000)

    assert plan.progress().behind == 90
    assert plan.progress().estimate_ms == 18_000


def test_an_unknown_peer_is_never_asked() -> None:
    assert CatchUp().plan(0, 100, [BOB], 0) == ()


# Two executors.


@dataclass
class Pair:
    wires: Wires
    behind: Executor
    ahead: Executor
    now_ms: int = START_MS + LATER_MS

    def play(self, rounds: int = 400) -> None:
        """Let the two speak until the one that is behind has caught up."""
        for _ in range(rounds):
            now = Instant(self.now_ms, self.now_ms)
            self.wires.ends[BOB].broadcast(self.ahead.heartbeat("1"))
            while self.wires.deliver({ALICE: self.behind, BOB: self.ahead}, now):
                if self.behind.core.confirmed_id == self.ahead.core.confirmed_id:
                    return
            self.behind.carry_out(self.behind.core.tick(now), now)
            self.now_ms += 1_000


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with ExitStack() as stack:
        wires = Wires()
        made = []
        for name, peer in (("behind", ALICE), ("ahead", BOB)):
            journal, core = opened(tmp_path / name)
            stack.enter_context(journal)
            end = wires.join(peer)
            made.append(Executor(core, journal, end, Random(1)))
        quiet = Executor(made[1].core, made[1].journal, Silence(), Random(1))
        extend(quiet, 40, 7)
        yield Pair(wires, made[0], made[1])


def test_a_node_far_behind_ends_with_the_same_ledger(pair: Pair) -> None:
    pair.play()

    assert pair.behind.core.confirmed_index == 40
    assert pair.behind.core.state_root == pair.ahead.core.state_root
    assert pair.behind.journal.counts() == pair.ahead.journal.counts()
    assert {index for _, index in pair.wires.ends[ALICE].asked()} == set(range(1, 41))
    assert pair.behind.counts["misbehaved"] == 0


def test_nothing_is_asked_for_twice_while_cones_come(pair: Pair) -> None:
    pair.play()

    asked = [body for _, body in pair.wires.ends[ALICE].said if isinstance(body, Request)]
    assert sum(len(body.ids) for body in asked) <= 3  # the newest milestone and tips, at first
    given = pair.ahead.counts["answered"]
    assert given <= pair.ahead.journal.counts().transactions + 45


def test_a_restart_goes_on_where_it_stopped(pair: Pair, tmp_path: Path) -> None:
    pair.play(rounds=0)
    now = Instant(pair.now_ms, pair.now_ms)
    pair.wires.ends[BOB].broadcast(pair.ahead.heartbeat("1"))
    while pair.behind.core.confirmed_index < 1:
        pair.wires.deliver({ALICE: pair.behind, BOB: pair.ahead}, now)
    reached = pair.behind.core.confirmed_index
    pair.behind.journal.close()

    journal, core = opened(tmp_path / "behind")
    with journal:
        end = pair.wires.join(ALICE)
        pair.behind = Executor(core, journal, end, Random(2))
        pair.play()

        assert core.confirmed_index == 40
        assert min(index for _, index in end.asked()) == reached + 1


@pytest.mark.parametrize("lost", [{1}, {3}, {2, 3, 5}], ids=str)
def test_lost_frames_are_healed(pair: Pair, lost: set[int]) -> None:
    end, seen = pair.wires.ends[ALICE], 0
    now = Instant(pair.now_ms, pair.now_ms)
    pair.wires.ends[BOB].broadcast(pair.ahead.heartbeat("1"))
    for _ in range(12):
        kept = []
        for peer, body in end.heard:
            seen += isinstance(body, Transactions)
            if not (isinstance(body, Transactions) and seen in lost):
                kept.append((peer, body))
        end.heard = kept
        pair.wires.deliver({ALICE: pair.behind, BOB: pair.ahead}, now)

    pair.play()

    assert seen >= min(lost)
    assert pair.behind.core.confirmed_id == pair.ahead.core.confirmed_id


def test_live_traffic_over_unknown_parents_does_not_fill_the_rooms(pair: Pair) -> None:
    now = Instant(pair.now_ms, pair.now_ms)
    pair.wires.ends[BOB].broadcast(pair.ahead.heartbeat("1"))
    pair.wires.deliver({ALICE: pair.behind}, now)
    assert pair.behind.core.is_catching_up
    live = MAKE.transaction(EDGE, 500, (TransactionId(b"x" * 32), pair.ahead.core.confirmed_id))

    pair.behind.hear([(BOB, Transactions((live.data,)))], now)

    assert pair.behind.core.waiting_count == 0
    assert pair.behind.core.state(live.tx_id) == "unknown"


# Who serves.


@dataclass
class Shelf:
    """A mesh that keeps what is sent."""

    waiting_out: int = 0

    def __post_init__(self) -> None:
        self.sent: list[tuple[PeerId, tuple[bytes, ...]]] = []

    def send(self, peer: PeerId, body: object) -> None:
        assert isinstance(body, Transactions)
        self.sent.append((peer, body.items))


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    held, core = opened(tmp_path)
    with held:
        extend(Executor(core, held, Silence(), Random(1)), 3, 150)
        yield held


def test_a_cone_is_given_in_white_flag_order_and_then_its_milestone(journal: Journal) -> None:
    shelf = Shelf()
    server = ConeServer(journal, shelf, AnswerBudget())

    server.ask(BOB, 2)
    served = server.serve(NOW_MS, has_time=True)

    given = [item for _, items in shelf.sent for item in items]
    assert given[:-1] == [one.data for one in journal.referenced_by(2)]
    assert given[-1] == journal.milestone_bytes(2)
    assert served == len(given) == 152
    assert not server.is_busy


def test_peers_are_served_in_turn(journal: Journal) -> None:
    shelf = Shelf()
    server = ConeServer(journal, shelf, AnswerBudget())

    server.ask(BOB, 1)
    server.ask(CAROL, 1)
    server.serve(NOW_MS, has_time=True)

    assert [peer for peer, _ in shelf.sent] == [BOB, CAROL] * 3


def test_a_full_outgoing_queue_is_waited_for(journal: Journal) -> None:
    shelf = Shelf(waiting_out=MAX_FRAMES_WAITING)
    server = ConeServer(journal, shelf, AnswerBudget())
    server.ask(BOB, 1)

    assert server.serve(NOW_MS, has_time=True) == 0
    assert server.is_busy
    shelf.waiting_out = 0
    assert server.serve(NOW_MS, has_time=True) == 151


def test_what_is_not_here_is_passed_over(journal: Journal) -> None:
    shelf = Shelf()
    server = ConeServer(journal, shelf, AnswerBudget())

    server.ask(BOB, 4)
    served = server.serve(NOW_MS, has_time=True)

    assert served == 0
    assert shelf.sent == []
    assert not server.is_busy


def test_a_peer_cannot_make_a_node_remember_more_than_so_many_requests(journal: Journal) -> None:
    shelf = Shelf()
    server = ConeServer(journal, shelf, AnswerBudget())

    for _ in range(MAX_CONES_QUEUED + 50):
        server.ask(BOB, 3)
    while server.is_busy:
        server.serve(NOW_MS, has_time=True)

    assert sum(len(items) for _, items in shelf.sent) == MAX_CONES_QUEUED * 152


def spend(budget: AnswerBudget, peer: PeerId) -> None:
    """Let a peer have had all that cones may cost it."""
    budget.charge(peer, BURST_BYTES - RESERVE_BYTES, NOW_MS)


def test_what_a_cone_holds_is_charged_to_who_asked(journal: Journal) -> None:
    shelf, budget = Shelf(), AnswerBudget()
    server = ConeServer(journal, shelf, budget)
    server.ask(BOB, 1)

    server.serve(NOW_MS, has_time=True)

    given = sum(len(item) for _, items in shelf.sent for item in items)
    assert budget.left(BOB, NOW_MS) == BURST_BYTES - given
    assert budget.left(CAROL, NOW_MS) == BURST_BYTES


def test_who_has_spent_its_answers_waits_behind_who_has_not(journal: Journal) -> None:
    shelf, budget = Shelf(), AnswerBudget()
    server = ConeServer(journal, shelf, budget)
    spend(budget, BOB)
    server.ask(BOB, 1)
    server.ask(CAROL, 1)

    server.serve(NOW_MS, has_time=True)

    assert [peer for peer, _ in shelf.sent] == [CAROL] * 3 + [BOB] * 3


def test_nobody_else_asks_and_there_is_time_so_all_is_given_and_the_rest_is_a_gift(
    journal: Journal,
) -> None:
    shelf, budget = Shelf(), AnswerBudget()
    server = ConeServer(journal, shelf, budget)
    spend(budget, BOB)
    server.ask(BOB, 1)

    busy = server.serve(NOW_MS, has_time=False)
    idle = server.serve(NOW_MS, has_time=True)

    assert (busy, idle) == (0, 151)
    assert budget.left(BOB, NOW_MS) == RESERVE_BYTES
    assert budget.take(BOB, RESERVE_BYTES, NOW_MS)  # so that it can ask for single transactions


def test_a_busy_node_gives_again_what_time_brings(journal: Journal) -> None:
    shelf, budget = Shelf(), AnswerBudget()
    server = ConeServer(journal, shelf, budget)
    spend(budget, BOB)
    server.ask(BOB, 1)

    assert server.serve(NOW_MS, has_time=False) == 0
    assert server.is_busy
    assert server.serve(NOW_MS + 1, has_time=False) > 0


def test_a_cone_request_is_answered_by_the_executor(pair: Pair) -> None:
    now = Instant(pair.now_ms, pair.now_ms)

    pair.ahead.hear([(ALICE, ConeRequest(1))], now)

    ((_, body),) = pair.wires.ends[BOB].said
    assert isinstance(body, Transactions)
    assert body.items[-1] == pair.ahead.journal.milestone_bytes(1)
    assert GENESIS.parameters.reference_depth == 20
