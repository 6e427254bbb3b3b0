"""What goes into a node's journal and what comes out of it. Frozen values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from tangle.address import Address
from tangle.effects import Attached, Confirmed, Effect, Halted
from tangle.outcomes import Event, Outcome
from tangle.transaction import TransactionId


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """A transaction that became solid here."""

    tx_id: TransactionId
    data: bytes
    """Canonical bytes with witness."""

    attached_at_ms: int
    """Wall clock."""


@dataclass(frozen=True, slots=True)
class TakenReading:
    """One reading of a meter, sealed with the node's key: see `edge.journal.sealing`."""

    device: Address
    sequence: int
    sealed: bytes
    begins_anew: bool = False
    """What lay between it and the reading before is lost: the journal says so for good."""


@dataclass(frozen=True, slots=True)
class FormedBatch:
    """An own transaction that commits to consecutive readings of one meter."""

    tx_id: TransactionId
    device: Address
    first_sequence: int
    last_sequence: int
    """Inclusive."""

    issuer_sequence: int
    """Number of the transaction; two attempts at one batch share it."""


@dataclass(frozen=True, slots=True)
class Batch:
    """All that one durable commit holds. The default is nothing."""

    arrivals: tuple[Arrival, ...] = ()
    """Parents before children. What is journalled already is passed over."""

    confirmed: tuple[Confirmed, ...] = ()
    """In order of index. What they reference is journalled, or among `arrivals`."""

    halted: Halted | None = None
    readings: tuple[TakenReading, ...] = ()
    """Each device's in order of sequence; a gap only before one that begins anew."""

    formed: tuple[FormedBatch, ...] = ()
    counters: Mapping[str, int] = field(default_factory=dict)
    """New values by name, for what must survive a restart."""


def batch_of(
    effects: Sequence[Effect],
    wall_ms: int,
    readings: tuple[TakenReading, ...] = (),
    formed: tuple[FormedBatch, ...] = (),
) -> Batch:
    """Return what `effects` of one call of the core, at wall time `wall_ms`, ask to be durable."""
    arrivals, confirmed, halted = [], [], None
    for effect in effects:
        if isinstance(effect, Attached):
            arrivals.append(Arrival(effect.tx_id, effect.data, wall_ms))
        elif isinstance(effect, Confirmed):
            confirmed.append(effect)
        elif isinstance(effect, Halted):
            halted = halted or effect
    return Batch(tuple(arrivals), tuple(confirmed), halted, readings, formed)


@dataclass(frozen=True, slots=True)
class Review:
    """A halt that an operator has lifted, and what was decided."""

    halted: Halted
    refused: frozenset[TransactionId]
    """Milestones of the evidence that this node never considers again."""

    reviewed_at_ms: int
    """Wall clock."""


@dataclass(frozen=True, slots=True)
class StoredTransaction:
    """One journalled transaction and what became of it."""

    tx_id: TransactionId
    data: bytes
    """Canonical bytes with witness."""

    attached_at_ms: int
    """Wall clock."""

    milestone_index: int | None
    """Milestone that references it; `None` while none does."""

    position: int | None
    """Place in that milestone's white-flag order, from 0."""

    outcome: Outcome | None
    """With events or reason; `None` while no milestone references it."""


@dataclass(frozen=True, slots=True)
class StoredMilestone:
    """One applied milestone."""

    index: int
    milestone_id: TransactionId
    timestamp_ms: int
    """Ledger time."""

    state_root: bytes
    referenced: int
    """How many transactions it references."""

    ended: tuple[Event, ...] = ()
    """What happened after the last operation."""


@dataclass(frozen=True, slots=True)
class AppliedBatch:
    """An applied reading batch, as its transaction says and whoever issued it."""

    tx_id: TransactionId
    first_sequence: int
    last_sequence: int
    """Inclusive."""

    root: bytes
    """Merkle root over the salted leaves."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How much a journal holds."""

    transactions: int
    pending: int
    """Of these, those that no milestone references."""

    milestones: int
    readings: int
