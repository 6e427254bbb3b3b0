"""A node that restarts from its journal, at any milestone, goes on as if it had not."""

from pathlib import Path
from random import Random

import pytest

from edge.journal.journal import Journal
from edge.node.executor import Executor
from tangle.node import NodeCore
from tangle.verification import Verified
from tests.community import CONTRACTS
from tests.edge.node.test_executor import FakeGossip
from tests.tangle.cores import ALICE, EDGE, GENESIS, MAKE, at, milestone

MILESTONES = 44
"""More than twice what a node looks back."""


def history(rng: Random) -> list[Verified]:
    """Return transactions upon old and new ones, and milestones over some of the tips."""
    core, made = NodeCore(GENESIS, CONTRACTS), list[Verified]()
    for index in range(1, MILESTONES + 1):
        for _ in range(2):
            known = [one.tx_id for one in core.graph.vertices()]
            parents = rng.sample(known if rng.random() < 0.5 else known[-6:], 2)
            made.append(MAKE.transaction(EDGE, len(made), (parents[0], parents[1])))
            core.receive(ALICE, made[-1].data, at(index))
        deepest = core.confirmed_index - GENESIS.parameters.max_depth
        tips = [tip for tip in core.graph.tips if core.graph[tip].oldest_root_index >= deepest]
        fresh = [core.graph.milestone_id(core.confirmed_index - 1) or made[0].tx_id]
        chosen = rng.sample(sorted(tips), min(2, len(tips))) or fresh
        made.append(milestone(core, chosen, index))
        core.submit(made[-1].data, at(index))
    return made


@pytest.mark.parametrize("seed", range(2))
def test_a_node_that_restarts_at_any_milestone_goes_on_as_if_it_had_not(
    tmp_path: Path, seed: int
) -> None:
    rng = Random(seed)
    lasting = NodeCore(GENESIS, CONTRACTS)
    with Journal(tmp_path, lasting.rules.network) as journal:
        core = NodeCore(GENESIS, CONTRACTS, journal.restore(GENESIS, 20))
        for one in history(rng):
            executor = Executor(core, journal, FakeGossip(journal), rng)
            for each in (core, lasting):
                effects = each.receive(ALICE, one.data, at(one.transaction.sequence))
                if each is core:
                    executor.carry_out(effects, at(0))
            if one.milestone is None:
                continue
            assert core.halted is None
            assert core.confirmed_id == lasting.confirmed_id == one.tx_id
            core = NodeCore(GENESIS, CONTRACTS, journal.restore(GENESIS, 20))
            assert core.state_root == lasting.state_root
            assert core.graph.tips == lasting.graph.tips
            for tip in core.graph.tips:
                assert core.state(tip) is lasting.state(tip)
                assert core.graph[tip].oldest_root_index == lasting.graph[tip].oldest_root_index
                assert core.graph[tip].youngest_root_index == lasting.graph[tip].youngest_root_index
        assert core.confirmed_index == MILESTONES
