"""What a restart hands to the core: the ledger as last committed, and the recent tangle."""

from collections.abc import Mapping
from dataclasses import dataclass

from tangle.effects import Halted
from tangle.transaction import TransactionId


@dataclass(frozen=True, slots=True)
class StoredVertex:
    """One journalled transaction. Journalled means verified: it is not verified again."""

    tx_id: TransactionId
    data: bytes
    """Canonical bytes with witness."""

    attached_at_ms: int
    """Wall clock."""

    referenced_index: int | None
    """Milestone that references it; `None` while pending."""


@dataclass(frozen=True, slots=True)
class Restored:
    """Everything `NodeCore` needs to go on where it stopped."""

    index: int
    """Last applied milestone; 0 for genesis."""

    milestone_id: TransactionId
    timestamp_ms: int
    rows: Mapping[bytes, bytes]
    recent: tuple[StoredVertex, ...]
    """All that is pending, and all referenced by the last `reference_depth` + 1 milestones, in
    order of attachment, so that parents come before children."""

    halted: Halted | None = None
    roots: tuple[tuple[TransactionId, int], ...] = ()
    """Ids known without their bytes, with the milestone that references them: what a snapshot
    leaves of the last milestones. In white-flag order."""
    refused: frozenset[TransactionId] = frozenset()
    """Milestones that an operator has judged: they are never considered again."""
