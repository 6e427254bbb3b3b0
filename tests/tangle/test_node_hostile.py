"""NodeCore against peers that lie, flood or withhold: it neither stops nor forgets for them."""

import pytest

from tangle.codec import encode
from tangle.effects import Confirmed, Dropped, Effect, Halted, Misbehaved, Requested
from tangle.errors import BadMilestoneError, TooFarAheadError, UnknownParentsError
from tangle.outcomes import State
from tangle.transaction import (
    KeySignature,
    MilestoneWitness,
    SignedTransaction,
    TransactionId,
    sign,
)
from tangle.verification import Verified
from tangle.waiting import MAX_REQUESTS, REQUEST_TIMEOUT_MS, HoldingRoom, WaitingRoom
from tests.community import START_MS, key
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


def forged(issued: Verified) -> bytes:
    """Return a milestone's bytes under the witness of a stranger: its id is the same."""
    signature = KeySignature(key(5).public, sign(issued.transaction, key(5)))
    return encode(SignedTransaction(issued.transaction, MilestoneWitness((signature,))))


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
    core.receive(ALICE, forged(third), at(10))

    effects = core.receive(BOB, third.data, at(10))

    assert requested(effects) == [second.tx_id]
    assert core.latest_index == 3


def test_a_forged_answer_does_not_end_the_way_back() -> None:
    core = fresh_core()
    first, second, third = three_milestones()
    core.receive(BOB, third.data, at(10))
    core.receive(ALICE, forged(second), at(10))

    again = core.tick(at(10 + REQUEST_TIMEOUT_MS))
    core.receive(BOB, second.data, at(1_020))
    lie = core.receive(ALICE, forged(first), at(1_020))
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
    core._holding = HoldingRoom(limit=0)
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
            core.submit(forged(one), at(10))

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


def test_a_milestone_above_a_forgotten_entry_point_stops_confirmation() -> None:
    core, source = fresh_core(), fresh_core()
    old = MAKE.transaction(EDGE, 0, (G, H))
    source.receive(ALICE, old.data, NOW)
    for number in range(1, 23):
        newest = core.graph.milestone_id(core.confirmed_index - 1) or H
        one = milestone(core, (newest if newest in core.graph else G,), 10 * number)
        core.submit(one.data, at(10 * number))
        if number < 15:
            source.submit(one.data, at(10 * number))
    assert G not in core.graph
    payload = milestone(core, (core.graph.milestone_id(21) or G,), 500).transaction
    wrong = _over(payload.parents[0], old.tx_id, core)
    core.receive(BOB, wrong, at(500))

    effects = core.receive(BOB, old.data, at(500))

    assert any(isinstance(effect, Halted) for effect in effects)
    assert not any(isinstance(effect, Confirmed) for effect in effects)


def _over(_: TransactionId, parent: TransactionId, core: object) -> bytes:
    raise NotImplementedError


def test_unused() -> None:
    assert confirm
