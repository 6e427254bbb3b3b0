"""A whole node without network: a real core and a real journal, driven by the test itself."""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

from access.device import CONTRACT as DEVICE
from api.http.service import PeerView
from api.node.metrics import Stand
from api.node.node_service import NodeApi, NodeCard
from coordinator.issuer import sign_milestone
from edge.journal.entries import Arrival, Batch
from edge.journal.journal import Journal
from edge.node.catch_up import Progress
from energy.transfer import CONTRACT as TRANSFER
from tangle.address import address_of
from tangle.codec import encode
from tangle.contracts import Contracts, by_name
from tangle.effects import Attached, Confirmed, Effect, Instant, PeerId
from tangle.genesis import Allocation, Genesis, GenesisIdentity, Parameters, network_id
from tangle.keys import SigningKey
from tangle.node import NodeCore
from tangle.transaction import (
    VERSION,
    Data,
    IssuerWitness,
    Payload,
    SignedTransaction,
    Transaction,
    TransactionId,
    decode,
    sign,
    transaction_id,
)
from tangle.work import find_nonce, required_bits

T = TypeVar("T")

START_MS: Final = 1_800_000_000_000
COORDINATOR: Final = SigningKey(b"c" * 32)
EDGE: Final = SigningKey(b"e" * 32)
ALICE: Final = SigningKey(b"a" * 32)
BOB: Final = SigningKey(b"b" * 32)
STRANGER: Final = SigningKey(b"s" * 32)
METER: Final = SigningKey(b"m" * 32)
PEER: Final = PeerView(PeerId(b"p" * 32), "north", True, START_MS, 0, 100, None)

GENESIS: Final = Genesis(
    "test-net",
    START_MS,
    START_MS,
    Parameters(work_per_byte=1),
    (COORDINATOR.public,),
    1,
    tuple(
        sorted(
            (
                GenesisIdentity(EDGE.public, "edge"),
                GenesisIdentity(ALICE.public, "member"),
                GenesisIdentity(BOB.public, "member"),
            ),
            key=lambda one: one.key,
        )
    ),
    (Allocation(address_of(ALICE.public), 5_000_000),),
)
NETWORK: Final = network_id(GENESIS)
NOTE: Final = Data("note", b"hello")
CONTRACTS: Final = by_name(DEVICE, TRANSFER)


class SmallNode:
    """Plays the runtime for one node and issues its milestones when told to."""

    def __init__(
        self, folder: Path, genesis: Genesis = GENESIS, contracts: Contracts = CONTRACTS
    ) -> None:
        self.folder = folder
        self.genesis = genesis
        self.network = network_id(genesis)
        self.journal = Journal(folder, self.network)
        self.journal.restore(genesis, genesis.parameters.reference_depth)
        self.core = NodeCore(genesis, contracts)
        self.clock_ms = START_MS
        self.known_peers: tuple[PeerView, ...] = (PEER,)
        self.told: Callable[[Effect], None] = lambda _effect: None
        self.worked = 0
        self.in_queue: dict[TransactionId, bytes] = {}
        self.estimate_ms: int | None = None
        self.told_stand = Stand()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.journal.close()

    def now(self) -> Instant:
        return Instant(self.clock_ms, self.clock_ms)

    async def submit(self, data: bytes) -> TransactionId:
        self.take_in(data)
        return transaction_id(_fields(data))

    def progress(self) -> Progress:
        return Progress(self.core.latest_index - self.core.confirmed_index, self.estimate_ms)

    def select_parents(self) -> tuple[TransactionId, TransactionId]:
        newest = [vertex.tx_id for vertex in self.core.graph.vertices()][-2:]
        first, second = sorted(newest)
        return first, second

    @property
    def queue_length(self) -> int:
        return len(self.in_queue)

    def queued(self, tx_id: TransactionId) -> bytes | None:
        return self.in_queue.get(tx_id)

    def stand(self) -> Stand:
        return self.told_stand

    async def work(self, transaction: Transaction) -> bytes:
        self.worked += 1
        return nonce_of(transaction)

    async def read(self, query: Callable[[Journal], T]) -> T:
        return query(self.journal)

    def take_in(self, data: bytes) -> None:
        """Submit, and journal what came of it."""
        effects = self.core.submit(data, self.now())
        arrivals = tuple(
            Arrival(one.tx_id, one.data, self.clock_ms)
            for one in effects
            if isinstance(one, Attached)
        )
        confirmed = tuple(one for one in effects if isinstance(one, Confirmed))
        self.journal.commit(Batch(arrivals, confirmed))
        for effect in effects:
            self.told(effect)

    def confirm(self, after_ms: int = 2_000) -> TransactionId:
        """Issue the next milestone over all tips, so much later."""
        self.clock_ms += after_ms
        core = self.core
        parents = {core.confirmed_id, *sorted(core.graph.tips)[:7]}
        if len(parents) < 2:
            parents.update(self.select_parents())
        milestone = sign_milestone(core.draft_milestone(parents, self.clock_ms), (COORDINATOR,))
        self.take_in(milestone.data)
        return milestone.tx_id

    def draft(
        self, payload: Payload = NOTE, key: SigningKey = ALICE, sequence: int = 0
    ) -> Transaction:
        """Return an unsigned transaction over two parents of this moment."""
        parents = self.select_parents()
        return Transaction(
            VERSION, self.network, parents, key.public, sequence, self.clock_ms, payload
        )

    def signed(self, payload: Payload = NOTE, key: SigningKey = ALICE, sequence: int = 0) -> bytes:
        """Return canonical bytes, worked, ready to submit."""
        return seal(self.draft(payload, key, sequence), key)


def seal(transaction: Transaction, key: SigningKey) -> bytes:
    """Sign and work."""
    witness = IssuerWitness(sign(transaction, key), nonce_of(transaction))
    return encode(SignedTransaction(transaction, witness))


def nonce_of(transaction: Transaction) -> bytes:
    size_bytes = len(encode(transaction))
    bits = required_bits(size_bytes, GENESIS.parameters.work_per_byte)
    return find_nonce(transaction_id(transaction), bits)


def api_of(node: SmallNode, sealing_key: bytes | None = None) -> NodeApi:
    """Return the adapter over `node`, told of its effects."""
    card = NodeCard(EDGE.public, "south", "edge", "1.2.3", None)
    api = NodeApi(node, card, lambda: node.known_peers, sealing_key)
    node.told = api.publish
    return api


def _fields(data: bytes) -> Transaction:
    return decode(data).transaction
