"""A node whose coordinator keys are voted over, with a past before, between and after the votes."""

from collections.abc import Sequence
from typing import Final

from coordinator.issuer import sign_milestone
from edge.node.executor import Executor
from energy.governance.acts import CoordinatorKeysAct, Vote
from energy.governance.contract import vote_operation
from tangle.accounts import coordinators, sequence_window
from tangle.address import address_of
from tangle.effects import Instant
from tangle.keys import SigningKey
from tests.community import COORDINATOR, START_MS, VOTER, key
from tests.edge.history import extend
from tests.tangle.cores import MAKE

FIRST: Final = (COORDINATOR,)
SECOND: Final = (key(910), key(911), key(912))
THIRD: Final = (key(912), key(920))
"""One of them signed before, too."""

QUORUM: Final = 2
"""Of the second and of the third keys."""

VOTES: Final = (10, 20)
"""Milestones that change the keys, in `vote_twice`."""

MILESTONES: Final = 45
"""In `vote_twice`: the votes are older than what a network looks back on."""


def vote(executor: Executor, before: Sequence[SigningKey], after: Sequence[SigningKey]) -> None:
    """Vote keys in and others out, and issue the milestone that does it."""
    core = executor.core
    index = core.confirmed_index + 1
    now = Instant(START_MS + 10 * index, START_MS + 10 * index)
    act = CoordinatorKeysAct(tuple(sorted(one.public for one in after)), QUORUM)
    number = sequence_window(core.ledger.rows, address_of(VOTER.public)).next
    below = core.graph.referenced_at(core.confirmed_index)[-1]
    ballot = MAKE.transaction(
        VOTER, number, (core.confirmed_id, below), vote_operation(Vote(act, yes=True))
    )
    executor.carry_out(core.submit(ballot.data, now), now)
    drafted = core.draft_milestone((core.confirmed_id, ballot.tx_id), now.ledger_ms)
    executor.carry_out(core.submit(sign_milestone(drafted, tuple(before)).data, now), now)
    assert core.confirmed_index == index
    assert coordinators(core.ledger.rows).keys == act.keys


def vote_twice(executor: Executor, per_milestone: int = 3) -> None:
    """Make a past of `MILESTONES` in which the keys change under milestones 10 and 20."""
    first, second = VOTES
    extend(executor, first - 1, per_milestone)
    vote(executor, FIRST, SECOND)
    extend(executor, second - first - 1, per_milestone, SECOND[:QUORUM])
    vote(executor, SECOND[:QUORUM], THIRD)
    extend(executor, MILESTONES - second, per_milestone, THIRD)
