"""Votes: who may, what passes, what lapses, and who signs from then on."""

from collections.abc import Iterator
from random import Random

import msgspec
import pytest
from typing_extensions import override

from coordinator.issuer import Issue, Issuer, Unnamed
from coordinator.lock import first_lock
from energy.ctt.calls import Create
from energy.ctt.contract import apply_ctt
from energy.governance.acts import CoordinatorKeysAct, Vote
from energy.governance.contract import (
    CONTRACT,
    LAPSE_MS,
    MAX_OPEN_VOTES,
    apply_governance,
    end_votes,
    open_votes,
    vote_key,
    vote_operation,
)
from tangle.accounts import CoordinatorKeys, coordinators, genesis_rows
from tangle.address import address_of
from tangle.codec import encode
from tangle.contracts import Changed, Context
from tangle.effects import Misbehaved
from tangle.errors import MalformedBytesError
from tangle.genesis import Genesis, GenesisIdentity, entry_points
from tangle.keys import SigningKey
from tangle.node import NodeCore
from tangle.outcomes import Applied, Ignored, Reason
from tangle.rows import Draft, Rows
from tangle.transaction import TransactionId
from tests.community import COORDINATOR, VOTER, Maker, community, key, member_key
from tests.tangle.cores import ALICE, at, confirm, fresh_core, milestone, outcome_of
from tip_selection.view import View

SECOND, THIRD = key(801), key(802)
NEW = tuple(sorted((key(901), key(902), key(903)), key=lambda one: one.public))


def act(*signers: SigningKey, quorum: int = 1) -> CoordinatorKeysAct:
    return CoordinatorKeysAct(tuple(sorted(one.public for one in signers)), quorum)


ACT = act(*NEW, quorum=2)


def with_voters(*voters: SigningKey) -> Genesis:
    genesis = community()
    more = [GenesisIdentity(one.public, "voter") for one in voters]
    identities = tuple(sorted((*genesis.identities, *more), key=lambda one: one.key))
    return msgspec.structs.replace(genesis, identities=identities)


def by(issuer: SigningKey, ms: int = 0) -> Context:
    return Context(issuer.public, address_of(issuer.public), TransactionId(bytes(32)), 1, ms)


def fresh() -> Draft:
    """Return the rows of a community with three voters."""
    return Draft(Rows(genesis_rows(with_voters(SECOND, THIRD))))


def cast(rows: Draft, voter: SigningKey, *, yes: bool = True, ms: int = 0) -> tuple[str, ...]:
    """Let a voter vote on `ACT`; return the names of the events."""
    changed = apply_governance(rows, Vote(ACT, yes=yes), by(voter, ms))
    assert isinstance(changed, Changed)
    rows.put(changed.changes)
    return tuple(event.name for event in changed.events)


def test_an_act_passes_with_more_than_half_of_the_voters_and_its_vote_is_gone() -> None:
    rows = fresh()

    first = cast(rows, VOTER)
    before = coordinators(rows)
    second = cast(rows, THIRD)

    assert first == ("governance.voted",)
    assert before == CoordinatorKeys((COORDINATOR.public,), 1)
    assert second == ("governance.voted", "governance.passed")
    assert coordinators(rows) == CoordinatorKeys(ACT.keys, 2)
    assert open_votes(rows) == []


def test_exactly_half_is_not_enough() -> None:
    rows = Draft(Rows(genesis_rows(with_voters(SECOND))))

    assert cast(rows, VOTER) == ("governance.voted",)
    assert cast(rows, SECOND) == ("governance.voted", "governance.passed")


def test_a_voter_may_change_its_ballot_and_counts_once() -> None:
    rows = fresh()

    for yes in (True, True, False, True, False):
        cast(rows, VOTER, yes=yes)

    (vote,) = open_votes(rows)
    assert vote.yes == ()
    assert vote.no == (address_of(VOTER.public),)
    assert cast(rows, SECOND) == ("governance.voted",)
    assert cast(rows, VOTER) == ("governance.voted", "governance.passed")


def test_who_is_no_voter_any_more_does_not_count() -> None:
    rows = fresh()
    cast(rows, VOTER)
    rows.put({b"identity/" + address_of(VOTER.public): None})

    assert cast(rows, SECOND) == ("governance.voted",)  # one of two
    assert cast(rows, THIRD) == ("governance.voted", "governance.passed")


@pytest.mark.parametrize("stranger", [member_key(0), COORDINATOR, key(1)])
def test_nobody_but_a_voter_votes(stranger: SigningKey) -> None:
    assert apply_governance(fresh(), Vote(ACT, yes=True), by(stranger)) is Reason.NOT_ALLOWED


def test_a_vote_lapses_after_thirty_days_of_ledger_time() -> None:
    rows = fresh()
    cast(rows, VOTER, ms=5)

    early = end_votes(rows, 1, 5 + LAPSE_MS - 1)
    late = end_votes(rows, 1, 5 + LAPSE_MS)

    assert early.changes == {}
    assert late.changes == {vote_key(ACT): None}


