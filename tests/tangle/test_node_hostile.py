"""NodeCore against peers that lie, flood or withhold: it neither stops nor forgets for them."""

from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.issuer import sign_milestone
from tangle.effects import Dropped, Effect, Halted, Misbehaved, Requested
from tangle.errors import BadMilestoneError, TooFarAheadError, UnknownParentsError
from tangle.outcomes import State
from tangle.transaction import TransactionId
from tangle.verification import Verified
from tangle.waiting import MAX_REQUESTS, REQUEST_TIMEOUT_MS, HoldingRoom, WaitingRoom
from tests.community import COORDINATOR, START_MS, forged
from tests.drawing import tx
from tests.tangle.cores import (
    ALICE,
    BOB,
    EDGE,
    MAKE,
    NOW,
    G,
    H,
    at,
    attached,
    confirm,
    fresh_core,
    milestone,
)

AHEAD_MS = 70_000
"""More than the clocks of a network may differ."""


def three_milestones() -> list[Verified]:
    source, issued = fresh_core(), []
    for number in range(1, 4):
        previous = source.graph.milestone_id(source.confirmed_index - 1) or H
        issued.append(milestone(source, (previous,), number))
        source.submit(issued[-1].data, at(number))
    return issued


def requested(effects: list[Effect]) -> list[TransactionId]:
    return [one for effect in effects if isinstance(effect, Requested) for one in effect.tx_ids]


def test_a_forged_copy_of_a_milestone_does_not_keep_the_true_one_out() -> None:
    core = fresh_core()
    _, second, third = three_milestones()
    core.receive(ALICE, forged(third.data), at(10))

    effects = core.receive(BOB, third.data, at(10))

    assert requested(effects) == [second.tx_id]
    assert core.latest_index == 3


def test_a_forged_answer_does_not_end_the_way_back() -> None:
    core = fresh_core()
    first, second, third = three_milestones()
    core.receive(BOB, third.data, at(10))
    core.receive(ALICE, forged(second.data), at(10))

    again = core.tick(at(10 + REQUEST_TIMEOUT_MS))
    core.receive(BOB, second.data, at(1_020))
    lie = core.receive(ALICE, forged(first.data), at(1_020))
    once_more = core.tick(at(1_020 + REQUEST_TIMEOUT_MS))
    core.receive(BOB, first.data, at(2_100))

    assert requested(again) == [second.tx_id]
    assert [type(effect) for effect in lie] == [Misbehaved]
    assert requested(once_more) == [first.tx_id]
    assert core.confirmed_id == third.tx_id


def test_what_was_evicted_while_something_waited_for_it_is_asked_for_again() -> None:
    source, core = fresh_core(), fresh_core()
    lowest = MAKE.transaction(EDGE, 0, (G, H))
    middle = MAKE.transaction(EDGE, 1, (G, lowest.tx_id))
    top = MAKE.transaction(EDGE, 2, (G, middle.tx_id))
    for one in (lowest, middle, top):
        source.receive(ALICE, one.data, NOW)
    issued = milestone(source, (top.tx_id,), 10)
    core._waiting = WaitingRoom(limit=1)
    core.receive(BOB, top.data, NOW)
    evicted = core.receive(ALICE, middle.data, NOW)

    core.receive(BOB, issued.data, at(10))
    effects = core.tick(at(REQUEST_TIMEOUT_MS))
    core.receive(BOB, middle.data, at(1_100))
    core.receive(BOB, lowest.data, at(1_100))

    assert [effect.tx_id for effect in evicted if isinstance(effect, Dropped)] == [middle.tx_id]
    assert middle.tx_id in requested(effects)
    assert core.confirmed_id == issued.tx_id


def test_what_a_milestone_approves_is_not_held_back_for_its_time() -> None:
    source, core = fresh_core(), fresh_core()
    early = MAKE.transaction(EDGE, 0, (G, H), issued_at_ms=START_MS + AHEAD_MS)
    source.receive(ALICE, early.data, at(AHEAD_MS))
    issued = milestone(source, (early.tx_id,), 10)
    core.holding = HoldingRoom(limit=0)
    core.receive(BOB, issued.data, at(10))

    core.receive(BOB, early.data, at(10))

    assert core.confirmed_id == issued.tx_id


def test_a_held_parent_is_not_asked_for_again() -> None:
    core = fresh_core()
    early = MAKE.transaction(EDGE, 0, (G, tx("missing")), issued_at_ms=START_MS + AHEAD_MS)
    child = MAKE.transaction(EDGE, 1, (G, early.tx_id))
    core.receive(ALICE, early.data, NOW)

    effects = core.receive(BOB, child.data, NOW)

    assert requested(effects) == [tx("missing")]


