"""What goes wrong without anybody's ill will: links, clocks, disks, power.

A scenario is a function that is told of a world before it begins, and arranges for things to
happen in it. All take their choices from the world's generator.
"""

from functools import partial
from typing import Final

from tests.simulation.nodes import SimulatedNode
from tests.simulation.stage import Stage

TOLERATED_MS: Final = 60_000
"""By how much a claim may be ahead of a clock: `max_clock_ahead_ms`."""

LAG_MS: Final = 8_000
"""By how much at most a bad clock exceeds what is tolerated."""


def partitions(world: Stage) -> None:
    """Now and then some nodes, perhaps the coordinator, hear nothing of the rest for a while."""
    start_ms = world.rng.randint(1_000, 4_000)
    while start_ms < world.issue_ms - 2_000:
        end_ms = start_ms + world.rng.randint(1_500, 8_000)
        world.at(start_ms, partial(_cut_off, world))
        world.at(min(end_ms, world.issue_ms), world.heal)
        start_ms = end_ms + world.rng.randint(1_500, 4_000)


def _cut_off(world: Stage) -> None:
    share = world.rng.randint(1, max(1, len(world.nodes) // 2))
    for node in world.rng.sample(world.nodes, share):
        node.group = 1


def one_way_links(world: Stage) -> None:
    """A third of all links carries frames one way only, other ones every few seconds."""
    if world.now_ms >= world.issue_ms:
        world.dead_links.clear()
        return
    links = [(node.number, other) for node in world.nodes for other in node.neighbours]
    one_way = world.rng.sample(links, len(links) // 6)  # each of two directions counts for itself
    world.dead_links = {(one, other) for one, other in one_way if (other, one) not in one_way}
    world.at(world.rng.randint(2_000, 5_000), partial(one_way_links, world))


def skewed_clocks(world: Stage) -> None:
    """All clocks are wrong, any two of them by less than what is tolerated."""
    for node in world.nodes:
        node.skew_ms = world.rng.randint(-TOLERATED_MS // 2 + 100, TOLERATED_MS // 2 - 100)


def slow_clock(world: Stage) -> None:
    """One node is so late that all others seem to be ahead, until somebody sets its clock."""
    node = _ordinary(world)
    node.skew_ms = -TOLERATED_MS - world.rng.randint(1_000, LAG_MS)
    world.at(world.rng.randint(world.issue_ms // 2, world.issue_ms), partial(_set_clock, node))


def _set_clock(node: SimulatedNode) -> None:
    node.skew_ms = 0


def fast_clock(world: Stage) -> None:
    """One node is so early that nobody takes in at once what it issues."""
    _ordinary(world).skew_ms = TOLERATED_MS + world.rng.randint(1_000, LAG_MS)


def slow_disks(world: Stage) -> None:
    """Half of the disks, perhaps the coordinator's, take long for a commit; some die in it."""
    for node in world.rng.sample(world.nodes, len(world.nodes) // 2):
        node.disk_ms = world.rng.choice((20, 100, world.interval_ms // 3))
    for _ in range(2):
        world.at(world.rng.randint(2_000, world.issue_ms - 2_000), partial(_fail_busy, world))


def _fail_busy(world: Stage) -> None:
    """Kill a node whose disk is busy, should there be one: what it was writing is lost."""
    busy = [node for node in world.nodes if node.unwritten is not None]
    if busy:
        world.stop(world.rng.choice(busy), world.rng.randint(200, 2_000))


def crashes(world: Stage) -> None:
    """Every few seconds a node is killed and started again."""
    for start_ms in range(2_000, world.issue_ms - 2_000, 3_000):
        world.at(start_ms + world.rng.randint(0, 2_000), world.crash)


def _ordinary(world: Stage) -> SimulatedNode:
    """Return a node that is neither the coordinator nor the first of the co-signers."""
    return world.rng.choice(world.nodes[max(1, len(world.nodes) // 2) :])