def test_a_ballot_on_a_lapsed_vote_opens_it_anew() -> None:
    rows = fresh()
    cast(rows, VOTER, ms=5)

    named = cast(rows, SECOND, ms=5 + LAPSE_MS)

    (vote,) = open_votes(rows)
    assert named == ("governance.voted",)
    assert vote.yes == (address_of(SECOND.public),)
    assert vote.opened_at_ms == 5 + LAPSE_MS


def test_one_voter_opens_no_more_votes_than_the_limit_and_keeps_none_from_others() -> None:
    rows = fresh()
    acts = [act(key(number)) for number in range(1, MAX_OPEN_VOTES + 2)]
    for one in acts[:-1]:
        changed = apply_governance(rows, Vote(one, yes=True), by(VOTER))
        assert isinstance(changed, Changed)
        rows.put(changed.changes)

    too_many = apply_governance(rows, Vote(acts[-1], yes=True), by(VOTER))
    known = apply_governance(rows, Vote(acts[0], yes=False), by(VOTER))
    others = apply_governance(rows, Vote(acts[-1], yes=True), by(SECOND))

    assert too_many is Reason.TOO_MANY_VOTES
    assert isinstance(known, Changed)
    assert isinstance(others, Changed)
    assert [one.act for one in open_votes(rows)] == acts[:-1]


@pytest.mark.parametrize(
    ("keys", "quorum"),
    [
        pytest.param((), 1, id="no key"),
        pytest.param(tuple(one.public for one in reversed(NEW)), 2, id="descending"),
        pytest.param((NEW[0].public,) * 2, 2, id="one key twice"),
        pytest.param(tuple(one.public for one in NEW[:2]), 1, id="half"),
        pytest.param(tuple(one.public for one in NEW[:2]), 3, id="more than all"),
        pytest.param(
            tuple(sorted(key(number).public for number in range(1, 34))), 17, id="33 keys"
        ),
        pytest.param((b"short",), 1, id="a short key"),
    ],
)
def test_keys_that_cannot_sign_are_no_act(keys: tuple[bytes, ...], quorum: int) -> None:
    call = encode(("vote", ("coordinator_keys", keys, quorum), True))

    with pytest.raises(MalformedBytesError):
        CONTRACT.decode(call)


def test_a_passed_act_holds_from_the_next_milestone() -> None:
    genesis = with_voters()
    core, make = fresh_core(genesis), Maker(genesis)
    ballot = make.transaction(VOTER, 0, entry_points(genesis), vote_operation(Vote(ACT, yes=True)))
    core.submit(ballot.data, at(0))

    confirmed = confirm(core, ballot.tx_id, ms=1)
    by_old_keys = core.receive(ALICE, milestone(core, (ballot.tx_id,), 2).data, at(2))
    unnamed = Issuer(core, (COORDINATOR,), first_lock(genesis))
    step = unnamed.step(at(3), view_of(core), Random(1))

    assert isinstance(outcome_of(confirmed, ballot), Applied)
    assert [type(effect) for effect in by_old_keys] == [Misbehaved]
    assert step == Unnamed((COORDINATOR.public,))
    taken_over = msgspec.structs.replace(
        first_lock(genesis), index=1, milestone_id=core.confirmed_id
    )
    issued = Issuer(core, NEW[:2], taken_over).step(at(4), view_of(core), Random(1))
    assert isinstance(issued, Issue)
    core.submit(issued.data, at(4))
    assert core.confirmed_index == 2


def test_a_refused_ballot_uses_its_number_and_changes_no_key() -> None:
    genesis = with_voters()
    core, make = fresh_core(genesis), Maker(genesis)
    ballot = make.transaction(
        member_key(0), 0, entry_points(genesis), vote_operation(Vote(ACT, yes=True))
    )
    core.submit(ballot.data, at(0))

    confirmed = confirm(core, ballot.tx_id, ms=1)

    assert outcome_of(confirmed, ballot) == Ignored(Reason.NOT_ALLOWED)
    assert coordinators(core.ledger.rows).keys == (COORDINATOR.public,)


def view_of(core: NodeCore) -> View:
    return View(core.graph, core.weights, core.confirmed_index, core.parameters)


class Unscanned(Rows):
    """Rows that nobody may go through."""

    @override
    def walk(self, prefix: bytes) -> Iterator[bytes]:
        raise AssertionError(f"scans {prefix!r}")


def test_a_ballot_or_collection_of_no_voter_is_refused_without_a_look_at_all_identities() -> None:
    rows = Unscanned(genesis_rows(community()))
    member = by(member_key(0))
    address = member.address

    create = Create(address, address, 1, 1, 1)

    assert apply_governance(rows, Vote(ACT, yes=True), member) is Reason.NOT_ALLOWED
    assert apply_ctt(rows, create, member) is Reason.NOT_ALLOWED
