"""Worse than bad weather: long absence, one neighbour, floods, branches kept back."""

from functools import partial

import pytest

from tangle.address import address_of
from tangle.transaction import TransactionId
from tangle.verification import Verified
from tangle.waiting import WaitingRoom
from tests.community import COINS_UEUR, edge_key, member_key
from tests.simulation.network import INTERVAL_MS
from tests.simulation.nodes import SimulatedNode
from tests.simulation.test_network import verify_outcome
from tests.simulation.weather import Weather
from tests.simulation.world import World

SEEDS = range(3)
CALM = Weather(crashes=0, hesitation=0.0, partition_ms=(0, 0))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_node_with_one_neighbour_comes_back_after_sixty_milestones(seed: int) -> None:
    world = World(seed, nodes=5, issue_ms=126_000, weather=CALM)
    away = world.nodes[3]
    for node in world.nodes:
        node.neighbours = tuple(one for one in node.neighbours if 3 not in (one, node.number))
    away.neighbours = (2,)
    world.nodes[2].neighbours += (3,)
    world.at(3_000, partial(world.stop, away, 200_000))

    world.run_until(world.issue_ms)
    behind = world.nodes[0].core.confirmed_index - away.core.confirmed_index
    world.run(limit_ms=300_000)

    assert behind >= 60
    verify_outcome(world)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_flood_of_orphans_starves_nobody(seed: int) -> None:
    world = World(seed, nodes=6, weather=CALM)
    for node in world.nodes:
        node.core._waiting = WaitingRoom(limit=20)

    def flood(node: SimulatedNode, number: int) -> None:
        for sequence in range(number, number + 30):
            nowhere = TransactionId(sequence.to_bytes(32, "big"))
            parents = (nowhere, node.core.confirmed_id)
            world.tell(node, world.make.transaction(edge_key(5), 5_000 + sequence, parents).data)

    for second in range(3, 15):
        for node in world.nodes:
            world.at(1_000 * second, partial(flood, node, 100 * second))

    world.run()

    verify_outcome(world)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("released_ms", [14_000, 42_000, 60_000])
def test_a_branch_kept_back_and_released_late_splits_nobody(seed: int, released_ms: int) -> None:
    world = World(seed, nodes=6, issue_ms=released_ms + 4_000, weather=CALM)
    branch: list[Verified] = []

    def grow() -> None:
        """Build upon what is there now, two payments of the same coins included."""
        below = world.nodes[1].core.confirmed_id
        beside = world.nodes[1].core.graph[below].parents[0]
        for number in range(30):
            payee = address_of(member_key(number % 3 + 1).public)
            fields = (member_key(0), 500 + number, (below, beside), payee, COINS_UEUR)
            branch.append(world.make.transfer(*fields))
            beside, below = below, branch[-1].tx_id

    def release() -> None:
        for one in reversed(branch):
            for node in world.nodes[::2]:
                world.tell(node, one.data)

    world.at(4_500, grow)
    world.at(released_ms, release)

    world.run()

    verify_outcome(world)
    referenced = {tx_id for one in world.nodes[0].milestones for tx_id, _ in one.outcomes}
    is_in_time = released_ms < 4_500 + world.genesis.parameters.max_depth * INTERVAL_MS
    assert any(one.tx_id in referenced for one in branch) == is_in_time
