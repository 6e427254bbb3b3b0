"""Attacks on the approver vote, by their numbers in the design."""

import random
from typing import Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from access.approval.session import (
    NO_SESSION,
    Agreement,
    MeterRecord,
    SignedAgreement,
    agreement_message,
    is_agreed,
    records_root,
    session_id,
    session_proof,
)
from access.approval.voting import (
    MAX_VOTING_MS,
    Approval,
    Ballot,
    CastVote,
    Header,
    approval,
    ballot_message,
    contradict,
    equivocation,
)
from energy.governance.acts import SetCohort, Vote
from energy.governance.contract import vote_operation
from tangle.contracts import Changed
from tangle.keys import SigningKey
from tangle.outcomes import Reason
from tests.access.world import (
    COHORT,
    GENESIS_HASH,
    MAX_STALE_MS,
    NEIGHBOUR,
    NODE_KEYS,
    NODES,
    NOW_MS,
    OWNER,
    SKEW_MS,
    STATION,
    STRANGER,
    SUBJECT,
    N,
    World,
    address,
    new_world,
)
from tests.community import VOTER, edge_key

DEADLINE_MS: Final = NOW_MS + 60_000
AGREEMENT: Final = Agreement(
    GENESIS_HASH, address(SUBJECT), address(STATION), "charge", 250_000, NO_SESSION, bytes(16)
)
RECORDS: Final = (MeterRecord(NOW_MS, 1_000), MeterRecord(NOW_MS + 900_000, 8_400))
PROOF: Final = session_proof(AGREEMENT, RECORDS)


def opened(world: World, cohort: str = COHORT, root: bytes | None = None) -> bytes:
    """Enter a header and return its transaction."""
    header = Header(
        cohort, session_id(AGREEMENT), root or records_root(RECORDS), "charge", DEADLINE_MS
    )
    world.must(world.do(header, edge_key(0)))
    return world.last_transaction()


def vote(
    transaction: bytes, node: int, proof: bytes = PROOF, yes: int = 1, **changed: object
) -> CastVote:
    """Return the vote of one node, counted from 1."""
    ballot = Ballot(GENESIS_HASH, transaction, proof, yes, NODES[node - 1], COHORT, 1, 1)
    ballot = msgspec.structs.replace(ballot, **changed)
    return CastVote(ballot, NODE_KEYS[node - 1].sign(ballot_message(ballot)))


def state(world: World, transaction: bytes) -> Approval:
    held = approval(world.rows, transaction)
    assert held is not None
    return held


def after_deadline(world: World) -> Changed:
    world.now_ms = DEADLINE_MS
    return world.end_milestone()


def bare_world(nodes: int = N, quorum: str = "majority") -> World:
    world = new_world(chunks=0)
    world.set_cohort(NODES[:nodes], name="other", quorum=quorum)
    return world


@pytest.mark.parametrize(
    ("nodes", "quorum", "needed"),
    [
        (1, "majority", 1),
        (2, "majority", 2),
        (3, "majority", 2),
        (4, "majority", 3),
        (5, "majority", 3),
        (3, "bft", 3),
        (4, "bft", 3),
        (5, "bft", 4),
    ],
)
def test_attack_a1_exactly_half_is_too_few(nodes: int, quorum: str, needed: int) -> None:
    world = bare_world(nodes, quorum)
    transaction = opened(world, "other")
    states = []
    for node in range(1, needed + 1):
        states.append(state(world, transaction).state)
        world.must(world.do(vote(transaction, node, cohort="other")))

    assert set(states) == {"open"}
    assert state(world, transaction).state == "accepted"
    assert state(world, transaction).proof == PROOF
    without = opened(world, "other")
    for node in range(1, needed):
        world.must(world.do(vote(without, node, cohort="other")))
    changed = after_deadline(world)
    assert state(world, without).state == "discarded"
    assert [event.name for event in changed.events] == ["access.discarded"]
    assert dict(changed.events[0].fields)["reason"] == "deadline"


def test_attack_a2_yes_with_another_proof_counts_with_nobody() -> None:
    world = bare_world()
    transaction = opened(world)
    other = session_proof(AGREEMENT, RECORDS[:1])
    for node, proof in ((1, PROOF), (2, PROOF), (3, other), (4, other)):
        world.must(world.do(vote(transaction, node, proof)))

    assert state(world, transaction).state == "open"
    world.must(world.do(vote(transaction, 5, yes=0)))
    after_deadline(world)
    assert state(world, transaction).state == "discarded"


