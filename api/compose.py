"""The composition root: the only place that knows every part, and puts a process together."""

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from random import Random, SystemRandom
from typing import TypeVar

from access.device import Register
from api.contracts import CONTRACTS
from api.http.app import create_app
from api.http.server import listen, serve
from api.http.service import PeerView
from api.node.coordinating import TAKE_OVER, Coordinating, announce, read_lock
from api.node.cosigning import CoSigning
from api.node.metrics import Queue, Stand
from api.node.node_service import NodeApi, NodeCard
from api.node.settled_totals import SettledTotals
from api.node.settling import settling_of
from api.node.span_answers import home_of
from api.settings.genesis_file import load_genesis
from api.settings.private_files import create_folder
from api.settings.records import (
    CoordinatorConfig,
    Enrolment,
    NodeConfig,
    heard_peers,
    node_part,
)
from coordinator.cosigner import CoSigner
from coordinator.issuer import Issuer
from edge.ground.clock import Clock
from edge.ground.key_file import read_key_file, read_passphrase
from edge.joining.arriving import Arrived, go_on_from
from edge.joining.joiner import Joiner
from edge.joining.joining import JoinSettings
from edge.joining.keeping import HistoryKeeper, HistorySettings
from edge.joining.offering import SnapshotServer
from edge.joining.snapshots import SnapshotFile
from edge.journal.journal import Journal
from edge.journal.sealing import sealing_key
from edge.mesh.certificates import Credentials, read_credentials
from edge.mesh.mesh import Mesh, MeshConfig, open_mesh
from edge.mesh.wire import DEFAULT_LIMITS
from edge.meters.forgetting import Forgetting, Retention
from edge.meters.mqtt import MAX_QUEUED as MAX_QUEUED_READINGS
from edge.meters.mqtt import BrokerAddress, MeterLink
from edge.meters.proof_keeping import proof_keeper
from edge.node.catch_up import Progress
from edge.node.checking import MAX_CHECKING, SWITCH_INTERVAL_S
from edge.node.fair_queue import MAX_QUEUED
from edge.node.standing import Standings
from edge.runtime import EdgeNode, NodeSettings, Surroundings
from tangle.accounts import NO_ADDRESS, reading_ranges, sequence_window
from tangle.address import Address, address_of
from tangle.effects import Effect, Instant, PeerId
from tangle.errors import TanglewattError
from tangle.genesis import Genesis, network_id
from tangle.keys import PublicKey, SigningKey
from tangle.node import NodeCore
from tangle.sequences import is_unused
from tangle.transaction import Transaction, TransactionId, decode
from tangle.waiting import MAX_HELD, MAX_WAITING

T = TypeVar("T")
Service = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Served:
    """A node as the HTTP layer reads it."""

    node: EdgeNode
    folder: Path
    keeper: HistoryKeeper
    link: MeterLink | None

    @property
    def core(self) -> NodeCore:
        return self.node.core

    @property
    def genesis(self) -> Genesis:
        return self.node.genesis

    def now(self) -> Instant:
        return self.node.clock.instant()

    async def submit(self, data: bytes) -> TransactionId:
        return self.node.submit(data)

    def select_parents(self) -> tuple[TransactionId, TransactionId]:
        return self.node.issuance.select_parents()

    async def work(self, transaction: Transaction) -> bytes:
        return await self.node.issuance.work(transaction)

    async def read(self, query: Callable[[Journal], T]) -> T:
        return query(self.node.journal)

    @property
    def queue_length(self) -> int:
        return len(self.node.executor.admission)

    def queued(self, tx_id: TransactionId) -> bytes | None:
        found = self.node.executor.admission.get(tx_id)
        return None if found is None else found.data

    def progress(self) -> Progress:
        return self.node.executor.progress()

    def stand(self) -> Stand:
        node, metering, link = self.node, self.node.metering, self.link
        frames = node.mesh.counters()
        queues = [
            Queue("fair", self.queue_length, MAX_QUEUED),
            Queue("checking", node.executor.admission.checking_count, MAX_CHECKING),
            Queue("waiting", len(node.core.waiting), MAX_WAITING),
            Queue("held", len(node.core.holding), MAX_HELD),
            Queue("mesh_in", frames.waiting_in, DEFAULT_LIMITS.inbox.frames),
            Queue("mesh_out", frames.waiting_out, DEFAULT_LIMITS.outbox.frames),
        ]
        if link is not None:
            queues.append(Queue("readings", link.waiting, MAX_QUEUED_READINGS))
        return Stand(
            queues=tuple(queues),
            counts=node.executor.counts,
            frames_refused=frames.refused,
            frames_dropped=frames.dropped,
            readings={} if metering is None else metering.intake.counts,
            messages={} if link is None else link.counts,
            pruned=self.keeper.removed,
            relays={} if metering is None else metering.serving.relays,
            disobeyed=0 if metering is None else metering.serving.disobeyed,
        )

    def peers(self) -> tuple[PeerView, ...]:
        announced = self.node.executor.announced
        standings, now_ms = self.node.executor.standings, self.node.clock.wall_ms()
        return tuple(
            PeerView(
                one.peer,
                one.alias,
                one.is_connected,
                one.last_frame_wall_ms,
                announced.get(one.peer),
                standings.points(one.peer, now_ms),
                standings.banned_until_ms(one.peer, now_ms),
            )
            for one in self.node.mesh.peers()
        )


