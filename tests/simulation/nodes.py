"""One simulated node: a core, a disk that survives its crashes, and what it does on its own."""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from edge.node.catch_up import CatchUp
from edge.node.promotion import Promoter
from tangle.effects import Confirmed, Effect, Halted
from tangle.node import NodeCore
from tangle.outcomes import Applied
from tangle.restored import Restored, StoredVertex
from tangle.transaction import TransactionId


@dataclass(frozen=True, slots=True)
class Beat:
    """What a node says of itself."""

    index: int
    milestone_id: TransactionId
    tips: tuple[TransactionId, ...]
    oldest_cone: int


@dataclass(frozen=True, slots=True)
class Frame:
    """What travels between two nodes."""

    sender: int
    transactions: tuple[bytes, ...] = ()
    request: tuple[TransactionId, ...] = ()
    cone: int | None = None
    """Index of a milestone that is asked for with all that it references."""

    is_history: bool = False
    """Whether it is about a cone."""

    heartbeat: Beat | None = None


@dataclass(frozen=True, slots=True)
class Unwritten:
    """One commit of a disk: nobody hears of it before it is durable."""

    effects: list[Effect] = field(default_factory=list)
    then: list[Callable[[], None]] = field(default_factory=list)
    """What was promised to whoever waits for it."""


@dataclass
class SimulatedNode:
    """A core, and a journal that survives its crashes."""

    number: int
    core: NodeCore
    neighbours: tuple[int, ...]
    skew_ms: int
    """Of its clock."""

    head: tuple[int, TransactionId, int]
    """Last durable milestone: index, id, timestamp in ms."""

    disk_ms: int = 0
    """How long a commit takes at most."""

    group: int = 0
    is_up: bool = True
    life: int = 0
    """Counts its starts."""

    unwritten: Unwritten | None = None
    """What the disk is busy with."""

    gathering: Unwritten | None = None
    """What goes into the next commit, while a turn lasts."""

    deferred: deque[Callable[[], None]] = field(default_factory=deque)
    """What has to wait while the disk is busy: the next turn."""

    alone: deque[Callable[[], None]] = field(default_factory=deque)
    """What has to wait until all that the core knows is durable: signing."""

    catch_up: CatchUp = field(default_factory=CatchUp)
    promoter: Promoter = field(default_factory=Promoter)
    stored: dict[TransactionId, StoredVertex] = field(default_factory=dict)
    rows: dict[bytes, bytes] = field(default_factory=dict)
    roots: dict[int, bytes] = field(default_factory=dict)
    applied: Counter[TransactionId] = field(default_factory=Counter)
    milestones: list[Confirmed] = field(default_factory=list)
    halted: list[Halted] = field(default_factory=list)
    """Halts that are durable and that no operator lifted."""

    refused: frozenset[TransactionId] = frozenset()
    """Milestones that an operator judged."""

    @property
    def is_busy(self) -> bool:
        """Whether the disk is writing."""
        return self.unwritten is not None

    def journal(self, confirmed: Confirmed) -> None:
        """Write what a milestone did, all at once."""
        for tx_id, outcome in confirmed.outcomes:
            kept = self.stored[tx_id]
            self.stored[tx_id] = StoredVertex(tx_id, kept.data, 0, confirmed.index)
            self.applied[tx_id] += isinstance(outcome, Applied)
        for key, value in confirmed.changes.items():
            if value is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = value
        self.roots[confirmed.index] = confirmed.state_root
        self.milestones.append(confirmed)
        self.head = confirmed.index, confirmed.milestone_id, confirmed.timestamp_ms

    def kept(self, reference_depth: int) -> Restored:
        """Return what the journal hands to a core."""
        index, milestone_id, timestamp_ms = self.head
        since = index - reference_depth - 1
        recent = tuple(
            vertex
            for vertex in self.stored.values()
            if vertex.referenced_index is None or vertex.referenced_index >= since
        )
        halted = self.halted[-1] if self.halted else None
        return Restored(
            index,
            milestone_id,
            timestamp_ms,
            self.rows,
            recent,
            halted=halted,
            refused=self.refused,
        )

    def lose_disk(self, genesis: Restored) -> None:
        """Forget everything but the operator's judgement."""
        self.is_up = False
        self.life += 1
        self.unwritten = self.gathering = None
        for kept in (
            self.deferred,
            self.alone,
            self.stored,
            self.roots,
            self.applied,
            self.milestones,
            self.halted,
        ):
            kept.clear()
        self.rows = dict(genesis.rows)
        self.head = genesis.index, genesis.milestone_id, genesis.timestamp_ms
