"""A node that lost its disk starts from a snapshot, on the same bad network as all others."""

from dataclasses import replace

import pytest
from typing_extensions import override

from tangle.ledger import genesis_state
from tangle.node import NodeCore
from tangle.snapshot import (
    SnapshotCone,
    Start,
    decode_snapshot,
    encode_snapshot,
    full_snapshot,
    start_of,
)
from tests.simulation.weather import Weather
from tests.simulation.world import World
from tests.tangle.snapshotting import restored

LOST_AT_MS = 9_000
JOINS_AT_MS = 12_000


class JoiningWorld(World):
    """A world in which one node loses its disk, and joins with another one's snapshot."""

    def __init__(self, seed: int, weather: Weather) -> None:
        super().__init__(seed, nodes=8, issue_ms=20_000, weather=weather)
        self.joiner = self.nodes[5]
        self.start: Start | None = None
        self.at(LOST_AT_MS, self._lose_disk)
        self.at(JOINS_AT_MS, self._join)

    def _lose_disk(self) -> None:
        self.joiner.lose_disk(genesis_state(self.genesis))

    def _join(self) -> None:
        donor = self.nodes[3]
        depth = self.genesis.parameters.reference_depth
        cones = [
            SnapshotCone(
                donor.stored[one.milestone_id].data, tuple(tx_id for tx_id, _ in one.outcomes)
            )
            for one in donor.milestones[-depth:]
        ]
        taken = full_snapshot(donor.core.rules.network, donor.rows, cones)
        self.start = start_of(decode_snapshot(encode_snapshot(taken)), self.genesis)
        kept = restored(self.start)
        node = self.joiner
        node.core = NodeCore(self.genesis, node.core.rules.contracts, kept)
        node.rows = dict(kept.rows)
        node.stored = {one.tx_id: one for one in kept.recent}
        node.head = kept.index, kept.milestone_id, kept.timestamp_ms
        node.is_up = True
        self.watch.begin(node.number, kept.milestone_id)

    @override
    def is_settled(self) -> bool:
        """Say of the joiner only what it can know: what was referenced after its snapshot."""
        if self.start is None:
            return False
        others = [node for node in self.nodes if node is not self.joiner]
        indexes = {node.head[0] for node in self.nodes}
        return (
            max(indexes) - min(indexes) <= 1
            and not any(node.core.waiting_count for node in self.nodes)
            and all(self._has_all(node, 0) for node in others)
            and self._has_all(self.joiner, self.start.index)
        )


@pytest.mark.parametrize("seed", range(6))
def test_a_node_that_starts_from_a_snapshot_ends_like_all_others(seed: int) -> None:
    world = JoiningWorld(seed, replace(Weather(), crashes=0, partition_ms=(13_000, 16_000)))

    world.run()

    said = f"seed {seed}: {world.said()}"
    assert world.start is not None
    assert world.start.index >= 3, said
    assert not any(node.halted for node in world.nodes), said
    after = {one.index: one for one in world.joiner.milestones}
    reference = {one.index: one for one in world.nodes[0].milestones}
    common = sorted(set(after) & set(reference))
    assert common[0] == world.start.index + 1, said
    assert len(common) >= 3, said
    for index in common:
        assert after[index] == reference[index], said