def run_node(config: NodeConfig) -> None:
    """Run an edge node until SIGTERM or SIGINT.

    Raises:
        TanglewattError: It cannot start, or cannot go on.
    """
    asyncio.run(_until_signalled(_run_node(config)))


def run_coordinator(config: CoordinatorConfig) -> None:
    """Run a coordinator until SIGTERM or SIGINT. Raises as `run_node`."""
    asyncio.run(_until_signalled(_run_coordinator(config)))


@dataclass(frozen=True, slots=True)
class _Ground:
    """What a process keeps for as long as it runs."""

    config: NodeConfig
    role: str
    """`edge` or `coordinator`."""

    genesis: Genesis
    key: SigningKey
    credentials: Credentials | None
    journal: Journal
    mesh: Mesh
    clock: Clock
    listener: socket.socket
    standings: Standings


@dataclass(frozen=True, slots=True)
class _Life:
    """One node over its ground: from its start until it ends, or goes on from a snapshot."""

    node: EdgeNode
    answers: NodeApi
    services: tuple[Service, ...]
    keeper: HistoryKeeper
    joiner: Joiner


async def _run_node(config: NodeConfig) -> None:
    async def run(life: _Life) -> None:
        if config.cosigner is None:
            await life.node.run(*life.services)
            return
        named, passphrase = config.cosigner, read_passphrase(config.node.passphrase_file)
        lock = read_lock(named.lock_file, network_id(life.node.genesis), TAKE_OVER)
        key = read_key_file(named.key_file, passphrase)
        cosigner = CoSigner(life.node.core, key, PublicKey(named.leader_key), lock)
        cosigning = CoSigning(life.node, cosigner, named.lock_file)
        life.answers.watch_signing(cosigning.state)
        await life.node.run(*life.services, cosigning.run)

    async with _opened(config, "edge") as ground:
        await _live(ground, run)


async def _run_coordinator(config: CoordinatorConfig) -> None:
    genesis = load_genesis(config.node.genesis_file)
    lock_file = config.coordinator.lock_file
    read_lock(lock_file, network_id(genesis))  # without it the process does not even start
    passphrase = read_passphrase(config.node.passphrase_file)
    key = read_key_file(config.coordinator.key_file, passphrase)

    async def run(life: _Life) -> None:
        node = life.node
        issuer = Issuer(node.core, (key,), read_lock(lock_file, network_id(genesis)))
        coordinating = Coordinating(node, issuer, lock_file, SystemRandom())
        life.answers.watch_signing(coordinating.state)

        async def announced(file: SnapshotFile) -> None:
            await announce(node, file)

        life.keeper.written = announced
        await node.run(*life.services, coordinating.run)

    async with _opened(node_part(config), "coordinator") as ground:
        await _live(ground, run)


async def _live(ground: _Ground, run: Callable[[_Life], Coroutine[None, None, None]]) -> None:
    """Run a node until cancelled, anew whenever it goes on from a peer's snapshot."""
    while True:
        arrived = await _until_snapshot(ground, run)
        data_dir, own = ground.config.node.data_dir, ground.key.public
        go_on_from(arrived, ground.genesis, ground.journal, data_dir, own)


