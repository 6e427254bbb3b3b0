"""The co-signer: what it signs, what it waits for, what it refuses, and never two of one index."""

from collections.abc import Callable
from random import Random

import msgspec
import pytest

from coordinator.cosigner import CoSigner, Refused, Signed, Wait
from coordinator.issuer import Issue, Issuer, Propose
from coordinator.lock import Lock, decode_lock, encode_lock, first_lock
from tangle.codec import encode
from tangle.effects import Halted
from tangle.errors import (
    BadMilestoneError,
    BadPayloadError,
    InvalidError,
    MalformedBytesError,
    WrongNetworkError,
)
from tangle.keys import SigningKey
from tangle.node import NodeCore
from tangle.proposals import Proposal, propose
from tangle.transaction import (
    KeySignature,
    Milestone,
    MilestoneWitness,
    Transaction,
    decode_fields,
    sign,
    transaction_id,
)
from tangle.verification import parse
from tests.community import COORDINATOR, NOTE, START_MS, Maker, community, key
from tests.tangle.cores import ALICE, EDGE, at, fresh_core
from tip_selection.view import View

SIGNERS = (COORDINATOR, key(901), key(902), key(903))
GENESIS = community(signers=SIGNERS, quorum=3)
MAKE = Maker(GENESIS)


def view_of(core: NodeCore) -> View:
    return View(core.graph, core.weights, core.confirmed_index, core.parameters)


def leading(core: NodeCore, lock: Lock | None = None, own: SigningKey = COORDINATOR) -> Issuer:
    return Issuer(core, (own,), first_lock(GENESIS) if lock is None else lock)


def cosigning(core: NodeCore, own: SigningKey = SIGNERS[1], lock: Lock | None = None) -> CoSigner:
    return CoSigner(core, own, COORDINATOR.public, first_lock(GENESIS) if lock is None else lock)


def proposed(core: NodeCore, ms: int = 0) -> Propose:
    step = leading(core).step(at(ms), view_of(core), Random(1))
    assert isinstance(step, Propose)
    return step


def by_leader(draft: Transaction, own: SigningKey = COORDINATOR) -> Proposal:
    return propose(draft, KeySignature(own.public, sign(draft, own)))


def changed(proposal: Proposal, **fields: object) -> Proposal:
    """Return the leader's proposal of the same milestone, some fields of its payload changed."""
    draft = decode_fields(proposal.fields)
    payload = draft.payload
    assert isinstance(payload, Milestone)
    other = msgspec.structs.replace(payload, **fields)
    return by_leader(
        msgspec.structs.replace(
            draft, payload=other, sequence=other.index, issued_at_ms=other.timestamp_ms
        )
    )


def confirm_one(core: NodeCore, ms: int = 0) -> bytes:
    """Issue one milestone of all signers and return its bytes."""
    issuer = Issuer(core, SIGNERS, first_lock(GENESIS))
    step = issuer.step(at(ms), view_of(core), Random(1))
    assert isinstance(step, Issue)
    core.submit(step.data, at(ms))
    return step.data


# The way it should go.


def test_three_of_four_sign_and_the_milestone_is_applied_everywhere() -> None:
    cores = [fresh_core(GENESIS) for _ in SIGNERS]
    leader = leading(cores[0])
    step = leader.step(at(0), view_of(cores[0]), Random(1))
    assert isinstance(step, Propose)
    assert step.needed == 2
    assert set(step.missing) == {one.public for one in SIGNERS[1:]}

    answers = [
        cosigning(core, own).consider(step.proposal, at(0))
        for core, own in zip(cores[1:3], SIGNERS[1:3], strict=True)
    ]
    assert isinstance(answers[0], Signed)
    assert isinstance(answers[1], Signed)
    nothing_yet = leader.take(answers[0].signature)
    issued = leader.take(answers[1].signature)

    assert nothing_yet is None
    assert isinstance(issued, Issue)
    witness = parse(issued.data).witness
    assert isinstance(witness, MilestoneWitness)
    assert len(witness.signatures) == 3
    for core in cores:
        core.submit(issued.data, at(0))
    assert {core.confirmed_index for core in cores} == {1}
    assert leader.take(answers[1].signature) is None  # late


def test_a_restart_answers_the_same_proposal_with_the_same_signature() -> None:
    core = fresh_core(GENESIS)
    step = proposed(core)
    first = cosigning(core).consider(step.proposal, at(0))
    assert isinstance(first, Signed)
    kept = decode_lock(encode_lock(first.lock), core.rules.network)

    again = cosigning(core, lock=kept).consider(step.proposal, at(5_000))

    assert again == first


