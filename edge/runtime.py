"""A node as it runs: one asyncio process around one core. Only its tasks touch the core."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

import structlog

from access.device import Register
from edge.ground.clock import Clock
from edge.ground.kernels import load_when_it_pays
from edge.journal.journal import Journal
from edge.journal.sweeping import Sweeping
from edge.mesh.mesh import Mesh
from edge.meters.metering import Metering
from edge.meters.mqtt import MeterLink
from edge.node.executor import Executor
from edge.node.hearing import HEARTBEAT_MS, Hearing
from edge.node.issuance import Issuance
from edge.node.load import LoadMeter
from edge.node.promoting import Promoting
from tangle.contracts import Contracts
from tangle.effects import Attached, Effect
from tangle.errors import DamagedStoreError, StorageError, TanglewattError
from tangle.genesis import Genesis
from tangle.keys import SigningKey
from tangle.node import NodeCore
from tangle.transaction import TransactionId
from tangle.verification import parse

_log: Final = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """What one node is, beside its keys and its network."""

    alias: str
    role: str
    """`edge` or `coordinator`."""

    version: str
    batch_interval_ms: int
    enrolments: tuple[Register, ...] = ()
    """Of the meters homed here."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a node stands on. Whoever opened it closes it."""

    journal: Journal
    mesh: Mesh
    clock: Clock
    link: MeterLink | None
    """To the meters homed here; `None` for a node that serves none."""

    rng: Random


class EdgeNode:
    """One running node. Made by the composition root, which also runs what serves it."""

    def __init__(
        self,
        genesis: Genesis,
        contracts: Contracts,
        key: SigningKey,
        around: Surroundings,
        settings: NodeSettings,
    ) -> None:
        """Take up where the journal stopped."""
        self._loop = asyncio.get_running_loop()
        self._failure: asyncio.Future[None] = self._loop.create_future()
        self.genesis = genesis
        self.key = key
        self.settings = settings
        self.journal, self.mesh, self.clock = around.journal, around.mesh, around.clock
        self.journal.on_damage(self._damaged)
        self.sweeping = Sweeping(self.journal.path)
        if self.sweeping.fits_a_start():
            self.journal.verify()
        restored = self.journal.restore(genesis, genesis.parameters.reference_depth)
        self.core = NodeCore(genesis, contracts, restored)
        verify_state(self.core, self.journal)
        self.executor = Executor(self.core, self.journal, self.mesh, around.rng)
        self.hearing = Hearing(self.executor, self.mesh, self.clock)
        self.load = LoadMeter()
        self.issuance = Issuance(self.executor, key, self.clock, around.rng, self.load)
        self.promoting = Promoting(self.executor, self.issuance, self.clock)
        self.metering = (
            None
            if around.link is None
            else Metering(
                self.executor,
                self.issuance,
                around.link,
                self.clock,
                settings.enrolments,
                settings.batch_interval_ms,
            )
        )
        self.executor.observe(self._observe)

    async def run(self, *services: Callable[[], Awaitable[None]]) -> None:
        """Run until cancelled, with `services` (HTTP, the coordinator) beside.

        Raises:
            StorageError: In a group; what happened is not durable, so the node stops.
            DamagedStoreError: In a group; the journal is not what was written.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self.hearing.run())
            group.create_task(self._beat())
            group.create_task(self._watch_failure())
            group.create_task(self.promoting.run())
            group.create_task(self.sweeping.run())
            group.create_task(self._speed_up())
            if self.metering is not None:
                group.create_task(self.metering.run())
            for service in services:
                group.create_task(_awaited(service))

    def submit(self, data: bytes) -> TransactionId:
        """Take in canonical bytes; durable and sent when it returns.

        Raises:
            InvalidError: The rules forbid it.
            UnavailableError: Not now.
        """
        now = self.clock.instant()
        tx_id = parse(data).tx_id
        effects = self.core.submit(data, now)
        try:
            self.executor.carry_out(effects, now)
        except StorageError as error:
            # The caller hears of it too; but the core is ahead of the journal now.
            self._fail(error)
            raise
        return tx_id

    async def _beat(self) -> None:
        """Say where this node stands; peers ask for what they miss."""
        while True:
            self.mesh.broadcast(self.executor.heartbeat(self.settings.version))
            await asyncio.sleep(HEARTBEAT_MS / 1_000)

    async def _speed_up(self) -> None:
        """Take compiled kernels into use once the window is large and they are ready."""
        kernels = await load_when_it_pays(self.core)
        if kernels is not None:
            self.core.weigh_by(kernels.weights)
            self.issuance.find_nonce = kernels.find_nonce

    def _damaged(self, error: DamagedStoreError) -> None:
        """Stop, whoever asked and whatever he makes of it: other answers may be wrong as well."""
        self._loop.call_soon_threadsafe(self._fail, error)

    def _fail(self, error: TanglewattError) -> None:
        if not self._failure.done():
            self._failure.set_exception(error)

    async def _watch_failure(self) -> None:
        await self._failure

    def _observe(self, effects: Sequence[Effect]) -> None:
        now_ms = self.clock.wall_ms()
        for effect in effects:
            if isinstance(effect, Attached):
                self.load.attached(now_ms)


def verify_state(core: NodeCore, journal: Journal) -> None:
    """Check that the rows are those of the last milestone. Raises `DamagedStoreError`."""
    latest = journal.latest_milestone()
    if latest is not None and core.state_root != latest.state_root:
        raise DamagedStoreError(
            f"{journal.path}: its rows have the root {core.state_root.hex()}:"
            f" after milestone {latest.index} it is {latest.state_root.hex()}"
        )


async def _awaited(service: Callable[[], Awaitable[None]]) -> None:
    await service()