async def _until_snapshot(
    ground: _Ground, run: Callable[[_Life], Coroutine[None, None, None]]
) -> Arrived:
    """Run a node until a snapshot is here that it should go on from, and end it."""
    life = _begun(ground)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(run(life))
        arrived = await life.joiner.run()
        running.cancel()
    return arrived


def _begun(ground: _Ground) -> _Life:
    """Return a node that takes up where the journal stands, with all that serves it."""
    config, key, genesis = ground.config, ground.key, ground.genesis
    data_dir, wall_ms = config.node.data_dir, ground.clock.wall_ms
    link = _link(config, network_id(genesis)) if ground.role == "edge" else None
    around = Surroundings(ground.journal, ground.mesh, ground.clock, link, _rng())
    node = EdgeNode(genesis, CONTRACTS, key, around, _settings(config, ground.role, key.public))
    executor = node.executor
    executor.standings = ground.standings  # who lied is not forgiven for the sake of a snapshot
    keeper = _keeper(config, ground.role, node)
    served = _Served(node, data_dir, keeper, link)
    ends_at_ms = None if ground.credentials is None else ground.credentials.ends_at_ms
    version_here = version("tanglewatt")
    card = NodeCard(key.public, config.node.name, ground.role, version_here, ends_at_ms)
    answers = NodeApi(served, card, served.peers, sealing_key(key) if link else None)
    answers.serve_home(home_of(node.journal, config, key, has_meters=link is not None))
    http = _http(config, node, answers, ground.listener.dup())
    joiner = Joiner(genesis, executor, ground.mesh, data_dir, join_settings(config), wall_ms)
    answers.watch_joining(joiner.state)
    server = SnapshotServer(genesis, data_dir, ground.mesh, wall_ms)
    executor.listen_snapshots(server.hear)
    services: tuple[Service, ...] = (http, keeper.run, server.run)
    settling = settling_of(config, node, _rng())
    if settling is not None:
        answers.watch_settling(settling.stand)
        services = (*services, settling.run)
    if config.settlement.shows_totals:
        answers.totals = SettledTotals(key)
    _settle()
    return _Life(node, answers, services, keeper, joiner)


def join_settings(config: NodeConfig) -> JoinSettings:
    """Return whether and when a node starts from a peer's snapshot.

    An archive does not unless it is told to: it is there to keep what a snapshot leaves out.
    """
    is_archive = config.history.pruning_depth == 0
    is_on = config.join.snapshots == "on" or (config.join.snapshots == "auto" and not is_archive)
    return JoinSettings(is_on, config.join.ahead)


@asynccontextmanager
async def _opened(config: NodeConfig, role: str) -> AsyncIterator[_Ground]:
    """Open all that a node stands on, and close it again in the opposite order."""
    genesis = load_genesis(config.node.genesis_file)
    key = read_key_file(config.node.key_file, read_passphrase(config.node.passphrase_file))
    credentials = _credentials(config, key)
    network = network_id(genesis)
    create_folder(config.node.data_dir)
    clock = Clock(genesis)
    listener = listen(config.http.host, config.http.port)
    try:
        with Journal(config.node.data_dir, network) as journal:
            mesh = await open_mesh(
                _mesh_config(config, key, credentials, network, journal, clock), clock.wall_ms
            )
            try:
                yield _Ground(
                    config,
                    role,
                    genesis,
                    key,
                    credentials,
                    journal,
                    mesh,
                    clock,
                    listener,
                    Standings(),
                )
            finally:
                await mesh.close()
    finally:
        listener.close()


