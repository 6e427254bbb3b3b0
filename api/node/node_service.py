"""A running node as the HTTP layer sees it: `service.NodeService` over core and journal."""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final, Protocol, TypeVar

from api.http.checks import SigningState, Vitals, health_checks
from api.http.energy_forms import SettlementJson
from api.http.exposition import Family, gauge
from api.http.service import (
    AddressView,
    Check,
    DeviceView,
    LedgerState,
    MilestoneView,
    NodeInfo,
    PeerView,
    Proved,
    Submitted,
    TradePlace,
    TradeSlice,
    TransactionView,
)
from api.http.stream import Hub, Subscription, events_of
from api.node.device_views import Meters
from api.node.market_history import trade_slice
from api.node.measuring import Measures
from api.node.metrics import (
    Stand,
    Storage,
    ledger_families,
    node_families,
    prefixed,
    process_families,
    storage_families,
    traffic_families,
)
from api.node.milestone_views import milestone_view
from api.node.proving import address_proof, proved, row_proof, transaction_proof
from api.node.reading_answers import asked_of, erase_readings, prove_reading, proven_reading
from api.node.settled_totals import SettledTotals, settlement_json
from api.node.settlement_view import settlement_families, settling_state
from api.node.span_answers import Home, answer_span, asked_span
from api.node.transaction_views import Confidences, aside_view, attached_view
from devices.reading_proof import ProvenReading, ReadingProof
from edge.joining.join_state import JoinState
from edge.joining.snapshots import FOLDER, SnapshotFile, list_snapshots
from edge.journal.entries import Counts, StoredTransaction
from edge.journal.journal import Journal
from edge.node.catch_up import Progress
from edge.node.local_difficulty import LocalDifficulty
from edge.settlement.settling import NOTHING_SETTLED, SettlingStand
from energy.queries import Addresses, Answer, Names, ask
from tangle.accounts import (
    IDENTITY_PREFIX,
    Token,
    balance,
    decode_identity,
    identity,
    sequence_window,
)
from tangle.address import Address
from tangle.codec import encode
from tangle.contracts import Rules
from tangle.effects import Effect, Instant
from tangle.errors import InvalidError, UnavailableError
from tangle.genesis import Genesis
from tangle.keys import PublicKey
from tangle.node import NodeCore
from tangle.outcomes import State, state_of
from tangle.transaction import IssuerWitness, Transaction, TransactionId, transaction_id
from tangle.verification import parse
from tangle.work import required_bits

T = TypeVar("T")

_NAMES: Final = Names(Addresses())


class RunningNode(Protocol):
    """What the adapter needs of the runtime, which owns the core, the journal and the loop."""

    @property
    def core(self) -> NodeCore:
        """The core, to be read on the loop only."""
        ...

    @property
    def genesis(self) -> Genesis:
        """Of the node's network."""
        ...

    @property
    def folder(self) -> Path:
        """The node's data folder."""
        ...

    def now(self) -> Instant:
        """Return this moment on both clocks."""
        ...

    async def submit(self, data: bytes) -> TransactionId:
        """Take in canonical bytes, durable when it returns; raises as `NodeService.submit`."""
        ...

    def progress(self) -> Progress:
        """Return how far behind the node is."""
        ...

    def select_parents(self) -> tuple[TransactionId, TransactionId]:
        """Return two distinct parents, ascending. Raises `NoTipsError`."""
        ...

    @property
    def queue_length(self) -> int:
        """How many transactions wait in the fair queue."""
        ...

    def queued(self, tx_id: TransactionId) -> bytes | None:
        """Return the bytes of what waits in the fair queue."""
        ...

    def stand(self) -> Stand:
        """Return what the node's parts say of themselves."""
        ...

    async def work(self, transaction: Transaction) -> bytes:
        """Return a nonce for `transaction`, computed off the loop."""
        ...

    async def read(self, query: Callable[[Journal], T]) -> T:
        """Return what `query` makes of the journal, which it has to itself meanwhile."""
        ...


@dataclass(frozen=True, slots=True)
class NodeCard:
    """What a node shows of itself that does not change while it runs."""

    key: PublicKey
    alias: str
    role: str
    """`edge` or `coordinator`."""

    version: str
    certificate_ends_at_ms: int | None
    """Wall time; `None` for a node with plain links."""


