"""The front of a core: strangers, what is known, what is awaited, and history."""

from access.device import Claim, claim_registration, register_operation
from edge.node.admission import CATCHING_UP, Admission
from edge.node.fair_queue import MAX_PENDING, QUANTUM_BYTES
from tangle.accounts import NO_ADDRESS
from tangle.effects import Attached, Effect, PeerId, Requested
from tangle.genesis import entry_points, genesis_hash
from tangle.node import NodeCore
from tangle.transaction import TransactionId
from tangle.verification import parse
from tangle.waiting import MAX_HELD
from tests.community import CONTRACTS, VOTER, Maker, forged, key, with_parameters
from tests.tangle.cores import (
    ALICE,
    BOB,
    EDGE,
    GENESIS,
    MAKE,
    G,
    H,
    at,
    attached,
    confirm,
    fresh_core,
    milestone,
)

MALLORY = PeerId(b"m" * 32)


def serve(admission: Admission, core: NodeCore) -> list[Effect]:
    effects: list[Effect] = []
    while admission.is_busy:
        for queued in admission.turn():
            effects += core.receive(queued.peer, queued.data, at(0))
    return effects


def test_a_sponsored_newcomer_gets_in_through_a_flood_of_strangers() -> None:
    core = fresh_core()
    admission, newcomer = Admission(core), key(5_000)
    claim = Claim(genesis_hash(GENESIS), newcomer.public, "member", NO_ADDRESS, NO_ADDRESS)
    sponsored = MAKE.transaction(
        VOTER, 0, (G, H), register_operation(claim_registration(claim, newcomer))
    )
    first = MAKE.transaction(newcomer, 0, (G, H))

    for number in range(MAX_HELD + 100):
        admission.offer(MALLORY, MAKE.transaction(key(6_000 + number), 0, (G, H)))
    admission.offer(ALICE, first)
    admission.offer(ALICE, sponsored)
    before = attached(serve(admission, core))
    issued = core.submit(milestone(core, (sponsored.tx_id,), 10).data, at(10))

    assert before == [sponsored.tx_id]
    assert attached(issued)[-1] == first.tx_id
    assert core.pending_of(newcomer.public) == 1


def test_strangers_cost_registered_issuers_no_turns() -> None:
    core = fresh_core()
    admission = Admission(core)
    for number in range(500):
        admission.offer(ALICE, MAKE.transaction(key(6_000 + number), 0, (G, H)))
    known = MAKE.transaction(EDGE, 0, (G, H))
    admission.offer(ALICE, known)

    first_turn = [queued.tx_id for queued in admission.turn()]

    assert known.tx_id in first_turn
    assert len(admission) > 0


def test_in_an_open_network_nobody_is_a_stranger() -> None:
    is_open = with_parameters(GENESIS, admission="open")
    issuers = []

    for genesis in (GENESIS, is_open):
        admission = Admission(NodeCore(genesis, CONTRACTS))
        stranger = Maker(genesis).transaction(key(6_000), 0, entry_points(genesis))
        admission.offer(ALICE, stranger)
        queued = admission.get(stranger.tx_id)
        issuers.append(None if queued is None else queued.issuer)

    assert issuers == [None, key(6_000).public]


def test_what_is_known_does_not_wait_again() -> None:
    core = fresh_core()
    admission, one = Admission(core), MAKE.transaction(EDGE, 0, (G, H))
    core.receive(ALICE, one.data, at(0))

    assert admission.offer(BOB, one) == []
    assert len(admission) == 0


def test_what_the_core_misses_is_brought_forward_from_the_queue() -> None:
    core = fresh_core()
    admission = Admission(core)
    parent = MAKE.transaction(EDGE, 0, (G, H))
    child = MAKE.transaction(EDGE, 1, (G, parent.tx_id))
    admission.offer(ALICE, parent)
    effects = core.receive(BOB, child.data, at(0))
    (asked,) = [effect for effect in effects if isinstance(effect, Requested)]

    assert all(map(admission.hasten, asked.tx_ids))
    assert not admission.hasten(TransactionId(b"?" * 32))
    assert attached(serve(admission, core)) == [parent.tx_id, child.tx_id]


def test_what_was_built_upon_a_flood_brings_it_in_at_its_own_expense() -> None:
    core = fresh_core()
    admission = Admission(core)
    spam, below = [], (G, H)
    for number in range(200):
        spam.append(MAKE.transaction(EDGE, number, below))
        below = (G, spam[-1].tx_id)
    for one in reversed(spam):  # the end of the chain first, so that nothing of it is solid
        admission.offer(MALLORY, one)
    honest = MAKE.transaction(VOTER, 0, (G, spam[3].tx_id))
    admission.offer(BOB, honest)

    solid: list[TransactionId] = []
    for _ in range(12):
        for queued in admission.turn(2 * QUANTUM_BYTES):
            effects = core.receive(queued.peer, queued.data, at(0))
            solid += attached(effects)
            for effect in effects:
                for tx_id in effect.tx_ids if isinstance(effect, Requested) else ():
                    admission.hasten(tx_id)

    assert honest.tx_id in solid
    assert set(solid) <= {honest.tx_id, *(one.tx_id for one in spam[:8])}


