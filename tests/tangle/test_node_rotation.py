"""A core over a change of the coordinator keys: what it proves, and whom it believes."""

from collections.abc import Sequence

import msgspec
import pytest

from coordinator.issuer import sign_milestone
from energy.governance.acts import CoordinatorKeysAct, Vote
from energy.governance.contract import vote_operation
from tangle.accounts import COORDINATORS_KEY, CoordinatorKeys
from tangle.anchors import follow_rotations
from tangle.effects import Confirmed, Effect
from tangle.keys import SigningKey
from tangle.milestones import MAX_UNPROVEN, MilestoneInbox
from tangle.node import NodeCore
from tangle.transaction import Milestone, TransactionId
from tangle.verification import Verified
from tangle.waiting import Arrival
from tests.community import COORDINATOR, START_MS, VOTER, key
from tests.tangle.cores import ALICE, BOB, GENESIS, MAKE, NOW, G, H, at, fresh_core

NEW = key(910)
KEYS = {"old": (COORDINATOR,), "new": (NEW,)}


def ballot(number: int, parents: tuple[TransactionId, TransactionId], keys: str) -> Verified:
    act = CoordinatorKeysAct(tuple(one.public for one in KEYS[keys]), 1)
    return MAKE.transaction(VOTER, number, parents, vote_operation(Vote(act, yes=True)))


def confirmed_over(core: NodeCore, *acts: str) -> Confirmed:
    """Let the voters decide some acts under the first milestone; return what it did."""
    parents, cast = (G, H), list[Verified]()
    for number, keys in enumerate(acts):
        cast.append(ballot(number, parents, keys))
        core.receive(ALICE, cast[-1].data, NOW)
        parents = (G, cast[-1].tx_id)
    draft = core.draft_milestone((core.confirmed_id, cast[-1].tx_id), START_MS + 1)
    effects = core.submit(sign_milestone(draft, (COORDINATOR,)).data, at(1))
    (confirmed,) = [effect for effect in effects if isinstance(effect, Confirmed)]
    return confirmed


def test_a_change_of_the_keys_is_proven_when_it_takes_effect() -> None:
    core = fresh_core()

    confirmed = confirmed_over(core, "new")

    assert confirmed.rotation is not None
    assert confirmed.rotation.value == core.row(COORDINATORS_KEY)
    keyring, _ = follow_rotations((confirmed.rotation,), GENESIS)
    assert keyring.at(1).keys == (COORDINATOR.public,)
    assert keyring.at(2).keys == (NEW.public,)


@pytest.mark.parametrize("acts", [("old",), ("new", "old")], ids=["again", "there and back"])
def test_keys_that_end_as_they_were_have_not_changed(acts: tuple[str, ...]) -> None:
    assert confirmed_over(fresh_core(), *acts).rotation is None


def test_two_changes_under_one_milestone_are_one() -> None:
    core = fresh_core()

    confirmed = confirmed_over(core, "new", "old", "new")

    assert confirmed.rotation is not None
    follow_rotations((confirmed.rotation,), GENESIS)


class Ahead:
    """A node that has applied a change of the keys under milestone 1, and can go on from it."""

    def __init__(self) -> None:
        self.core = fresh_core()
        self.ballot = ballot(0, (G, H), "new")
        self.core.receive(ALICE, self.ballot.data, NOW)
        self.change = self.signed((COORDINATOR,), self.ballot.tx_id, 1)
        self.core.submit(self.change.data, at(1))

    def signed(self, keys: Sequence[SigningKey], beside: TransactionId, ms: int) -> Verified:
        draft = self.core.draft_milestone((self.core.confirmed_id, beside), START_MS + ms)
        return sign_milestone(draft, tuple(keys))


@pytest.fixture
def ahead() -> Ahead:
    return Ahead()


def catch_up(core: NodeCore, ahead: Ahead) -> list[Effect]:
    """Bring a core that is behind the change."""
    effects = core.receive(BOB, ahead.ballot.data, at(3))
    return effects + core.receive(BOB, ahead.change.data, at(3))


def test_keys_that_were_voted_out_sign_nothing_that_came_before_the_vote(ahead: Ahead) -> None:
    stale = ahead.signed((COORDINATOR,), ahead.ballot.tx_id, 2)
    core = fresh_core()
    core.receive(ALICE, stale.data, at(2))
    assert core.latest_index == 2  # by the keys that it knows of, good signatures

    catch_up(core, ahead)

    assert core.confirmed_id == ahead.change.tx_id
    assert core.latest_index == 1
    assert core.halted is None
    true = ahead.signed((NEW,), ahead.ballot.tx_id, 4)
    core.receive(BOB, true.data, at(4))
    assert core.confirmed_id == true.tx_id


def test_what_new_keys_signed_is_applied_at_its_turn_though_it_came_before_the_vote(
    ahead: Ahead,
) -> None:
    second = ahead.signed((NEW,), ahead.ballot.tx_id, 2)
    ahead.core.submit(second.data, at(2))
    third = ahead.signed((NEW,), ahead.change.tx_id, 3)
    core = fresh_core()
    for early in (third, second):
        core.receive(ALICE, early.data, at(3))
    assert core.latest_index == 0

    catch_up(core, ahead)

    assert core.confirmed_id == third.tx_id


def named(*keys: SigningKey, quorum: int) -> CoordinatorKeys:
    return CoordinatorKeys(tuple(sorted(one.public for one in keys)), quorum)


def test_what_enough_of_the_new_keys_had_signed_stays_proven() -> None:
    """Else a change of one signer among several would make a node forget what it has."""
    draft = fresh_core().draft_milestone((G, H), START_MS + 1)
    early = sign_milestone(draft, (COORDINATOR, NEW))
    inbox = MilestoneInbox()
    before = named(COORDINATOR, NEW, key(911), quorum=2)
    inbox.add(Arrival(early, ALICE), before, is_next=False)

    kept = inbox.take_turn(1, named(COORDINATOR, NEW, quorum=2))
    dropped = inbox.take_turn(1, named(key(912), quorum=1))

    assert [one.verified for one in kept] == [early]
    assert dropped == []
    assert len(inbox) == 0


def test_a_change_of_the_keys_costs_no_more_signatures_than_are_kept_unproven() -> None:
    inbox = MilestoneInbox()
    before, after = named(COORDINATOR, quorum=1), named(NEW, quorum=1)
    core = fresh_core()
    for ms in range(1, 12 * MAX_UNPROVEN):
        draft = core.draft_milestone((G, H), START_MS + ms)
        payload = draft.payload
        assert isinstance(payload, Milestone)
        at_index = msgspec.structs.replace(
            draft, sequence=ms, payload=msgspec.structs.replace(payload, index=ms)
        )
        arrival = Arrival(sign_milestone(at_index, (COORDINATOR,)), ALICE)
        inbox.add(arrival, before, is_next=False)
    assert inbox.highest_index == 12 * MAX_UNPROVEN - 1

    inbox.take_turn(1, after)

    assert inbox.highest_index == 0
    assert len(inbox.take_turn(2, before)) == 1
    assert len(inbox) == MAX_UNPROVEN - 1  # those of the lowest indexes, less the first one's turn
