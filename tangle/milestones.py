"""Milestones that wait for their turn, and the judgement of the one whose turn it is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from tangle.accounts import COORDINATORS_KEY, CoordinatorKeys
from tangle.anchors import Rotation, prove_rotation
from tangle.cones import Cone, new_cone
from tangle.effects import Confirmed
from tangle.errors import BadMilestoneError
from tangle.genesis import Parameters
from tangle.graph import Graph
from tangle.ledger import Ledger, LedgerDiff, contradictions, milestone_payload
from tangle.rows import RowReader
from tangle.transaction import MILESTONE_ISSUER, VERSION, Milestone, Transaction, TransactionId
from tangle.verification import Verified, parse_again, verify_milestone_signatures
from tangle.waiting import Arrival

MAX_PROVEN: Final = 4_096
"""Milestones signed by the present keys, ahead of ours: over two hours at 2 s."""
MAX_UNPROVEN: Final = 32
"""Milestones that only a later state could prove; anyone can make them for nothing."""
MAX_PER_INDEX: Final = 4
"""Two are evidence of equivocation already."""


class MilestoneInbox:
    """Milestones above the last applied one, by index.

    Only what is proven counts as here: an id is the same under any witness, so a forged copy
    must never keep the true one out. Proven is what the present keys signed: when they change,
    everything that waits is judged anew.
    """

    def __init__(self) -> None:
        self._coordinators: CoordinatorKeys | None = None
        self._proven: dict[int, dict[TransactionId, Arrival]] = {}
        self._unproven: dict[bytes, Arrival] = {}  # by their bytes, witness included
        self._ids: set[TransactionId] = set()  # of the proven ones

    def __contains__(self, tx_id: TransactionId) -> bool:
        return tx_id in self._ids

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing whose turn could come, proven or not."""
        return not self._proven and not self._unproven

    @property
    def highest_index(self) -> int:
        """Largest index signed by the present coordinator keys; 0 if there is none."""
        return max(self._proven) if self._proven else 0

    def add(self, arrival: Arrival, coordinators: CoordinatorKeys, *, is_next: bool) -> None:
        """Keep a milestone until its turn.

        Args:
            arrival: The milestone.
            coordinators: Keys of the present state.
            is_next: Whether they decide: its index follows the last applied one.

        Raises:
            BadMilestoneError: Its turn has come and its signatures do not hold.
        """
        self._adopt(coordinators)
        self._sort_in(arrival, coordinators, is_next=is_next)

    def _sort_in(self, arrival: Arrival, coordinators: CoordinatorKeys, *, is_next: bool) -> None:
        verified = arrival.verified
        try:
            verify_milestone_signatures(verified, coordinators)
        except BadMilestoneError:
            if is_next:
                raise
            self._keep_unproven(arrival)
            return
        index = verified.transaction.sequence
        here = self._proven.setdefault(index, {})
        if len(here) >= MAX_PER_INDEX:
            return
        here[verified.tx_id] = arrival
        self._ids.add(verified.tx_id)
        if len(self._proven) > MAX_PROVEN:
            self._drop_index(max(self._proven))

    def take_turn(self, index: int, coordinators: CoordinatorKeys) -> list[Arrival]:
        """Return the milestones of `index`, now that the state that proves them is known."""
        self._adopt(coordinators)
        for arrival in list(self._unproven.values()):
            if arrival.verified.transaction.sequence > index:
                continue
            del self._unproven[arrival.verified.data]
            if arrival.verified.transaction.sequence == index:
                try:
                    self.add(arrival, coordinators, is_next=True)
                except BadMilestoneError:
                    continue  # a stranger's: it was never relayed, nothing is owed to it
        return list(self._proven.get(index, {}).values())

    def lowest(self) -> Arrival | None:
        """Return one proven milestone of the smallest index: where the way back begins."""
        if not self._proven:
            return None
        return next(iter(self._proven[min(self._proven)].values()))

    def forget(self, through_index: int) -> None:
        """Drop all up to and including an applied index."""
        for index in [index for index in self._proven if index <= through_index]:
            self._drop_index(index)

    def _adopt(self, coordinators: CoordinatorKeys) -> None:
        """Judge what waits by the present keys: those before them sign nothing any more.

        What those had signed beyond the change would otherwise be applied here, and nowhere else.
        """
        if coordinators == self._coordinators:
            return
        is_first, self._coordinators = self._coordinators is None, coordinators
        if is_first:
            return
        kept = [one for index in sorted(self._proven) for one in self._proven[index].values()]
        waiting = [*kept[:MAX_UNPROVEN], *self._unproven.values()]  # the rest comes again
        self._proven.clear()
        self._unproven.clear()
        self._ids.clear()
        for arrival in waiting:
            self._sort_in(arrival, coordinators, is_next=False)

    def _keep_unproven(self, arrival: Arrival) -> None:
        if len(self._unproven) >= MAX_UNPROVEN:
            del self._unproven[next(iter(self._unproven))]
        self._unproven[arrival.verified.data] = arrival

    def _drop_index(self, index: int) -> None:
        for tx_id in self._proven.pop(index):
            self._ids.discard(tx_id)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a valid milestone does."""

    cone: Cone
    diff: LedgerDiff

    def confirmed(self, milestone: Verified, rows: RowReader) -> Confirmed:
        """Return the effect of applying `milestone`, which was judged upon `rows`."""
        diff = self.diff
        return Confirmed(
            diff.index,
            milestone.tx_id,
            diff.timestamp_ms,
            diff.outcomes,
            diff.changes,
            diff.state_root,
            diff.ended,
            _rotation(milestone, diff, rows),
        )


def _rotation(milestone: Verified, diff: LedgerDiff, rows: RowReader) -> Rotation | None:
    """Return the proof of a change of the coordinator keys.

    Keys that were voted for once more, or changed there and back, are no change.
    """
    value = diff.changes.get(COORDINATORS_KEY)
    if value is None or value == rows.get(COORDINATORS_KEY):
        return None
    return prove_rotation(milestone.data, diff.trie, value)


@dataclass(frozen=True, slots=True)
class Basis:
    """What the next milestone is drafted and judged on. Nothing of it is modified."""

    graph: Graph
    ledger: Ledger
    """State before it."""

    bodies: Mapping[TransactionId, bytes]
    """Every pending transaction by id: canonical bytes with witness."""

    parameters: Parameters


def draft(
    basis: Basis, network: bytes, parents: Iterable[TransactionId], timestamp_ms: int
) -> Transaction:
    """Return the next milestone over `parents`, unsigned.

    Args:
        basis: The tangle and the ledger.
        network: First 8 bytes of the genesis hash.
        parents: Two to eight solid ids, the last milestone among them.
        timestamp_ms: Ledger time, after the last milestone's.

    Raises:
        BadMilestoneError: The cone is too large or too deep.
    """
    ordered_parents = tuple(sorted(set(parents)))
    index = basis.ledger.index + 1
    diff = _follow(basis, ordered_parents, index, timestamp_ms).diff
    payload = milestone_payload(diff, basis.ledger.milestone_id)
    return Transaction(
        VERSION, network, ordered_parents, MILESTONE_ISSUER, index, timestamp_ms, payload
    )


def judge(transaction: Transaction, basis: Basis) -> Judgement:
    """Recompute a milestone whose past cone is solid, whoever has signed it so far.

    Args:
        transaction: The signed fields of the milestone that follows the ledger's last one.
        basis: The tangle and the ledger.

    Returns:
        Its new cone and what it does to the ledger: the roots are the claimed ones.

    Raises:
        BadMilestoneError: What is claimed and what this node computed, one line each.
    """
    claimed, ledger = transaction.payload, basis.ledger
    assert isinstance(claimed, Milestone)
    if claimed.previous != ledger.milestone_id:
        raise BadMilestoneError(
            f"milestone {claimed.index} follows {claimed.previous.hex()}, "
            f"the last applied one is {ledger.milestone_id.hex()}"
        )
    if claimed.timestamp_ms <= ledger.timestamp_ms:
        raise BadMilestoneError(
            f"milestone {claimed.index} is of {claimed.timestamp_ms} ms, "
            f"not after the one before it, {ledger.timestamp_ms} ms"
        )
    judged = _follow(basis, transaction.parents, claimed.index, claimed.timestamp_ms)
    lines = contradictions(claimed, milestone_payload(judged.diff, ledger.milestone_id))
    if lines:
        raise BadMilestoneError(f"milestone {claimed.index}: {'; '.join(lines)}")
    return judged


def _follow(
    basis: Basis, parents: tuple[TransactionId, ...], index: int, timestamp_ms: int
) -> Judgement:
    """Compute what a milestone over `parents` does."""
    cone = new_cone(basis.graph, parents, basis.ledger.index)
    verify_cone(cone, index, basis.parameters)
    ordered = [parse_again(tx_id, basis.bodies[tx_id]) for tx_id in cone.order]
    return Judgement(cone, basis.ledger.preview(ordered, index, timestamp_ms))


def verify_cone(cone: Cone, index: int, parameters: Parameters) -> None:
    """Check size and depth of a milestone's new cone. Raises `BadMilestoneError`."""
    if len(cone.order) > parameters.max_cone_transactions:
        raise BadMilestoneError(
            f"milestone {index} references {len(cone.order)} new transactions, "
            f"the maximum is {parameters.max_cone_transactions}"
        )
    if cone.size_bytes > parameters.max_cone_bytes:
        raise BadMilestoneError(
            f"milestone {index} references {cone.size_bytes} new bytes, "
            f"the maximum is {parameters.max_cone_bytes}"
        )
    oldest = cone.oldest_parent_index
    if oldest is None or oldest < index - parameters.reference_depth:
        raise BadMilestoneError(
            f"milestone {index} reaches back to milestone {oldest}, further than "
            f"{parameters.reference_depth}"
        )
