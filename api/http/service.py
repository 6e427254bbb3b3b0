"""The port: what the HTTP layer needs of a node, and the records it gets back."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

from api.http.energy_forms import SettlementJson
from api.http.exposition import Family
from api.http.stream import Subscription
from devices.reading_proof import ProvenReading, ReadingProof
from edge.joining.join_state import JoinProgress
from edge.joining.snapshots import SnapshotFile
from energy.market.trades import Trade
from energy.queries import Answer
from tangle.accounts import Identity
from tangle.address import Address
from tangle.contracts import Rules
from tangle.effects import Halted, PeerId
from tangle.keys import PublicKey
from tangle.outcomes import Event, Reason, State
from tangle.proven import Proven
from tangle.rows import RowReader
from tangle.transaction import Transaction, TransactionId
from tip_selection.outlook import WaitsFor


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """One node at one moment."""

    network: bytes
    """First 8 bytes of the genesis hash."""

    name: str
    """Of the network."""

    node: PublicKey
    alias: str
    role: str
    """What the process is: `edge` or `coordinator`."""

    version: str
    work_per_byte: int
    confirmed_index: int
    """Last applied milestone; 0 for genesis."""

    confirmed_id: TransactionId
    confirmed_at_ms: int
    """Ledger time of that milestone."""

    state_root: bytes
    milestones_behind: int
    """Known of and not applied yet."""

    catch_up_ms: int | None
    """How long these will take at the measured rate; `None` while none is measured."""

    ledger_time_ms: int
    tips: int
    pending: int
    """Solid, and referenced by no milestone yet."""

    waiting: int
    """Come and not attached: in the fair queue, without their parents, or held."""

    transactions: int
    """In the journal, milestones included."""

    milestones: int
    """Applied ones in the journal."""

    halted: Halted | None
    joining: JoinProgress | None = None
    """How far a peer's snapshot is on its way; `None` while none is."""


