"""What a co-signer answers to a proposal: it computes the roots itself before it signs. Pure.

It signs at most one milestone id per index. Its lock is written durably *before* the signature
leaves, so a restart answers the same proposal with the same signature, and no other.
"""

from dataclasses import dataclass

from coordinator.lock import Lock, lock_of
from coordinator.signatures import signature_of, with_signatures
from tangle.accounts import coordinators
from tangle.effects import Instant
from tangle.errors import BadMilestoneError, OtherLeaderError
from tangle.keys import PublicKey, SigningKey
from tangle.milestones import judge
from tangle.node import NodeCore
from tangle.proposals import CoSignature, Proposal, proposed
from tangle.transaction import KeySignature, sign
from tangle.verification import Verified, parse, verify_fields


@dataclass(frozen=True, slots=True)
class Signed:
    """Write the lock durably, then send the signature."""

    lock: Lock
    signature: CoSignature


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again when something has changed here: this node cannot judge it yet."""

    why: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Never sign this one, and say why."""

    why: str


Answer = Signed | Wait | Refused


class CoSigner:
    """The rules of one co-signer. Holds its key and its lock; owned by one task."""

    def __init__(self, core: NodeCore, key: SigningKey, leader: PublicKey, lock: Lock) -> None:
        """Take up where `lock` says it stopped; only proposals by `leader` are signed."""
        self._core = core
        self._key = key
        self._leader = leader
        self._lock = lock

    @property
    def signed_index(self) -> int:
        """Index of the last milestone signed here."""
        return self._lock.index

    def consider(self, proposal: Proposal, now: Instant) -> Answer | None:
        """Return the answer to a proposal, whoever brought it; `None` if it is applied already.

        Raises:
            InvalidError: It is no proposal of this network: whoever sent it made it up.
            OtherLeaderError: It is by another leader than the one that is followed here.
        """
        milestone = proposed(proposal)
        verify_fields(milestone, self._core.rules)
        if proposal.signature.key != self._leader:
            raise OtherLeaderError(
                f"milestone {milestone.transaction.sequence} is proposed by "
                f"{proposal.signature.key.hex()}, the leader is {self._leader.hex()}"
            )
        if milestone.transaction.sequence <= self._core.confirmed_index:
            return None
        refusal = self._refusal(milestone)
        if refusal is not None:
            return Refused(refusal)
        why = self._unready(milestone, now)
        if why is not None:
            return Wait(why)
        kept = self._signed_before(milestone)
        if kept is not None:
            return Signed(self._lock, _answer(milestone, kept))
        try:
            judge(milestone.transaction, self._core.basis)
        except BadMilestoneError as error:
            return Refused(str(error))
        return self._sign(milestone, proposal.signature)

    def _refusal(self, milestone: Verified) -> str | None:
        """Return why this milestone is not to be signed here, whatever its cone."""
        index, named = milestone.transaction.sequence, coordinators(self._core.ledger.rows)
        if index <= self._lock.index and milestone.tx_id != self._lock.milestone_id:
            return (
                f"milestone {index} is proposed as {milestone.tx_id.hex()}, signed here is "
                f"{self._lock.index} {self._lock.milestone_id.hex()}"
            )
        if index != self._core.confirmed_index + 1:
            return None  # which keys that index needs is not known yet
        strangers = [key for key in (self._leader, self._key.public) if key not in named.keys]
        if strangers:
            return f"milestone {index}: {strangers[0].hex()} is no coordinator key"
        return None

    def _unready(self, milestone: Verified, now: Instant) -> str | None:
        """Return what this node lacks to judge a milestone; `None` if nothing."""
        core, transaction = self._core, milestone.transaction
        if core.halted is not None:
            return f"this node has halted at milestone {core.halted.index}"
        if transaction.sequence != core.confirmed_index + 1:
            return f"milestone {transaction.sequence} is proposed, {core.confirmed_index} applied"
        missing = [one.hex() for one in transaction.parents if one not in core.graph]
        if missing:
            return f"milestone {transaction.sequence}: not solid here: {', '.join(missing)}"
        ahead_ms = transaction.issued_at_ms - now.ledger_ms
        tolerated_ms = core.parameters.max_clock_ahead_ms * core.parameters.time_scale
        if ahead_ms > tolerated_ms:
            return (
                f"milestone {transaction.sequence} is {ahead_ms} ms ahead of the ledger's clock "
                f"here, {tolerated_ms} ms are tolerated"
            )
        return None

    def _signed_before(self, milestone: Verified) -> KeySignature | None:
        """Return the signature that the lock holds; a lock taken from the leader has none."""
        if milestone.tx_id != self._lock.milestone_id or not self._lock.data:
            return None
        return signature_of(parse(self._lock.data), self._key.public)

    def _sign(self, milestone: Verified, leaders: KeySignature) -> Signed:
        own = KeySignature(self._key.public, sign(milestone.transaction, self._key))
        self._lock = lock_of(with_signatures(milestone.transaction, (leaders, own)))
        return Signed(self._lock, _answer(milestone, own))


def _answer(milestone: Verified, own: KeySignature) -> CoSignature:
    return CoSignature(milestone.transaction.sequence, milestone.tx_id, own.key, own.signature)
