"""Leader and co-signers at work over a pipe: locks are on disk before anything leaves."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from typing import cast

import pytest

from api.node.coordinating import PATIENCE, Coordinating, read_lock
from api.node.cosigning import CoSigning
from coordinator.cosigner import CoSigner
from coordinator.issuer import Issuer
from coordinator.lock import first_lock
from edge.ground.clock import Clock
from edge.journal.journal import Journal
from edge.mesh.frames import Body
from edge.mesh.mesh import PeerStatus
from edge.node.executor import Executor
from edge.node.issuance import Issuance
from edge.node.load import LoadMeter
from edge.node.standing import FULL_STANDING
from edge.runtime import EdgeNode
from tangle.effects import Instant, PeerId
from tangle.genesis import Genesis
from tangle.keys import SigningKey
from tangle.node import NodeCore
from tangle.proposals import CoSignature, Proposal, propose, proposed
from tangle.transaction import KeySignature, sign
from tests.community import CONTRACTS, COORDINATOR, START_MS, Maker, community, key
from tests.tangle.cores import EDGE

SIGNERS = (COORDINATOR, key(901), key(902))
GENESIS = community(signers=SIGNERS, quorum=2)
NAMES = tuple(PeerId(name * 32) for name in (b"l", b"m", b"n"))


@dataclass
class Pipe:
    """A mesh between nodes of one test; whoever is cut off hears nothing."""

    own: PeerId
    nodes: dict[PeerId, "PipedNode"]
    sent: list[Body] = field(default_factory=list)
    is_cut: bool = False
    may_ban: bool = False
    banned: list[PeerId] = field(default_factory=list)

    def broadcast(self, body: Body) -> None:
        for peer in self.nodes:
            if peer != self.own:
                self.send(peer, body)

    def send(self, peer: PeerId, body: Body) -> None:
        self.sent.append(body)
        if not self.is_cut and not self.nodes[peer].mesh.is_cut:
            self.nodes[peer].heard.append((self.own, body))

    def ban(self, peer: PeerId, until_ms: int) -> None:
        assert self.may_ban, f"{peer.hex()} is banned until {until_ms}"
        self.banned.append(peer)

    @property
    def waiting_out(self) -> int:
        return 0

    def peers(self) -> tuple[PeerStatus, ...]:
        return ()


@dataclass
class PipedNode:
    """What the shells need of a node, without a mesh."""

    genesis: Genesis
    core: NodeCore
    executor: Executor
    clock: Clock
    issuance: Issuance
    mesh: Pipe
    heard: list[tuple[PeerId, Body]] = field(default_factory=list)

    def submit(self, data: bytes) -> None:
        now = self.clock.instant()
        self.executor.carry_out(self.core.submit(data, now), now)

    def listen(self) -> None:
        heard, self.heard = self.heard, []
        self.executor.hear(heard, self.clock.instant())


@dataclass
class Stage:
    folder: Path
    nodes: dict[PeerId, PipedNode]
    leading: Coordinating
    cosigning: dict[PeerId, CoSigning]

    @property
    def leader(self) -> PipedNode:
        return self.nodes[NAMES[0]]

    def talk(self, rounds: int = 6) -> None:
        for _ in range(rounds):
            for node in self.nodes.values():
                node.listen()

    async def lead(self, seconds: float = 0.05) -> None:
        """Let the leader work for a moment; its clock runs by itself."""
        try:
            await asyncio.wait_for(self.leading.run(), seconds)
        except TimeoutError:
            return


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    nodes: dict[PeerId, PipedNode] = {}
    with ExitStack() as held:
        for name in NAMES:
            nodes[name] = _node(tmp_path / name[:1].decode(), name, nodes, held)
        rng = Random(1)
        leader = nodes[NAMES[0]]
        issuer = Issuer(leader.core, (COORDINATOR,), first_lock(GENESIS))
        leading = Coordinating(cast(EdgeNode, leader), issuer, tmp_path / "leader.lock", rng)
        cosigning = {
            name: _cosigning(nodes[name], own, tmp_path)
            for name, own in zip(NAMES[1:], SIGNERS[1:], strict=True)
        }
        yield Stage(tmp_path, nodes, leading, cosigning)


def _node(folder: Path, name: PeerId, nodes: dict[PeerId, PipedNode], held: ExitStack) -> PipedNode:
    core, ticks = NodeCore(GENESIS, CONTRACTS), count(START_MS, 300)
    journal = held.enter_context(Journal(folder, core.rules.network))
    journal.restore(GENESIS, 20)
    pipe = Pipe(name, nodes)
    executor = Executor(core, journal, pipe, Random(1))
    clock = Clock(GENESIS, lambda: next(ticks), lambda: 0)  # each look takes 300 ms
    issuance = Issuance(executor, COORDINATOR, clock, Random(1), LoadMeter())
    return PipedNode(GENESIS, core, executor, clock, issuance, pipe)


def _cosigning(node: PipedNode, own: SigningKey, folder: Path) -> CoSigning:
    cosigner = CoSigner(node.core, own, COORDINATOR.public, first_lock(GENESIS))
    return CoSigning(cast(EdgeNode, node), cosigner, folder / f"{own.public.hex()}.lock")


def test_a_proposal_becomes_a_milestone_and_every_lock_is_on_disk(stage: Stage) -> None:
    asyncio.run(stage.lead())

    stage.talk()

    assert {node.core.confirmed_index for node in stage.nodes.values()} == {1}
    milestone_id, network = stage.leader.core.confirmed_id, stage.leader.core.rules.network
    for name in ("leader", *(one.public.hex() for one in SIGNERS[1:])):
        assert read_lock(stage.folder / f"{name}.lock", network).milestone_id == milestone_id
    assert stage.leading.state().waits is None


def test_without_co_signers_the_leader_says_whose_signatures_are_missing_until_they_come(
    stage: Stage,
) -> None:
    for name in NAMES[1:]:
        stage.nodes[name].mesh.is_cut = True

    asyncio.run(stage.lead(1.0))
    stage.talk()
    missing = stage.leading.state().waits
    proposals = {one.fields for one in stage.leader.mesh.sent if isinstance(one, Proposal)}
    for name in NAMES[1:]:
        stage.nodes[name].mesh.is_cut = False
    asyncio.run(stage.lead(0.2))
    stage.talk()

    assert len(stage.leader.mesh.sent) >= PATIENCE
    assert missing is not None
    assert missing.startswith("milestone 1 needs 1 more of the signatures by ")
    assert all(one.public.hex() in missing for one in SIGNERS[1:])
    assert len(proposals) == 1
    assert stage.leader.core.confirmed_index == 1
    assert stage.leading.state().waits is None


def test_a_co_signer_looks_again_when_what_was_missing_has_come(stage: Stage) -> None:
    name = NAMES[1]
    node, cosigning = stage.nodes[name], stage.cosigning[name]
    entry = tuple(node.core.graph.referenced_at(0))
    one = Maker(GENESIS).transaction(EDGE, 0, entry)
    stage.leader.executor.carry_out(
        stage.leader.core.receive(name, one.data, stage.leader.clock.instant()),
        stage.leader.clock.instant(),
    )
    asyncio.run(stage.lead())
    node.heard = [(peer, body) for peer, body in node.heard if isinstance(body, Proposal)]
    node.listen()
    waited = [body for body in node.mesh.sent if isinstance(body, CoSignature)]

    async def solid() -> None:
        running = asyncio.ensure_future(cosigning.run())
        now = Instant(START_MS, START_MS)
        node.executor.carry_out(node.core.receive(NAMES[0], one.data, now), now)
        for _ in range(3):
            await asyncio.sleep(0)
        running.cancel()

    asyncio.run(solid())

    assert waited == []
    assert [type(body) for body in node.mesh.sent].count(CoSignature) == 1


def test_what_a_co_signer_refuses_it_shows_until_the_next_milestone(stage: Stage) -> None:
    name = NAMES[1]
    node, cosigning = stage.nodes[name], stage.cosigning[name]
    asyncio.run(stage.lead())
    node.listen()
    other = stage.leader.core.draft_milestone(
        stage.leader.core.graph.referenced_at(0), START_MS + 77
    )
    signature = KeySignature(COORDINATOR.public, sign(other, COORDINATOR))

    second = propose(other, signature)
    node.executor.hear([(NAMES[0], second)], node.clock.instant())
    refused = cosigning.state().refusal
    stage.talk()

    assert refused is not None
    assert "signed here is 1" in refused
    assert node.core.confirmed_index == 1
    assert cosigning.state().refusal is None


def test_who_makes_up_proposals_loses_standing_and_is_banned(stage: Stage) -> None:
    node = stage.nodes[NAMES[1]]
    node.mesh.may_ban = True
    draft = stage.leader.core.draft_milestone(
        stage.leader.core.graph.referenced_at(0), START_MS + 77
    )
    made_up = propose(draft, KeySignature(COORDINATOR.public, bytes(64)))

    for _ in range(3):
        node.executor.hear([(NAMES[2], made_up)], node.clock.instant())

    assert node.mesh.banned == [NAMES[2]]
    assert node.executor.counts["misbehaved"] == 2


def test_a_proposal_by_another_leader_costs_nobody_any_standing(stage: Stage) -> None:
    node = stage.nodes[NAMES[1]]
    draft = stage.leader.core.draft_milestone(
        stage.leader.core.graph.referenced_at(0), START_MS + 77
    )
    other = propose(draft, KeySignature(EDGE.public, sign(draft, EDGE)))

    for _ in range(5):
        node.executor.hear([(NAMES[2], other)], node.clock.instant())

    assert node.executor.standings.points(NAMES[2], node.clock.wall_ms()) == FULL_STANDING


def test_who_makes_up_co_signatures_loses_standing_at_the_leader(stage: Stage) -> None:
    stage.leader.mesh.may_ban = True
    asyncio.run(stage.lead())
    (proposal,) = {body for body in stage.leader.mesh.sent if isinstance(body, Proposal)}
    milestone = proposed(proposal)
    index = milestone.transaction.sequence
    made_up = CoSignature(index, milestone.tx_id, EDGE.public, bytes(64))

    for _ in range(3):
        stage.leader.executor.hear([(NAMES[2], made_up)], stage.leader.clock.instant())

    assert stage.leader.mesh.banned == [NAMES[2]]
