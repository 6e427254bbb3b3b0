"""Tells settling edges the slot sums of the members homed here: to each what it was named for."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

import structlog

from edge.ground.clock import Clock
from edge.ground.faults import pass_point
from edge.journal.settled import Settled
from edge.mesh.slot_sums import SumsAnswer, SumsBody, SumsQuery
from edge.node.answer_budget import AnswerBudget
from edge.node.serving import Outlet
from edge.settlement.homed import Homed
from edge.settlement.sealed_sums import MAX_PARTS, SumsPart, cut, seal_part
from energy.settlement.sums import SlotSums
from tangle.address import Address, address_of, encode_address
from tangle.effects import Instant, PeerId

MAX_QUERIES: Final = 1_024
"""That wait for their answer, one for each peer and unit. With more, who asks most loses its
newest: it comes again, and nobody else's place was taken."""

MAX_FRAMES_WAITING: Final = 4
"""Frames in the outgoing queue: with more, answers wait, so that gossip does not."""

_log: Final = structlog.get_logger(__name__)


class Telling:
    """What settling edges asked this node, answered at each look."""

    def __init__(
        self, settled: Settled, homed: Homed, outlet: Outlet, clock: Clock, own: Address
    ) -> None:
        self.counts: Counter[str] = Counter()
        """`told`: frames; `refused`: of nodes that nobody here named; `unanswered`: too many."""

        self._settled = settled
        self._homed = homed
        self._outlet = outlet
        self._clock = clock
        self._own = own
        self._budget = AnswerBudget()
        self._queries: dict[PeerId, dict[Address, SumsQuery]] = {}
        """By peer and unit."""

    def hear(self, peer: PeerId, body: SumsBody, _now: Instant) -> None:
        """Note what a peer asks for; never waits."""
        if not isinstance(body, SumsQuery):
            return
        self._queries.setdefault(peer, {})[Address(body.unit)] = body
        if sum(map(len, self._queries.values())) > MAX_QUERIES:
            most = max(self._queries, key=lambda one: (len(self._queries[one]), one == peer))
            self._queries[most].popitem()
            self.counts["unanswered"] += 1

    def step(self) -> None:
        """Answer what was asked, as far as the network and the budgets allow.

        Raises:
            StorageError: Nothing was answered that is not durable.
        """
        queries, self._queries = self._queries, {}
        for peer, of_peer in queries.items():
            for unit, query in of_peer.items():
                if self._outlet.waiting_out >= MAX_FRAMES_WAITING:
                    self._queries.setdefault(peer, {})[unit] = query  # at the next look
                else:
                    self._tell(peer, unit, query)

    def _tell(self, peer: PeerId, unit: Address, query: SumsQuery) -> None:
        settler = address_of(peer)
        if self._is_named(unit, settler):
            self._settled.forget_owed(unit, settler, query.counted_ms)
            self._answer(peer, unit, query.after_ms)
        else:
            self._refuse(unit, settler)

    def _is_named(self, unit: Address, settler: Address) -> bool:
        """Return whether a member here named a node for a unit, now or when sums were fixed."""
        is_named = self._own in self._homed.named(unit, settler)
        return is_named or self._settled.was_named(unit, settler)

    def _refuse(self, unit: Address, settler: Address) -> None:
        self.counts["refused"] += 1
        so_far = self.counts["refused"]
        if so_far & (so_far - 1) == 0:
            _log.warning(
                "sums refused: no member here named this node",
                node=encode_address(settler),
                unit=encode_address(unit),
                so_far=so_far,
            )

    def _answer(self, peer: PeerId, unit: Address, after_ms: int) -> None:
        for part in self._parts(unit, address_of(peer), after_ms):
            sealed = seal_part(part, peer)
            if not self._budget.take(peer, len(sealed), self._clock.wall_ms()):
                self.counts["unanswered"] += 1
                return
            pass_point("sums.before")
            self._outlet.send(peer, SumsAnswer(unit, sealed))
            self.counts["told"] += 1

    def _parts(self, unit: Address, settler: Address, after_ms: int) -> Iterator[SumsPart]:
        """Yield the parts of the first period owed after a time; of none if there is none."""
        state = self._settled.home()
        through_ms = 0 if state is None else state.through_ms
        ends = self._settled.owed_ends(unit, settler, after_ms, 2)
        if not ends:
            yield SumsPart(self._own, settler, unit, after_ms, through_ms, 0, 0, 1, None)
            return
        end_ms = ends[0]
        ((_, sums),) = self._settled.owed(unit, settler, end_ms - 1, end_ms)
        through_ms = end_ms if len(ends) > 1 else max(through_ms, end_ms)
        parts = list(cut(sums.members))
        if len(parts) > MAX_PARTS:
            self.counts["unanswered"] += 1
            _log.error(
                "sums are too many to be told: vote for a settlement period of whole slots",
                unit=encode_address(unit),
                parts=len(parts),
                most=MAX_PARTS,
            )
            return
        for at, members in enumerate(parts):
            told = SlotSums(sums.start_ms, sums.slot_ms, members)
            yield SumsPart(
                self._own, settler, unit, after_ms, through_ms, end_ms, at, len(parts), told
            )