def test_a_lock_copied_from_the_leader_lets_a_co_signer_sign_that_proposal_and_no_other() -> None:
    core = fresh_core(GENESIS)
    step = proposed(core)
    copied = cosigning(core, lock=step.lock)

    other = copied.consider(changed(step.proposal, timestamp_ms=START_MS + 9), at(0))
    same = copied.consider(step.proposal, at(0))

    assert isinstance(other, Refused)
    assert isinstance(same, Signed)


def test_a_leader_that_lost_its_lock_goes_on_with_a_co_signers() -> None:
    core = fresh_core(GENESIS)
    step = proposed(core)
    answer = cosigning(core).consider(step.proposal, at(0))
    assert isinstance(answer, Signed)

    again = leading(core, answer.lock).step(at(9_000), view_of(core), Random(2))

    assert isinstance(again, Propose)
    assert again.proposal == step.proposal
    assert again.needed == 1


# What it waits for.


def test_it_waits_until_the_cone_is_solid() -> None:
    ahead, behind = fresh_core(GENESIS), fresh_core(GENESIS)
    one = MAKE.transaction(EDGE, 0, (*ahead.graph.referenced_at(0),))
    ahead.receive(ALICE, one.data, at(0))
    step, cosigner = proposed(ahead), cosigning(behind)

    early = cosigner.consider(step.proposal, at(0))
    behind.receive(ALICE, one.data, at(0))
    late = cosigner.consider(step.proposal, at(0))

    assert isinstance(early, Wait)
    assert one.tx_id.hex() in early.why
    assert isinstance(late, Signed)


def test_it_waits_for_the_milestones_before() -> None:
    ahead, behind = fresh_core(GENESIS), fresh_core(GENESIS)
    first = confirm_one(ahead)
    draft = ahead.draft_milestone(
        {ahead.confirmed_id, *ahead.graph[ahead.confirmed_id].parents}, START_MS + 2_000
    )
    cosigner = cosigning(behind)

    early = cosigner.consider(by_leader(draft), at(2_000))
    behind.receive(ALICE, first, at(2_000))
    late = cosigner.consider(by_leader(draft), at(2_000))

    assert early == Wait("milestone 2 is proposed, 0 applied")
    assert isinstance(late, Signed)


def test_it_waits_while_the_proposal_is_ahead_of_its_clock() -> None:
    core = fresh_core(GENESIS)
    step = proposed(core, ms=60_001)

    early = cosigning(core).consider(step.proposal, at(0))
    late = cosigning(core).consider(step.proposal, at(1))

    assert isinstance(early, Wait)
    assert "60001 ms ahead" in early.why
    assert isinstance(late, Signed)


def test_a_halted_co_signer_waits_for_its_operator() -> None:
    core = fresh_core(GENESIS)
    step = proposed(core)
    core.halted = Halted(1, core.confirmed_id, "a test", ())

    assert cosigning(core).consider(step.proposal, at(0)) == Wait(
        "this node has halted at milestone 1"
    )


def test_what_is_applied_needs_no_answer() -> None:
    core, ahead = fresh_core(GENESIS), fresh_core(GENESIS)
    step = proposed(core)
    confirm_one(ahead)

    assert cosigning(ahead).consider(step.proposal, at(0)) is None


# What it refuses.


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"state_root": b"x" * 32}, "state root: claimed"),
        ({"inclusion_root": b"x" * 32}, "inclusion root: claimed"),
        ({"applied_root": b"x" * 32}, "applied root: claimed"),
        ({"timestamp_ms": START_MS}, "not after the one before it"),
    ],
)
def test_what_it_computes_otherwise_is_refused_with_both_values(
    fields: dict[str, object], word: str
) -> None:
    core = fresh_core(GENESIS)

    answer = cosigning(core).consider(changed(proposed(core).proposal, **fields), at(0))

    assert isinstance(answer, Refused)
    assert word in answer.why


def test_a_proposal_upon_another_milestone_is_refused() -> None:
    core = fresh_core(GENESIS)
    (g, h) = core.graph.referenced_at(0)
    draft = decode_fields(proposed(core).proposal.fields)
    payload = draft.payload
    assert isinstance(payload, Milestone)
    other = next(one for one in (g, h) if one != payload.previous)
    wrong = msgspec.structs.replace(draft, payload=msgspec.structs.replace(payload, previous=other))

    answer = cosigning(core).consider(by_leader(wrong), at(0))

    assert isinstance(answer, Refused)
    assert "the last applied one is" in answer.why


def test_a_cone_over_the_limit_is_refused() -> None:
    core = fresh_core(GENESIS)
    over = core.draft_milestone(core.graph.referenced_at(0), START_MS + 1)
    core.parameters = msgspec.structs.replace(core.parameters, max_cone_transactions=0)
    core.receive(ALICE, MAKE.transaction(EDGE, 0, (*core.graph.referenced_at(0),)).data, at(0))
    (tip,) = core.graph.tips
    wide = msgspec.structs.replace(over, parents=tuple(sorted({core.confirmed_id, tip})))

    answer = cosigning(core).consider(by_leader(wide), at(0))

    assert isinstance(answer, Refused)
    assert "references 1 new transactions, the maximum is 0" in answer.why


