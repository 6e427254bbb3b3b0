"""Spam at ten times the honest rate, of which the nodes can serve two fifths: others go on.

The spammer's node is its accomplice: its own door is open. Whoever uses that node builds upon spam
that the others do not have yet, and waits with it.
"""

from dataclasses import replace
from functools import partial
from typing import Final

import pytest
from typing_extensions import override

from edge.node.admission import Admission
from tangle.effects import PeerId
from tangle.keys import SigningKey
from tangle.node import NodeCore
from tangle.transaction import Data, TransactionId
from tangle.verification import Verified, parse
from tests.community import edge_key
from tests.simulation.nodes import Frame, SimulatedNode
from tests.simulation.test_network import verify_outcome
from tests.simulation.weather import Weather
from tests.simulation.world import World

NODES: Final = 6
SPAMMER: Final = NODES - 1
TURN_MS: Final = 100
BUDGET_BYTES: Final = 384
"""Some 20 transactions a second, for each node."""

SPAM_MS: Final = 22
"""45 a second, beside fewer than four honest ones."""

CALM: Final = Weather(crashes=0, hesitation=0.0, partition_ms=(0, 0), lies=0.0)


class SlowWorld(World):
    """Nodes whose arrivals wait in the fair queue for turns of little time."""

    def __init__(self, seed: int, *, is_flooded: bool) -> None:
        self.fronts: dict[int, tuple[NodeCore, Admission]] = {}
        self.born: dict[TransactionId, int] = {}
        super().__init__(seed, nodes=NODES, issue_ms=24_000, weather=CALM)
        for node in self.nodes:
            self.at(node.number, partial(self._turn, node))
        if is_flooded:
            self.at(3_000, self._spam)

    def delays(self) -> list[int]:
        """Return for each honest transaction how many milestones it took, 1 for the next one."""
        referenced = {
            tx_id: one.index for one in self.nodes[0].milestones for tx_id, _ in one.outcomes
        }
        return [referenced[tx_id] - index for tx_id, index in self.born.items()]

    @override
    def _deliver(self, node: SimulatedNode, frame: Frame) -> None:
        peer, front = PeerId(frame.sender.to_bytes(32, "big")), self._front(node)
        for data in frame.transactions:
            front.offer(peer, parse(data))
        rest = replace(frame, transactions=())
        super()._deliver(node, rest)

    @override
    def _request(
        self, node: SimulatedNode, tx_ids: tuple[TransactionId, ...], peer: PeerId | None
    ) -> None:
        front = self._front(node)
        absent = [one for one in tx_ids if one not in node.core.graph and not front.hasten(one)]
        super()._request(node, tuple(absent), peer)

    @override
    def _acknowledged(self, node: SimulatedNode, key: SigningKey, tx: Verified) -> None:
        super()._acknowledged(node, key, tx)
        is_own_affair = node.number == 0 and isinstance(tx.transaction.payload, Data)
        if node.number != SPAMMER and not is_own_affair:
            self.born[tx.tx_id] = self.nodes[0].core.confirmed_index

    def _front(self, node: SimulatedNode) -> Admission:
        core, front = self.fronts.get(node.number, (None, None))
        if front is None or core is not node.core:
            front = Admission(node.core)
            self.fronts[node.number] = node.core, front
        return front

    def _turn(self, node: SimulatedNode) -> None:
        self.at(TURN_MS, partial(self._turn, node))
        for queued in self._front(node).turn(BUDGET_BYTES):
            effects = node.core.receive(queued.peer, queued.data, self._instant(node))
            self._carry_out(node, effects)

    def _spam(self) -> None:
        if self.now_ms <= self.issue_ms:
            self.at(SPAM_MS, self._spam)
            spammer: SigningKey = edge_key(SPAMMER)
            self._issue(self.nodes[SPAMMER], spammer, Data("spam", b""))


@pytest.mark.parametrize("seed", range(3))
def test_spam_at_ten_times_the_honest_rate_delays_others_by_one_milestone(seed: int) -> None:
    calm, flooded = SlowWorld(seed, is_flooded=False), SlowWorld(seed, is_flooded=True)

    calm.run()
    flooded.run()

    verify_outcome(flooded)
    spam = len(flooded.issued) - len(flooded.born)
    assert spam >= 10 * len(flooded.born)
    assert max(flooded.delays()) <= max(calm.delays()) + 1
