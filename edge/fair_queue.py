"""Where arrivals of the mesh wait for their turn: fair between peers, and between issuers of each.

Deficit round robin (Shreedhar and Varghese, 1996) on two levels. A peer cannot take the turns of
others by inventing issuers, and an issuer not those of others by sending through one peer. Pure:
bytes and ids go in, a bounded turn of them comes out.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final

from tangle.effects import PeerId
from tangle.keys import PublicKey
from tangle.sequences import WINDOW
from tangle.transaction import TransactionId

QUANTUM_BYTES: Final = 512
"""What one visit adds to a credit: two usual transactions; the largest takes 64 visits."""

TURN_BYTES: Final = 65_536
"""Of signed fields in one turn, some 300 usual transactions: then the loop does something else."""

MAX_QUEUED: Final = 16_384
MAX_QUEUED_BYTES: Final = 2**24
"""Of all that waits. Beyond either the newest of the fullest issuer leaves: a heartbeat or a child
will name it again."""

MAX_URGENT: Final = 512
"""What passes ahead: a few turns of it, should somebody make up milestones. Beyond it milestones
wait like everything else, in the turn of the peer that sent them."""

MAX_PENDING: Final = WINDOW
"""Unreferenced transactions of one issuer: more could not count anyway, for want of numbers."""

MAX_AWAITED_PENDING: Final = 2 * MAX_PENDING
"""For what something here waits for: others may have built upon it before they saw a quota."""

Issuer = PublicKey | None
"""`None` stands for all strangers of a registered network together."""


@dataclass(frozen=True, slots=True)
class Queued:
    """One transaction that waits, and who sent it."""

    peer: PeerId
    issuer: Issuer
    tx_id: TransactionId
    data: bytes
    """Canonical bytes with witness. Nothing of it is verified, the issuer's signature included."""

    size_bytes: int
    """Of the signed fields: what a turn is charged with."""


@dataclass(slots=True)
class _Flow:
    """What one peer sent of one issuer, next first."""

    waiting: OrderedDict[bytes, Queued] = field(default_factory=OrderedDict)
    size_bytes: int = 0
    credit_bytes: int = 0


@dataclass(slots=True)
class _Lane:
    """What one peer sent, a flow for each issuer; the flow whose turn it is comes first."""

    flows: OrderedDict[Issuer, _Flow] = field(default_factory=OrderedDict)
    credit_bytes: int = 0

    def ready(self, may_pass: Callable[[Queued], bool]) -> Queued | None:
        """Return what goes next, `None` if everything is put off; it has the credit of its flow."""
        put_off = 0
        while put_off < len(self.flows):
            issuer, flow = next(iter(self.flows.items()))
            queued = next(iter(flow.waiting.values()))
            is_put_off = not may_pass(queued)
            if not is_put_off and flow.credit_bytes >= queued.size_bytes:
                return queued
            put_off = put_off + 1 if is_put_off else 0
            flow.credit_bytes += 0 if is_put_off else QUANTUM_BYTES
            self.flows.move_to_end(issuer)
        return None