class CheckStatus(StrEnum):
    """How one health check ended."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"
    """The node is not ready."""


@dataclass(frozen=True, slots=True)
class Check:
    """One named health check."""

    name: str
    """`storage`, `sync`, `peers`, `coordinator`, `clock` or `disk`."""

    status: CheckStatus
    detail: str
    """Words with the values compared."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """A transaction the node has made durable."""

    tx_id: TransactionId
    state: State


@dataclass(frozen=True, slots=True)
class TransactionView:
    """One attached transaction and where it stands on this node."""

    tx_id: TransactionId
    data: bytes
    """Canonical bytes with witness."""

    state: State
    reason: Reason | None
    """Why it was ignored; `None` in every other state."""

    children: tuple[TransactionId, ...]
    milestone_index: int | None
    """Milestone that references it."""

    attached_at_ms: int | None
    """Wall clock of this node; `None` while it is not attached."""

    cumulative_weight: int | None
    """`None` for what the node does not keep in memory."""

    waits_for: WaitsFor | None = None
    """`None` for what is final."""

    missing: tuple[TransactionId, ...] = ()
    """Parents this node does not have."""

    expected_index: int | None = None
    """Of the milestone that may be expected to reference it."""

    expected_at_ms: int | None = None
    """Ledger time of that milestone, if the coordinator keeps its beat."""

    confidence: int | None = None
    """Percent; `None` unless it was asked for and is known."""

    events: tuple[Event, ...] = ()
    """What the contract reported, once applied."""


@dataclass(frozen=True, slots=True)
class MilestoneView:
    """One applied milestone and what it did."""

    tx_id: TransactionId
    data: bytes
    """Canonical bytes with witness."""

    attached_at_ms: int
    applied: int
    """Transactions it references that changed the ledger."""

    no_value: int
    ignored: int
    ended: tuple[Event, ...]
    """What happened after the last operation."""


@dataclass(frozen=True, slots=True)
class AddressView:
    """What the ledger holds for one address, after the last applied milestone."""

    ent_uent: int
    eeuro_ueur: int
    next_sequence: int
    """Lowest number of its own counter that is not used."""

    identity: Identity | None


@dataclass(frozen=True, slots=True)
class JournalledReadings:
    """What one edge node has journalled of a meter."""

    count: int
    through: int | None
    """Newest sequence; `None` before the first."""

    import_wh: int
    """Register of the newest of them."""

    export_wh: int
    lost: int
    """Readings between the first and the newest that neither this node nor the meter has: this
    node started from a backup that was older than they."""
    forgotten: int = 0
    """Older ones that were journalled here and have left since."""


@dataclass(frozen=True, slots=True)
class RelayView:
    """What a home edge knows of the relay of one capable meter."""

    asked_w: int | None
    """What the newest standing served leaves it; 0 for nothing, `None` for all."""

    since_ms: int | None
    """Ledger time since when there is a limit; `None` while there is none."""

    served_index: int
    """Milestone of that standing; 0 before the first."""

    said_w: int | None
    """What the meter last said that it leaves."""

    said_index: int
    """Milestone it said to go by; 0 if it has said nothing."""

    disobeys: bool
    """It draws more than it is left, in reading after reading."""

    excess_wh: int
    """How much more, in these."""

    disobeyed_at_ms: int | None
    """Ledger time of the last time, since the node began; `None` if there was none."""


@dataclass(frozen=True, slots=True)
class DeviceView:
    """One meter, as ledger and journal know it."""

    address: Address
    owner: Address | None
    edge: Address | None
    """The edge node that may batch its readings."""

    registered: bool
    confirmed: int
    """Readings in applied batches."""

    twice: int
    """Readings in more than one applied batch: always 0, counted and not assumed."""

    ranges: tuple[tuple[int, int], ...]
    """Committed sequences, first and last inclusive, merged, ascending."""

    journalled: JournalledReadings | None
    """`None` on a node that is not its home edge."""

    audited: int | None
    """Readings whose commitment this node computed anew and found in an applied batch; `None`
    on a node without the readings."""

    pruned: int = 0
    """Readings whose transactions had left before this node started: the ledger's rows say that
    they are applied, and there was nothing to compute anew."""

    relay: RelayView | None = None
    """`None` but for a capable meter on its home edge."""


@dataclass(frozen=True, slots=True)
class PeerView:
    """Another node, as this one sees it."""

    peer: PeerId
    alias: str | None
    is_connected: bool
    last_heard_ms: int | None
    """Wall clock; `None` if never."""

    confirmed_index: int | None
    """The last milestone it said it had applied."""

    standing: int
    """0 to 100; lowered by what it signed and the rules forbid."""

    banned_until_ms: int | None
    """Wall clock; `None` while it is heard."""


@dataclass(frozen=True, slots=True)
class Proved:
    """A proof that this node has read itself before it hands it out."""

    data: bytes
    """Canonical bytes, checksum included."""

    proven: Proven


@dataclass(frozen=True, slots=True)
class LedgerState:
    """The ledger after the last applied milestone, to be read before anything is awaited."""

    index: int
    timestamp_ms: int
    """Ledger time of the milestone."""

    rows: RowReader


class TradePlace(NamedTuple):
    """Where a trade happened; places rise in the order of the ledger."""

    milestone: int
    """Its index."""

    position: int
    """Of the transaction within it."""

    number: int
    """Among the trades of that transaction."""


@dataclass(frozen=True, slots=True)
class PlacedTrade:
    """One trade, and when it happened."""

    place: TradePlace
    tx_id: TransactionId
    timestamp_ms: int
    """Ledger time of the milestone."""

    trade: Trade


@dataclass(frozen=True, slots=True)
class TradeSlice:
    """The trades of a stretch of the ledger's past, the newest first."""

    trades: tuple[PlacedTrade, ...]
    next: TradePlace | None
    """Everything before it was not looked at; `None` if there is nothing more here."""

    since_ms: int | None
    """Ledger time of the oldest milestone looked at; `None` with `next`."""


