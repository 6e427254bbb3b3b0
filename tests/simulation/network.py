"""Simulated nodes, their disks, and the network between them; nobody leads and nobody issues yet.

Nothing here reads a clock or real dice: see `Timeline`.
"""

from collections import deque
from collections.abc import Callable
from functools import cache, partial
from typing import Final

from edge.node.catch_up import CatchUp
from tangle.address import address_of
from tangle.effects import (
    Attached,
    Confirmed,
    Dropped,
    Effect,
    Expired,
    Halted,
    Instant,
    Misbehaved,
    PeerId,
    Requested,
)
from tangle.genesis import Genesis, Parameters, entry_points
from tangle.ledger import genesis_state
from tangle.node import NodeCore
from tangle.outcomes import State
from tangle.restored import Restored, StoredVertex
from tangle.transaction import TransactionId
from tests.community import COINS_UEUR, CONTRACTS, START_MS, community, forged, member_key
from tests.simulation.invariants import Rule, Watch
from tests.simulation.nodes import Beat, Frame, SimulatedNode, Unwritten
from tests.simulation.timeline import Timeline
from tests.simulation.weather import Weather

HEARTBEAT_MS: Final = 1_000
INTERVAL_MS: Final = 2_000
MAX_HEARTBEAT_TIPS: Final = 64
MEMBERS: Final = 6
VILLAINS: Final = 4
"""Members too, after the others, of whom nothing good is heard."""

LIAR: Final = PeerId(b"l" * 32)
"""Sends what it likes and answers nothing."""

CoreOf = Callable[[int, Genesis, Restored | None], NodeCore]


def nothing() -> None:
    """Nobody waits for it."""


