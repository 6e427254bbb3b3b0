"""The executor: durable first, then told; requests answered from core and journal."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from edge.journal.entries import Batch
from edge.journal.journal import Journal
from edge.mesh.frames import Body, Heartbeat, Request, Transactions
from edge.mesh.mesh import PeerStatus
from edge.node.answer_budget import BURST_BYTES
from edge.node.executor import Executor
from edge.node.standing import FIRST_BAN_MS, FULL_STANDING
from tangle.effects import Attached, Confirmed, Effect, Expired, Misbehaved, PeerId, Requested
from tangle.errors import MalformedBytesError, StorageError
from tangle.node import NodeCore
from tangle.outcomes import State
from tangle.transaction import TransactionId
from tests.community import CONTRACTS
from tests.tangle.cores import ALICE, BOB, EDGE, GENESIS, MAKE, NOW, G, H, at, confirm, milestone


@dataclass
class FakeGossip:
    """Keeps what would be sent, and what was durable by then."""

    journal: Journal
    broadcasts: list[Body] = field(default_factory=list)
    directed: list[tuple[PeerId, Body]] = field(default_factory=list)
    durable_at_broadcast: list[int] = field(default_factory=list)
    connected: tuple[PeerId, ...] = (ALICE, BOB)
    bans: list[tuple[PeerId, int]] = field(default_factory=list)
    waiting_out: int = 0

    def broadcast(self, body: Body) -> None:
        self.broadcasts.append(body)
        self.durable_at_broadcast.append(self.journal.counts().transactions)

    def send(self, peer: PeerId, body: Body) -> None:
        self.directed.append((peer, body))

    def ban(self, peer: PeerId, until_wall_ms: int) -> None:
        self.bans.append((peer, until_wall_ms))

    def peers(self) -> tuple[PeerStatus, ...]:
        return tuple(PeerStatus(peer, "", 0, 0, 0, 0, True) for peer in self.connected)


@dataclass
class Stage:
    core: NodeCore
    journal: Journal
    gossip: FakeGossip
    executor: Executor


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    core = NodeCore(GENESIS, CONTRACTS)
    with Journal(tmp_path, core.rules.network) as journal:
        journal.restore(GENESIS, 20)
        gossip = FakeGossip(journal)
        yield Stage(core, journal, gossip, Executor(core, journal, gossip, Random(1)))


def test_what_arrives_is_durable_before_a_peer_hears_of_it(stage: Stage) -> None:
    first = MAKE.transaction(EDGE, 0, (G, H))
    second = MAKE.transaction(EDGE, 1, (G, first.tx_id))

    stage.executor.hear([(ALICE, Transactions((second.data, first.data)))], NOW)

    assert stage.gossip.broadcasts == [Transactions((first.data, second.data))]
    assert stage.gossip.durable_at_broadcast == [2]


def test_nothing_is_told_when_the_disk_refuses(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(batch: Batch, *, is_synced: bool) -> None:
        assert is_synced
        raise StorageError(f"{stage.journal.path}: the disk is full ({len(batch.arrivals)})")

    seen: list[Effect] = []
    stage.executor.observe(seen.extend)
    monkeypatch.setattr(stage.journal, "commit", full)

    with pytest.raises(StorageError):
        stage.executor.hear([(ALICE, Transactions((MAKE.transaction(EDGE, 0, (G, H)).data,)))], NOW)

    assert stage.gossip.broadcasts == []
    assert seen == []


def test_what_is_missing_is_asked_of_the_peer_that_sent_its_child(stage: Stage) -> None:
    missing = TransactionId(b"m" * 32)
    child = MAKE.transaction(EDGE, 0, (G, missing))

    stage.executor.hear([(BOB, Transactions((child.data,)))], NOW)

    assert stage.gossip.directed == [(BOB, Request((missing,)))]


def test_a_request_goes_to_someone_connected_if_its_peer_is_not(stage: Stage) -> None:
    child = MAKE.transaction(EDGE, 0, (G, TransactionId(b"m" * 32)))
    stage.gossip.connected = (ALICE,)

    stage.executor.hear([(BOB, Transactions((child.data,)))], NOW)

    assert [peer for peer, _ in stage.gossip.directed] == [ALICE]


def test_with_nobody_connected_the_request_waits_for_its_deadline(stage: Stage) -> None:
    child = MAKE.transaction(EDGE, 0, (G, TransactionId(b"m" * 32)))
    stage.gossip.connected = ()

    stage.executor.hear([(BOB, Transactions((child.data,)))], NOW)

    assert stage.gossip.directed == []
    assert stage.core.next_deadline_ms() is not None


def test_requests_are_answered_with_what_is_pending_and_what_is_referenced(stage: Stage) -> None:
    old = MAKE.transaction(EDGE, 0, (G, H))
    stage.executor.hear([(ALICE, Transactions((old.data,)))], NOW)
    issued = milestone(stage.core, (old.tx_id,), 10)
    stage.executor.hear([(ALICE, Transactions((issued.data,)))], at(10))
    new = MAKE.transaction(EDGE, 1, (old.tx_id, issued.tx_id))
    stage.executor.hear([(ALICE, Transactions((new.data,)))], at(11))

    wanted = (new.tx_id, old.tx_id, TransactionId(b"?" * 32))
    stage.executor.hear([(BOB, Request(wanted))], at(12))

    assert stage.gossip.directed == [(BOB, Transactions((new.data, old.data)))]


def test_a_heartbeat_makes_a_node_ask_for_unknown_tips_and_is_remembered(stage: Stage) -> None:
    tip = TransactionId(b"t" * 32)
    beat = Heartbeat(4, TransactionId(b"M" * 32), (tip,), "1")

    stage.executor.hear([(BOB, beat)], NOW)

    assert stage.gossip.directed == [(BOB, Request((tip, TransactionId(b"M" * 32))))]
    assert stage.executor.announced == {BOB: 4}


def test_what_waits_for_something_too_old_leaves_after_a_look_in_the_journal(
    stage: Stage,
) -> None:
    old = MAKE.transaction(EDGE, 0, (G, H))
    stage.executor.hear([(ALICE, Transactions((old.data,)))], NOW)
    previous = H
    for number in range(1, 25):
        issued = milestone(stage.core, (old.tx_id if number == 1 else previous,), 10 * number)
        previous = stage.core.confirmed_id
        stage.executor.hear([(ALICE, Transactions((issued.data,)))], at(10 * number))
    late = MAKE.transaction(EDGE, 1, (old.tx_id, stage.core.confirmed_id))

    stage.executor.hear([(BOB, Transactions((late.data,)))], at(300))

    assert stage.core.confirmed_index == 24
    assert stage.gossip.directed == []
    assert stage.executor.counts["dropped"] == 1
    assert stage.core.waiting_count == 0


def test_history_that_was_caught_up_on_is_not_told_again(stage: Stage) -> None:
    source, history = NodeCore(GENESIS, CONTRACTS), []
    for number in range(1, 6):
        one = MAKE.transaction(EDGE, number - 1, (G, H))
        source.receive(ALICE, one.data, NOW)
        history += [one, milestone(source, (one.tx_id,), number)]
        source.submit(history[-1].data, at(number))
    own = MAKE.transaction(EDGE, 9, (G, H))
    stage.executor.hear([(ALICE, Transactions((history[-1].data,)))], at(10))

    stage.executor.carry_out(stage.core.submit(own.data, at(11)), at(11))
    stage.executor.hear([(ALICE, Transactions(tuple(one.data for one in history)))], at(12))

    assert stage.core.confirmed_index == 5
    bodies = [body for body in stage.gossip.broadcasts if isinstance(body, Transactions)]
    said = [item for body in bodies for item in body.items]
    assert said == [own.data, *(one.data for one in history[-3:])]


def test_each_of_many_tips_is_named_in_some_heartbeat_and_none_below_max_depth(
    stage: Stage,
) -> None:
    old = MAKE.transaction(EDGE, 0, (G, H))
    stage.core.receive(ALICE, old.data, NOW)
    for number in range(1, 17):
        newest = stage.core.graph.milestone_id(stage.core.confirmed_index - 1) or H
        confirm(stage.core, newest, ms=10 * number)
    parents = (stage.core.confirmed_id, stage.core.graph.milestone_id(15) or H)
    tips = [MAKE.transaction(EDGE, number, parents) for number in range(1, 101)]
    for one in tips:
        stage.core.receive(ALICE, one.data, at(200))

    beats = [stage.executor.heartbeat("1") for _ in range(20)]

    assert stage.core.state(old.tx_id) is State.EXPIRED
    assert {len(beat.tips) for beat in beats} == {64}
    assert {tip for beat in beats for tip in beat.tips} == {one.tx_id for one in tips}


def test_a_halted_node_names_what_it_halted_for_and_gives_it_to_whoever_asks(stage: Stage) -> None:
    first, second = milestone(stage.core, (H,), 10), milestone(stage.core, (H,), 11)
    stage.executor.hear([(ALICE, Transactions((first.data,)))], at(10))
    stage.executor.hear([(ALICE, Transactions((second.data,)))], at(11))

    said = stage.executor.heartbeat("1")
    stage.executor.hear([(BOB, Request((second.tx_id,)))], at(12))

    assert said.confirmed_id == first.tx_id
    assert said.tips == (second.tx_id,)
    assert stage.gossip.directed[-1] == (BOB, Transactions((second.data,)))


def test_observers_hear_of_everything_once_it_is_durable(stage: Stage) -> None:
    seen: list[Effect] = []
    durable: list[int] = []

    def observe(effects: Sequence[Effect]) -> None:
        seen.extend(effects)
        durable.append(stage.journal.counts().transactions)

    stage.executor.observe(observe)
    first = MAKE.transaction(EDGE, 0, (G, H))
    stage.executor.hear([(ALICE, Transactions((first.data, b"\xc0")))], NOW)
    issued = milestone(stage.core, (first.tx_id,), 10)
    stage.executor.hear([(ALICE, Transactions((issued.data,)))], at(10))

    kinds = [type(effect) for effect in seen]
    assert kinds == [Misbehaved, Attached, Attached, Confirmed]
    assert durable == [1, 2]
    assert stage.executor.counts["misbehaved"] == 1
    assert stage.executor.counts["confirmed"] == 1


def test_a_flood_of_bad_bytes_fills_no_log(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    misbehaved = Misbehaved(ALICE, MalformedBytesError("a test"))

    stage.executor.carry_out([misbehaved] * 1_024, NOW)

    assert stage.executor.counts["misbehaved"] == 1_024
    assert capsys.readouterr().out.count("misbehaved ") == 11


def test_expiry_and_misbehaviour_are_counted(stage: Stage) -> None:
    tx_id = TransactionId(b"x" * 32)

    stage.executor.carry_out(
        [Expired(tx_id), Misbehaved(ALICE, MalformedBytesError("a test"))], NOW
    )

    assert stage.executor.counts == {"expired": 1, "misbehaved": 1}


def test_who_sends_what_is_invalid_is_banned_and_heard_no_more(stage: Stage) -> None:
    good = MAKE.transaction(EDGE, 0, (G, H))
    junk = Transactions((b"\xc0",) * 6)
    ask = Request((TransactionId(b"?" * 32),))

    stage.executor.hear([(ALICE, junk), (ALICE, Transactions((good.data,))), (ALICE, ask)], NOW)
    stage.executor.hear([(BOB, Transactions((good.data,)))], NOW)

    assert stage.executor.counts["misbehaved"] == 5
    assert stage.executor.counts["banned"] == 1
    assert stage.gossip.bans == [(ALICE, NOW.wall_ms + FIRST_BAN_MS)]
    assert stage.executor.counts["attached"] == 1
    assert stage.executor.standings.points(BOB, NOW.wall_ms) == FULL_STANDING


def test_a_banned_peer_is_asked_for_nothing(stage: Stage) -> None:
    stage.executor.hear([(ALICE, Transactions((b"\xc0",) * 5))], NOW)
    child = MAKE.transaction(EDGE, 0, (G, TransactionId(b"m" * 32)))

    stage.executor.hear([(BOB, Transactions((child.data,)))], NOW)
    stage.executor.carry_out([Requested((TransactionId(b"n" * 32),), ALICE)], NOW)

    assert [peer for peer, _ in stage.gossip.directed] == [BOB, BOB]


def test_a_ban_ends_and_the_peer_is_heard_again(stage: Stage) -> None:
    good = MAKE.transaction(EDGE, 0, (G, H))
    stage.executor.hear([(ALICE, Transactions((b"\xc0",) * 5))], NOW)

    stage.executor.hear([(ALICE, Transactions((good.data,)))], at(FIRST_BAN_MS - 1))
    stage.executor.hear([(ALICE, Transactions((good.data,)))], at(FIRST_BAN_MS))

    assert stage.executor.counts["attached"] == 1


def test_what_many_transactions_lack_is_asked_for_in_one_frame(stage: Stage) -> None:
    missing = [TransactionId(bytes([number]) * 32) for number in range(1, 9)]
    orphans = [MAKE.transaction(EDGE, at, (G, one)) for at, one in enumerate(missing)]

    stage.executor.hear([(BOB, Transactions(tuple(one.data for one in orphans)))], NOW)

    (said,) = stage.gossip.directed
    assert said[0] == BOB
    assert isinstance(said[1], Request)
    assert sorted(said[1].ids) == missing


def test_a_peer_that_asks_for_too_much_is_left_unanswered_for_a_while(stage: Stage) -> None:
    known = MAKE.transaction(EDGE, 0, (G, H))
    stage.executor.hear([(ALICE, Transactions((known.data,)))], NOW)
    ask = Request((known.tx_id,) * 256)
    enough = BURST_BYTES // (256 * len(known.data)) + 1

    for _ in range(enough):
        stage.executor.hear([(BOB, ask)], NOW)
    answered = stage.executor.counts["answered"]
    stage.executor.hear([(BOB, ask)], NOW)

    assert answered * len(known.data) <= BURST_BYTES
    assert stage.executor.counts["answered"] == answered
    assert stage.executor.counts["unanswered"] == 2
    stage.executor.hear([(ALICE, Request((known.tx_id,)))], NOW)
    assert stage.executor.counts["answered"] == answered + 1
