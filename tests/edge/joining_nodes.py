"""Whole nodes over a real mesh, of which one joins: what a composition root does, for tests."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from edge.ground.clock import Clock
from edge.joining.arriving import go_on_from
from edge.joining.joiner import Joiner
from edge.joining.joining import JoinSettings
from edge.joining.offering import SnapshotServer
from edge.journal.journal import Journal
from edge.mesh.certificates import Credentials
from edge.mesh.frames import Body
from edge.mesh.mesh import Mesh, MeshConfig, open_mesh
from edge.node.standing import Standings
from edge.runtime import EdgeNode, NodeSettings, Surroundings
from tangle.effects import PeerId
from tangle.genesis import Genesis, network_id
from tangle.keys import SigningKey
from tests.community import CONTRACTS
from tests.edge.certifying import credentials_of

DEADLINE_S = 120
JOINS = JoinSettings(is_on=True, ahead=20)
ARCHIVE = JoinSettings(is_on=False, ahead=20)


@dataclass(frozen=True)
class Place:
    """Who a node is, and where."""

    key: SigningKey
    folder: Path
    genesis: Genesis
    listen: tuple[str, ...]
    connect: tuple[str, ...]
    peers: Mapping[PeerId, str]
    settings: JoinSettings = JOINS
    says: Callable[[Body], Body | None] = lambda body: body
    """What it says of snapshots instead of what it should; `None` for nothing."""

    @property
    def peer(self) -> PeerId:
        return PeerId(self.key.public)

    def credentials(self) -> Credentials:
        return credentials_of(self.key)


@dataclass(frozen=True)
class Spoiled:
    """A mesh over which a node says what its place makes of it."""

    mesh: Mesh
    says: Callable[[Body], Body | None]

    @property
    def waiting_out(self) -> int:
        return self.mesh.waiting_out

    def send(self, peer: PeerId, body: Body) -> None:
        spoiled = self.says(body)
        if spoiled is not None:
            self.mesh.send(peer, spoiled)


@dataclass
class Running:
    """A node that runs: a new one after each snapshot it goes on from."""

    place: Place
    journal: Journal
    mesh: Mesh
    clock: Clock
    node: EdgeNode = field(init=False)
    joiner: Joiner = field(init=False)
    server: SnapshotServer = field(init=False)
    standings: Standings = field(default_factory=Standings)
    joined: list[int] = field(default_factory=list)
    """Milestones of the snapshots that it went on from."""

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Take up where the journal stands."""
        place, wall_ms = self.place, self.clock.wall_ms
        around = Surroundings(self.journal, self.mesh, self.clock, None, Random(1))
        settings = NodeSettings("test", "edge", "1", 1_000)
        self.node = EdgeNode(place.genesis, CONTRACTS, place.key, around, settings)
        self.joiner = Joiner(
            place.genesis, self.node.executor, self.mesh, place.folder, place.settings, wall_ms
        )
        outlet = Spoiled(self.mesh, place.says)
        self.server = SnapshotServer(place.genesis, place.folder, outlet, wall_ms)
        self.node.executor.listen_snapshots(self.server.hear)
        self.node.executor.standings = self.standings

    async def live(self) -> None:
        """Run until cancelled, anew after each snapshot."""
        while True:
            async with asyncio.TaskGroup() as group:
                running = group.create_task(self.node.run(self.server.run))
                arrived = await self.joiner.run()
                running.cancel()
            place = self.place
            go_on_from(arrived, place.genesis, self.journal, place.folder, place.key.public)
            self.joined.append(arrived.start.index)
            self.begin()


@asynccontextmanager
async def living(place: Place) -> AsyncIterator[Running]:
    """Run a node over mutual TLS; stop it in the end, as a kill would as far as files go."""
    clock, network = Clock(place.genesis), network_id(place.genesis)
    with Journal(place.folder, network) as journal:
        config = MeshConfig(
            place.listen,
            place.connect,
            place.key,
            place.peers,
            network,
            journal.next_epoch(clock.wall_ms()),
            place.credentials(),
        )
        mesh = await open_mesh(config, clock.wall_ms)
        running = Running(place, journal, mesh, clock)
        task = asyncio.create_task(running.live())
        try:
            yield running
        finally:
            task.cancel()
            await asyncio.wait([task])
            await mesh.close()
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error


async def until(holds: Callable[[], bool], what: str, limit_s: float = DEADLINE_S) -> None:
    """Wait until something holds."""
    try:
        async with asyncio.timeout(limit_s):
            while not holds():  # noqa: ASYNC110 (many things, of several nodes)
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"not in {limit_s:.0f} s: {what}") from None


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    """Run a scenario that has an end."""

    async def bounded() -> None:
        async with asyncio.timeout(2 * DEADLINE_S):
            await scenario()

    asyncio.run(bounded())