def _settle() -> None:
    """Let the collector pass over what stands now: else each full round stops the loop 0.1 s.

    And let the threads that check signatures have Python's lock soon.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.unfreeze()  # of the node's life before this one
    gc.collect()
    gc.freeze()


def _keeper(config: NodeConfig, role: str, node: EdgeNode) -> HistoryKeeper:
    wanted = config.history
    settings = HistorySettings(
        wanted.pruning_depth,
        wanted.max_journal_bytes,
        writes_snapshots=wanted.snapshots or role == "coordinator",
    )

    own = node.issuance.address

    def is_needed(tx_id: TransactionId, data: bytes) -> bool:
        transaction = decode(data).transaction
        is_own = transaction.issuer == node.key.public
        # whatever becomes of an own one under a used number, it counts no more
        window = sequence_window(node.core.ledger.rows, own)
        is_open = is_own and is_unused(window, transaction.sequence)
        return tx_id in node.core.graph or is_open

    keeper = HistoryKeeper(node.genesis, node.journal, config.node.data_dir, settings, is_needed)
    if node.metering is not None:
        keeper.pruned = _forgetting(config, node).run_once
        keeper.leaving = proof_keeper(node.core, node.journal).run_through
    node.executor.observe(keeper.observe)
    return keeper


def _forgetting(config: NodeConfig, node: EdgeNode) -> Forgetting:
    return Forgetting(
        node.journal,
        Retention(config.history.readings_hours, sealing_key(node.key)),
        lambda device: reading_ranges(node.core.ledger.rows, device),
        lambda: node.clock.instant().ledger_ms,
    )


def _http(config: NodeConfig, node: EdgeNode, answers: NodeApi, listener: socket.socket) -> Service:
    """Return what serves `answers`, which hears of all that happens from now on."""
    node.executor.observe(_published(answers))
    app = create_app(answers, (config.http.host, *config.http.hosts))

    async def http() -> None:
        await serve(app, listener)

    return http


def _published(answers: NodeApi) -> Callable[[Sequence[Effect]], None]:
    def publish(effects: Sequence[Effect]) -> None:
        for effect in effects:
            answers.publish(effect)

    return publish


def _rng() -> Random:
    """Return a node's dice: nobody may foresee which tips it will choose."""
    return Random(int.from_bytes(os.urandom(32), "big"))


def _credentials(config: NodeConfig, key: SigningKey) -> Credentials | None:
    """Return what the node links up with. An expired certificate still lets it take readings."""
    tls = config.mesh.tls
    if tls is None:
        return None
    return read_credentials(key, tls.certificate_file, tls.authority_file)


def _mesh_config(
    config: NodeConfig,
    key: SigningKey,
    credentials: Credentials | None,
    network: bytes,
    journal: Journal,
    clock: Clock,
) -> MeshConfig:
    return MeshConfig(
        listen=config.mesh.listen,
        connect=config.mesh.connect,
        key=key,
        peers={PeerId(peer.key): peer.alias for peer in heard_peers(config.mesh)},
        network=network,
        epoch=journal.next_epoch(clock.wall_ms()),
        credentials=credentials,
        allows_plain=config.mesh.allow_plain,
    )


def _link(config: NodeConfig, network: bytes) -> MeterLink:
    broker = BrokerAddress(config.mqtt.host, config.mqtt.port)
    devices = [address_of(PublicKey(one.key)) for one in config.devices]
    return MeterLink(broker, network, devices, config.node.name)


def _settings(config: NodeConfig, role: str, own: PublicKey) -> NodeSettings:
    return NodeSettings(
        alias=config.node.name,
        role=role,
        version=version("tanglewatt"),
        batch_interval_ms=config.intake.batch_interval_ms,
        enrolments=tuple(_registration(one, own) for one in config.devices),
    )


def _registration(enrolment: Enrolment, own: PublicKey) -> Register:
    """Return the call that registers a device homed here, as the device itself signed it."""
    edge = address_of(own) if enrolment.role == "meter" else NO_ADDRESS
    key, owner = PublicKey(enrolment.key), Address(enrolment.owner)
    return Register(key, enrolment.role, owner, edge, enrolment.proof)


async def _until_signalled(running: Coroutine[None, None, None]) -> None:
    """Run until it ends or a signal asks to stop, and clean up either way.

    Raises:
        TanglewattError: The first that ended it, out of whatever group it came in.
    """
    loop = asyncio.get_running_loop()
    task = loop.create_task(running)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        return  # asked to stop: everything is closed by now
    except BaseExceptionGroup as group:
        raise _first_cause(group) from group


def _first_cause(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error that people are told of: one raised on purpose, if there is any."""
    causes: list[BaseException] = [group]
    for cause in causes:
        if isinstance(cause, BaseExceptionGroup):
            causes.extend(cause.exceptions)
        elif isinstance(cause, TanglewattError):
            return cause
    return next(one for one in causes if not isinstance(one, BaseExceptionGroup))
