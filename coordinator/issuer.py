"""When the coordinator issues a milestone, over what, and what it does after a restart.

Pure: it looks at the core, and what must happen comes back as steps for the shell, which writes
the lock file durably *before* it hands the milestone on.
"""

from dataclasses import dataclass
from random import Random
from typing import Final

from coordinator.lock import Lock, lock_of
from tangle.codec import encode
from tangle.effects import Instant
from tangle.errors import InvalidError
from tangle.keys import SigningKey
from tangle.node import NodeCore
from tangle.transaction import (
    KeySignature,
    MilestoneWitness,
    SignedTransaction,
    Transaction,
    TransactionId,
    sign,
)
from tangle.verification import Verified, parse
from tip_selection.checkpoints import merging_checkpoints
from tip_selection.heaviest_branch import select_heaviest_branch
from tip_selection.view import View

CHECKPOINT_LABEL: Final = "checkpoint"
"""Label of the no-value transactions by which the coordinator merges tips."""


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """Issue a plain no-value transaction over each pair, then ask again."""

    pairs: tuple[tuple[TransactionId, TransactionId], ...]


@dataclass(frozen=True, slots=True)
class Issue:
    """Write the lock durably, then hand the milestone to the core."""

    lock: Lock
    data: bytes
    """Canonical bytes of the signed milestone."""


@dataclass(frozen=True, slots=True)
class Behind:
    """Wait: the ledger here has not caught up with what this coordinator signed."""

    signed_index: int
    confirmed_index: int


Step = Checkpoints | Issue | Behind


class Issuer:
    """The coordinator's rules. Holds the keys and the last lock; owned by one task."""

    def __init__(self, core: NodeCore, keys: tuple[SigningKey, ...], lock: Lock) -> None:
        """Take up issuing where `lock` says it stopped.

        Raises:
            InvalidError: The ledger holds milestones after the lock: this lock file is old, or
                another coordinator issues with the same keys.
        """
        self._core = core
        self._keys = tuple(sorted(keys, key=lambda key: key.public))
        self._lock = lock
        self._due_ms: int | None = None
        self._verify_alone()

    @property
    def signed_index(self) -> int:
        """Index of the last milestone signed here."""
        return self._lock.index

    def next_deadline_ms(self) -> int:
        """When to call `step`, wall time; 0 for at once."""
        return 0 if self._due_ms is None else self._due_ms

    def step(self, now: Instant, view: View, rng: Random, *, may_merge: bool = True) -> Step | None:
        """Return what to do now, or `None` before the next milestone is due.

        Args:
            now: This moment.
            view: The tangle, for tip selection.
            rng: The coordinator's generator.
            may_merge: Whether there is time for checkpoints before the milestone.

        Raises:
            BadMilestoneError: What waits does not fit a milestone.
            InvalidError: A milestone after the lock has come from elsewhere.
        """
        self._verify_alone()
        if self._due_ms is not None and now.wall_ms < self._due_ms:
            return None
        if self._core.halted is not None:
            self._due_ms = now.wall_ms + self._core.parameters.milestone_interval_ms
            return None
        if self._lock.index > self._core.confirmed_index:
            return self._catch_up(now)
        pairs = merging_checkpoints(view, rng) if may_merge else []
        if pairs:
            return Checkpoints(tuple(pairs))
        return self._issue(now, view, rng)

    def _verify_alone(self) -> None:
        """Check that nobody signed more than this coordinator knows it did."""
        latest = self._core.latest_index
        if self._lock.index < latest:
            raise InvalidError(
                f"coordinator lock at milestone {self._lock.index}, the ledger is at {latest}: "
                "the lock file is old, or another coordinator issues"
            )

    def _catch_up(self, now: Instant) -> Step:
        """Send again what was signed; never sign anew for that index."""
        self._due_ms = now.wall_ms + self._core.parameters.milestone_interval_ms
        if self._lock.index == self._core.confirmed_index + 1 and self._lock.data:
            return Issue(self._lock, self._lock.data)
        return Behind(self._lock.index, self._core.confirmed_index)

    def _issue(self, now: Instant, view: View, rng: Random) -> Issue:
        branches = select_heaviest_branch(view, rng)
        timestamp_ms = max(now.ledger_ms, self._core.confirmed_at_ms + 1)
        draft = self._core.draft_milestone(self._parents(branches), timestamp_ms)
        milestone = sign_milestone(draft, self._keys)
        self._lock = lock_of(milestone)
        self._due_ms = self._next_due_ms(now)
        return Issue(self._lock, milestone.data)

    def _next_due_ms(self, now: Instant) -> int:
        """Keep the beat; after a pause start a new one rather than catch up in a burst."""
        interval_ms = self._core.parameters.milestone_interval_ms
        beat_ms = interval_ms + (now.wall_ms if self._due_ms is None else self._due_ms)
        return max(beat_ms, now.wall_ms + interval_ms // 2)

    def _parents(self, branches: tuple[TransactionId, ...]) -> set[TransactionId]:
        """Return the branches and the previous milestone; when nothing waits, one more."""
        parents = {self._core.confirmed_id, *branches}
        if len(parents) >= 2:
            return parents
        previous = self._core.graph[self._core.confirmed_id]
        if previous.parents:
            return {*parents, max(previous.parents, key=self._referenced_index)}
        return {*parents, *self._core.graph.referenced_at(0)}

    def _referenced_index(self, tx_id: TransactionId) -> tuple[int, TransactionId]:
        vertex = self._core.graph.get(tx_id)
        referenced = None if vertex is None else vertex.referenced_index
        return (-1 if referenced is None else referenced), tx_id


def sign_milestone(draft: Transaction, keys: tuple[SigningKey, ...]) -> Verified:
    """Return the milestone with one signature of each key."""
    ordered = sorted(keys, key=lambda key: key.public)
    signatures = tuple(KeySignature(key.public, sign(draft, key)) for key in ordered)
    return parse(encode(SignedTransaction(draft, MilestoneWitness(signatures))))