class NodeService(Protocol):
    """What the HTTP layer calls. Reads show the state after the last applied milestone."""

    @property
    def rules(self) -> Rules:
        """What transactions of this network are judged by."""
        ...

    async def info(self) -> NodeInfo:
        """Return the node at this moment."""
        ...

    def checks(self) -> tuple[Check, ...]:
        """Return the health checks, always the same names in the same order."""
        ...

    def select_parents(self) -> tuple[TransactionId, TransactionId]:
        """Return two distinct parents, ascending. Raises `NoTipsError`."""
        ...

    def more_bits(self, issuer: PublicKey) -> int:
        """Return the work this door asks of `issuer` now, beyond the network's, in bits."""
        ...

    async def submit(self, data: bytes) -> Submitted:
        """Take in canonical bytes; durable when it returns. The same bytes again are no error.

        Raises:
            InvalidError: The rules forbid the transaction.
            UnavailableError: Not now.
        """
        ...

    async def work(self, transaction: Transaction) -> bytes:
        """Return a nonce with the work that `transaction` needs, computed off the loop.

        Raises:
            MoreWorkNeededError: This door asks for more than the network does: for the client.
        """
        ...

    async def transaction(
        self, tx_id: TransactionId, *, with_confidence: bool = False
    ) -> TransactionView | None:
        """Return one transaction, or `None` if this node does not have it."""
        ...

    async def pruned_through(self) -> int:
        """Return the last milestone whose transactions are not kept here, 0 for none."""
        ...

    async def milestone(self, index: int | None) -> MilestoneView | None:
        """Return the milestone of `index`, or the last applied one; `None` if there is none."""
        ...

    def address(self, address: Address) -> AddressView:
        """Return what the ledger holds for `address`: zeroes where it holds nothing."""
        ...

    def query(self, key: str) -> Answer:
        """Return what the ledger says to one query key; addresses are named by their text form.

        Raises:
            InvalidError: No such key.
        """
        ...

    def ledger(self) -> LedgerState:
        """Return the whole ledger after the last applied milestone."""
        ...

    async def trades(self, before: TradePlace | None) -> TradeSlice:
        """Return the trades of a bounded stretch of the past, from a place backwards."""
        ...

    async def settled(self) -> SettlementJson:
        """Return what was settled here, all homes together, if the node tells."""
        ...

    async def prove_transaction(self, tx_id: TransactionId) -> Proved | None:
        """Return the proof of one transaction, or `None` if this node has never attached it.

        Raises:
            NotProvableError: No milestone references it, or what would prove it was pruned.
        """
        ...

    async def prove_row(self, key: bytes) -> Proved:
        """Return the proof of one row, present or absent. Raises `NotProvableError`."""
        ...

    async def prove_address(self, address: Address) -> Proved:
        """Return the proof of what `address` holds. Raises `NotProvableError`."""
        ...

    async def prove_reading(self, data: bytes) -> tuple[ReadingProof, ProvenReading]:
        """Return the proof of one reading, and what it proves.

        Args:
            data: Canonical bytes of the signed request.

        Raises:
            InvalidRequestError: Not genuine, not of now, or by one who may not ask.
            NotProvableError: Not here, or not settled, or what would prove it has left.
        """
        ...

    async def erase_readings(self, data: bytes) -> int:
        """Delete readings as a signed request says, durably; return how many.

        Raises:
            InvalidRequestError: As `prove_reading`.
            StorageError: Nothing is deleted.
        """
        ...

    async def show_span(self, data: bytes) -> bytes:
        """Return a page of what a home node has of a stretch of time, as canonical bytes.

        Args:
            data: Canonical bytes of the signed request.

        Raises:
            InvalidRequestError: As `prove_reading`.
            NotProvableError: It is not here, or not all of it yet.
        """
        ...

    async def devices(self) -> tuple[DeviceView, ...]:
        """Return all meters the ledger or the journal knows, ascending by address."""
        ...

    async def snapshots(self) -> list[SnapshotFile]:
        """Return the snapshots on this node's disk, the newest first."""
        ...

    def peers(self) -> tuple[PeerView, ...]:
        """Return the configured peers, in order of configuration."""
        ...

    async def metrics(self) -> list[Family]:
        """Return what an operator's monitoring reads; cheap, whatever the node holds."""
        ...

    def subscribe(self) -> Subscription:
        """Return a new buffer of what happens from now on. Raises `QueueFullError`."""
        ...
