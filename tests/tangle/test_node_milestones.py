"""NodeCore: milestones, conflicts, expiry, restart."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from coordinator.issuer import sign_milestone
from tangle.accounts import Token, balance
from tangle.address import address_of
from tangle.codec import encode
from tangle.effects import (
    Attached,
    Confirmed,
    Dropped,
    Effect,
    Halted,
    Instant,
    Misbehaved,
    Requested,
)
from tangle.graph import EMPTY
from tangle.node import NodeCore
from tangle.outcomes import Applied, Ignored, NoValue, Reason, State
from tangle.restored import Restored, StoredVertex
from tangle.transaction import (
    Data,
    KeySignature,
    MilestoneWitness,
    SignedTransaction,
    TransactionId,
    sign,
)
from tangle.verification import Verified, parse
from tests.community import (
    COINS_UEUR,
    CONTRACTS,
    COORDINATOR,
    key,
    member_key,
    with_parameters,
)
from tests.tangle.cores import (
    ALICE,
    BOB,
    EDGE,
    GENESIS,
    MAKE,
    NOW,
    G,
    H,
    at,
    attached,
    confirm,
    fresh_core,
    milestone,
    outcome_of,
)


def test_a_milestone_references_applies_and_says_so() -> None:
    core = fresh_core()
    payer, payee = member_key(0), address_of(member_key(1).public)
    payment = MAKE.transfer(payer, 0, (G, H), payee, 400_000)
    note = MAKE.transaction(EDGE, 0, (G, payment.tx_id))
    core.receive(ALICE, payment.data, NOW)
    core.receive(ALICE, note.data, NOW)

    confirmed = confirm(core, note.tx_id, ms=10)

    assert [tx_id for tx_id, _ in confirmed.outcomes] == [payment.tx_id, note.tx_id]
    assert isinstance(outcome_of(confirmed, payment), Applied)
    assert outcome_of(confirmed, note) == NoValue()
    assert balance(core.ledger.rows, Token.EEURO, payee) == COINS_UEUR + 400_000
    assert core.state(payment.tx_id) is None
    assert core.confirmed_index == 1


def test_two_copies_of_one_act_count_once() -> None:
    core = fresh_core()
    payee = address_of(member_key(1).public)
    first = MAKE.transfer(member_key(0), 0, (G, H), payee, 10)
    again = MAKE.transfer(member_key(0), 0, (G, first.tx_id), payee, 10)
    core.receive(ALICE, first.data, NOW)
    core.receive(ALICE, again.data, NOW)

    confirmed = confirm(core, again.tx_id, ms=10)

    assert isinstance(outcome_of(confirmed, first), Applied)
    assert outcome_of(confirmed, again) == Ignored(Reason.SEQUENCE_USED)
    assert balance(core.ledger.rows, Token.EEURO, payee) == COINS_UEUR + 10


@given(st.randoms(use_true_random=False), st.booleans())
def test_of_two_spends_in_two_branches_one_is_applied_whatever_the_order_of_arrival(
    rng: Random, is_first_heavier: bool
) -> None:
    payer = member_key(0)
    payees = [address_of(member_key(1).public), address_of(member_key(2).public)]
    spends = [
        MAKE.transfer(payer, 0, (G, H), payees[0], 700_000),
        MAKE.transfer(payer, 1, (G, H), payees[1], 700_000),
    ]
    branches = [
        MAKE.transaction(EDGE, 0, (G, spends[0].tx_id)),
        MAKE.transaction(EDGE, 1, (H, spends[1].tx_id)),
    ]
    top = MAKE.transaction(EDGE, 2, (branches[0].tx_id, branches[1].tx_id))
    parents = (top.tx_id,) if is_first_heavier else tuple(one.tx_id for one in branches)
    cores = [fresh_core(), fresh_core()]
    arrivals = [*spends, *branches, top]

    for core in cores:
        for one in rng.sample(arrivals, len(arrivals)):
            core.receive(ALICE, one.data, NOW)
    issued = milestone(cores[0], parents, 10)
    results = [core.receive(BOB, issued.data, at(10)) for core in cores]

    outcomes = [
        [outcome_of(effect, spend) for spend in spends]
        for effects in results
        for effect in effects
        if isinstance(effect, Confirmed)
    ]
    assert len(outcomes) == 2
    assert outcomes[0] == outcomes[1]
    kinds = sorted(type(outcome).__name__ for outcome in outcomes[0])
    assert kinds == ["Applied", "Ignored"]
    assert Ignored(Reason.INSUFFICIENT_EEURO) in outcomes[0]
    assert cores[0].state_root == cores[1].state_root
    total = sum(balance(cores[0].ledger.rows, Token.EEURO, one) for one in payees)
    assert total == 2 * COINS_UEUR + 700_000


def test_a_milestone_waits_for_its_cone_and_asks_for_it() -> None:
    source, core = fresh_core(), fresh_core()
    first = MAKE.transaction(EDGE, 0, (G, H))
    second = MAKE.transaction(EDGE, 1, (G, first.tx_id))
    for one in (first, second):
        source.receive(ALICE, one.data, NOW)
    issued = milestone(source, (second.tx_id,), 10)

    assert core.receive(BOB, issued.data, at(10)) == [Requested((second.tx_id,), BOB)]
    assert core.receive(BOB, second.data, at(11)) == [Requested((first.tx_id,), BOB)]
    effects = core.receive(BOB, first.data, at(12))

    assert attached(effects) == [first.tx_id, second.tx_id, issued.tx_id]
    assert core.confirmed_id == issued.tx_id


def test_a_node_that_was_away_walks_back_from_the_newest_milestone() -> None:
    source, core = fresh_core(), fresh_core()
    issued = []
    for index in range(1, 6):
        tx = MAKE.transaction(EDGE, index - 1, (G, H))
        source.receive(ALICE, tx.data, NOW)
        issued.append(tx)
        issued.append(milestone(source, (tx.tx_id,), index))
        source.submit(issued[-1].data, at(index))
    by_id = {one.tx_id: one.data for one in issued}

    effects = core.heartbeat(BOB, (5, source.confirmed_id), (), at(10))
    rounds = 0
    while core.confirmed_index < 5 and rounds < 50:
        wanted = [
            one for effect in effects if isinstance(effect, Requested) for one in effect.tx_ids
        ]
        effects = [effect for one in wanted for effect in core.receive(BOB, by_id[one], at(11))]
        rounds += 1

    assert core.confirmed_id == source.confirmed_id
    assert core.state_root == source.state_root


def _forged(issued: Verified, signer: int) -> bytes:
    signature = KeySignature(key(signer).public, sign(issued.transaction, key(signer)))
    return encode(SignedTransaction(issued.transaction, MilestoneWitness((signature,))))


def test_a_milestone_by_a_stranger_is_refused() -> None:
    core = fresh_core()
    issued = milestone(core, (H,), 10)

    (effect,) = core.receive(ALICE, _forged(issued, 5), at(10))

    assert isinstance(effect, Misbehaved)
    assert core.confirmed_index == 0
    assert core.halted is None


def test_a_milestone_with_a_wrong_root_stops_confirmation_and_says_what_differs() -> None:
    honest, core = fresh_core(), fresh_core()
    tx = MAKE.transaction(EDGE, 0, (G, H))
    other = fresh_core(with_parameters(GENESIS, admission="open"))
    honest.receive(ALICE, tx.data, NOW)
    issued = milestone(honest, (tx.tx_id,), 10)
    payload = issued.milestone
    assert payload is not None
    wrong = parse(issued.data.replace(payload.state_root, other.state_root[::-1]))
    data = sign_milestone(wrong.transaction, (COORDINATOR,)).data
    core.receive(ALICE, tx.data, NOW)

    (effect,) = core.receive(ALICE, data, at(10))

    assert isinstance(effect, Halted)
    assert "state root: claimed" in effect.report
    assert core.confirmed_index == 0
    assert core.receive(ALICE, issued.data, at(11)) == []
    assert core.confirmed_index == 0


def test_two_signed_milestones_of_one_index_are_evidence_and_stop_confirmation() -> None:
    core = fresh_core()
    first, second = milestone(core, (H,), 10), milestone(core, (H,), 11)
    core.submit(first.data, at(10))

    (effect,) = core.receive(ALICE, second.data, at(11))

    assert isinstance(effect, Halted)
    assert effect.evidence == (second.data,)
    assert core.confirmed_id == first.tx_id


def test_a_pending_transaction_counts_for_its_issuer_and_an_empty_one_for_nobody() -> None:
    core = fresh_core()
    full = MAKE.transaction(EDGE, 0, (G, H), Data("note", b"x"))
    empty = MAKE.transaction(EDGE, 1, (G, H), Data("note", b""))
    for one in (full, empty):
        core.submit(one.data, at(0))

    pending = [core.graph[one.tx_id].issuer for one in (full, empty)]
    core.submit(milestone(core, (full.tx_id, empty.tx_id), 10).data, at(10))

    assert pending == [EDGE.public, EMPTY]
    assert [core.graph[one.tx_id].issuer for one in (full, empty)] == [None, None]


def test_what_a_node_halted_for_is_shown_to_others_and_needs_no_second_look() -> None:
    core, other = fresh_core(), fresh_core()
    first, second = milestone(core, (H,), 10), milestone(core, (H,), 11)
    core.submit(first.data, at(10))
    other.submit(first.data, at(10))
    core.receive(ALICE, second.data, at(11))

    assert core.evidence == {second.tx_id: second.data}
    assert core.is_known(second.tx_id)
    assert other.heartbeat(BOB, (1, first.tx_id), tuple(core.evidence), at(12)) == [
        Requested((second.tx_id,), BOB)
    ]
    (effect,) = other.receive(BOB, core.evidence[second.tx_id], at(13))
    assert isinstance(effect, Halted)
    assert other.heartbeat(BOB, (1, first.tx_id), (second.tx_id,), at(14)) == []


def test_a_milestone_ahead_of_the_clock_waits() -> None:
    core = fresh_core()
    issued = milestone(core, (H,), 70_000)

    assert core.receive(ALICE, issued.data, at(0)) == []
    due_ms = core.next_deadline_ms()
    assert due_ms is not None
    core.tick(Instant(due_ms, due_ms))

    assert core.confirmed_index == 1


def _run_milestones(core: NodeCore, count: int, start: int = 1) -> None:
    for number in range(start, start + count):
        newest = core.graph.milestone_id(core.confirmed_index - 1) or H
        confirm(core, newest if newest in core.graph else G, ms=10 * number)


def test_what_falls_below_max_depth_expires_and_is_dropped_when_no_milestone_may_take_it() -> None:
    core = fresh_core()
    left_out = MAKE.transaction(EDGE, 0, (G, H))
    core.receive(ALICE, left_out.data, NOW)

    _run_milestones(core, 15)
    before = core.state(left_out.tx_id)
    _run_milestones(core, 1, 16)
    expired = core.state(left_out.tx_id)
    _run_milestones(core, 4, 17)

    assert before is State.TIP
    assert expired is State.EXPIRED
    assert core.state(left_out.tx_id) is State.UNKNOWN


def test_what_approves_a_forgotten_transaction_leaves_once_the_journal_recalls_it() -> None:
    core = fresh_core()
    old = MAKE.transaction(EDGE, 0, (G, H))
    core.receive(ALICE, old.data, NOW)
    confirm(core, old.tx_id, ms=5)
    _run_milestones(core, 25, 2)
    late = MAKE.transaction(EDGE, 1, (old.tx_id, core.confirmed_id))

    assert core.receive(ALICE, late.data, NOW) == [Requested((old.tx_id,), ALICE)]
    effects = core.recall(old.tx_id, 1)

    assert [effect.tx_id for effect in effects if isinstance(effect, Dropped)] == [late.tx_id]
    assert core.state(late.tx_id) is State.UNKNOWN
    assert core.next_deadline_ms() is None


def test_a_restarted_core_goes_on_where_the_journal_stopped() -> None:
    core = fresh_core()
    stored: dict[TransactionId, StoredVertex] = {}
    rows = dict(core.scan(b""))

    def keep(effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Attached):
                stored[effect.tx_id] = StoredVertex(effect.tx_id, effect.data, 0, None)
            if isinstance(effect, Confirmed):
                for tx_id, _ in effect.outcomes:
                    stored[tx_id] = StoredVertex(tx_id, stored[tx_id].data, 0, effect.index)
                rows.update({k: v for k, v in effect.changes.items() if v is not None})

    first = MAKE.transaction(EDGE, 0, (G, H))
    second = MAKE.transaction(EDGE, 1, (G, first.tx_id))
    keep(core.receive(ALICE, first.data, NOW))
    issued = milestone(core, (first.tx_id,), 10)
    keep(core.submit(issued.data, at(10)))
    keep(core.receive(ALICE, second.data, at(11)))

    again = NodeCore(
        GENESIS,
        CONTRACTS,
        Restored(1, core.confirmed_id, core.confirmed_at_ms, rows, tuple(stored.values())),
    )

    assert again.state_root == core.state_root
    assert again.graph.tips == core.graph.tips
    following = milestone(core, (second.tx_id,), 20)
    core.submit(following.data, at(20))
    again.receive(ALICE, following.data, at(20))
    assert again.confirmed_id == following.tx_id
    assert again.state_root == core.state_root
