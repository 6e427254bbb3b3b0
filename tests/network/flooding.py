"""A real network under a flood: spam through a node's HTTP door, or from a peer over the mesh.

The spammer's node is an accomplice: no process of ours, but a peer that all others are configured
to hear. It builds upon what it hears, as an honest node would, and sends as fast as it is told.
"""

import asyncio
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

import pytest

from api.client.issuing import Issuer, issue
from api.client.node_client import NodeClient
from api.commands.access_files import wallet_issuer
from api.failures import CommandError
from api.network import files as network_files
from api.network.plan import Wishes
from api.settings.config import load_config
from api.settings.genesis_file import load_genesis
from api.settings.records import NodeConfig
from api.settings.wallet_file import read_wallet_public_key
from edge.ground.clock import Clock, system_wall_ms
from edge.ground.key_file import read_key_file, read_passphrase
from edge.mesh.certificates import read_credentials
from edge.mesh.frames import MAX_FRAME_ITEMS, Transactions
from edge.mesh.mesh import Mesh, MeshConfig, open_mesh
from energy.transfer import TransferEeuro, transfer_operation
from tangle.address import address_of
from tangle.codec import encode
from tangle.effects import PeerId
from tangle.errors import MeshClosedError
from tangle.genesis import Genesis, Parameters, entry_points, network_id
from tangle.keys import SigningKey
from tangle.transaction import (
    VERSION,
    Data,
    IssuerWitness,
    SignedTransaction,
    Transaction,
    TransactionId,
    sign,
    transaction_id,
)
from tangle.verification import parse
from tangle.work import find_nonce, required_bits
from tests.network.killing import DEADLINE_S, World, make_world

NODES: Final = ("coordinator", "edge-1", "edge-2")
ACCOMPLICE: Final = "edge-3"
HONEST: Final = ("home_01", "home_02", "home_03", "home_04")
SPAMMER: Final = "home_05"
FLOODED: Final = Wishes(edges=3, homes=5)
HONEST_PAUSE_S: Final = 1.0
POLL_S: Final = 0.1
RECENT: Final = 64
"""What the spammer builds upon: so many of the newest it knows of."""


@dataclass
class Waits:
    """What honest wallets went through."""

    milestones: list[int] = field(default_factory=list)
    """Milestones from the wish to pay to being referenced, 1 for the next one."""

    refused: Counter[str] = field(default_factory=Counter)

    @property
    def said(self) -> str:
        """What a report says of them."""
        counted = sorted(Counter(self.milestones).items())
        return f"{dict(counted)} refused {dict(self.refused)}"


