"""Rooms in which transactions wait: for missing parents, for the clock, for a registration.

All are bounded, so that nobody can fill a node's memory with what may never become solid.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from tangle.effects import PeerId
from tangle.transaction import TransactionId
from tangle.verification import Verified

MAX_WAITING: Final = 20_000
"""Transactions with missing parents: some 10 MB; what a milestone needs is not counted out."""
MAX_HELD: Final = 2_000
"""Transactions ahead of the clock or of unknown issuers."""
REQUEST_TIMEOUT_MS: Final = 1_000
"""Wall time after which a missing transaction is asked for again, from someone else."""
MAX_REQUESTS: Final = 65_536
"""Beyond these only what something waits for is asked for, and that is bounded by the room."""
MAX_REPEATS: Final = 2_048
"""Requests repeated in one call: a flood of orphans must not keep a node from its milestones."""
MAX_REQUEST_TRIES: Final = 20
"""After which what waits for it is given up, unless a milestone needs it."""

OWN: Final = PeerId(b"")
"""Stands for this node where a sender is counted."""


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """A verified transaction and who sent it."""

    verified: Verified
    sender: PeerId
    """`OWN` if it was handed in here."""


@dataclass(slots=True)
class _Request:
    due_ms: int
    tries: int
    peer: PeerId | None


class _BySender:
    """Who sent what may be evicted from a room."""

    def __init__(self) -> None:
        self._sent: dict[PeerId, dict[TransactionId, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, arrival: Arrival) -> None:
        self._sent.setdefault(arrival.sender, {})[arrival.verified.tx_id] = None
        self._count += 1

    def discard(self, arrival: Arrival) -> None:
        sent = self._sent.get(arrival.sender, {})
        if arrival.verified.tx_id in sent:
            del sent[arrival.verified.tx_id]
            self._count -= 1
            if not sent:
                del self._sent[arrival.sender]

    def newest_of_the_heaviest(self) -> TransactionId:
        heaviest = min(self._sent, key=lambda sender: (-len(self._sent[sender]), sender))
        return next(reversed(self._sent[heaviest]))


class WaitingRoom:
    """Transactions whose parents are not all solid, and the requests for what is missing."""

    def __init__(self, limit: int = MAX_WAITING) -> None:
        self._limit = limit
        self._arrivals: dict[TransactionId, Arrival] = {}
        self._missing: dict[TransactionId, set[TransactionId]] = {}
        self._children: dict[TransactionId, dict[TransactionId, None]] = {}
        self._requests: OrderedDict[TransactionId, _Request] = OrderedDict()  # next due first
        self._needed: set[TransactionId] = set()
        self._evictable = _BySender()  # all that no milestone needs

    def __contains__(self, tx_id: TransactionId) -> bool:
        return tx_id in self._arrivals

    def __len__(self) -> int:
        return len(self._arrivals)

    @property
    def request_count(self) -> int:
        """How many transactions are being asked for."""
        return len(self._requests)

    def get(self, tx_id: TransactionId) -> Arrival | None:
        """Return one that waits."""
        return self._arrivals.get(tx_id)

    def missing(self, tx_id: TransactionId) -> tuple[TransactionId, ...]:
        """Return the parents that it waits for, ascending; none if it does not wait."""
        return tuple(sorted(self._missing.get(tx_id, ())))

    def waiting_for(self, tx_id: TransactionId) -> Iterator[Arrival]:
        """Yield what waits for `tx_id` itself, in the order in which it began to."""
        for child_id in self._children.get(tx_id, ()):
            yield self._arrivals[child_id]

    def is_needed(self, tx_id: TransactionId) -> bool:
        """Return whether a milestone needs `tx_id`."""
        return tx_id in self._needed

    def is_wanted(self, tx_id: TransactionId) -> bool:
        """Return whether something waits for `tx_id`, or a milestone needs it."""
        return tx_id in self._children or tx_id in self._needed

    def add(self, arrival: Arrival, missing: Iterable[TransactionId]) -> list[TransactionId]:
        """Let a transaction wait for `missing`; return what had to be evicted for it.

        When the room is full the newest of the heaviest sender leaves, which may be the
        newcomer; never what a milestone needs.
        """
        tx_id = arrival.verified.tx_id
        self._arrivals[tx_id] = arrival
        self._requests.pop(tx_id, None)
        self._missing[tx_id] = set(missing)
        for parent_id in self._missing[tx_id]:
            self._children.setdefault(parent_id, {})[tx_id] = None
        if tx_id in self._needed:
            self.need(self._missing[tx_id])
        else:
            self._evictable.add(arrival)
        evicted = []
        while len(self._evictable) > self._limit:
            victim = self._evictable.newest_of_the_heaviest()
            self.remove(victim)
            evicted.append(victim)
        return evicted

    def release(self, parent_id: TransactionId) -> list[Arrival]:
        """Take out what waited for `parent_id` alone, now that it is solid."""
        self._requests.pop(parent_id, None)
        assert parent_id not in self._arrivals, "solid while it waits"
        self._needed.discard(parent_id)
        ready: list[Arrival] = []
        for child_id in self._children.pop(parent_id, ()):
            missing = self._missing[child_id]
            missing.discard(parent_id)
            if not missing:
                ready.append(self._arrivals[child_id])
                self._forget(child_id)
        return ready

    def remove(self, tx_id: TransactionId) -> None:
        """Take out one that will not become solid, and the requests that only it needed."""
        for parent_id in self._missing[tx_id]:
            siblings = self._children[parent_id]
            del siblings[tx_id]
            if not siblings:
                del self._children[parent_id]
                self._requests.pop(parent_id, None)
        self._forget(tx_id)

    def remove_with_descendants(self, missing_id: TransactionId) -> list[TransactionId]:
        """Take out all that waits for `missing_id`, directly or not; return the ids."""
        removed: list[TransactionId] = []
        candidates = list(self._children.get(missing_id, {}))
        while candidates:
            tx_id = candidates.pop()
            if tx_id not in self._arrivals:
                continue
            candidates.extend(self._children.get(tx_id, {}))
            self.remove(tx_id)
            removed.append(tx_id)
        self._requests.pop(missing_id, None)
        return removed

    def need(self, tx_ids: Iterable[TransactionId]) -> None:
        """Mark what a milestone needs: these, and all that they wait for."""
        candidates = list(tx_ids)
        while candidates:
            tx_id = candidates.pop()
            if tx_id in self._needed:
                continue
            self._needed.add(tx_id)
            if tx_id in self._arrivals:
                self._evictable.discard(self._arrivals[tx_id])
            candidates.extend(self._missing.get(tx_id, ()))

    def ask(
        self, tx_ids: Iterable[TransactionId], peer: PeerId | None, now_ms: int
    ) -> tuple[TransactionId, ...]:
        """Register requests; return those that are new and must be sent now."""
        fresh = []
        for tx_id in tx_ids:
            if tx_id in self._requests or tx_id in self._arrivals:
                continue
            if len(self._requests) >= MAX_REQUESTS and not self.is_wanted(tx_id):
                continue  # a heartbeat will name it again
            self._requests[tx_id] = _Request(now_ms + REQUEST_TIMEOUT_MS, 1, peer)
            fresh.append(tx_id)
        return tuple(fresh)

    def ask_later(self, evicted: Iterable[TransactionId], now_ms: int) -> None:
        """Register requests for what was evicted while something waited for it: not sent now."""
        self.ask([tx_id for tx_id in evicted if tx_id in self._children], None, now_ms)

    def next_deadline_ms(self) -> int | None:
        """When the oldest request is due again, wall time."""
        return next((request.due_ms for request in self._requests.values()), None)

    def overdue(self, now_ms: int) -> tuple[list[TransactionId], list[TransactionId]]:
        """Return requests to repeat, and those to give up: nobody answered often enough.

        At most `MAX_REPEATS` of both; the rest stays due, the oldest first.
        """
        again: list[TransactionId] = []
        hopeless: list[TransactionId] = []
        while self._requests and len(again) + len(hopeless) < MAX_REPEATS:
            if next(iter(self._requests.values())).due_ms > now_ms:
                break
            tx_id, request = self._requests.popitem(last=False)
            if not self.is_wanted(tx_id):
                continue  # only a heartbeat named it: the next one will again, if it is still a tip
            if request.tries >= MAX_REQUEST_TRIES and tx_id not in self._needed:
                hopeless.append(tx_id)
                continue
            request.tries += 1
            request.due_ms = now_ms + REQUEST_TIMEOUT_MS
            self._requests[tx_id] = request
            again.append(tx_id)
        return again, hopeless

    def answered(self, tx_id: TransactionId) -> None:
        """Stop asking for what has arrived."""
        self._requests.pop(tx_id, None)

    def _forget(self, tx_id: TransactionId) -> None:
        self._evictable.discard(self._arrivals.pop(tx_id))
        self._needed.discard(tx_id)
        del self._missing[tx_id]


class HoldingRoom:
    """Transactions that are legal but not now: ahead of the clock, or of unknown issuers."""

    def __init__(self, limit: int = MAX_HELD) -> None:
        self._limit = limit
        self._arrivals: dict[TransactionId, Arrival] = {}
        self._due_ms: dict[TransactionId, int | None] = {}
        self._evictable = _BySender()

    def __contains__(self, tx_id: TransactionId) -> bool:
        return tx_id in self._arrivals

    def __len__(self) -> int:
        return len(self._arrivals)

    def get(self, tx_id: TransactionId) -> Arrival | None:
        """Return one that is held."""
        return self._arrivals.get(tx_id)

    def is_early(self, tx_id: TransactionId) -> bool:
        """Return whether a held one waits for its time, and not for a registration."""
        return self._due_ms[tx_id] is not None

    def hold(self, arrival: Arrival, due_ms: int | None) -> list[TransactionId]:
        """Keep one until wall time `due_ms` (`None`: until a milestone registers its issuer).

        Returns:
            What had to be evicted for it, the newest of the heaviest sender, which may be the
            newcomer: it may come again later.
        """
        self._arrivals[arrival.verified.tx_id] = arrival
        self._due_ms[arrival.verified.tx_id] = due_ms
        self._evictable.add(arrival)
        evicted = []
        while len(self._arrivals) > self._limit:
            evicted.append(self._evictable.newest_of_the_heaviest())
            self.take(evicted[-1])
        return evicted

    def take(self, tx_id: TransactionId) -> Arrival | None:
        """Take one out because something solid-to-be needs it."""
        arrival = self._arrivals.pop(tx_id, None)
        if arrival is not None:
            del self._due_ms[tx_id]
            self._evictable.discard(arrival)
        return arrival

    def take_due(self, now_ms: int) -> list[Arrival]:
        """Take out those whose time has come."""
        due = [tx_id for tx_id, at in self._due_ms.items() if at is not None and at <= now_ms]
        return [arrival for tx_id in due if (arrival := self.take(tx_id)) is not None]

    def take_strangers(self) -> list[Arrival]:
        """Take out all that waits for a registration, to be judged anew."""
        strangers = [tx_id for tx_id, at in self._due_ms.items() if at is None]
        return [arrival for tx_id in strangers if (arrival := self.take(tx_id)) is not None]

    def next_deadline_ms(self) -> int | None:
        """When the first of them comes due, wall time."""
        return min((at for at in self._due_ms.values() if at is not None), default=None)