def test_it_signs_one_milestone_of_an_index_also_after_a_restart() -> None:
    core = fresh_core(GENESIS)
    one = proposed(core).proposal
    two = proposed(core, ms=5).proposal
    cosigner = cosigning(core)
    first = cosigner.consider(one, at(0))
    assert isinstance(first, Signed)

    second = cosigner.consider(two, at(0))
    restarted = cosigning(core, lock=first.lock).consider(two, at(0))

    assert isinstance(second, Refused)
    assert "signed here is 1" in second.why
    assert restarted == second


def test_a_key_that_the_ledger_does_not_name_signs_nothing() -> None:
    core = fresh_core(GENESIS)

    answer = cosigning(core, own=key(999)).consider(proposed(core).proposal, at(0))

    assert answer == Refused(f"milestone 1: {key(999).public.hex()} is no coordinator key")


def foreign(proposal: Proposal) -> Proposal:
    return by_leader(msgspec.structs.replace(decode_fields(proposal.fields), network=b"another!"))


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda one: Proposal(one.fields[:-1], one.signature), MalformedBytesError),
        (foreign, WrongNetworkError),
        (lambda one: by_leader(decode_fields(one.fields), SIGNERS[2]), BadMilestoneError),
        (
            lambda one: Proposal(one.fields, KeySignature(COORDINATOR.public, bytes(64))),
            BadMilestoneError,
        ),
        (
            lambda one: by_leader(
                MAKE.transaction(EDGE, 0, decode_fields(one.fields).parents, NOTE).transaction
            ),
            BadPayloadError,
        ),
    ],
    ids=["torn", "foreign", "another leader's", "forged", "no milestone"],
)
def test_what_is_no_proposal_of_the_leader_is_the_senders_fault(
    spoil: Callable[[Proposal], Proposal], error: type[InvalidError]
) -> None:
    core = fresh_core(GENESIS)

    with pytest.raises(error):
        cosigning(core).consider(spoil(proposed(core).proposal), at(0))


# The leader's side.


def test_the_leader_repeats_one_proposal_and_never_makes_another_for_that_index() -> None:
    core = fresh_core(GENESIS)
    leader = leading(core)
    first = leader.step(at(0), view_of(core), Random(1))
    assert isinstance(first, Propose)
    core.receive(ALICE, MAKE.transaction(EDGE, 0, (*core.graph.referenced_at(0),)).data, at(1))

    early = leader.step(at(1_999), view_of(core), Random(2))
    repeated = leader.step(at(2_000), view_of(core), Random(2))
    restarted = leading(core, first.lock).step(at(9_000), view_of(core), Random(3))

    assert early is None
    assert repeated == first
    assert restarted == first
    assert set(leader.awaited) == {one.public for one in SIGNERS[1:]}


def test_signatures_of_strangers_of_others_and_of_something_else_do_not_count() -> None:
    core = fresh_core(GENESIS)
    leader = leading(core)
    step = leader.step(at(0), view_of(core), Random(1))
    assert isinstance(step, Propose)
    answer = cosigning(core).consider(step.proposal, at(0))
    assert isinstance(answer, Signed)
    good = answer.signature
    replace = msgspec.structs.replace

    with pytest.raises(BadMilestoneError, match="no coordinator key"):
        leader.take(replace(good, key=key(999).public))
    with pytest.raises(BadMilestoneError, match="but not by it"):
        leader.take(replace(good, key=SIGNERS[2].public))
    assert leader.take(replace(good, milestone_id=b"x" * 32)) is None
    assert leader.take(replace(good, index=2)) is None
    assert leader.take(good) is None
    assert leader.take(good) is None  # twice is once
    assert leader.needed == 1


def test_a_halted_leader_takes_no_signature() -> None:
    core = fresh_core(GENESIS)
    leader = leading(core)
    step = leader.step(at(0), view_of(core), Random(1))
    assert isinstance(step, Propose)
    answer = cosigning(core).consider(step.proposal, at(0))
    assert isinstance(answer, Signed)
    core.halted = Halted(1, core.confirmed_id, "a test", ())

    assert leader.take(answer.signature) is None
    assert leader.needed == 2


def test_the_proposal_is_the_milestone_that_is_issued() -> None:
    core = fresh_core(GENESIS)
    step = proposed(core)

    draft = decode_fields(step.proposal.fields)

    assert transaction_id(draft) == step.lock.milestone_id
    assert encode(draft) == step.proposal.fields