@contextmanager
def running_nodes(folder: Path) -> Iterator[World]:
    """Run coordinator and two edge nodes, until all serve; stop them in the end.

    The network asks for little work: whoever floods has machines of his own, and here he would
    take the nodes' time.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network_files, "Parameters", partial(Parameters, work_per_byte=1))
        world = make_world(folder, FLOODED)
    try:
        for name in NODES:
            world.start(name)
        for name in NODES:
            world.wait(world.client(name).is_ready, f"{name} is ready", 2 * DEADLINE_S)
        yield world
    finally:
        world.stop()


def issuer_of(world: World, home: str) -> Issuer:
    return wallet_issuer(world.layout, world.layout.wallet_file(home), None)


def honest_waits(world: World, for_s: float) -> Waits:
    """Let each honest wallet pay once a second, through both edges, and see what becomes of it."""
    payers = _Payers(world, time.monotonic() + for_s)
    watcher = threading.Thread(target=payers.watch)
    watcher.start()
    try:
        world.wait(lambda: payers.index > 0, "the first milestone")
        threads = [threading.Thread(target=payers.pay, args=item) for item in enumerate(HONEST)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = [_referenced(world, tx_id) - before for tx_id, before in payers.wished]
    finally:
        payers.stopped.set()
        watcher.join()
    return Waits(found, payers.refused)


class _Payers:
    """What the threads of `honest_waits` share."""

    def __init__(self, world: World, until_s: float) -> None:
        self.index = 0
        """Last milestone of the coordinator."""
        self.wished: list[tuple[str, int]] = []
        """Id of each payment, and the index at which it was wished for."""
        self.refused = Counter[str]()
        self.stopped = threading.Event()
        self._world, self._until_s = world, until_s
        self._lock = threading.Lock()

    def watch(self) -> None:
        client = self._world.client("coordinator")
        while not self.stopped.is_set():
            with suppress(CommandError):
                self.index = client.info().confirmed_index
            self.stopped.wait(POLL_S)

    def pay(self, at: int, home: str) -> None:
        layout = self._world.layout
        client, issuer = self._world.client(NODES[1 + at % 2]), issuer_of(self._world, home)
        payee = read_wallet_public_key(layout.wallet_file(HONEST[at - 1]))
        call = transfer_operation(TransferEeuro(address_of(payee), 1))
        while time.monotonic() < self._until_s:
            before, started = self.index, time.monotonic()
            try:
                tx_id = issue(client, issuer, call, None)
            except CommandError as refusal:
                with self._lock:
                    self.refused[refusal.failure.what] += 1
            else:
                with self._lock:
                    self.wished.append((tx_id, before))
            self.stopped.wait(max(0.0, HONEST_PAUSE_S - (time.monotonic() - started)))


def _referenced(world: World, tx_id: str) -> int:
    """Return the milestone that references a transaction, at the coordinator."""
    found: list[int] = []

    def is_referenced() -> bool:
        with suppress(CommandError):
            answer = world.client("coordinator").transaction(tx_id)
            found.extend([answer.milestone_index] if answer.milestone_index else [])
        return bool(found)

    world.wait(is_referenced, f"{tx_id} is referenced")
    return found[0]


class Spam:
    """Makes spam of one issuer, worked and signed, over the newest that is known."""

    def __init__(self, genesis: Genesis, key: SigningKey) -> None:
        self._genesis, self._key = genesis, key
        self._clock = Clock(genesis)
        self._recent: deque[TransactionId] = deque(entry_points(genesis), RECENT)
        self._sequence = 0
        self._rng = Random(1)

    def heard(self, data: bytes) -> None:
        """Build upon this from now on."""
        self._recent.append(parse(data).tx_id)

    def next(self) -> bytes:
        first, second = sorted(self._rng.sample(sorted(set(self._recent)), 2))
        ledger_ms = self._clock.instant().ledger_ms
        fields = Transaction(
            VERSION,
            network_id(self._genesis),
            (first, second),
            self._key.public,
            self._sequence,
            ledger_ms,
            Data("spam", b""),
        )
        self._sequence += 1
        bits = required_bits(len(encode(fields)), self._genesis.parameters.work_per_byte)
        tx_id = transaction_id(fields)
        witness = IssuerWitness(sign(fields, self._key), find_nonce(tx_id, bits))
        return encode(SignedTransaction(fields, witness))


@contextmanager
def mesh_flood(world: World, per_s: int) -> Iterator[Counter[str]]:
    """Send spam as the peer edge-3, `per_s` transactions a second, until the block ends."""
    stopped, counts = threading.Event(), Counter[str]()
    thread = threading.Thread(
        target=lambda: asyncio.run(_flood_mesh(world, per_s, stopped, counts))
    )
    thread.start()
    try:
        yield counts
    finally:
        stopped.set()
        thread.join()


async def _flood_mesh(
    world: World, per_s: int, stopped: threading.Event, counts: Counter[str]
) -> None:
    config = load_config(NodeConfig, world.layout.edge_config(ACCOMPLICE), {})
    genesis = load_genesis(config.node.genesis_file)
    key = read_key_file(config.node.key_file, read_passphrase(config.node.passphrase_file))
    tls = config.mesh.tls
    assert tls is not None, "init makes certificates"
    credentials = read_credentials(key, tls.certificate_file, tls.authority_file)
    peers = {PeerId(peer.key): peer.alias for peer in config.mesh.peers}
    settings = MeshConfig(
        config.mesh.listen,
        config.mesh.connect,
        key,
        peers,
        network_id(genesis),
        system_wall_ms(),
        credentials,
    )
    mesh = await open_mesh(settings, system_wall_ms)
    spam = Spam(genesis, key)
    hearing = asyncio.create_task(_hear(mesh, spam))
    began = time.monotonic()
    try:
        while not stopped.is_set():
            due = int((time.monotonic() - began) * per_s) - counts["sent"]
            if due > 0:
                items = tuple(spam.next() for _ in range(min(due, MAX_FRAME_ITEMS)))
                for data in items:
                    spam.heard(data)
                mesh.broadcast(Transactions(items))
                counts["sent"] += len(items)
            await asyncio.sleep(0.02)
    finally:
        hearing.cancel()
        await mesh.close()


async def _hear(mesh: Mesh, spam: Spam) -> None:
    with suppress(MeshClosedError):
        while True:
            for _, body in await mesh.receive(None):
                if isinstance(body, Transactions):
                    for data in body.items:
                        spam.heard(data)


@contextmanager
def door_flood(world: World, per_s: int, posters: int = 8) -> Iterator[Counter[str]]:
    """Post spam of one registered issuer at edge-1, `per_s` transactions a second.

    Each poster has a connection for each request, as our own client; what is refused is counted
    and not posted again, and the network's work is all that is done.
    """
    stopped, counts, lock = threading.Event(), Counter[str](), threading.Lock()
    genesis = load_genesis(world.layout.genesis_file)
    spam = Spam(genesis, issuer_of(world, SPAMMER).key)
    client: NodeClient = world.client("edge-1")
    began = time.monotonic()

    def take() -> bytes | None:
        with lock:
            if int((time.monotonic() - began) * per_s) <= counts["posted"]:
                return None
            counts["posted"] += 1
            return spam.next()

    def post() -> None:
        while not stopped.is_set():
            data = take()
            if data is None:
                stopped.wait(0.01)
                continue
            status = _post(client, data)
            with lock:
                counts[status] += 1
                if status == "200":
                    spam.heard(data)

    threads = [threading.Thread(target=post) for _ in range(posters)]
    for thread in threads:
        thread.start()
    try:
        yield counts
    finally:
        stopped.set()
        for thread in threads:
            thread.join()


def _post(client: NodeClient, data: bytes) -> str:
    body = b'{"transactions":[{"bytes":"' + data.hex().encode("ascii") + b'"}]}'
    try:
        return str(client.ask("POST", "/api/v1/transactions", body).status)
    except OSError as error:
        return type(error).__name__