class Network(Timeline):
    """Nodes that hear each other, more or less."""

    def __init__(
        self,
        seed: int,
        nodes: int = 20,
        issue_ms: int = 16_000,
        weather: Weather | None = None,
        core_of: CoreOf | None = None,
        interval_ms: int = INTERVAL_MS,
    ) -> None:
        super().__init__(seed)
        self.name = f"seed {seed}"
        self.weather = Weather() if weather is None else weather
        self.interval_ms = interval_ms
        self.genesis = self.found(nodes)
        self.issue_ms = issue_ms
        """Until when honest people issue, and the weather lasts."""
        self.dead_links: set[tuple[int, int]] = set()
        """From whom nothing arrives at whom."""
        self._history_ms: dict[tuple[int, int], int] = {}
        """When the last frame of history arrives over a link."""
        self.waiting_limit: int | None = None
        """Of the waiting room, where it is smaller than usual."""
        members = [address_of(member_key(each).public) for each in range(MEMBERS + VILLAINS)]
        self.watch = Watch(self.said, members, COINS_UEUR)
        self._core_of = core_of or (lambda _, genesis, kept: NodeCore(genesis, CONTRACTS, kept))
        self.nodes = [self._new_node(number, nodes) for number in range(nodes)]
        for node in self.nodes:
            # Who is heard must be able to answer: links go both ways.
            for other in node.neighbours:
                mutual = {*self.nodes[other].neighbours, node.number}
                self.nodes[other].neighbours = tuple(sorted(mutual))

    def found(self, nodes: int) -> Genesis:
        """Return the genesis of a world of so many nodes."""
        return community(nodes, MEMBERS + VILLAINS, self.parameters())

    def parameters(self) -> Parameters:
        """Return the parameters of the network."""
        return Parameters(work_per_byte=0, milestone_interval_ms=self.interval_ms)

    def said(self) -> str:
        """Return where every node stands, for a failure's message."""
        return f"{self.name} at {self.now_ms} ms: " + ", ".join(
            f"{node.number}@{node.core.confirmed_index}"
            f"+{node.core.graph.unreferenced_count}w{node.core.waiting_count}"
            + ("!" if node.core.halted else "")
            for node in self.nodes
        )

    def _new_node(self, number: int, nodes: int) -> SimulatedNode:
        others = [(number + 1) % nodes, *self.rng.sample(range(nodes), 3)]
        first = genesis_state(self.genesis)
        node = SimulatedNode(
            number,
            self._new_core(number, None),
            tuple(sorted({other for other in others if other != number})),
            self.rng.randint(-2_000, 2_000),
            (0, entry_points(self.genesis)[0], first.timestamp_ms),
        )
        node.rows = dict(first.rows)
        self.watch.begin(number, node.head[1])
        return node

    def _new_core(self, number: int, kept: Restored | None) -> NodeCore:
        core = self._core_of(number, self.genesis, kept)
        if self.waiting_limit is not None:
            core._waiting._limit = self.waiting_limit
        return core

    def limit_waiting(self, limit: int) -> None:
        """Make all waiting rooms small, so that a flood fills them."""
        self.waiting_limit = limit
        for node in self.nodes:
            node.core._waiting._limit = limit

    # What happens to nodes.

    def _schedule(self) -> None:
        for node in self.nodes:
            self.at(self.rng.randint(0, HEARTBEAT_MS), partial(self._beat, node))
        start, end = self.weather.partition_ms
        if start < end:
            self.at(start, self.split)
            self.at(end, self.heal)
        for _ in range(self.weather.crashes):
            self.at(self.rng.randint(2_000, self.issue_ms - 3_000), self.crash)

    def split(self) -> None:
        """Cut a third of the nodes off."""
        for node in self.rng.sample(self.nodes, len(self.nodes) // 3):
            node.group = 1

    def heal(self) -> None:
        """Bring all that was cut off back."""
        for node in self.nodes:
            node.group = 0

    def crash(self) -> None:
        """Kill any node for a while."""
        self.stop(self.rng.choice(self.nodes), self.rng.randint(200, 3_000))

    def stop(self, node: SimulatedNode, for_ms: int) -> None:
        """Kill a node, to be started again `for_ms` from now. What is not durable is lost."""
        if node.is_up:
            node.is_up = False
            node.life += 1
            node.unwritten = node.gathering = None
            node.deferred.clear()
            node.alone.clear()
            self.at(for_ms, partial(self._start, node))

    def _start(self, node: SimulatedNode) -> None:
        """Start a node anew from what it had journalled."""
        if node.is_up:
            return
        kept = node.kept(self.genesis.parameters.reference_depth)
        node.core = self._new_core(node.number, kept)
        root = node.roots.get(node.head[0])
        is_same = root is None or node.core.state_root == root
        self.watch.verify(is_same, Rule.DURABLE, f"node {node.number}: a restart changed rows")
        node.catch_up = CatchUp()
        node.is_up = True

    def when_free(self, node: SimulatedNode, what: Callable[[], None]) -> None:
        """Let `what` happen at a node that runs, as soon as its disk is not busy."""
        if node.is_busy:
            node.deferred.append(what)
        elif node.is_up:
            what()

    def when_durable(self, node: SimulatedNode, what: Callable[[], None]) -> None:
        """Let `what` happen at a node that runs, as soon as all that its core knows is durable."""
        if node.is_busy or node.gathering is not None:
            node.alone.append(what)
        elif node.is_up:
            what()

    # The network.

    def _beat(self, node: SimulatedNode) -> None:
        self.at(HEARTBEAT_MS, partial(self._beat, node))
        self.when_free(node, partial(self._speak, node))

    def _speak(self, node: SimulatedNode) -> None:
        core = node.core
        useful = [one for one in sorted(core.graph.tips) if core.state(one) is State.TIP]
        self.rng.shuffle(useful)
        tips = (*sorted(core.evidence), *useful)[:MAX_HEARTBEAT_TIPS]
        oldest = node.milestones[0].index if node.milestones else node.head[0] + 1
        said = Beat(core.confirmed_index, core.confirmed_id, tips, oldest)
        for other in node.neighbours:
            self._send(node, other, Frame(node.number, heartbeat=said))
        self._carry_out(node, core.tick(self._instant(node)))
        self._catch_up(node)

    def _catch_up(self, node: SimulatedNode) -> None:
        """Ask for cones while the node is far behind, and tell the core that they come."""
        core, now_ms = node.core, self._instant(node).wall_ms
        connected = [_peer(number) for number in node.neighbours]
        self.rng.shuffle(connected)
        wanted = node.catch_up.plan(core.confirmed_index, core.latest_index, connected, now_ms)
        core.is_catching_up = node.catch_up.is_under_way and core.halted is None
        for one in wanted if core.is_catching_up else ():
            to = _number_of(one.peer)
            assert to is not None
            self._send(node, to, Frame(node.number, cone=one.index, is_history=True))

    def _instant(self, node: SimulatedNode) -> Instant:
        now_ms = START_MS + self.now_ms + node.skew_ms
        return Instant(now_ms, now_ms)

    def reaches(self, sender: SimulatedNode, to: SimulatedNode) -> bool:
        """Return whether a frame arrives now."""
        link = sender.number, to.number
        return to.is_up and sender.group == to.group and link not in self.dead_links

    def _send(self, node: SimulatedNode, to: int, frame: Frame) -> None:
        for _ in range(2 if self.rng.random() < self.weather.duplication else 1):
            if self.now_ms < self.issue_ms and self.rng.random() < self.weather.loss:
                continue
            delay_ms = self.rng.randint(5, self.weather.max_delay_ms)
            if frame.is_history:  # on one link, and useless out of order
                delay_ms = max(delay_ms, self._history_ms.get((node.number, to), 0) - self.now_ms)
                self._history_ms[node.number, to] = self.now_ms + delay_ms
            self.at(delay_ms, partial(self._arrive, node, self.nodes[to], frame))

    def _arrive(self, sender: SimulatedNode, node: SimulatedNode, frame: Frame) -> None:
        if self.reaches(sender, node):
            self.when_free(node, partial(self._deliver, node, frame))

    def _deliver(self, node: SimulatedNode, frame: Frame) -> None:
        peer, now = _peer(frame.sender), self._instant(node)
        node.catch_up.received(peer, sum(map(len, frame.transactions)), now.wall_ms)
        for data in frame.transactions:
            if self.rng.random() < self.weather.lies:
                self.tell(node, forged(data))
            self.when_free(node, partial(self._receive, node, peer, data))
        if frame.heartbeat is not None:
            said = frame.heartbeat
            node.catch_up.heard(peer, said.index, said.oldest_cone)
            effects = node.core.heartbeat(peer, (said.index, said.milestone_id), said.tips, now)
            self._carry_out(node, effects)
        found = self._found(node, frame)
        if found:
            is_history = frame.cone is not None
            answer = Frame(node.number, transactions=found, is_history=is_history)
            self._send(node, frame.sender, answer)
        if frame.transactions and node.catch_up.is_under_way:
            self.when_free(node, partial(self._catch_up, node))

    def _found(self, node: SimulatedNode, frame: Frame) -> tuple[bytes, ...]:
        """Return what a node has of what it is asked for."""
        wanted = list(frame.request)
        for one in node.milestones:
            if one.index == frame.cone:
                wanted += [*(tx_id for tx_id, _ in one.outcomes), one.milestone_id]
        known = [node.stored.get(one) for one in wanted]
        shown = [node.core.evidence.get(one) for one in frame.request]
        found = [one.data for one in known if one is not None]
        return (*found, *(data for data in shown if data is not None))

    def _receive(self, node: SimulatedNode, peer: PeerId, data: bytes) -> None:
        self._carry_out(node, node.core.receive(peer, data, self._instant(node)))

    def tell(self, node: SimulatedNode, data: bytes) -> None:
        """Let a stranger send bytes to one node, which may find them bad."""

        def hear() -> None:
            effects = node.core.receive(LIAR, data, self._instant(node))
            self._carry_out(node, [one for one in effects if not isinstance(one, Misbehaved)])

        self.when_free(node, hear)

    def _request(
        self, node: SimulatedNode, tx_ids: tuple[TransactionId, ...], peer: PeerId | None
    ) -> None:
        unknown = []
        for tx_id in tx_ids:
            kept = node.stored.get(tx_id)
            if kept is None:
                unknown.append(tx_id)
            else:
                self.when_free(node, partial(self._recall, node, kept))
        to = _number_of(peer) if peer else self.rng.choice(node.neighbours)
        if unknown and to is not None:
            self._send(node, to, Frame(node.number, request=tuple(unknown)))

    def _recall(self, node: SimulatedNode, kept: StoredVertex) -> None:
        self._carry_out(node, node.core.recall(kept.tx_id, kept.referenced_index))

    # What the core asks for: first the disk, then the others.

    def _carry_out(
        self, node: SimulatedNode, effects: list[Effect], then: Callable[[], None] = nothing
    ) -> None:
        if node.gathering is not None:
            node.gathering.effects.extend(effects)
            node.gathering.then.append(then)
        else:
            self._commit(node, Unwritten(effects, [then]))

    def _commit(self, node: SimulatedNode, done: Unwritten) -> None:
        is_durable = any(isinstance(one, Attached | Confirmed | Halted) for one in done.effects)
        if not is_durable or not node.disk_ms:
            self._perform(node, done)
            return
        assert node.unwritten is None, f"{self.said()}: node {node.number} did two things at once"
        node.unwritten = done
        self.at(self.rng.randint(1, node.disk_ms), partial(self._written, node, node.life))

    def _written(self, node: SimulatedNode, life: int) -> None:
        """The disk is done: others may hear of it, and all that came meanwhile is one commit."""
        done = node.unwritten
        if life != node.life or done is None:
            return
        node.unwritten = None
        self._perform(node, done)
        while node.alone and not node.is_busy:
            node.alone.popleft()()
        if not node.is_busy:
            self._take_turn(node)

    def _take_turn(self, node: SimulatedNode) -> None:
        turn, node.deferred = node.deferred, deque()
        node.gathering = gathered = Unwritten()
        for what in turn:
            what()
        if node.gathering is gathered:  # not killed meanwhile
            node.gathering = None
            self._commit(node, gathered)

    def _perform(self, node: SimulatedNode, done: Unwritten) -> None:
        for effect in done.effects:
            match effect:
                case Attached():
                    self._attach(node, effect)
                case Confirmed():
                    self._confirm(node, effect)
                case Requested(tx_ids, peer):
                    self._request(node, tx_ids, peer)
                case Halted():
                    node.halted.append(effect)
                    self.watch.halted(node.number, effect)
                case Misbehaved(_, error):
                    self.watch.verify(False, Rule.UNBLAMED, f"node {node.number}: {error}")
                case Dropped() | Expired():
                    pass
        for then in done.then:
            then()
        self._performed(node, done)

    def _performed(self, node: SimulatedNode, done: Unwritten) -> None:
        """Something is durable on a node."""

    def _attach(self, node: SimulatedNode, attached: Attached) -> None:
        self.note(node.number, attached.tx_id)
        vertex = StoredVertex(attached.tx_id, attached.data, self.now_ms, None)
        node.stored[attached.tx_id] = vertex
        came_from = None if attached.source is None else _number_of(attached.source)
        for other in node.neighbours:
            if other != came_from:
                self._send(node, other, Frame(node.number, transactions=(attached.data,)))

    def _confirm(self, node: SimulatedNode, confirmed: Confirmed) -> None:
        self.note(node.number, confirmed.milestone_id)
        bodies = {}
        for tx_id, _ in confirmed.outcomes:
            kept = node.stored[tx_id]
            is_new = kept.referenced_index is None
            self.watch.verify(is_new, Rule.REFERENCED_ONCE, f"node {node.number}: {tx_id.hex()}")
            bodies[tx_id] = kept.data
        node.journal(confirmed)
        self.watch.confirmed(node.number, confirmed, node.rows, bodies)


@cache
def _peer(number: int) -> PeerId:
    return PeerId(number.to_bytes(32, "big"))


def _number_of(peer: PeerId) -> int | None:
    return None if peer == LIAR else int.from_bytes(peer, "big")
