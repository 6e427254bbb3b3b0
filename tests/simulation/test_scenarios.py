"""Each scenario alone, in a network that is otherwise calm, and how soon honest acts are settled.

Said in milestones from the issue to the one that references an act, the next one being 1.
"""

from typing import Final

import pytest
from typing_extensions import override

from tangle.keys import SigningKey
from tangle.transaction import TransactionId
from tangle.verification import Verified
from tests.simulation import adversaries, trouble
from tests.simulation.equivocation import Equivocation
from tests.simulation.mixtures import Scenario, meet, play
from tests.simulation.nodes import SimulatedNode
from tests.simulation.stage import Stage
from tests.simulation.test_network import verify_outcome
from tests.simulation.weather import CALM
from tests.simulation.world import World

SEEDS: Final = range(2)
NODES: Final = 8
LONG_MS: Final = 44_000
"""22 milestones: more than max depth, and than a node remembers."""


class MeasuredWorld(World):
    """A world that knows how long honest acts take, from the door to the coordinator's ledger."""

    def __init__(self, seed: int, issue_ms: int = 16_000) -> None:
        self.born: dict[TransactionId, int] = {}
        super().__init__(seed, NODES, issue_ms, CALM)

    @override
    def _acknowledged(self, node: SimulatedNode, key: SigningKey, tx: Verified) -> None:
        super()._acknowledged(node, key, tx)
        if self._is_act(tx.tx_id):
            self.born[tx.tx_id] = self.nodes[0].head[0]

    def slowest(self) -> int:
        """Return the largest number of milestones that an honest transaction took."""
        stored = self.nodes[0].stored
        indexes = {tx_id: stored[tx_id].referenced_index for tx_id in self.born if tx_id in stored}
        return max(index - self.born[one] for one, index in indexes.items() if index is not None)


def spam_throughout(world: Stage) -> None:
    adversaries.spam(world)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("scenario", "issue_ms", "milestones"),
    [
        pytest.param(trouble.one_way_links, 16_000, 3, id="one-way links"),
        pytest.param(trouble.skewed_clocks, 16_000, 3, id="clock skew within tolerance"),
        pytest.param(trouble.slow_clock, 16_000, 8, id="a clock that is too slow"),
        pytest.param(trouble.fast_clock, 16_000, 8, id="a clock that is too fast"),
        pytest.param(trouble.slow_disks, 16_000, 4, id="slow disks"),
        pytest.param(adversaries.parasite_chains, LONG_MS, 4, id="parasite chains"),
        pytest.param(adversaries.split_tips, LONG_MS, 4, id="tip splitting"),
        pytest.param(adversaries.lazy_tips, LONG_MS, 4, id="lazy tips"),
        pytest.param(spam_throughout, 16_000, 4, id="spam at ten times the honest rate"),
        pytest.param(adversaries.replays, LONG_MS, 3, id="replay storms"),
        pytest.param(adversaries.reground_copies, 16_000, 3, id="re-ground copies"),
        pytest.param(adversaries.orphans, 16_000, 4, id="unknown parents"),
    ],
)
def test_honest_acts_are_settled_within_so_many_milestones(
    scenario: Scenario, issue_ms: int, milestones: int, seed: int
) -> None:
    world = MeasuredWorld(seed, issue_ms)
    meet(world, scenario)

    play(world)

    verify_outcome(world)
    assert world.slowest() <= milestones, f"{world.said()}: {world.slowest()} milestones"


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("scenario", [trouble.partitions, trouble.crashes])
def test_what_was_cut_off_or_killed_comes_back(scenario: Scenario, seed: int) -> None:
    world = meet(World(seed, NODES, weather=CALM), scenario)

    play(world)

    verify_outcome(world)


@pytest.mark.parametrize("seed", range(4))
def test_two_milestones_of_one_index_stop_everybody_until_an_operator_decides(seed: int) -> None:
    world = World(seed, NODES, weather=CALM)
    lie = Equivocation(world)
    world.at(5_000, lie.begin)

    play(world)

    verify_outcome(world)
    assert lie.is_decided
    assert len(lie.evidence) == NODES
    assert all(ids <= {lie.first, lie.second} for ids in lie.evidence)
    assert all(node.refused == {lie.second} for node in world.nodes)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_a_node_issued_alone_for_long_is_promoted_and_referenced(seed: int) -> None:
    world = World(seed, NODES, issue_ms=30_000, weather=CALM)
    alone = world.nodes[7]
    world.at(3_000, lambda: setattr(alone, "group", 1))
    world.at(27_000, lambda: setattr(alone, "group", 0))

    play(world)

    verify_outcome(world)
    assert world.promotions + world.repeated > 0
