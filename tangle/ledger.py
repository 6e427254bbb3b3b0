"""The ledger: what a milestone does to the rows, and the three roots that say so."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from tangle.accounts import (
    genesis_rows,
    identity_key,
    sequence_row,
    sequence_window,
)
from tangle.address import address_of
from tangle.contracts import Changed, Context, Contracts
from tangle.genesis import Genesis, entry_points
from tangle.merkle import merkle_root
from tangle.outcomes import Applied, Event, Ignored, NoValue, Outcome, Reason
from tangle.readings import apply_reading_batch
from tangle.restored import Restored
from tangle.rows import Draft, RowReader, Rows
from tangle.sequences import use
from tangle.transaction import (
    Data,
    Milestone,
    Operation,
    ReadingBatch,
    Transaction,
    TransactionId,
)
from tangle.trie import Trie
from tangle.verification import Verified

_UNCHARGED: Final = (Reason.SEQUENCE_USED, Reason.SEQUENCE_AHEAD, Reason.ISSUER_UNKNOWN)
"""Refusals that use no sequence number and change nothing at all."""


@dataclass(frozen=True, slots=True)
class LedgerDiff:
    """What one milestone does to the ledger: computed whole, then applied at once."""

    index: int
    timestamp_ms: int
    outcomes: tuple[tuple[TransactionId, Outcome], ...]
    """In white-flag order."""

    ended: tuple[Event, ...]
    """What happened after the last operation, by contract: what ran out, what holds now."""

    changes: Mapping[bytes, bytes | None]
    trie: Trie
    """State after it."""

    inclusion_root: bytes
    applied_root: bytes

    @property
    def state_root(self) -> bytes:
        """Root of the state after it."""
        return self.trie.root


@dataclass(frozen=True, slots=True)
class LedgerRules:
    """What decides operations: constant for one network and protocol version."""

    contracts: Contracts
    is_open: bool
    """Whether a key that nobody registered may issue."""


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where in the order of the ledger a transaction stands."""

    index: int
    """Of the milestone that references it."""

    timestamp_ms: int
    """Of that milestone, ledger time."""

    position: int
    """In white-flag order within that milestone, from 0; milestones count as well."""


class Ledger:
    """Rows, state trie and last milestone of one node. Mutable; owned by one `NodeCore`."""

    def __init__(self, rules: LedgerRules, restored: Restored) -> None:
        self._rules = rules
        self.rows = Rows(restored.rows)
        self.trie = Trie.of(restored.rows)
        self.index = restored.index
        self.milestone_id = restored.milestone_id
        self.timestamp_ms = restored.timestamp_ms

    def preview(self, ordered: Iterable[Verified], index: int, timestamp_ms: int) -> LedgerDiff:
        """Return what a milestone over `ordered` would do. Changes nothing.

        Args:
            ordered: Newly referenced transactions in white-flag order.
            index: Of the milestone.
            timestamp_ms: Of the milestone, ledger time.
        """
        draft = Draft(self.rows)
        outcomes = tuple(
            (one.tx_id, apply_transaction(draft, one, self._rules, Place(index, timestamp_ms, at)))
            for at, one in enumerate(ordered)
        )
        ended: list[Event] = []
        for contract in self._rules.contracts.values():
            if contract.end_milestone is not None:
                changed = contract.end_milestone(draft, index, timestamp_ms)
                draft.put(changed.changes)
                ended += changed.events
        applied = [tx_id for tx_id, outcome in outcomes if isinstance(outcome, Applied)]
        return LedgerDiff(
            index,
            timestamp_ms,
            outcomes,
            tuple(ended),
            draft.changes,
            self.trie.update(draft.changes),
            merkle_root([tx_id for tx_id, _ in outcomes]),
            merkle_root(applied),
        )

    def commit(self, diff: LedgerDiff, milestone_id: TransactionId) -> None:
        """Take over a diff computed on this very state."""
        assert diff.index == self.index + 1, f"diff {diff.index} upon state {self.index}"
        self.rows.apply(diff.changes)
        self.trie = diff.trie
        self.index = diff.index
        self.timestamp_ms = diff.timestamp_ms
        self.milestone_id = milestone_id


def genesis_state(genesis: Genesis) -> Restored:
    """Return snapshot zero: the state before the first milestone."""
    return Restored(
        index=0,
        milestone_id=entry_points(genesis)[0],
        timestamp_ms=genesis.ledger_start_ms,
        rows=genesis_rows(genesis),
        recent=(),
    )


def apply_transaction(
    draft: Draft, verified: Verified, rules: LedgerRules, place: Place
) -> Outcome:
    """Apply one referenced transaction to `draft` and return what became of it.

    A transaction uses its sequence number whether it is applied, carries no value, or is
    ignored; only a used or too high number, or an unknown issuer, changes nothing (PROTOCOL §4).
    """
    transaction = verified.transaction
    if isinstance(transaction.payload, Milestone):
        return NoValue()
    address = address_of(transaction.issuer)
    if not rules.is_open and draft.get(identity_key(address)) is None:
        return Ignored(Reason.ISSUER_UNKNOWN)
    window = use(sequence_window(draft, address), transaction.sequence)
    if isinstance(window, Reason):
        assert window in _UNCHARGED
        return Ignored(window)
    key, value = sequence_row(address, window)
    draft.put({key: value})
    context = Context(
        transaction.issuer,
        address,
        verified.tx_id,
        place.index,
        place.timestamp_ms,
        place.position,
    )
    decided = _decide(draft, transaction, context, rules.contracts)
    match decided:
        case None:
            return NoValue()
        case Changed():
            draft.put(decided.changes)
            return Applied(decided.events)
        case Reason():
            return Ignored(decided)


def _decide(
    rows: RowReader, transaction: Transaction, context: Context, contracts: Contracts
) -> Changed | Reason | None:
    payload = transaction.payload
    match payload:
        case Data():
            return None
        case ReadingBatch():
            return apply_reading_batch(rows, payload, context)
        case Operation():
            contract = contracts[payload.contract]
            return contract.apply(rows, contract.decode(payload.call), context)
        case Milestone():
            raise AssertionError("a milestone is no operation")


def milestone_payload(diff: LedgerDiff, previous: TransactionId) -> Milestone:
    """Return the payload that claims what `diff` computed."""
    return Milestone(
        diff.index,
        diff.timestamp_ms,
        previous,
        diff.inclusion_root,
        diff.applied_root,
        diff.state_root,
    )


def contradictions(claimed: Milestone, computed: Milestone) -> Sequence[str]:
    """Return one line for each root that a milestone claims otherwise than computed."""
    pairs = (
        ("inclusion root", claimed.inclusion_root, computed.inclusion_root),
        ("applied root", claimed.applied_root, computed.applied_root),
        ("state root", claimed.state_root, computed.state_root),
    )
    return [
        f"{name}: claimed {said.hex()}, computed {found.hex()}"
        for name, said, found in pairs
        if said != found
    ]