def test_attack_a3_votes_that_are_not_the_nodes_do_not_count() -> None:
    world = bare_world()
    transaction, other = opened(world), opened(world)
    good = vote(transaction, 1)
    outsider = edge_key(6)
    ballot = msgspec.structs.replace(good.ballot, node=address(outsider))
    foreign = CastVote(ballot, outsider.sign(ballot_message(ballot)))
    moved = msgspec.structs.replace(good.ballot, transaction=other)
    refused = [
        (CastVote(good.ballot, bytes(64)), Reason.BAD_PROOF),
        (CastVote(good.ballot, STRANGER.sign(ballot_message(good.ballot))), Reason.BAD_PROOF),
        (CastVote(moved, good.signature), Reason.BAD_PROOF),
        (vote(transaction, 1, genesis_hash=bytes(32)), Reason.BAD_PROOF),
        (foreign, Reason.NOT_ALLOWED),
        (vote(transaction, 1, generation=2), Reason.NOT_ALLOWED),
        (vote(transaction, 1, cohort="other"), Reason.NOT_ALLOWED),
        (vote(bytes(32), 1), Reason.NO_SUCH_OBJECT),
    ]
    for call, reason in refused:
        assert world.do(call) is reason
    assert state(world, transaction).votes == ()
    world.must(world.do(good))


def test_attack_a3_the_vote_of_an_older_generation_does_not_count() -> None:
    world = bare_world()
    world.set_cohort(NODES)
    transaction = opened(world)

    assert world.do(vote(transaction, 1, generation=1)) is Reason.NOT_ALLOWED
    world.must(world.do(vote(transaction, 1, generation=2)))


def test_attack_a4_a_node_that_votes_a_hundred_times_counts_once() -> None:
    world = bare_world()
    transaction = opened(world)
    world.must(world.do(vote(transaction, 1)))

    again = {world.do(vote(transaction, 1, ledger_index=index)) for index in range(100)}

    assert again == {Reason.DUPLICATE_VOTE}
    assert len(state(world, transaction).votes) == 1


@given(st.permutations([(1, 1), (1, 0), (2, 1), (3, 1)]))
@settings(max_examples=30)
def test_attack_a5_two_votes_of_one_node_void_each_other(order: list[tuple[int, int]]) -> None:
    world = bare_world()
    transaction = opened(world)

    before = None
    for node, yes in order:
        if state(world, transaction).state == "accepted":
            before = "accepted"
        world.do(vote(transaction, node, yes=yes))

    # node 1 alone can make the majority: only if it had voted no contrary yet
    held, evidence = state(world, transaction), equivocation(world.rows, COHORT, 1, NODES[0])
    assert held.voided == (NODES[0],)
    assert held.state == (before or "open")
    assert evidence is not None
    assert contradict(evidence.one, evidence.other, NODE_KEYS[0].public)
    assert world.do(vote(transaction, 1, b"x" * 32)) is Reason.SUSPENDED
    assert world.do(vote(opened(world), 1)) is Reason.SUSPENDED


def test_attack_a5_evidence_needs_two_signatures_and_two_answers() -> None:
    one, other = vote(bytes(32), 1), vote(bytes(32), 1, yes=0)
    elsewhere, by_two = vote(b"x" * 32, 1, yes=0), vote(bytes(32), 2, yes=0)
    unsigned = CastVote(other.ballot, bytes(64))
    key = NODE_KEYS[0].public

    assert contradict(one, other, key)
    for bad in (one, elsewhere, by_two, unsigned, vote(bytes(32), 1, ledger_index=9)):
        assert not contradict(one, bad, key)


def test_a_suspended_node_votes_again_in_the_next_generation_only() -> None:
    world = bare_world()
    transaction = opened(world)
    world.must(world.do(vote(transaction, 1)))
    world.must(world.do(vote(transaction, 1, yes=0)))

    world.set_cohort(NODES)
    renewed = opened(world)

    world.must(world.do(vote(renewed, 1, generation=2)))


def test_attack_a6_a_vote_after_the_deadline_does_not_count() -> None:
    world = bare_world()
    transaction = opened(world)
    for node in (1, 2):
        world.must(world.do(vote(transaction, node)))
    world.now_ms = DEADLINE_MS - 1
    assert world.end_milestone() == Changed({})
    world.now_ms = DEADLINE_MS

    assert world.do(vote(transaction, 3)) is Reason.EXPIRED
    world.end_milestone()
    assert state(world, transaction).state == "discarded"
    assert state(world, transaction).votes == ()
    assert world.do(vote(transaction, 3)) is Reason.EXPIRED
    assert world.end_milestone() == Changed({})


