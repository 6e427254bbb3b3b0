"""When the coordinator issues a milestone, over what, and what it does after a restart.

Pure: it looks at the core, and what must happen comes back as steps for the shell, which writes
the lock file durably *before* it hands the milestone on.

Where the ledger asks for more signatures than this coordinator's, the milestone is proposed to the
co-signers first. The lock holds the proposal, so no other is ever made for that index: with too
few co-signers confirmation stops, and goes on by itself when enough are back.
"""

from dataclasses import dataclass
from random import Random
from typing import Final

from coordinator.lock import Lock, lock_of
from coordinator.signatures import signatures_of, with_signatures
from tangle.accounts import coordinators
from tangle.effects import Instant
from tangle.errors import BadMilestoneError, InvalidError
from tangle.keys import PublicKey, SigningKey, is_signed
from tangle.node import NodeCore
from tangle.proposals import CoSignature, Proposal, propose
from tangle.transaction import KeySignature, Transaction, TransactionId, preimage, sign
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
class Propose:
    """Write the lock durably, then send the proposal to all co-signers."""

    lock: Lock
    proposal: Proposal
    missing: tuple[PublicKey, ...]
    """Coordinator keys that have not signed yet, ascending."""

    needed: int
    """Signatures that are still needed."""


@dataclass(frozen=True, slots=True)
class Unnamed:
    """Wait: the ledger names other coordinator keys than those held here."""

    keys: tuple[PublicKey, ...]
    """Held here."""


@dataclass(frozen=True, slots=True)
class Behind:
    """Wait: the ledger here has not caught up with what this coordinator signed."""

    signed_index: int
    confirmed_index: int


Step = Checkpoints | Issue | Propose | Unnamed | Behind


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
        self._signatures: dict[bytes, KeySignature] = {}
        """Of the milestone in the lock, checked, by key."""
        if lock.data:
            self._signatures = signatures_of(parse(lock.data))
        self._verify_alone()

    @property
    def signed_index(self) -> int:
        """Index of the last milestone signed here."""
        return self._lock.index

    @property
    def awaited(self) -> tuple[PublicKey, ...]:
        """Coordinator keys that have not signed what is proposed, ascending; none if nothing is."""
        if not self._is_proposing or self.needed <= 0:
            return ()
        named = coordinators(self._core.ledger.rows).keys
        return tuple(PublicKey(key) for key in named if key not in self._signatures)

    @property
    def needed(self) -> int:
        """Signatures that the milestone in the lock still needs; none at zero or below."""
        named = coordinators(self._core.ledger.rows)
        return named.quorum - sum(key in self._signatures for key in named.keys)

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
        if not self._named_keys():
            self._due_ms = now.wall_ms + self._core.parameters.milestone_interval_ms
            return Unnamed(tuple(key.public for key in self._keys))
        if self._lock.index > self._core.confirmed_index:
            return self._catch_up(now)
        pairs = merging_checkpoints(view, rng) if may_merge else []
        if pairs:
            return Checkpoints(tuple(pairs))
        return self._issue(now, view, rng)

    def take(self, signed: CoSignature) -> Issue | None:
        """Take a co-signer's signature of what is proposed; return the milestone once it is one.

        What is late, repeated or of another proposal is passed over.

        Raises:
            BadMilestoneError: Not by a coordinator key, or not signed by it.
        """
        said = signed.index, signed.milestone_id
        if not self._is_proposing or said != (self._lock.index, self._lock.milestone_id):
            return None
        if signed.key in self._signatures or self.needed <= 0 or self._core.halted is not None:
            return None
        draft = parse(self._lock.data).transaction
        if signed.key not in coordinators(self._core.ledger.rows).keys:
            raise BadMilestoneError(
                f"milestone {signed.index} is co-signed by {signed.key.hex()}, no coordinator key"
            )
        if not is_signed(signed.key, preimage(draft), signed.signature):
            raise BadMilestoneError(
                f"milestone {signed.index} is co-signed as {signed.key.hex()}, but not by it"
            )
        self._signatures[signed.key] = KeySignature(signed.key, signed.signature)
        if self.needed > 0:
            return None
        self._sign(draft)
        return Issue(self._lock, self._lock.data)

    @property
    def _is_proposing(self) -> bool:
        """Whether the lock holds the milestone that comes next."""
        return self._lock.index == self._core.confirmed_index + 1 and bool(self._lock.data)

    def _named_keys(self) -> tuple[SigningKey, ...]:
        """Return those of the keys held here that the ledger names for the next milestone."""
        named = coordinators(self._core.ledger.rows).keys
        return tuple(key for key in self._keys if key.public in named)

    def _sign(self, draft: Transaction) -> None:
        """Put a milestone under the signatures there are, own ones included, into the lock."""
        named = coordinators(self._core.ledger.rows).keys
        own: dict[bytes, KeySignature] = {
            key.public: KeySignature(key.public, sign(draft, key)) for key in self._named_keys()
        }
        self._signatures |= own
        valid = [one for key, one in self._signatures.items() if key in named]
        self._lock = lock_of(with_signatures(draft, valid))

    def _next_step(self) -> Issue | Propose:
        """Return what to do with the milestone in the lock."""
        if self.needed <= 0:
            return Issue(self._lock, self._lock.data)
        leader = self._named_keys()[0].public
        proposal = propose(parse(self._lock.data).transaction, self._signatures[leader])
        return Propose(self._lock, proposal, self.awaited, self.needed)

    def _verify_alone(self) -> None:
        """Check that nobody signed more than this coordinator knows it did.

        Milestones that others sign while this coordinator is not named are theirs to sign.
        """
        if not self._named_keys():
            return
        latest = self._core.latest_index
        if self._lock.index < latest:
            raise InvalidError(
                f"coordinator lock at milestone {self._lock.index}, the ledger is at {latest}: "
                "the lock file is old, or another coordinator issues"
            )

    def _catch_up(self, now: Instant) -> Step:
        """Send again what was signed or proposed; never sign another for that index."""
        self._due_ms = now.wall_ms + self._core.parameters.milestone_interval_ms
        if self._is_proposing:
            # A lock taken from a co-signer holds the proposal, perhaps under another key.
            self._sign(parse(self._lock.data).transaction)
            return self._next_step()
        return Behind(self._lock.index, self._core.confirmed_index)

    def _issue(self, now: Instant, view: View, rng: Random) -> Issue | Propose:
        branches = select_heaviest_branch(view, rng)
        timestamp_ms = max(now.ledger_ms, self._core.confirmed_at_ms + 1)
        draft = self._core.draft_milestone(self._parents(branches), timestamp_ms)
        self._signatures = {}
        self._sign(draft)
        self._due_ms = self._next_due_ms(now)
        return self._next_step()

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
    return with_signatures(draft, (KeySignature(key.public, sign(draft, key)) for key in keys))
