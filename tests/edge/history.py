"""Makes journals with a past: many small transactions under many milestones."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from coordinator.issuer import sign_milestone
from edge.journal.journal import Journal
from edge.mesh.frames import Body, ConeRequest
from edge.mesh.mesh import PeerStatus
from edge.node.executor import Executor
from tangle.accounts import sequence_window
from tangle.address import address_of
from tangle.effects import Instant, PeerId
from tangle.genesis import entry_points
from tangle.keys import SigningKey
from tangle.node import NodeCore
from tests.community import CONTRACTS, COORDINATOR, START_MS, Maker, edge_key, member_key
from tests.tangle.cores import GENESIS


class Silence:
    """A mesh without anybody on it."""

    waiting_out = 0

    def broadcast(self, body: Body) -> None:
        """Nobody hears."""

    def send(self, peer: PeerId, body: Body) -> None:
        """Nobody hears."""

    def ban(self, peer: PeerId, until_ms: int) -> None:
        """Nobody is there to be banned."""

    def peers(self) -> tuple[PeerStatus, ...]:
        return ()


def opened(folder: Path) -> tuple[Journal, NodeCore]:
    """Open a journal of the tests' network and the core that goes on from it."""
    core = NodeCore(GENESIS, CONTRACTS)
    journal = Journal(folder, core.rules.network)
    restored = journal.restore(GENESIS, GENESIS.parameters.reference_depth)
    return journal, NodeCore(GENESIS, CONTRACTS, restored)


def extend(
    executor: Executor,
    milestones: int,
    per_milestone: int,
    signers: Sequence[SigningKey] = (COORDINATOR,),
) -> None:
    """Issue milestones over as many transactions each: transfers, notes and what they leave.

    The transactions of one milestone stand in two chains, as if two issuers took turns.
    """
    core, make = executor.core, Maker(GENESIS)
    issuers = (member_key(0), member_key(1), edge_key(0))
    counts = [0, 0, 0]
    second = entry_points(GENESIS)[1]
    previous = core.confirmed_id
    if core.confirmed_index:
        second = core.graph.referenced_at(core.confirmed_index)[-1]
        counts = [sequence_window(core.ledger.rows, address_of(k.public)).next for k in issuers]
    for index in range(core.confirmed_index + 1, core.confirmed_index + milestones + 1):
        now = Instant(START_MS + 10 * index, START_MS + 10 * index)
        tails = [core.confirmed_id, second]
        for number in range(per_milestone):
            who = number % 3
            parents = (tails[0], tails[1])
            if number % 4:
                payee = address_of(member_key((who + 1) % 3).public)
                tx = make.transfer(issuers[who], counts[who], parents, payee, 1)
            else:
                tx = make.transaction(issuers[who], counts[who], parents)
            counts[who] += 1
            executor.carry_out(core.submit(tx.data, now), now)
            tails[number % 2] = tx.tx_id
        over = {core.confirmed_id, *(tails if per_milestone else (previous, second))}
        previous = core.confirmed_id
        drafted = core.draft_milestone(over, START_MS + 10 * index)
        issued = sign_milestone(drafted, tuple(signers))
        executor.carry_out(core.submit(issued.data, now), now)
        second = tails[-1] if per_milestone else previous


class Wires:
    """Lets executors speak to each other: what is said is kept until it is delivered."""

    def __init__(self) -> None:
        self.ends: dict[PeerId, End] = {}
        self.silent: set[PeerId] = set()
        """Who says nothing any more."""

    def join(self, peer: PeerId) -> "End":
        """Return a new end of the wires."""
        self.ends[peer] = End(self, peer)
        return self.ends[peer]

    def deliver(self, executors: dict[PeerId, Executor], now: Instant) -> int:
        """Hand everyone what was said to it; return how many bodies that were."""
        delivered = 0
        for peer, executor in executors.items():
            heard, self.ends[peer].heard = self.ends[peer].heard, []
            executor.hear(heard, now)
            while executor.is_behind:
                executor.hear((), now)
            delivered += len(heard)
        return delivered


class End:
    """One node's end of the wires."""

    waiting_out = 0

    def __init__(self, wires: Wires, own: PeerId) -> None:
        self._wires = wires
        self._own = own
        self.heard: list[tuple[PeerId, Body]] = []
        self.said: list[tuple[PeerId, Body]] = []

    def broadcast(self, body: Body) -> None:
        for peer in self._others():
            self.send(peer, body)

    def send(self, peer: PeerId, body: Body) -> None:
        self.said.append((peer, body))
        if self._own not in self._wires.silent:
            self._wires.ends[peer].heard.append((self._own, body))

    def peers(self) -> tuple[PeerStatus, ...]:
        return tuple(PeerStatus(peer, "", 0, 0, 0, 0, True) for peer in self._others())

    def ban(self, peer: PeerId, until_ms: int) -> None:
        raise AssertionError(f"{peer.hex()} banned until {until_ms}")

    def asked(self) -> list[tuple[PeerId, int]]:
        """Return the cones that were asked for."""
        return [(peer, body.index) for peer, body in self.said if isinstance(body, ConeRequest)]

    def _others(self) -> Iterator[PeerId]:
        return (peer for peer in self._wires.ends if peer != self._own)