@given(st.integers(0, 2**32))
@settings(max_examples=30)
def test_attack_a6_the_decision_follows_from_the_order_of_the_ledger_alone(seed: int) -> None:
    """Two replicas that apply the same votes in the same order agree, whatever the order is."""
    rng = random.Random(seed)
    replicas = [bare_world(), bare_world()]
    for world in replicas:
        opened(world)
    transaction = replicas[0].last_transaction()
    votes = [
        vote(transaction, rng.randint(1, N), rng.choice([PROOF, bytes(32)]), rng.randint(0, 1))
        for _ in range(12)
    ]
    for call in votes:
        assert replicas[0].do(call) == replicas[1].do(call)
    for world in replicas:
        after_deadline(world)

    assert dict(replicas[0].rows.scan(b"")) == dict(replicas[1].rows.scan(b""))


def test_attack_a7_silence_is_no_consent() -> None:
    world = bare_world()
    transaction = opened(world)
    for node in (1, 2):
        world.must(world.do(vote(transaction, node)))

    after_deadline(world)

    assert state(world, transaction).state == "discarded"


def test_attack_a8_an_inflated_meter_changes_the_proof() -> None:
    world = bare_world()
    inflated = (RECORDS[0], MeterRecord(RECORDS[1].at_ms, 9_400))
    transaction = opened(world, root=records_root(inflated))
    false = session_proof(AGREEMENT, inflated)
    for node, proof in ((1, false), (2, false), (3, PROOF), (4, PROOF), (5, PROOF)):
        # the honest compute theirs from what the meter told them, and say no to the header
        world.must(world.do(vote(transaction, node, proof, int(proof == false))))

    after_deadline(world)

    assert false != PROOF
    assert state(world, transaction).state == "discarded"


@pytest.mark.parametrize(
    "changed",
    [
        {"vehicle": address(OWNER)},
        {"station": address(OWNER)},
        {"activity": "discharge"},
        {"price_ueur": 250_001},
        {"previous": b"p" * 32},
        {"nonce": b"n" * 16},
        {"genesis_hash": bytes(32)},
    ],
    ids=lambda one: next(iter(one)),
)
def test_any_other_fact_is_another_proof(changed: dict[str, object]) -> None:
    other = msgspec.structs.replace(AGREEMENT, **changed)

    assert session_proof(other, RECORDS) != PROOF
    assert session_proof(AGREEMENT, RECORDS[:1]) != PROOF
    assert session_proof(AGREEMENT, RECORDS[1:]) != PROOF


def test_a_session_needs_both_signatures() -> None:
    message = agreement_message(AGREEMENT)
    both = SignedAgreement(AGREEMENT, SUBJECT.sign(message), STATION.sign(message))

    def agreed(one: SignedAgreement) -> bool:
        return is_agreed(one, SUBJECT.public, STATION.public)

    assert agreed(both)
    assert not agreed(SignedAgreement(AGREEMENT, both.vehicle_signature, both.vehicle_signature))
    assert not agreed(SignedAgreement(AGREEMENT, both.station_signature, both.station_signature))


def _voted(world: World, nodes: tuple[bytes, ...], issuer: SigningKey) -> Changed | Reason:
    act = SetCohort(COHORT, nodes, "majority", MAX_STALE_MS, SKEW_MS)  # type: ignore[arg-type]
    return world.apply(vote_operation(Vote(act, yes=True)), issuer)


def test_attack_a9_a_smaller_cohort_needs_the_voters_and_changes_no_open_vote() -> None:
    world = bare_world()
    transaction = opened(world)
    world.must(world.do(vote(transaction, 1)))

    for attacker in (edge_key(0), STRANGER, NEIGHBOUR):
        assert _voted(world, NODES[:1], attacker) is Reason.NOT_ALLOWED
    world.must(_voted(world, NODES[:1], VOTER))

    assert world.do(vote(transaction, 2, generation=2)) is Reason.NOT_ALLOWED
    world.must(world.do(vote(transaction, 2)))
    assert state(world, transaction).state == "open"
    assert len(state(world, transaction).cohort.nodes) == N


def test_a_header_keeps_to_its_rules() -> None:
    world = bare_world()
    header = Header(COHORT, bytes(32), bytes(32), "charge", DEADLINE_MS)
    change = msgspec.structs.replace

    assert world.do(header, STRANGER) is Reason.NOT_ALLOWED
    assert world.do(change(header, cohort="none"), edge_key(0)) is Reason.NO_SUCH_OBJECT
    for deadline_ms in (NOW_MS, NOW_MS + MAX_VOTING_MS + 1):
        late = change(header, deadline_ms=deadline_ms)
        assert world.do(late, edge_key(0)) is Reason.OUT_OF_RANGE


def test_a_cohort_is_of_registered_edge_nodes() -> None:
    world = bare_world()

    assert _voted(world, (bytes(32),), VOTER) is Reason.UNKNOWN_MEMBER
    assert _voted(world, (address(OWNER),), VOTER) is Reason.NOT_ALLOWED
