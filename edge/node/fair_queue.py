"""Where arrivals of the mesh wait for their turn: fair between peers, and between issuers of each.

Deficit round robin (Shreedhar and Varghese, 1996) on two levels. A peer cannot take the turns of
others by inventing issuers, and an issuer not those of others by sending through one peer. Pure:
bytes and ids go in, a bounded turn of them comes out.
"""

from collections import OrderedDict
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final

import msgspec
from msgspec.structs import replace

from tangle.effects import PeerId
from tangle.keys import PublicKey
from tangle.sequences import WINDOW
from tangle.transaction import TransactionId
from tangle.verification import Verified

QUANTUM_BYTES: Final = 128
"""What one visit adds to a credit: less than the smallest transaction, so that a visit lets at most
one pass. What issuers sent in turns goes in nearly the order in which it came then, and few
children overtake their parents. The largest takes 256 visits."""

TURN_BYTES: Final = 16_384
"""Of signed fields in one turn, some 75 usual transactions: then the loop does something else, such
as reading what has come in the meantime."""

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

FlowKey = tuple[PeerId, Issuer]
"""Whose turns something takes: what one peer sent of one issuer."""


class Queued(msgspec.Struct, frozen=True, gc=False):
    """One transaction that waits, and who sent it."""

    peer: PeerId
    issuer: Issuer
    verified: Verified
    """What was parsed. Nothing of it is verified, the issuer's signature included."""

    sponsor: FlowKey | None = None
    """At whose expense it went, if not at that of its own flow."""

    @property
    def tx_id(self) -> TransactionId:
        """Its id."""
        return self.verified.tx_id

    @property
    def data(self) -> bytes:
        """Canonical bytes with witness."""
        return self.verified.data

    @property
    def size_bytes(self) -> int:
        """Of the signed fields: what a turn is charged with."""
        return self.verified.size_bytes

    @property
    def flow(self) -> FlowKey:
        """Whose turns it takes, unless somebody else waits for it and gives one of theirs."""
        return self.peer, self.issuer


class _Place(msgspec.Struct, gc=False):
    """Where one of them waits."""

    queued: Queued
    arrived: int
    flow: FlowKey

    def taken(self) -> Queued:
        """Return what waits here, with who gave a turn for it."""
        own = self.queued.flow
        return self.queued if self.flow == own else replace(self.queued, sponsor=self.flow)


@dataclass(slots=True)
class _Flow:
    """What one peer sent of one issuer, next first."""

    waiting: OrderedDict[bytes, Queued] = field(default_factory=OrderedDict)
    size_bytes: int = 0
    credit_bytes: int = 0

    def first(self, issuer: Issuer, may_pass: Callable[[Queued], bool]) -> Queued | None:
        """Return what goes next; a sponsored one that is put off holds up nothing behind it."""
        for queued in self.waiting.values():
            if may_pass(queued):
                return queued
            if queued.issuer == issuer:
                return None
        return None


@dataclass(slots=True)
class _Lane:
    """What one peer sent, a flow for each issuer; the flow whose turn it is comes first."""

    flows: OrderedDict[Issuer, _Flow] = field(default_factory=OrderedDict)
    credit_bytes: int = 0

    def ready(self, may_pass: Callable[[Queued], bool]) -> Queued | None:
        """Return what goes next, `None` if everything is put off; it has the credit of its flow."""
        put_off, flows = 0, self.flows
        while put_off < len(flows):
            issuer = next(iter(flows))
            flow = flows[issuer]
            flows.move_to_end(issuer)
            credit_bytes = flow.credit_bytes + QUANTUM_BYTES
            if credit_bytes < next(iter(flow.waiting.values())).size_bytes:
                flow.credit_bytes, put_off = credit_bytes, 0
                continue
            queued = flow.first(issuer, may_pass)
            if queued is None:
                put_off += 1
                continue
            flow.credit_bytes, put_off = credit_bytes, 0
            if credit_bytes >= queued.size_bytes:
                return queued
        return None


