"""Asks home edges for the slot sums of the members of units that this node settles.

What has come is kept in memory: until a period is settled with it the home edge keeps it too, and
says it again. One period is asked for at a time, so that nothing but what was asked for is kept.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import structlog

from edge.ground.clock import Clock
from edge.mesh.slot_sums import SumsAnswer, SumsBody, SumsQuery
from edge.node.serving import Outlet
from edge.settlement.sealed_sums import MAX_PARTS, PAD_SIZE, PART_SIZE, SumsPart, open_part
from energy.settlement.sums import SlotSums
from tangle.address import Address, address_of, encode_address
from tangle.effects import Instant, PeerId
from tangle.errors import MalformedBytesError
from tangle.keys import SigningKey

ASK_AGAIN_MS: Final = 5_000
"""Wall time until a home edge is asked again that has not told all of a period."""

ANSWER_MS: Final = 30_000
"""Wall time that a home edge has to tell of a period, however long that is over: whoever was down
for a day asks only now."""

MAX_PERIODS: Final = 64
"""Of one home edge, counted with one period of the unit: two months of days. More count with the
next one."""

MAX_KEPT_BYTES: Final = 32 * 2**20
"""Of what one home edge told: with more, it is asked no further until that is counted."""

MAX_PERIOD_BYTES: Final = MAX_PARTS * (PART_SIZE + 2 * PAD_SIZE)
"""Of the parts of one period, sealed: what any home edge makes of one is less."""

_log: Final = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Told:
    """What one home edge told of one unit since it was last counted."""

    through_ms: int
    """All that was fixed up to then is here."""

    periods: list[tuple[int, SlotSums]] = field(default_factory=list)
    """When each ended; in order."""

    parts: dict[int, tuple[SumsPart, int]] = field(default_factory=dict)
    """Of the next period, as far as they have come, and their sizes."""

    size_bytes: int = 0
    """Of whole periods."""

    ask_at_ms: int = 0
    """Wall time."""

    asked_since_ms: int | None = None
    """Wall time of the first query; once it is answered, of that answer."""

    has_answered: bool = False

    @property
    def parts_bytes(self) -> int:
        return sum(size for _, size in self.parts.values())

    @property
    def is_full(self) -> bool:
        return len(self.periods) >= MAX_PERIODS or self.size_bytes >= MAX_KEPT_BYTES


class Asking:
    """What this node has been told, and whom it asks."""

    def __init__(self, outlet: Outlet, clock: Clock, key: SigningKey) -> None:
        """Start with nothing told.

        Args:
            outlet: To the peers.
            clock: Of the node.
            key: Of the node: what is told is sealed to it.
        """
        self.counts: Counter[str] = Counter()
        """`asked`, `heard`: frames; `refused`: answers that are none."""

        self._outlet = outlet
        self._clock = clock
        self._key = key
        self._own = address_of(key.public)
        self._told: dict[tuple[Address, Address], _Told] = {}

    def ask(
        self,
        unit: Address,
        counted: Mapping[Address, int],
        peers: Mapping[Address, PeerId],
        end_ms: int,
    ) -> None:
        """Ask those home edges of a unit that have not told all of a period; never waits.

        Args:
            unit: Settled here.
            counted: By home edge, up to when its sums are counted.
            peers: The nodes that can be reached.
            end_ms: Of the period.
        """
        now_ms = self._clock.wall_ms()
        for home, counted_ms in counted.items():
            told = self._told.setdefault((unit, home), _Told(counted_ms))
            is_due = told.through_ms < end_ms and not told.is_full and told.ask_at_ms <= now_ms
            if is_due and home in peers:
                told.ask_at_ms = now_ms + ASK_AGAIN_MS
                if told.asked_since_ms is None:
                    told.asked_since_ms = now_ms
                self.counts["asked"] += 1
                self._outlet.send(peers[home], SumsQuery(unit, counted_ms, told.through_ms))

    def has_told(self, unit: Address, home: Address, end_ms: int) -> bool:
        """Return whether all is here that a home edge has for periods that end by a time."""
        told = self._told.get((unit, home))
        return told is not None and told.through_ms >= end_ms

    def may_tell(self, unit: Address, home: Address) -> bool:
        """Return whether a home edge was asked only now: its answer may be on its way."""
        told = self._told.get((unit, home))
        if told is None or told.asked_since_ms is None:
            return False  # it cannot be asked
        return self._clock.wall_ms() < told.asked_since_ms + ANSWER_MS

    def told(self, unit: Address, home: Address, end_ms: int) -> tuple[int, list[SlotSums]]:
        """Return up to when a home edge has told all, and what, of periods that end by a time."""
        told = self._told.get((unit, home))
        if told is None:
            return 0, []
        found = [sums for at_ms, sums in told.periods if at_ms <= end_ms]
        return min(told.through_ms, end_ms), found

    def forget(self, unit: Address) -> None:
        """Start anew with a unit: what was told is counted, or will be told again.

        Who has been silent all the while stays asked: or each of many periods would wait for it.
        """
        heard = [key for key, one in self._told.items() if key[0] == unit and one.has_answered]
        for key in heard:
            del self._told[key]

    def hear(self, peer: PeerId, body: SumsBody, _now: Instant) -> None:
        """Take in what a peer answers; never waits."""
        if not isinstance(body, SumsAnswer):
            return
        told = self._told.get((Address(body.unit), address_of(peer)))
        if told is None:
            return  # asked before a restart, or by nobody
        try:
            part = open_part(body.sealed, self._key)
        except MalformedBytesError as error:
            self._refuse(peer, str(error))
            return
        if (part.home, part.settler, part.unit) != (address_of(peer), self._own, body.unit):
            self._refuse(peer, "they are another's, or meant for another")
            return
        # else it was said before, to an earlier query, or nobody asked for more
        if part.after_ms == told.through_ms and not told.is_full:
            self.counts["heard"] += 1
            if not told.has_answered:
                told.has_answered, told.asked_since_ms = True, self._clock.wall_ms()
            self._take(told, part, len(body.sealed))
            if told.parts_bytes > MAX_PERIOD_BYTES:
                told.parts.clear()
                self._refuse(peer, f"more than {MAX_PERIOD_BYTES} bytes are of one period")

    def _take(self, told: _Told, part: SumsPart, size_bytes: int) -> None:
        if part.sums is None:
            told.through_ms = max(told.through_ms, part.through_ms)
            return
        if any(_period_of(one) != _period_of(part) for one, _ in told.parts.values()):
            told.parts.clear()  # the home edge was put back to an older state meanwhile
        told.parts[part.part] = part, size_bytes
        if len(told.parts) < part.parts:
            return
        ordered = [told.parts[at][0] for at in range(part.parts)]
        told.periods.append((part.end_ms, _joined(ordered)))
        told.size_bytes += told.parts_bytes
        told.parts.clear()
        told.through_ms, told.ask_at_ms = part.through_ms, 0

    def _refuse(self, peer: PeerId, why: str) -> None:
        self.counts["refused"] += 1
        so_far = self.counts["refused"]
        if so_far & (so_far - 1) == 0:
            _log.warning(
                "told sums refused", node=encode_address(address_of(peer)), why=why, so_far=so_far
            )


def _period_of(part: SumsPart) -> tuple[int, ...]:
    """Return what all parts of one period agree about."""
    assert part.sums is not None, "a part of nothing is the only one"
    return part.end_ms, part.through_ms, part.parts, part.sums.start_ms, part.sums.slot_ms


def _joined(parts: Iterable[SumsPart]) -> SlotSums:
    told = [part.sums for part in parts if part.sums is not None]
    return SlotSums(
        told[0].start_ms, told[0].slot_ms, tuple(one for sums in told for one in sums.members)
    )
