"""A leader and its co-signers over a pipe, in a folder: made to be killed.

Run as `python -m tests.api.promising FOLDER SECONDS`: goes on from what the folder holds, with a
clock that is so much ahead, and prints `name index id` of whatever was handed on.
"""

import asyncio
import sys
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from random import Random
from typing import Final, cast

from typing_extensions import override

from api.node.coordinating import Coordinating, read_lock
from api.node.cosigning import CoSigning
from coordinator.cosigner import CoSigner
from coordinator.issuer import Issuer
from coordinator.lock import Lock, first_lock
from edge.ground.clock import Clock
from edge.journal.journal import Journal
from edge.mesh.frames import Body
from edge.node.executor import Executor
from edge.node.issuance import Issuance
from edge.node.load import LoadMeter
from edge.runtime import EdgeNode
from tangle.effects import PeerId
from tangle.genesis import network_id
from tangle.node import NodeCore
from tangle.proposals import CoSignature, Proposal, proposed
from tests.api.test_cosigning import GENESIS, NAMES, SIGNERS, Pipe, PipedNode
from tests.community import CONTRACTS, START_MS

ROUNDS: Final = 6
"""Of talking: enough for a proposal to become a milestone everywhere."""


class SpokenPipe(Pipe):
    """Prints what is handed on, as soon as it is."""

    @override
    def send(self, peer: PeerId, body: Body) -> None:
        if isinstance(body, Proposal | CoSignature):
            sys.stdout.write(f"{self.own[:1].decode()} {said_of(body)}\n")
            sys.stdout.flush()
        super().send(peer, body)


def said_of(body: Proposal | CoSignature) -> str:
    """Return index and id of the milestone that a body is about."""
    if isinstance(body, CoSignature):
        return f"{body.index} {body.milestone_id.hex()}"
    verified = proposed(body)
    return f"{verified.transaction.sequence} {verified.tx_id.hex()}"


def lock_in(folder: Path, name: PeerId) -> Lock:
    """Return what one of them signed last."""
    file = lock_file(folder, name)
    return read_lock(file, network_id(GENESIS)) if file.exists() else first_lock(GENESIS)


def lock_file(folder: Path, name: PeerId) -> Path:
    """Return where one of them keeps its lock."""
    return folder / f"{name[:1].decode()}.lock"


def talk(folder: Path, ahead_s: int) -> None:
    """Let the leader propose once, and all of them answer."""
    nodes: dict[PeerId, PipedNode] = {}
    with ExitStack() as held:
        for name in NAMES:
            nodes[name] = _node(folder / name[:1].decode(), name, nodes, held, ahead_s)
        leader = nodes[NAMES[0]]
        issuer = Issuer(leader.core, (SIGNERS[0],), lock_in(folder, NAMES[0]))
        lead_file = lock_file(folder, NAMES[0])
        leading = Coordinating(cast("EdgeNode", leader), issuer, lead_file, Random(ahead_s))
        for name, own in zip(NAMES[1:], SIGNERS[1:], strict=True):
            node = nodes[name]
            cosigner = CoSigner(node.core, own, SIGNERS[0].public, lock_in(folder, name))
            CoSigning(cast("EdgeNode", node), cosigner, lock_file(folder, name))
        asyncio.run(_lead(leading))
        for _ in range(ROUNDS):
            for node in nodes.values():
                node.listen()


async def _lead(leading: Coordinating) -> None:
    try:
        await asyncio.wait_for(leading.run(), 0.2)
    except TimeoutError:
        return


def _node(
    folder: Path, name: PeerId, nodes: dict[PeerId, PipedNode], held: ExitStack, ahead_s: int
) -> PipedNode:
    journal = held.enter_context(Journal(folder, network_id(GENESIS)))
    restored = journal.restore(GENESIS, GENESIS.parameters.reference_depth)
    core = NodeCore(GENESIS, CONTRACTS, restored)
    ticks = count(START_MS + ahead_s * 1_000, 300)
    pipe = SpokenPipe(name, nodes)
    executor = Executor(core, journal, pipe, Random(1))
    clock = Clock(GENESIS, lambda: next(ticks), lambda: 0)
    issuance = Issuance(executor, SIGNERS[0], clock, Random(1), LoadMeter())
    return PipedNode(GENESIS, core, executor, clock, issuance, pipe)


if __name__ == "__main__":
    talk(Path(sys.argv[1]), int(sys.argv[2]))