class _Quotas:
    """How much of each issuer may still pass in one turn."""

    def __init__(
        self, pending_of: Callable[[PublicKey], int], awaited: Container[TransactionId]
    ) -> None:
        self._pending_of = pending_of
        self._awaited = awaited
        self._counts: dict[PublicKey, int] = {}
        """Unreferenced transactions of those asked for, with what passed in this turn."""

    def may_pass(self, queued: Queued) -> bool:
        """Return whether its issuer's quota has room."""
        issuer = queued.issuer
        if issuer is None:
            return True
        count = self._counts.get(issuer)
        if count is None:
            count = self._counts[issuer] = self._pending_of(issuer)
        if count < MAX_PENDING:
            return True
        return count < MAX_AWAITED_PENDING and queued.verified.tx_id in self._awaited

    def passed(self, queued: Queued) -> None:
        """Count one that `may_pass` let through."""
        if queued.issuer is not None:
            self._counts[queued.issuer] += 1


class FairQueue:
    """Bounded; serves turn by turn. Owned by the task that owns the core."""

    def __init__(self, limit: int = MAX_QUEUED, limit_bytes: int = MAX_QUEUED_BYTES) -> None:
        self._limit = limit
        self._limit_bytes = limit_bytes
        self._urgent: OrderedDict[bytes, Queued] = OrderedDict()
        self._lanes: OrderedDict[PeerId, _Lane] = OrderedDict()
        self._places: dict[bytes, _Place] = {}
        self._by_id: dict[TransactionId, Queued] = {}
        self._awaited: set[TransactionId] = set()
        self._size_bytes = 0
        self._arrived = 0

    def __len__(self) -> int:
        return len(self._places)

    def get(self, tx_id: TransactionId) -> Queued | None:
        """Return what waits under an id; which, if several witnesses of it wait, is left open."""
        return self._by_id.get(tx_id)

    def size_bytes(self, flow: FlowKey) -> int:
        """Return how much takes the turns of one flow."""
        lane = self._lanes.get(flow[0])
        found = None if lane is None else lane.flows.get(flow[1])
        return 0 if found is None else found.size_bytes

    def add(
        self, queued: Queued, *, is_urgent: bool = False, sponsor: FlowKey | None = None
    ) -> list[Queued]:
        """Let an arrival wait; the same bytes only once, whoever sends them again.

        Args:
            queued: The arrival.
            is_urgent: A milestone, or what a milestone needs: ahead of everything.
            sponsor: Whose turn it takes, ahead of what they have waiting, since they wait for it.

        Returns:
            What had to leave for it, perhaps itself.
        """
        data, tx_id, flow = queued.verified.data, queued.verified.tx_id, queued.flow
        if data in self._places:
            return []
        self._arrived += 1
        self._by_id.setdefault(tx_id, queued)
        self._size_bytes += queued.verified.size_bytes
        self._places[data] = _Place(queued, self._arrived, flow)
        if is_urgent and len(self._urgent) < MAX_URGENT:
            self._urgent[data] = queued
        else:
            self._put(queued, flow)
        if sponsor is not None:
            self.hasten(tx_id, sponsor)
        if len(self._places) > self._limit or self._size_bytes > self._limit_bytes:
            return self._shrink()
        return []

    def hasten(self, tx_id: TransactionId, sponsor: FlowKey) -> bool:
        """Put what something waits for ahead of what its sponsor has waiting, at their expense.

        Args:
            tx_id: What is waited for.
            sponsor: Whose transaction waits for it; its own flow will do.

        Returns:
            Whether it waits here.
        """
        queued = self._by_id.get(tx_id)
        if queued is None:
            return False
        if queued.data not in self._urgent:
            self._withdraw(queued)
            self._put(queued, sponsor)
            self._awaited.add(tx_id)
            lane = self._lanes[sponsor[0]]
            lane.flows[sponsor[1]].waiting.move_to_end(queued.data, last=False)
        return True

    def prefer(self, tx_id: TransactionId) -> bool:
        """Put what a milestone needs ahead of everything; return whether it waits here."""
        queued = self._by_id.get(tx_id)
        if queued is None:
            return False
        if queued.data not in self._urgent and len(self._urgent) < MAX_URGENT:
            self._withdraw(queued)
            self._urgent[queued.data] = queued
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
        quotas = _Quotas(pending_of, self._awaited)
        if self._size_bytes <= budget_bytes:
            return self._take_all(quotas)
        taken: list[_Place] = []
        left_bytes = budget_bytes
        while self._urgent and (left_bytes > budget_bytes // 2 or not self._lanes):
            if left_bytes <= 0:
                break
            urgent = next(iter(self._urgent.values()))
            taken.append(self._remove(urgent))
            left_bytes -= urgent.size_bytes
        while left_bytes > 0 and (queued := self._next(quotas.may_pass)) is not None:
            taken.append(self._remove(queued))
            left_bytes -= queued.size_bytes
            quotas.passed(queued)
        taken.sort(key=attrgetter("arrived"))
        return [place.taken() for place in taken]

    def _take_all(self, quotas: "_Quotas") -> list[Queued]:
        """Take out all that is not put off, as what is here fits into one turn: nobody waits.

        Nearly always so; the lines keep their order for when it is not.
        """
        taken, urgent = [], self._urgent
        for place in self._places.values():  # in the order of arrival
            if urgent and place.queued.data in urgent:
                taken.append(place)
            elif quotas.may_pass(place.queued):
                taken.append(place)
                quotas.passed(place.queued)
        if len(taken) == len(self._places):
            for everything in (urgent, self._lanes, self._places, self._by_id, self._awaited):
                everything.clear()
            self._size_bytes = 0
        else:
            for place in taken:
                self._remove(place.queued)
        return [place.taken() for place in taken]

    def is_ready(self, pending_of: Callable[[PublicKey], int]) -> bool:
        """Return whether a turn would take anything: not all that waits is put off."""
        if self._urgent:
            return True

        quotas = _Quotas(pending_of, self._awaited)
        return any(
            flow.first(issuer, quotas.may_pass) is not None
            for lane in self._lanes.values()
            for issuer, flow in lane.flows.items()
        )

    def forget(self, peer: PeerId) -> int:
        """Drop all that `peer` sent and return how many that were."""
        mine = [one for one in self._urgent.values() if one.peer == peer]
        sponsored: list[Queued] = []
        for lane_of, lane in self._lanes.items():
            for flow in lane.flows.values():
                mine += [one for one in flow.waiting.values() if one.peer == peer]
                if lane_of == peer:
                    sponsored += [one for one in flow.waiting.values() if one.peer != peer]
        for queued in mine:
            self._remove(queued)
        for queued in sponsored:
            self._withdraw(queued)
            self._put(queued, queued.flow)
        return len(mine)

    def _next(self, may_pass: Callable[[Queued], bool]) -> Queued | None:
        """Return what goes next and charge it to its peer and its issuer."""
        idle, lanes = 0, self._lanes
        while idle < len(lanes):
            peer, lane = next(iter(lanes.items()))
            lanes.move_to_end(peer)
            queued = lane.ready(may_pass)
            if queued is None:
                idle += 1
                continue
            idle, charge = 0, queued.size_bytes
            lane.credit_bytes += QUANTUM_BYTES
            if lane.credit_bytes >= charge:
                lane.credit_bytes -= charge
                lane.flows[self._places[queued.data].flow[1]].credit_bytes -= charge
                return queued
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

    def _remove(self, queued: Queued) -> _Place:
        """Take one out for good; return where it was."""
        tx_id, data = queued.verified.tx_id, queued.verified.data
        self._size_bytes -= queued.verified.size_bytes
        if self._by_id.get(tx_id) is queued:
            del self._by_id[tx_id]
            self._awaited.discard(tx_id)
        self._withdraw(queued)
        return self._places.pop(data)

    def _put(self, queued: Queued, key: FlowKey) -> None:
        peer, issuer = key
        lane = self._lanes.get(peer)
        if lane is None:
            lane = self._lanes[peer] = _Lane()
        flow = lane.flows.get(issuer)
        if flow is None:
            flow = lane.flows[issuer] = _Flow()
        flow.waiting[queued.verified.data] = queued
        flow.size_bytes += queued.verified.size_bytes
        self._places[queued.verified.data].flow = key

    def _withdraw(self, queued: Queued) -> None:
        """Take one out of its line; a line that is empty loses its credit and its turn."""
        data = queued.verified.data
        if self._urgent and self._urgent.pop(data, None) is not None:
            return
        peer, issuer = self._places[data].flow
        lane = self._lanes[peer]
        flow = lane.flows[issuer]
        del flow.waiting[data]
        flow.size_bytes -= queued.verified.size_bytes
        if not flow.waiting:
            del lane.flows[issuer]
            if not lane.flows:
                del self._lanes[peer]