def test_what_is_held_or_waits_is_refused_at_the_door_not_taken_for_done() -> None:
    core = fresh_core()
    early = MAKE.transaction(EDGE, 0, (G, H), issued_at_ms=START_MS + AHEAD_MS)
    orphan = MAKE.transaction(EDGE, 1, (G, tx("missing")))
    core.receive(ALICE, early.data, NOW)
    core.receive(ALICE, orphan.data, NOW)

    with pytest.raises(TooFarAheadError):
        core.submit(early.data, NOW)
    with pytest.raises(UnknownParentsError):
        core.submit(orphan.data, NOW)
    effects = core.submit(early.data, at(AHEAD_MS))

    assert attached(effects) == [early.tx_id]
    assert core.state(early.tx_id) is State.TIP
    assert core.waiting_count == 1


def test_a_forged_milestone_is_refused_at_the_door() -> None:
    core = fresh_core()
    first, second, _ = three_milestones()

    for one in (first, second):
        with pytest.raises(BadMilestoneError):
            core.submit(forged(one.data), at(10))

    assert core.latest_index == 0


def test_heartbeats_that_name_what_nobody_has_fill_no_memory() -> None:
    core = fresh_core()
    core._waiting = WaitingRoom()
    orphan = MAKE.transaction(EDGE, 1, (G, tx("missing")))

    for number in range(MAX_REQUESTS // 64 + 10):
        tips = [TransactionId(bytes([tip]) + number.to_bytes(31, "big")) for tip in range(64)]
        core.heartbeat(ALICE, (0, G), tips, NOW)
    effects = core.receive(BOB, orphan.data, NOW)

    assert core._waiting.request_count == MAX_REQUESTS + 1
    assert requested(effects) == [tx("missing")]


def test_a_peer_that_applied_another_milestone_of_the_same_index_is_noticed() -> None:
    core, other = fresh_core(), fresh_core()
    first, second = milestone(core, (H,), 10), milestone(core, (H,), 11)
    core.submit(first.data, at(10))
    other.submit(second.data, at(11))

    asked = core.heartbeat(BOB, (1, other.confirmed_id), (), at(20))
    effects = core.receive(BOB, second.data, at(21))

    assert requested(asked) == [second.tx_id]
    assert [effect.evidence for effect in effects if isinstance(effect, Halted)] == [(second.data,)]
    assert core.heartbeat(BOB, (1, core.confirmed_id), (), at(22)) == []
    assert core.heartbeat(BOB, (0, G), (), at(22)) == []


def test_a_milestone_above_a_forgotten_entry_point_stops_confirmation() -> None:
    core = fresh_core()
    old = MAKE.transaction(EDGE, 0, (G, H))
    for number in range(1, 24):
        newest = core.graph.milestone_id(core.confirmed_index - 1) or H
        confirm(core, newest, ms=10 * number)
    draft = core.draft_milestone(
        (*core.graph.referenced_at(23)[:1], core.confirmed_id), START_MS + 500
    )
    parents = tuple(sorted((old.tx_id, core.confirmed_id)))
    wrong = sign_milestone(msgspec.structs.replace(draft, parents=parents), (COORDINATOR,))
    core.receive(BOB, wrong.data, at(500))

    effects = core.receive(BOB, old.data, at(500))

    assert G not in core.graph
    (halted,) = [effect for effect in effects if isinstance(effect, Halted)]
    assert old.tx_id.hex() in halted.report


@given(st.randoms(use_true_random=False))
def test_history_in_any_order_ends_in_the_same_ledger(rng: Random) -> None:
    source, core, history = fresh_core(), fresh_core(), list[Verified]()
    for number in range(1, 7):
        lower = MAKE.transaction(EDGE, 3 * number, (G, H))
        middle = MAKE.transaction(EDGE, 3 * number + 1, (G, lower.tx_id))
        upper = MAKE.transaction(EDGE, 3 * number + 2, (middle.tx_id, source.confirmed_id))
        for one in (lower, middle, upper):
            source.receive(ALICE, one.data, NOW)
        history += [lower, middle, upper, milestone(source, (upper.tx_id,), number)]
        source.submit(history[-1].data, at(number))
    arrivals = rng.sample(history, len(history))
    core._waiting = WaitingRoom(limit=rng.randint(0, 4))

    for one in arrivals:
        core.receive(ALICE, one.data, at(100))
    by_id = {one.tx_id: one.data for one in history}
    effects = core.heartbeat(BOB, (6, source.confirmed_id), (), at(100))
    for second in range(1, 40):
        for tx_id in requested(effects):
            core.receive(BOB, by_id[tx_id], at(100))
        effects = core.tick(at(100 + second * REQUEST_TIMEOUT_MS))

    assert core.confirmed_id == source.confirmed_id
    assert core.state_root == source.state_root
    assert core.waiting_count == 0
