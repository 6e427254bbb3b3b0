"""A seeded world: many cores, a coordinator, meters and wallets, on a network that misbehaves.

Nothing here reads a clock or real dice: time is an integer that jumps from event to event, and
every choice comes from one generator, so a seed replays a run exactly.
"""

import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from random import Random
from typing import Final

from access.device import Claim, claim_registration, register_operation
from coordinator.issuer import Checkpoints, Issue, Issuer
from coordinator.lock import Lock, first_lock
from tangle.accounts import NO_ADDRESS, Token, balance, identity
from tangle.address import Address, address_of
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
from tangle.errors import UnavailableError
from tangle.genesis import Genesis, genesis_hash
from tangle.keys import SigningKey
from tangle.node import NodeCore
from tangle.outcomes import Applied
from tangle.restored import Restored, StoredVertex
from tangle.transaction import Data, Payload, ReadingBatch, TransactionId
from tangle.verification import parse
from tests.community import (
    COINS_UEUR,
    CONTRACTS,
    COORDINATOR,
    START_MS,
    VOTER,
    Maker,
    community,
    edge_key,
    forged,
    member_key,
    meter_key,
)
from tip_selection.uniform import select_uniform
from tip_selection.view import View
from tip_selection.weighted_walk import select_weighted_walk

HEARTBEAT_MS: Final = 1_000
INTERVAL_MS: Final = 2_000
MAX_HEARTBEAT_TIPS: Final = 64
MEMBERS: Final = 6


@dataclass(frozen=True, slots=True)
class Weather:
    """How the network misbehaves while it does."""

    loss: float = 0.05
    duplication: float = 0.05
    max_delay_ms: int = 400
    """Frames take 5 ms to this long, so they overtake each other."""

    partition_ms: tuple[int, int] = (6_000, 14_000)
    """From when to when a part of the nodes hears nothing of the rest."""

    crashes: int = 2
    lies: float = 0.03
    """How often a stranger sends a transaction first, under a witness of its own."""

    hesitation: float = 0.1
    """How often the coordinator is killed after it wrote its lock and before it sent."""


LIAR: Final = PeerId(b"l" * 32)
"""Sends what it likes and answers nothing."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What travels between two nodes."""

    sender: int
    transactions: tuple[bytes, ...] = ()
    request: tuple[TransactionId, ...] = ()
    heartbeat: tuple[int, TransactionId, tuple[TransactionId, ...]] | None = None


@dataclass
class SimulatedNode:
    """A core, and a journal that survives its crashes."""

    number: int
    core: NodeCore
    neighbours: tuple[int, ...]
    skew_ms: int
    group: int = 0
    is_up: bool = True
    stored: dict[TransactionId, StoredVertex] = field(default_factory=dict)
    rows: dict[bytes, bytes] = field(default_factory=dict)
    roots: dict[int, bytes] = field(default_factory=dict)
    applied: Counter[TransactionId] = field(default_factory=Counter)
    milestones: list[Confirmed] = field(default_factory=list)
    halted: list[Halted] = field(default_factory=list)