def test_what_only_a_heartbeat_names_keeps_its_place() -> None:
    core = fresh_core()
    admission = Admission(core)
    sent = [MAKE.transaction(EDGE, number, (G, H)) for number in range(3)]
    for one in sent:
        admission.offer(ALICE, one)

    core.heartbeat(BOB, (0, core.confirmed_id), (sent[2].tx_id,), at(0))

    assert admission.hasten(sent[2].tx_id)
    assert [queued.tx_id for queued in admission.turn(1)] == [sent[0].tx_id]


def test_what_a_milestone_needs_passes_ahead_of_all() -> None:
    source, core = fresh_core(), fresh_core()
    admission, needed = Admission(core), MAKE.transaction(EDGE, 0, (G, H))
    source.receive(ALICE, needed.data, at(0))
    issued = milestone(source, (needed.tx_id,), 10)
    for number in range(1, 1_020):
        admission.offer(MALLORY, MAKE.transaction(EDGE, number, (G, H)))
    admission.offer(ALICE, issued)
    first = admission.turn()
    for queued in first:
        core.receive(queued.peer, queued.data, at(10))

    admission.offer(ALICE, needed)
    second = [queued.tx_id for queued in admission.turn()]

    assert issued.tx_id in [queued.tx_id for queued in first]
    assert needed.tx_id in second
    assert len(admission) > 0


def test_a_node_that_is_far_behind_takes_history_as_it_comes() -> None:
    source, core = fresh_core(), fresh_core()
    admission = Admission(core)
    for number in range(1, CATCHING_UP + 2):
        confirm(source, source.graph.milestone_id(number - 2) or H, ms=10 * number)
    newest = source.pending(source.confirmed_id)
    assert newest is not None
    was_catching_up = admission.is_catching_up()
    effects = core.receive(ALICE, newest.data, at(100))

    assert not was_catching_up
    assert admission.is_catching_up()
    assert not any(isinstance(effect, Attached) for effect in effects)


def test_what_is_being_checked_is_not_offered_again_but_another_witness_is() -> None:
    core = fresh_core()
    admission, one = Admission(core), MAKE.transaction(EDGE, 0, (G, H))
    admission.offer(ALICE, one)
    taken = admission.turn()
    admission.begin_check(taken)

    admission.offer(BOB, one)
    again = len(admission)
    is_hastened = admission.hasten(one.tx_id)
    found = admission.get(one.tx_id)
    admission.offer(MALLORY, parse(forged(one.data)))
    witnesses = len(admission)
    admission.end_check(taken)

    assert (again, is_hastened, witnesses) == (0, True, 1)
    assert found is not None
    assert found.verified == one


def test_what_is_being_checked_counts_for_its_issuers_quota() -> None:
    core = fresh_core()
    admission = Admission(core)
    for number in range(MAX_PENDING + 5):
        admission.offer(ALICE, MAKE.transaction(EDGE, number, (G, H)))
    taken = admission.turn(budget_bytes=10**9)
    admission.begin_check(taken)

    rest = admission.turn(budget_bytes=10**9), admission.is_busy
    admission.end_check(taken)  # all of them were refused, say
    after = admission.turn(budget_bytes=10**9)

    assert len(taken) == MAX_PENDING
    assert rest == ([], False)
    assert len(after) == 5


def test_what_will_never_be_checked_may_be_offered_again() -> None:
    core = fresh_core()
    admission, one = Admission(core), MAKE.transaction(EDGE, 0, (G, H))
    admission.offer(ALICE, one)
    admission.begin_check(admission.turn())

    admission.forget_checks()
    admission.offer(BOB, one)

    assert [queued.tx_id for queued in admission.turn()] == [one.tx_id]


def test_one_transaction_may_be_checked_twice_at_a_time() -> None:
    """Somebody sends it with a forged signature, and before that is judged the true one comes."""
    admission = Admission(fresh_core())
    true = MAKE.transaction(EDGE, 0, (G, H))
    admission.offer(MALLORY, parse(forged(true.data)))
    first = admission.turn()
    admission.begin_check(first)
    admission.offer(ALICE, true)
    second = admission.turn()
    admission.begin_check(second)

    admission.end_check(first)
    waiting = admission.get(true.tx_id)
    admission.end_check(second)

    assert waiting is not None
    assert waiting.data == true.data
    assert admission.checking_count == 0
    assert admission.get(true.tx_id) is None