class NodeApi:
    """Answers for one running node."""

    def __init__(
        self,
        node: RunningNode,
        card: NodeCard,
        peers: Callable[[], tuple[PeerView, ...]],
        sealing_key: bytes | None,
    ) -> None:
        """Answer for one node.

        Args:
            node: The runtime.
            card: Who the node is.
            peers: Returns the configured peers, in order of configuration.
            sealing_key: Opens the readings in the journal; `None` for a node without meters.
        """
        self._node = node
        self._card = card
        self._peers = peers
        self._sealing_key = sealing_key
        self._home = Home(sealing_key)
        self._meters = Meters(sealing_key)
        self._hub = Hub()
        self._difficulty = LocalDifficulty()
        self._confidences = Confidences(Random(self._card.key))
        self._signing: Callable[[], SigningState] = SigningState
        self._joining: Callable[[], JoinState] = JoinState
        self._settling: Callable[[], SettlingStand] = lambda: NOTHING_SETTLED
        self._measures = Measures(node.core)
        self._started_ms = node.now().wall_ms
        self.totals: SettledTotals | None = None  # what was settled, if the door may tell

    def watch_signing(self, state: Callable[[], SigningState]) -> None:
        """Ask `state`, whenever health is asked for, how the signing of milestones goes."""
        self._signing = state

    def serve_home(self, home: Home) -> None:
        """Show what `home` says is here, to whom it says."""
        self._home = home

    def watch_joining(self, state: Callable[[], JoinState]) -> None:
        """Ask `state`, whenever info or health is asked for, how far a snapshot is on its way."""
        self._joining = state

    def watch_settling(self, stand: Callable[[], SettlingStand]) -> None:
        """Ask `stand`, whenever health or metrics are asked for, where settlements stand."""
        self._settling = stand

    def publish(self, effect: Effect) -> None:
        """Tell every listener of one effect; the runtime calls it when the effect is durable."""
        self._measures.observe(effect, self._node.now().wall_ms)
        if self._hub.has_subscribers:
            for event in events_of(effect, self._node.now().wall_ms):
                self._hub.publish(event)

    @property
    def rules(self) -> Rules:
        """What transactions of this network are judged by."""
        return self._node.core.rules

    async def info(self) -> NodeInfo:
        """Return the node at this moment."""
        counts = await self._node.read(Journal.counts)
        return self._info(counts)

    def checks(self) -> tuple[Check, ...]:
        """Return the health checks."""
        core, peers, progress = self._node.core, self._peers(), self._node.progress()
        parameters = self._node.genesis.parameters
        disk = os.statvfs(self._node.folder)
        now, ends_at_ms = self._node.now(), self._card.certificate_ends_at_ms
        ledger_ms = now.ledger_ms - core.confirmed_at_ms
        vitals = Vitals(
            behind=progress.behind,
            estimate_ms=progress.estimate_ms,
            is_stranded=progress.is_stranded,
            quiet_ms=ledger_ms // parameters.time_scale,
            milestone_interval_ms=parameters.milestone_interval_ms,
            max_clock_ahead_ms=parameters.max_clock_ahead_ms,
            halted=None if core.halted is None else core.halted.report,
            peers=len(peers),
            connected=sum(one.is_connected for one in peers),
            is_writable=not disk.f_flag & os.ST_RDONLY,
            free_bytes=disk.f_bavail * disk.f_frsize,
            certificate_left_ms=None if ends_at_ms is None else ends_at_ms - now.wall_ms,
            signing=self._signing(),
            joining=self._joining(),
            settling=settling_state(self._settling()),
        )
        return health_checks(vitals)

    def select_parents(self) -> tuple[TransactionId, TransactionId]:
        """Return two distinct parents, ascending. Raises `NoTipsError`."""
        return self._node.select_parents()

    def more_bits(self, issuer: PublicKey) -> int:
        """Return the work this door asks of `issuer` now, beyond the network's, in bits."""
        return self._difficulty.more_bits(issuer, self._node.now().wall_ms)

    async def submit(self, data: bytes) -> Submitted:
        """Take in canonical bytes; durable when it returns."""
        with self._counting_refusals():
            return await self._submit(data)

    @contextmanager
    def _counting_refusals(self) -> Iterator[None]:
        try:
            yield
        except (InvalidError, UnavailableError) as error:
            self._measures.refused_at_door(error)
            raise

    async def _submit(self, data: bytes) -> Submitted:
        parsed = parse(data)
        issuer, now_ms = parsed.transaction.issuer, self._node.now().wall_ms
        is_counted = parsed.milestone is None and not self._node.core.is_known(parsed.tx_id)
        if is_counted and isinstance(parsed.witness, IssuerWitness):
            base = required_bits(parsed.size_bytes, self.rules.work_per_byte)
            nonce = parsed.witness.nonce
            self._difficulty.verify(issuer, parsed.tx_id, nonce, base, now_ms)
        tx_id = await self._node.submit(data)
        if is_counted:
            self._difficulty.taken(issuer, now_ms)
        state = self._node.core.state(tx_id)
        if state is None:  # referenced already: the same bytes came before
            stored = await self._node.read(lambda journal: journal.transaction(tx_id))
            state = self._state(tx_id, stored)
        return Submitted(tx_id, state)

    async def work(self, transaction: Transaction) -> bytes:
        """Return a nonce with the work that `transaction` needs."""
        base = required_bits(len(encode(transaction)), self.rules.work_per_byte)
        issuer, now_ms = transaction.issuer, self._node.now().wall_ms
        with self._counting_refusals():
            self._difficulty.verify(issuer, transaction_id(transaction), None, base, now_ms)
        return await self._node.work(transaction)

    async def transaction(
        self, tx_id: TransactionId, *, with_confidence: bool = False
    ) -> TransactionView | None:
        """Return one transaction, attached or waiting, or `None`."""
        stored = await self._node.read(lambda journal: journal.transaction(tx_id))
        core = self._node.core
        if stored is None:
            return aside_view(core, tx_id, self._node.queued(tx_id))
        likely = self._confidences.of(core, tx_id) if with_confidence else None
        return attached_view(core, stored, self._state(tx_id, stored), self._node.now(), likely)

    async def pruned_through(self) -> int:
        """Return the last milestone whose transactions are not kept here, 0 for none."""
        return await self._node.read(Journal.oldest_cone) - 1

    async def milestone(self, index: int | None) -> MilestoneView | None:
        """Return the milestone of `index`, or the last applied one."""
        return await self._node.read(lambda journal: milestone_view(journal, index))

    def address(self, address: Address) -> AddressView:
        """Return what the ledger holds for `address`."""
        rows = self._node.core.ledger.rows
        return AddressView(
            balance(rows, Token.ENT, address),
            balance(rows, Token.EEURO, address),
            sequence_window(rows, address).next,
            identity(rows, address),
        )

    def query(self, key: str) -> Answer:
        """Return what the ledger says to one query key. Raises `InvalidError`."""
        return ask(self._node.core.ledger.rows, key, _NAMES)

    def ledger(self) -> LedgerState:
        """Return the whole ledger after the last applied milestone."""
        ledger = self._node.core.ledger
        return LedgerState(ledger.index, ledger.timestamp_ms, ledger.rows)

    async def trades(self, before: TradePlace | None) -> TradeSlice:
        """Return the trades of a bounded stretch of the past, from a place backwards."""
        return await self._node.read(lambda journal: trade_slice(journal, before))

    async def settled(self) -> SettlementJson:
        """Return what was settled here, all homes together, if the node tells."""
        return await self._node.read(lambda journal: settlement_json(journal, self.totals))

    async def prove_transaction(self, tx_id: TransactionId) -> Proved | None:
        """Return the proof of one transaction, or `None`. Raises `NotProvableError`."""
        proof = await self._node.read(lambda journal: transaction_proof(journal, tx_id))
        return None if proof is None else proved(proof, self._node.genesis)

    async def prove_row(self, key: bytes) -> Proved:
        """Return the proof of one row, present or absent. Raises `NotProvableError`."""
        core = self._node.core
        proof = await self._node.read(lambda journal: row_proof(core, journal, key))
        return proved(proof, self._node.genesis)

    async def prove_address(self, address: Address) -> Proved:
        """Return the proof of what `address` holds. Raises `NotProvableError`."""
        core = self._node.core
        proof = await self._node.read(lambda journal: address_proof(core, journal, address))
        return proved(proof, self._node.genesis)

    async def prove_reading(self, data: bytes) -> tuple[ReadingProof, ProvenReading]:
        """Return the proof of one reading to who may see it."""
        asked = asked_of(self._node.core, data, "prove")
        key = self._sealing_key
        proof = await self._node.read(lambda journal: prove_reading(journal, key, asked))
        return proof, proven_reading(proof, self._node.genesis)

    async def erase_readings(self, data: bytes) -> int:
        """Delete readings as a signed request says."""
        asked = asked_of(self._node.core, data, "erase")
        key = self._sealing_key
        return await self._node.read(lambda journal: erase_readings(journal, key, asked))

    async def show_span(self, data: bytes) -> bytes:
        """Return a page of what this node has of a stretch of time."""
        core, home = self._node.core, self._home
        request = asked_span(core, data, home)
        return await answer_span(core, self._node.read, home, request)

    async def devices(self) -> tuple[DeviceView, ...]:
        """Return all meters the ledger or the journal knows, ascending by address."""
        rows = list(self._node.core.scan(IDENTITY_PREFIX))
        identities = {
            Address(key.removeprefix(IDENTITY_PREFIX)): decode_identity(value)
            for key, value in rows
        }
        meters = {key: one for key, one in identities.items() if one.role == "meter"}
        return await self._node.read(
            lambda journal: self._meters.views(journal, meters, self._node.stand().relays)
        )

    async def snapshots(self) -> list[SnapshotFile]:
        """Return the snapshots on this node's disk, the newest first."""
        return await asyncio.to_thread(list_snapshots, self._node.folder / FOLDER)

    def peers(self) -> tuple[PeerView, ...]:
        """Return the configured peers."""
        return self._peers()

    async def metrics(self) -> list[Family]:
        """Return what an operator's monitoring reads."""
        core, card, stand = self._node.core, self._card, self._node.stand()
        stored = await self._node.read(
            lambda journal: Storage(
                journal.counts(), journal.used_bytes(), journal.oldest_cone() - 1
            )
        )
        now = self._node.now()
        since_ms = now.ledger_ms - core.confirmed_at_ms
        confirmed_wall_ms = now.wall_ms - since_ms // self._node.genesis.parameters.time_scale
        own = [
            *node_families(card.version, card.role, self.checks()),
            *ledger_families(core, self._measures, confirmed_wall_ms, stored),
            *storage_families(self._node.folder, core, stored, stand),
            *traffic_families(stand, self._peers()),
            *settlement_families(self._settling()),
            gauge("websocket_clients", "Listeners of the stream.", self._hub.subscriber_count),
        ]
        return [*prefixed(own), *process_families(self._started_ms)]

    def subscribe(self) -> Subscription:
        """Return a new buffer of what happens from now on. Raises `QueueFullError`."""
        return self._hub.subscribe()

    def _info(self, counts: Counts) -> NodeInfo:
        core, card, progress = self._node.core, self._card, self._node.progress()
        return NodeInfo(
            network=core.rules.network,
            name=self._node.genesis.name,
            node=card.key,
            alias=card.alias,
            role=card.role,
            version=card.version,
            work_per_byte=core.rules.work_per_byte,
            confirmed_index=core.confirmed_index,
            confirmed_id=core.confirmed_id,
            confirmed_at_ms=core.confirmed_at_ms,
            state_root=core.state_root,
            milestones_behind=progress.behind,
            catch_up_ms=progress.estimate_ms,
            ledger_time_ms=self._node.now().ledger_ms,
            tips=core.graph.tip_count,
            pending=counts.pending,
            waiting=core.waiting_count + self._node.queue_length,
            transactions=counts.transactions,
            milestones=counts.milestones,
            halted=core.halted,
            joining=self._joining().progress,
        )

    def _state(self, tx_id: TransactionId, stored: StoredTransaction | None) -> State:
        if stored is not None and stored.outcome is not None:
            return state_of(stored.outcome)
        state = self._node.core.state(tx_id)
        if state is None:
            return State.PENDING  # its milestone is applied, but not durable yet
        if state is State.UNKNOWN and stored is not None:
            return State.EXPIRED  # journalled, and left out of the graph for good
        return state