class World:
    """Everything there is; `run` plays it to its end."""

    def __init__(
        self,
        seed: int,
        nodes: int = 20,
        issue_ms: int = 16_000,
        weather: Weather | None = None,
        core_of: Callable[[int, Genesis, Restored | None], NodeCore] | None = None,
    ) -> None:
        self.seed = seed
        self.rng = Random(seed)
        self.weather = Weather() if weather is None else weather
        self.genesis = self.found(nodes)
        self.make = Maker(self.genesis)
        self.issue_ms = issue_ms
        self.now_ms = 0
        self.issued: dict[TransactionId, Payload] = {}
        self.acts: dict[TransactionId, tuple[bytes, int]] = {}
        """Issuer and sequence number of what was issued: one act, however many copies."""
        self.committed: Counter[int] = Counter()
        """Readings that each edge node has committed to, by number of the node."""
        self._core_of = core_of or (lambda _, genesis, kept: NodeCore(genesis, CONTRACTS, kept))
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._ties = count()
        self._sequences: Counter[bytes] = Counter()
        self.nodes = [self._new_node(number, nodes) for number in range(nodes)]
        self.lock: Lock = first_lock(self.genesis)
        self.issuer = Issuer(self.nodes[0].core, (COORDINATOR,), self.lock)
        self._schedule()

    def found(self, nodes: int) -> Genesis:
        """Return the genesis of a world of so many nodes."""
        return community(edges=nodes, members=MEMBERS)

    # Time.

    def at(self, delay_ms: int, what: Callable[[], None]) -> None:
        """Let `what` happen `delay_ms` from now."""
        heapq.heappush(self._events, (self.now_ms + delay_ms, next(self._ties), what))

    def run_until(self, end_ms: int) -> None:
        """Play everything up to `end_ms`."""
        while self._events and self._events[0][0] <= end_ms:
            self.now_ms, _, what = heapq.heappop(self._events)
            what()
        self.now_ms = end_ms

    def run(self, limit_ms: int = 120_000) -> None:
        """Play on until every node has confirmed all that can be, or fail."""
        self.run_until(self.issue_ms)
        for node in self.nodes:
            node.group = 0
            if not node.is_up:
                self._start(node)
        while self.now_ms < limit_ms:
            self.run_until(self.now_ms + INTERVAL_MS)
            if self._is_settled():
                return
        raise AssertionError(f"seed {self.seed}: not settled after {limit_ms} ms: {self.said()}")

    def said(self) -> str:
        """Return where every node stands, for a failure's message."""
        return ", ".join(
            f"{node.number}@{node.core.confirmed_index}"
            f"+{node.core.graph.unreferenced_count}w{node.core.waiting_count}"
            + ("!" if node.halted else "")
            for node in self.nodes
        )

    def _is_settled(self) -> bool:
        indexes = {node.core.confirmed_index for node in self.nodes}
        is_equal = max(indexes) - min(indexes) <= 1 and not any(
            node.core.waiting_count for node in self.nodes
        )
        return is_equal and all(
            tx_id in node.stored and node.stored[tx_id].referenced_index is not None
            for node in self.nodes
            for tx_id in self.issued
        )

    # Set-up.

    def _new_node(self, number: int, nodes: int) -> SimulatedNode:
        core = self._core_of(number, self.genesis, None)
        others = [(number + 1) % nodes, *self.rng.sample(range(nodes), 3)]
        node = SimulatedNode(
            number,
            core,
            tuple(sorted({other for other in others if other != number})),
            self.rng.randint(-2_000, 2_000),
        )
        node.rows = dict(core.scan(b""))
        return node

    def _schedule(self) -> None:
        for node in self.nodes:
            # Who is heard must be able to answer: links go both ways.
            for other in node.neighbours:
                mutual = {*self.nodes[other].neighbours, node.number}
                self.nodes[other].neighbours = tuple(sorted(mutual))
        for node in self.nodes:
            self.at(self.rng.randint(0, HEARTBEAT_MS), partial(self._beat, node))
        self.at(100, self._coordinate)
        for number in range(1, len(self.nodes), 3):
            self.at(100 + number, partial(self._register, number))
            self.at(self.rng.randint(0, 2_000), partial(self._meter, number))
        for number in range(MEMBERS):
            self.at(self.rng.randint(500, 4_000), partial(self._wallet, number))
        start, end = self.weather.partition_ms
        self.at(start, self._split)
        self.at(end, self._heal)
        for _ in range(self.weather.crashes):
            self.at(self.rng.randint(2_000, self.issue_ms - 3_000), self._crash)

    # What happens.

    def _split(self) -> None:
        for node in self.rng.sample(self.nodes, len(self.nodes) // 3):
            node.group = 1

    def _heal(self) -> None:
        for node in self.nodes:
            node.group = 0

    def _crash(self) -> None:
        self.stop(self.rng.choice(self.nodes), self.rng.randint(200, 3_000))

    def stop(self, node: SimulatedNode, for_ms: int) -> None:
        """Kill a node, to be started again `for_ms` from now."""
        if node.is_up:
            node.is_up = False
            self.at(for_ms, partial(self._start, node))

    def _start(self, node: SimulatedNode) -> None:
        """Start a node anew from what it had journalled."""
        if node.is_up:
            return
        since = node.core.confirmed_index - self.genesis.parameters.reference_depth - 1
        recent = tuple(
            vertex
            for vertex in node.stored.values()
            if vertex.referenced_index is None or vertex.referenced_index >= since
        )
        old = node.core
        kept = Restored(
            old.confirmed_index, old.confirmed_id, old.confirmed_at_ms, node.rows, recent
        )
        node.core = self._core_of(node.number, self.genesis, kept)
        assert node.core.state_root == old.state_root, f"seed {self.seed}: restart changed rows"
        node.is_up = True
        if node.number == 0:
            self.issuer = Issuer(node.core, (COORDINATOR,), self.lock)

    def _beat(self, node: SimulatedNode) -> None:
        self.at(HEARTBEAT_MS, partial(self._beat, node))
        if not node.is_up:
            return
        core = node.core
        useful = sorted(core.graph.tips)
        tips = tuple(self.rng.sample(useful, min(len(useful), MAX_HEARTBEAT_TIPS)))
        said = (core.confirmed_index, core.confirmed_id, tips)
        for other in node.neighbours:
            self._send(node, other, Frame(node.number, heartbeat=said))
        self._carry_out(node, core.tick(self._instant(node)))

    def _coordinate(self) -> None:
        self.at(INTERVAL_MS // 4, self._coordinate)
        self._coordinate_again()

    def _coordinate_again(self) -> None:
        node = self.nodes[0]
        if not node.is_up:
            return
        step = self.issuer.step(self._instant(node), self._view(node), self.rng)
        if isinstance(step, Checkpoints):
            self.at(1, self._coordinate_again)
            for pair in step.pairs:
                self._issue(node, COORDINATOR, Data("checkpoint", b""), pair)
        if isinstance(step, Issue):
            self.lock = step.lock  # on disk before anyone hears of it
            if self.now_ms < self.issue_ms and self.rng.random() < self.weather.hesitation:
                self.stop(node, self.rng.randint(200, 3_000))
                return
            self._carry_out(node, node.core.submit(step.data, self._instant(node)))

    def _register(self, number: int) -> None:
        """The voter sponsors the meter of an edge node, until a node takes it."""
        meter = meter_key(number)
        edge = address_of(edge_key(number).public)
        claim = Claim(genesis_hash(self.genesis), meter.public, "meter", NO_ADDRESS, edge)
        payload = register_operation(claim_registration(claim, meter))
        if not self._issue(self.nodes[number], VOTER, payload):
            self.at(500, partial(self._register, number))

    def _meter(self, number: int) -> None:
        """An edge node commits to the next readings of its meter."""
        if self.now_ms > self.issue_ms:
            return
        self.at(self.rng.randint(800, 2_500), partial(self._meter, number))
        node, meter = self.nodes[number], address_of(meter_key(number).public)
        if identity(node.core.ledger.rows, meter) is None:
            self._issue(node, edge_key(number), Data("note", b"not yet"))
            return
        first = self.committed[number]
        last = first + self.rng.randint(0, 5)
        if self._issue(node, edge_key(number), ReadingBatch(meter, first, last, bytes(32))):
            self.committed[number] = last + 1

    def _wallet(self, number: int) -> None:
        """A member pays; sometimes twice, at two nodes, with what it has only once."""
        if self.now_ms > self.issue_ms:
            return
        self.at(self.rng.randint(2_000, 5_000), partial(self._wallet, number))
        payer = member_key(number)
        payee = address_of(
            member_key(self.rng.choice([n for n in range(MEMBERS) if n != number])).public
        )
        amount_ueur = self.rng.randint(1, COINS_UEUR)
        first, second = self.rng.sample(self.nodes, 2)
        nodes = [first, second] if self.rng.random() < 0.4 else [first]
        start = self._sequences[payer.public]
        is_copy = self.rng.random() < 0.5
        for offset, node in enumerate(nodes):
            sequence = start if is_copy else start + offset
            self._pay(node, payer, sequence, payee, amount_ueur)
        self._sequences[payer.public] = start + (1 if is_copy else len(nodes))

    def _pay(
        self, node: SimulatedNode, payer: SigningKey, sequence: int, payee: Address, amount: int
    ) -> None:
        if not node.is_up:
            return
        parents = self._parents(node)
        tx = self.make.transfer(payer, sequence, parents, payee, amount)
        self._submit(node, tx.tx_id, tx.data, tx.transaction.payload)

    def _issue(
        self,
        node: SimulatedNode,
        key: SigningKey,
        payload: Payload,
        parents: tuple[TransactionId, ...] | None = None,
    ) -> bool:
        if not node.is_up:
            return False
        issued_at_ms = START_MS + self.now_ms + node.skew_ms
        sequence = self._sequences[key.public]
        over = self._parents(node) if parents is None else parents
        tx = self.make.transaction(key, sequence, over, payload, issued_at_ms)
        is_taken = self._submit(node, tx.tx_id, tx.data, payload)
        self._sequences[key.public] += is_taken
        return is_taken

    def _submit(
        self, node: SimulatedNode, tx_id: TransactionId, data: bytes, payload: Payload
    ) -> bool:
        try:
            effects = node.core.submit(data, self._instant(node))
        except UnavailableError:
            return False
        self.issued[tx_id] = payload
        transaction = parse(data).transaction
        self.acts[tx_id] = (transaction.issuer, transaction.sequence)
        self._carry_out(node, effects)
        return True

    def _parents(self, node: SimulatedNode) -> tuple[TransactionId, ...]:
        select = self.rng.choice((select_weighted_walk, select_uniform))
        return select(self._view(node), self.rng, 2).parents

    def _view(self, node: SimulatedNode) -> View:
        core = node.core
        return View(core.graph, core.weights, core.confirmed_index, core.parameters)

    def _instant(self, node: SimulatedNode) -> Instant:
        now_ms = START_MS + self.now_ms + node.skew_ms
        return Instant(now_ms, now_ms)

    # The network.

    def _send(self, node: SimulatedNode, to: int, frame: Frame) -> None:
        for _ in range(2 if self.rng.random() < self.weather.duplication else 1):
            if self.now_ms < self.issue_ms and self.rng.random() < self.weather.loss:
                continue
            delay_ms = self.rng.randint(5, self.weather.max_delay_ms)
            self.at(delay_ms, partial(self._deliver, node, self.nodes[to], frame))

    def _deliver(self, sender: SimulatedNode, node: SimulatedNode, frame: Frame) -> None:
        if not node.is_up or sender.group != node.group:
            return
        peer, now = PeerId(frame.sender.to_bytes(32, "big")), self._instant(node)
        for data in frame.transactions:
            if self.rng.random() < self.weather.lies:
                self.tell(node, forged(data))
            self._carry_out(node, node.core.receive(peer, data, now))
        if frame.heartbeat is not None:
            index, milestone_id, tips = frame.heartbeat
            effects = node.core.heartbeat(peer, (index, milestone_id), tips, now)
            self._carry_out(node, effects)
        found = tuple(node.stored[one].data for one in frame.request if one in node.stored)
        if found:
            self._send(node, frame.sender, Frame(node.number, transactions=found))

    def tell(self, node: SimulatedNode, data: bytes) -> None:
        """Let a stranger send bytes to one node, which may find them bad."""
        effects = node.core.receive(LIAR, data, self._instant(node))
        self._carry_out(node, [one for one in effects if not isinstance(one, Misbehaved)])

    def _carry_out(self, node: SimulatedNode, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Attached(tx_id, data, source):
                    node.stored[tx_id] = StoredVertex(tx_id, data, self.now_ms, None)
                    came_from = None if source is None else self._number_of(source)
                    for other in node.neighbours:
                        if other != came_from:
                            self._send(node, other, Frame(node.number, transactions=(data,)))
                case Confirmed():
                    self._journal(node, effect)
                case Requested(tx_ids, peer):
                    self._request(node, tx_ids, peer)
                case Halted():
                    node.halted.append(effect)
                case Misbehaved(_, error):
                    raise AssertionError(f"seed {self.seed}: an honest peer: {error}")
                case Dropped() | Expired():
                    pass

    def _journal(self, node: SimulatedNode, confirmed: Confirmed) -> None:
        for tx_id, outcome in confirmed.outcomes:
            kept = node.stored[tx_id]
            assert kept.referenced_index is None, f"seed {self.seed}: referenced twice"
            node.stored[tx_id] = StoredVertex(tx_id, kept.data, 0, confirmed.index)
            node.applied[tx_id] += isinstance(outcome, Applied)
        for key, value in confirmed.changes.items():
            if value is None:
                node.rows.pop(key, None)
            else:
                node.rows[key] = value
        node.roots[confirmed.index] = confirmed.state_root
        node.milestones.append(confirmed)
        self._check_conservation(node, confirmed.index)

    def _check_conservation(self, node: SimulatedNode, index: int) -> None:
        members = [address_of(member_key(number).public) for number in range(MEMBERS)]
        total = sum(balance(node.core.ledger.rows, Token.EEURO, member) for member in members)
        said = f"seed {self.seed}: {total} µEUR at milestone {index}"
        assert total == MEMBERS * COINS_UEUR, said
        assert sum(1 for _ in node.core.scan(b"balance/")) <= MEMBERS, said

    def _number_of(self, peer: PeerId) -> int | None:
        return None if peer == LIAR else int.from_bytes(peer, "big")

    def _request(
        self, node: SimulatedNode, tx_ids: tuple[TransactionId, ...], peer: PeerId | None
    ) -> None:
        unknown = []
        for tx_id in tx_ids:
            kept = node.stored.get(tx_id)
            if kept is None:
                unknown.append(tx_id)
            else:
                self._carry_out(node, node.core.recall(tx_id, kept.referenced_index))
        to = self._number_of(peer) if peer else self.rng.choice(node.neighbours)
        if unknown and to is not None:
            self._send(node, to, Frame(node.number, request=tuple(unknown)))
