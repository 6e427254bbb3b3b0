"""The stage of a simulated world: a network, a coordinator, and doors; no people yet."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from typing_extensions import override

from coordinator.issuer import Checkpoints, Issue, Issuer
from coordinator.lock import Lock, first_lock
from edge.node.promotion import LABEL as PROMOTION_LABEL
from tangle.effects import Attached, Confirmed
from tangle.errors import UnavailableError
from tangle.keys import SigningKey
from tangle.transaction import Data, Payload, TransactionId
from tangle.verification import Verified
from tests.community import COORDINATOR, START_MS, Maker, edge_key
from tests.simulation.invariants import MAX_MILESTONES, Rule
from tests.simulation.network import INTERVAL_MS, CoreOf, Network, nothing
from tests.simulation.nodes import SimulatedNode, Unwritten
from tests.simulation.weather import Weather
from tip_selection.uniform import select_uniform
from tip_selection.view import View
from tip_selection.weighted_walk import select_weighted_walk

MAX_CHECKPOINTS: Final = 40
"""For which a coordinator has time before each milestone, where the work for one takes 25 ms."""


class Stage(Network):
    """A network with a coordinator, which is node 0."""

    def __init__(
        self,
        seed: int,
        nodes: int = 20,
        issue_ms: int = 16_000,
        weather: Weather | None = None,
        core_of: CoreOf | None = None,
        interval_ms: int = INTERVAL_MS,
    ) -> None:
        super().__init__(seed, nodes, issue_ms, weather, core_of, interval_ms)
        self.make = Maker(self.genesis)
        self.issued: dict[TransactionId, Payload] = {}
        """What honest people were told is durable."""
        self.acts: dict[TransactionId, tuple[bytes, int]] = {}
        """Issuer and sequence number of what was issued: one act, however many copies."""
        self.promotions = 0
        self.leader_finalises: Callable[[Issue], None] = self._finalise
        self._sequences: Counter[bytes] = Counter()
        self.lock: Lock = first_lock(self.genesis)
        self.issuer = Issuer(self.nodes[0].core, (COORDINATOR,), self.lock)
        self._schedule()

    def run(self, limit_ms: int = 120_000) -> None:
        """Play on until every node has confirmed all that can be, or fail."""
        self.run_until(self.issue_ms)
        self.dead_links.clear()
        for node in self.nodes:
            node.group = 0
            self._start(node)
        while self.now_ms < limit_ms:
            self.run_until(self.now_ms + self.interval_ms)
            if self.is_settled():
                return
        self.watch.verify(False, Rule.SETTLED, f"not after {limit_ms} ms")

    def is_settled(self) -> bool:
        """Return whether all nodes have the same, and all that honest people issued."""
        indexes = {node.head[0] for node in self.nodes}
        is_equal = max(indexes) - min(indexes) <= 1 and not any(
            len(node.core.waiting) or node.halted for node in self.nodes
        )
        return is_equal and all(self._has_all(node) for node in self.nodes)

    def _has_all(self, node: SimulatedNode, since: int = 0) -> bool:
        """Return whether every act that was referenced after `since` is so on `node`."""
        known = self.nodes[0].stored
        missing: set[tuple[bytes, int]] = set()
        done: set[tuple[bytes, int]] = set()
        for tx_id in self.issued:
            first = known[tx_id].referenced_index if tx_id in known else None
            kept = node.stored.get(tx_id)
            is_here = kept is not None and kept.referenced_index is not None
            is_done = is_here or (first is not None and first <= since)
            (done if is_done else missing).add(self.acts[tx_id])
        return missing <= done

    @override
    def _schedule(self) -> None:
        super()._schedule()
        self.at(100, self._coordinate)

    @override
    def _start(self, node: SimulatedNode) -> None:
        was_up = node.is_up
        super()._start(node)
        if node.number == 0 and not was_up:
            self.issuer = Issuer(node.core, (COORDINATOR,), self.lock)

    @override
    def _speak(self, node: SimulatedNode) -> None:
        super()._speak(node)
        self._promote(node)

    # The coordinator.

    def _coordinate(self) -> None:
        self.at(self.interval_ms // 4, self._coordinate)
        step = partial(self._coordinate_again, MAX_CHECKPOINTS)
        self.when_durable(self.nodes[0], step)

    def _coordinate_again(self, checkpoints_left: int) -> None:
        node = self.nodes[0]
        now, may_merge = self._instant(node), checkpoints_left > 0
        step = self.issuer.step(now, self._view(node), self.rng, may_merge=may_merge)
        match step:
            case Checkpoints(pairs):
                self._merge(node, pairs[:checkpoints_left])
                again = partial(self._coordinate_again, checkpoints_left - len(pairs))
                self.at(1, partial(self.when_durable, node, again))
            case Issue():
                self.leader_finalises(step)
            case _:
                self._propose(step)

    def _merge(
        self, node: SimulatedNode, pairs: Sequence[tuple[TransactionId, TransactionId]]
    ) -> None:
        """Issue checkpoints, all in one commit."""
        node.gathering = gathered = Unwritten()
        for pair in pairs:
            self._issue(node, COORDINATOR, Data("checkpoint", b""), pair)
        node.gathering = None
        self._commit(node, gathered)

    def _propose(self, step: object) -> None:
        """Do what a coordinator does that is not alone."""

    def _finalise(self, step: Issue) -> None:
        node = self.nodes[0]
        self.lock = step.lock  # on disk before anyone hears of it
        if not self._hesitates(node):
            self._carry_out(node, node.core.submit(step.data, self._instant(node)))

    def _hesitates(self, node: SimulatedNode) -> bool:
        """Kill a node now and then, after it wrote its lock and before it sent."""
        if self.now_ms >= self.issue_ms or self.rng.random() >= self.weather.hesitation:
            return False
        self.stop(node, self.rng.randint(200, 3_000))
        return True

    # Issuing.

    def _promote(self, node: SimulatedNode) -> None:
        """Promote one transaction that entered here, if that is due."""
        core, now_ms = node.core, START_MS + self.now_ms
        if node.is_busy:
            return
        tx_id = node.promoter.due(core.graph, core.confirmed_index, now_ms)
        if tx_id is None:
            return
        node.promoter.promoted(tx_id, core.confirmed_index, now_ms)
        tips = [one for one in self._parents(node) if one != tx_id]
        key = COORDINATOR if node.number == 0 else edge_key(node.number)
        self.promotions += self._issue(node, key, Data(PROMOTION_LABEL, b""), (tx_id, tips[0]))

    def _issue(
        self,
        node: SimulatedNode,
        key: SigningKey,
        payload: Payload,
        parents: tuple[TransactionId, ...] | None = None,
        then: Callable[[], None] = nothing,
    ) -> bool:
        """Issue at a node that runs and is not busy; `then` is called when it is durable."""
        if not node.is_up or node.is_busy:
            return False
        over = self._parents(node) if parents is None else parents
        sequence, issued_at_ms = self._sequences[key.public], self._instant(node).wall_ms
        tx = self.make.transaction(key, sequence, over, payload, issued_at_ms)
        is_taken = self._submit(node, key, tx, then)
        self._sequences[key.public] += is_taken
        return is_taken

    def _submit(
        self,
        node: SimulatedNode,
        key: SigningKey,
        tx: Verified,
        then: Callable[[], None] = nothing,
    ) -> bool:
        """Hand a transaction to a node's door: it is told when it is durable, or refused."""
        try:
            effects = node.core.submit(tx.data, self._instant(node))
        except UnavailableError:
            return False

        def acknowledged() -> None:
            self._acknowledged(node, key, tx)
            then()

        self._carry_out(node, effects, acknowledged)
        return True

    def _is_act(self, tx_id: TransactionId) -> bool:
        """Return whether honest people wait for it: checkpoints and promotions carry nothing."""
        payload = self.issued.get(tx_id)
        return payload is not None and not (isinstance(payload, Data) and not payload.data)

    def _acknowledged(self, node: SimulatedNode, key: SigningKey, tx: Verified) -> None:
        """Somebody with `key` was told that a transaction is durable on a node."""
        assert key.public == tx.transaction.issuer, f"{self.said()}: another's transaction"
        payload = tx.transaction.payload
        self.issued[tx.tx_id] = payload
        self.acts[tx.tx_id] = (tx.transaction.issuer, tx.transaction.sequence)
        if self._is_act(tx.tx_id):
            node.promoter.watch(tx.tx_id, node.core.confirmed_index)

    def forgot(self, node: SimulatedNode) -> None:
        """A node begins anew without its journal: people offer it again what it took in."""

    def _parents(self, node: SimulatedNode) -> tuple[TransactionId, ...]:
        select = self.rng.choice((select_weighted_walk, select_uniform))
        return select(self._view(node), self.rng, 2).parents

    def _view(self, node: SimulatedNode) -> View:
        core = node.core
        return View(core.graph, core.weights, core.confirmed_index, core.parameters)

    # What is durable.

    @override
    def _confirm(self, node: SimulatedNode, confirmed: Confirmed) -> None:
        super()._confirm(node, confirmed)
        node.promoter.forget(tx_id for tx_id, _ in confirmed.outcomes)
        if node.number == 0:
            self.watch.led(confirmed)

    @override
    def _performed(self, node: SimulatedNode, done: Unwritten) -> None:
        """Note since when the coordinator has what honest people issued."""
        if node.number:
            return
        deepest = node.head[0] - self.genesis.parameters.max_depth + MAX_MILESTONES
        for effect in done.effects:
            if not isinstance(effect, Attached) or not self._is_act(effect.tx_id):
                continue
            vertex = node.core.graph.get(effect.tx_id)
            is_pending = vertex is not None and vertex.referenced_index is None
            if vertex is not None and is_pending and vertex.oldest_root_index >= deepest:
                self.watch.awaits(effect.tx_id, node.head[0])
