"""What `NodeCore` asks its shell to do. Frozen values, to be carried out in order."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NewType

import msgspec

from tangle.anchors import Rotation
from tangle.errors import InvalidError
from tangle.outcomes import Event, Outcome
from tangle.transaction import TransactionId

PeerId = NewType("PeerId", bytes)
"""Public key of another node, 32 bytes."""


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment on both clocks of a node, in ms since the Unix epoch."""

    wall_ms: int
    """For intervals, timeouts and deadlines."""

    ledger_ms: int
    """For timestamps: scaled in a demonstration, else the wall clock."""


class Attached(msgspec.Struct, frozen=True, gc=False):
    """A transaction became solid: journal it, then let the peers hear of it."""

    tx_id: TransactionId
    data: bytes
    """Canonical bytes with witness."""

    source: PeerId | None
    """Who sent it first and need not hear of it; `None` for our own."""

    is_milestone: bool


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A milestone was applied: commit all of this at once, durably."""

    index: int
    milestone_id: TransactionId
    timestamp_ms: int
    """Ledger time."""

    outcomes: tuple[tuple[TransactionId, Outcome], ...]
    """Every transaction it references, in white-flag order."""

    changes: Mapping[bytes, bytes | None]
    """Rows it changed: the new value, or `None` for a row that is gone."""

    state_root: bytes
    ended: tuple[Event, ...] = ()
    """What happened after its last operation."""

    rotation: Rotation | None = None
    """Proof of the coordinator keys that hold from the next index on, if it changed them. It can
    be made now alone, while the state is this one."""


@dataclass(frozen=True, slots=True)
class Requested:
    """Ask the peers for transactions; first look in the own journal (see `NodeCore.recall`)."""

    tx_ids: tuple[TransactionId, ...]
    peer: PeerId | None
    """Who most likely has them; `None` for anyone."""


@dataclass(frozen=True, slots=True)
class Misbehaved:
    """A peer sent what the rules forbid: it loses standing."""

    peer: PeerId
    error: InvalidError


@dataclass(frozen=True, slots=True)
class Dropped:
    """A transaction was not kept, through no fault of its sender."""

    tx_id: TransactionId
    reason: str


@dataclass(frozen=True, slots=True)
class Expired:
    """Own or foreign pending transaction below max depth: it will not be referenced."""

    tx_id: TransactionId


@dataclass(frozen=True, slots=True)
class Halted:
    """Confirmation stopped: an operator must decide. Never followed, never skipped."""

    index: int
    milestone_id: TransactionId
    report: str
    """What was claimed and what this node computed."""

    evidence: tuple[bytes, ...]
    """Canonical bytes of the milestones in question."""


Effect = Attached | Confirmed | Requested | Misbehaved | Dropped | Expired | Halted