class FairQueue:
    """Bounded; serves turn by turn. Owned by the task that owns the core."""

    def __init__(self, limit: int = MAX_QUEUED, limit_bytes: int = MAX_QUEUED_BYTES) -> None:
        self._limit = limit
        self._limit_bytes = limit_bytes
        self._urgent: OrderedDict[bytes, Queued] = OrderedDict()
        self._lanes: OrderedDict[PeerId, _Lane] = OrderedDict()
        self._places: dict[bytes, int] = {}  # in the order of arrival
        self._by_id: dict[TransactionId, Queued] = {}
        self._awaited: set[TransactionId] = set()
        self._size_bytes = 0
        self._arrived = 0

    def __len__(self) -> int:
        return len(self._places)

    def get(self, tx_id: TransactionId) -> Queued | None:
        """Return what waits under an id; which, if several witnesses of it wait, is left open."""
        return self._by_id.get(tx_id)

    def add(
        self, queued: Queued, *, is_urgent: bool = False, is_awaited: bool = False
    ) -> list[Queued]:
        """Let an arrival wait; the same bytes only once, whoever sends them again.

        Args:
            queued: The arrival.
            is_urgent: A milestone, or what a milestone needs: ahead of everything.
            is_awaited: Something here waits for it: ahead of what its issuer has waiting.

        Returns:
            What had to leave for it, perhaps itself.
        """
        if queued.data in self._places:
            return []
        self._arrived += 1
        self._places[queued.data] = self._arrived
        self._by_id.setdefault(queued.tx_id, queued)
        self._size_bytes += queued.size_bytes
        if is_urgent and len(self._urgent) < MAX_URGENT:
            self._urgent[queued.data] = queued
        else:
            lane = self._lanes.setdefault(queued.peer, _Lane())
            flow = lane.flows.setdefault(queued.issuer, _Flow())
            flow.waiting[queued.data] = queued
            flow.size_bytes += queued.size_bytes
        if is_awaited:
            self.hasten(queued.tx_id)
        return self._shrink()

    def hasten(self, tx_id: TransactionId, *, is_urgent: bool = False) -> bool:
        """Put what something waits for ahead of what its issuer has waiting, or of everything.

        Returns:
            Whether it waits here.
        """
        queued = self._by_id.get(tx_id)
        if queued is None:
            return False
        if is_urgent:
            self._remove(queued)
            self.add(queued, is_urgent=True)
        elif queued.data not in self._urgent:
            self._awaited.add(tx_id)
            flow = self._lanes[queued.peer].flows[queued.issuer]
            flow.waiting.move_to_end(queued.data, last=False)
        return True

    def take(
        self, pending_of: Callable[[PublicKey], int], budget_bytes: int = TURN_BYTES
    ) -> list[Queued]:
        """Take out what goes in this turn, in the order in which it arrived.

        What is urgent goes first, but takes no more than half of a turn while others wait. An
        issuer with `MAX_PENDING` unreferenced transactions is put off.

        Args:
            pending_of: How many unreferenced transactions of an issuer the tangle holds.
            budget_bytes: Of signed fields. The last one may exceed it.
        """
        passed: Counter[PublicKey] = Counter()
        taken: list[tuple[int, Queued]] = []

        def may_pass(queued: Queued) -> bool:
            if queued.issuer is None:
                return True
            limit = MAX_AWAITED_PENDING if queued.tx_id in self._awaited else MAX_PENDING
            return pending_of(queued.issuer) + passed[queued.issuer] < limit

        left_bytes = budget_bytes
        while self._urgent and (left_bytes > budget_bytes // 2 or not self._lanes):
            if left_bytes <= 0:
                break
            urgent = next(iter(self._urgent.values()))
            taken.append((self._remove(urgent), urgent))
            left_bytes -= urgent.size_bytes
        while left_bytes > 0 and (queued := self._next(may_pass)) is not None:
            taken.append((self._remove(queued), queued))
            left_bytes -= queued.size_bytes
            if queued.issuer is not None:
                passed[queued.issuer] += 1
        return [queued for _, queued in sorted(taken, key=itemgetter(0))]

    def is_ready(self, pending_of: Callable[[PublicKey], int]) -> bool:
        """Return whether a turn would take anything: not all that waits is put off."""
        if self._urgent:
            return True
        return any(
            issuer is None or pending_of(issuer) < self._limit_of(flow)
            for lane in self._lanes.values()
            for issuer, flow in lane.flows.items()
        )

    def forget(self, peer: PeerId) -> int:
        """Drop all that `peer` sent and return how many that were."""
        lane = self._lanes.get(peer, _Lane())
        mine = [one for one in self._urgent.values() if one.peer == peer]
        for flow in lane.flows.values():
            mine += flow.waiting.values()
        for queued in mine:
            self._remove(queued)
        return len(mine)

    def _limit_of(self, flow: _Flow) -> int:
        first = next(iter(flow.waiting.values()))
        return MAX_AWAITED_PENDING if first.tx_id in self._awaited else MAX_PENDING

    def _next(self, may_pass: Callable[[Queued], bool]) -> Queued | None:
        """Return what goes next and charge it to its peer and its issuer."""
        idle = 0
        while idle < len(self._lanes):
            peer, lane = next(iter(self._lanes.items()))
            queued = lane.ready(may_pass)
            if queued is not None and lane.credit_bytes >= queued.size_bytes:
                lane.credit_bytes -= queued.size_bytes
                lane.flows[queued.issuer].credit_bytes -= queued.size_bytes
                return queued
            idle = idle + 1 if queued is None else 0
            lane.credit_bytes += 0 if queued is None else QUANTUM_BYTES
            self._lanes.move_to_end(peer)
        return None

    def _shrink(self) -> list[Queued]:
        gone = []
        while len(self._places) > self._limit or self._size_bytes > self._limit_bytes:
            flows = [flow for lane in self._lanes.values() for flow in lane.flows.values()]
            if not flows:  # what is urgent is bounded by itself
                break
            fullest = max(flows, key=lambda flow: flow.size_bytes)
            gone.append(next(reversed(fullest.waiting.values())))
            self._remove(gone[-1])
        return gone

    def _remove(self, queued: Queued) -> int:
        """Take one out, return its place; what is empty loses its credit and its turn."""
        place = self._places.pop(queued.data)
        self._size_bytes -= queued.size_bytes
        if self._by_id.get(queued.tx_id) is queued:
            del self._by_id[queued.tx_id]
            self._awaited.discard(queued.tx_id)
        if self._urgent.pop(queued.data, None) is not None:
            return place
        lane = self._lanes[queued.peer]
        flow = lane.flows[queued.issuer]
        del flow.waiting[queued.data]
        flow.size_bytes -= queued.size_bytes
        if not flow.waiting:
            del lane.flows[queued.issuer]
        if not lane.flows:
            del self._lanes[queued.peer]
        return place
