"""A leader that signs two milestones for one index, and the operator who decides between them."""

from functools import partial
from typing import Final

from coordinator.issuer import Issue, sign_milestone
from tangle.ledger import genesis_state
from tangle.transaction import TransactionId
from tangle.verification import Verified, parse
from tests.community import COORDINATOR
from tests.simulation.invariants import Rule
from tests.simulation.stage import Stage

PATIENCE_MS: Final = 60_000
"""After the last trouble, in which everybody must have heard of both: who is far behind at first
catches up."""


def equivocation(world: Stage) -> None:
    """Once the leader signs two milestones; half of the nodes are told of the second one first."""
    world.at(world.rng.randint(4_000, world.issue_ms // 2), Equivocation(world).begin)


class Equivocation:
    """Two milestones, and what is done about them."""

    def __init__(self, world: Stage) -> None:
        self.world = world
        self.index = 0
        self.first: TransactionId | None = None
        self.second: TransactionId | None = None
        self.is_decided = False
        self.evidence: list[set[TransactionId]] = []
        """What each node kept, when the operator looked."""

    def begin(self) -> None:
        """Sign two of what is due next."""
        self.world.leader_finalises = self.sign_two

    def sign_two(self, step: Issue) -> None:
        """Sign another milestone beside the one in the lock, and tell half of the nodes."""
        world, leader = self.world, self.world.nodes[0]
        one = parse(step.data)
        if one.transaction.sequence != leader.core.confirmed_index + 1:
            world._finalise(step)
            return
        another = self._another(one)
        self.index, self.first, self.second = one.transaction.sequence, one.tx_id, another.tx_id
        world.watch.equivocated[self.index] = {one.tx_id, another.tx_id}
        world.leader_finalises = world._finalise
        for node in world.rng.sample(world.nodes[1:], len(world.nodes) // 2):
            world.at(world.rng.randint(1, 300), partial(world.tell, node, another.data))
        world._finalise(step)
        world.at(world.interval_ms, self._look)

    def _another(self, one: Verified) -> Verified:
        """Return a milestone that is as good: a moment later, over as much or less."""
        core, rng = self.world.nodes[0].core, self.world.rng
        others = [each for each in one.transaction.parents if each != core.confirmed_id]
        kept = rng.sample(others, rng.randint(1, len(others)))
        draft = core.draft_milestone((core.confirmed_id, *kept), one.transaction.issued_at_ms + 1)
        return sign_milestone(draft, (COORDINATOR,))

    def _look(self) -> None:
        """Wait until nobody goes on; then the operator decides for the first one."""
        world = self.world
        applied = {node.core.graph.milestone_id(self.index) for node in world.nodes}
        is_split = {self.first, self.second} <= applied
        is_known = is_split or any(node.core.halted for node in world.nodes)
        if is_known and all(node.is_up and node.halted for node in world.nodes):
            self._decide()
            return
        is_late = world.now_ms > world.issue_ms + PATIENCE_MS
        world.watch.verify(not (is_known and is_late), Rule.EVIDENCE, "somebody goes on")
        world.at(world.interval_ms, self._look)

    def _decide(self) -> None:
        """Refuse the second one everywhere; who applied it begins anew, from its peers."""
        world, second = self.world, self.second
        assert second is not None
        self.is_decided = True
        self.evidence = [set(node.core.evidence) for node in world.nodes]
        genesis = genesis_state(world.genesis)
        for node in world.nodes:
            had_second = any(one.milestone_id == second for one in node.milestones)
            world.stop(node, world.rng.randint(100, 1_000))
            node.halted.clear()
            node.refused |= {second}
            if had_second:
                node.lose_disk(genesis)
                world.watch.begin(node.number, genesis.milestone_id)
                world.forgot(node)
